"""Pictures: decode, orient, find, draw."""
