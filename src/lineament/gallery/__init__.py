"""The durable store of references and its exact search."""

from lineament.gallery.gallery import Gallery
from lineament.gallery.schema import stored_space
from lineament.gallery.transfer import exported_space
from lineament.gallery.types import (
    Enrolled,
    EnrollmentRefusal,
    EnrollmentRefusalKind,
    GalleryInfo,
    GallerySize,
    Imported,
    NewSample,
    Removal,
    SampleRecord,
    SubjectSummary,
)

__all__ = [
    "Enrolled",
    "EnrollmentRefusal",
    "EnrollmentRefusalKind",
    "Gallery",
    "GalleryInfo",
    "GallerySize",
    "Imported",
    "NewSample",
    "Removal",
    "SampleRecord",
    "SubjectSummary",
    "exported_space",
    "stored_space",
]
