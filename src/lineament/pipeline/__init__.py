"""From pictures to decisions."""
