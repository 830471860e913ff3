"""Face embedders: aligned crops in, unit vectors out."""
