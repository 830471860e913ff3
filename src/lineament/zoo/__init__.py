"""Manifests, weights, inference sessions, profiles and calibration records."""

from lineament.zoo.licence import accept, check_licence
from lineament.zoo.manifest import Manifest, find_model, list_models
from lineament.zoo.options import FetchOptions
from lineament.zoo.session import Runtime, Session, open_session

__all__ = [
    "FetchOptions",
    "Manifest",
    "Runtime",
    "Session",
    "accept",
    "check_licence",
    "find_model",
    "list_models",
    "open_session",
]
