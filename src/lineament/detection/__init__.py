"""Face detectors: pictures in, boxes with five points out."""
