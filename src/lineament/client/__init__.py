"""A typed client of the service: the calls and values of the library, over HTTP.

>>> from lineament.client import Client
>>> with Client("http://localhost:8000") as client:                                     # doctest: +SKIP
...     found = client.gallery("staff").identify(picture, fpir=1e-2)
"""

from lineament.client.client import Client
from lineament.client.galleries import RemoteGallery
from lineament.client.jobs import NewPicture, RemoteJob
from lineament.client.results import (
    Demeshed,
    Detected,
    EmbeddedFace,
    IdentifiedFace,
    InTheWay,
    JobItem,
    JobProgress,
    MadeWith,
    RestoredReference,
    SeenFace,
    Verified,
    Weights,
)

__all__ = [
    "Client",
    "Demeshed",
    "Detected",
    "EmbeddedFace",
    "IdentifiedFace",
    "InTheWay",
    "JobItem",
    "JobProgress",
    "MadeWith",
    "NewPicture",
    "RemoteGallery",
    "RemoteJob",
    "RestoredReference",
    "SeenFace",
    "Verified",
    "Weights",
]
