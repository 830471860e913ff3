"""Packs of encoded pictures: read, write and convert the formats that training data comes in."""

from lineament.packs.base import UNKNOWN, Fault, LabelArray, Pack, Pairs, Record
from lineament.packs.evaluation_only import EVALUATION_ONLY, refuse_evaluation_sets
from lineament.packs.filepack import FilePack
from lineament.packs.info import FORMATS, Format, Origin, PackInfo
from lineament.packs.opening import open_pack
from lineament.packs.verification import read_pair_pack
from lineament.packs.writing import write_pack

__all__ = [
    "EVALUATION_ONLY",
    "FORMATS",
    "UNKNOWN",
    "Fault",
    "FilePack",
    "Format",
    "LabelArray",
    "Origin",
    "Pack",
    "PackInfo",
    "Pairs",
    "Record",
    "open_pack",
    "read_pair_pack",
    "refuse_evaluation_sets",
    "write_pack",
]
