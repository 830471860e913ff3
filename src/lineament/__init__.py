"""Face recognition at an error rate that you asked for and that was measured."""
