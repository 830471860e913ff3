"""Error rates and their intervals: NumPy only, one formula a function."""
