"""Converters from published weight files to ONNX."""
