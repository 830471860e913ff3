"""Public fakes and drawn test faces."""
