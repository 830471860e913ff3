"""Manifests, weights, inference sessions, profiles and calibration records."""
