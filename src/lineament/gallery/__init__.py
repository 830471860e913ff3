"""The durable store of references and its exact search."""

from lineament.gallery.base import GalleryStore
from lineament.gallery.copies import KnownCopy
from lineament.gallery.corrections import Correction
from lineament.gallery.drift import DriftReport, SpaceFigures
from lineament.gallery.gallery import Gallery
from lineament.gallery.keys import GalleryKey, key_from_environment, new_key, read_key
from lineament.gallery.receipts import Copy, RemovalReceipt
from lineament.gallery.recode import encrypt_gallery, rotate_key
from lineament.gallery.restore import Restored, restore
from lineament.gallery.retention import DueSample, Expired, RetentionRule
from lineament.gallery.review import DecisionRecord, Finding, FindingKind, PendingSample, ReviewRules
from lineament.gallery.schema import stored_space
from lineament.gallery.subject import SubjectTemplate, fuse
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
    SampleState,
    SubjectSummary,
)
from lineament.gallery.upgrade import UpgradeProgress
from lineament.gallery.verify import ReceiptVerdict

__all__ = [
    "Copy",
    "Correction",
    "DecisionRecord",
    "DriftReport",
    "DueSample",
    "Enrolled",
    "EnrollmentRefusal",
    "EnrollmentRefusalKind",
    "Expired",
    "Finding",
    "FindingKind",
    "Gallery",
    "GalleryInfo",
    "GalleryKey",
    "GallerySize",
    "GalleryStore",
    "Imported",
    "KnownCopy",
    "NewSample",
    "PendingSample",
    "ReceiptVerdict",
    "Removal",
    "RemovalReceipt",
    "Restored",
    "RetentionRule",
    "ReviewRules",
    "SampleRecord",
    "SampleState",
    "SpaceFigures",
    "SubjectSummary",
    "SubjectTemplate",
    "UpgradeProgress",
    "encrypt_gallery",
    "exported_space",
    "fuse",
    "key_from_environment",
    "new_key",
    "read_key",
    "restore",
    "rotate_key",
    "stored_space",
]
