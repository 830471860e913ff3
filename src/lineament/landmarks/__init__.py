"""Dense landmarks."""
