"""Boxes, similarity transforms, crop templates and warps."""
