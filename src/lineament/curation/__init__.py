"""Work on packs: alignment, duplicates, label noise, overlap between packs, meshes."""

from lineament.curation.align import AlignSettings, AlignWork, Choice, CropRefusal, Refused
from lineament.curation.duplicates import Duplicate, find_duplicates, superfluous
from lineament.curation.hard_subjects import HardSubjects, hard_subjects
from lineament.curation.mesh_records import MeshRecord, read_mesh_records
from lineament.curation.meshing import MeshReport, MeshSettings, Part, mesh_pack
from lineament.curation.noise import Cut, Noise, Suspect, find_noise
from lineament.curation.people import SubjectPair, find_overlap, find_same_person
from lineament.curation.vectors import PackVectors, embed_pack, load_crop_embedder

__all__ = [
    "AlignSettings",
    "AlignWork",
    "Choice",
    "CropRefusal",
    "Cut",
    "Duplicate",
    "HardSubjects",
    "MeshRecord",
    "MeshReport",
    "MeshSettings",
    "Noise",
    "PackVectors",
    "Part",
    "Refused",
    "SubjectPair",
    "Suspect",
    "embed_pack",
    "find_duplicates",
    "find_noise",
    "find_overlap",
    "find_same_person",
    "hard_subjects",
    "load_crop_embedder",
    "mesh_pack",
    "read_mesh_records",
    "superfluous",
]
