"""The two calibration records of a mesh remover: when a picture is touched, and what a restored reference is worth.

- *Touched*: scores of clean crops of people who are not in LFW, and of the same crops under meshes of the trained
  families with JPEG.
- *Restored references*: the pictures of LFW View 1, issued as ID photos of 178 x 220 px under a mesh (all trained
  families, blur, reduction, JPEG), restored, found and embedded by the profile; each compared with every later picture
  as it is.

    python -m benchmarks.mesh_records --clean train.rec --clean held.rec \
        --view1 lfw_view1_208 --out src/lineament/zoo/calibration
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from lineament.core.arrays import FloatArray, ImageArray, ScoreArray
from lineament.core.types import Face, Image
from lineament.demesh import NetworkRemover, load_remover
from lineament.evaluation.calibration import Provenance, fit_calibration
from lineament.evaluation.calibration_data import LFW_LIST
from lineament.evaluation.protocols import END_TO_END, pictures_of
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.trials import read_pairs
from lineament.imaging import decode_image
from lineament.imaging.mesh import Family
from lineament.imaging.portrait import IssueRanges, draw_issuance, issue_photo
from lineament.metrics.bootstrap import PairScores
from lineament.packs import open_pack
from lineament.pipeline import FacePipeline
from lineament.zoo.calibration import CalibrationRecord
from lineament.zoo.mesh_record import MeshRecord, fit_mesh_rows
from lineament.zoo.records import CalibrationData

FAMILIES: tuple[Family, ...] = ("sines", "rosettes", "words")
TOUCHED = IssueRanges(families=("sines",), jpeg_quality=(60, 95), blur_sigma_px=(0.0, 0.0))
ISSUED = IssueRanges(families=FAMILIES, layout="portrait", jpeg_quality=(50, 95))
AT_ONCE = 16


def main() -> None:
    parser = argparse.ArgumentParser(description="Calibration records of a mesh remover")
    parser.add_argument("--remover", default="demesh")
    parser.add_argument("--profile", default="open", help="how faces are found and embedded")
    parser.add_argument(
        "--clean", type=Path, action="append", required=True, help="packs of aligned clean crops"
    )
    parser.add_argument("--view1", type=Path, required=True, help="folder of LFW View 1")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    remover = load_remover(arguments.remover)
    touched = touched_record(remover, arguments.clean)
    print(touched.save(arguments.out))
    for row in touched.rows:
        print(
            f"rate {row.rate:g}: threshold {row.threshold:.4f}, touched {row.touched}, missed {row.missed:.4f}"
        )
    record = restored_record(remover, arguments.profile, arguments.view1)
    print(record.save(arguments.out))


def touched_record(remover: NetworkRemover, packs: Sequence[Path]) -> MeshRecord:
    """Scores of clean and of meshed crops."""
    clean: list[float] = []
    meshed: list[float] = []
    data = []
    for path in packs:
        with open_pack(path) as pack:
            data.append(CalibrationData(name=path.stem, digest=pack.digest))
            for start in range(0, len(pack), AT_ONCE):
                some = range(start, min(start + AT_ONCE, len(pack)))
                crops = [decode_image(pack.read(i).image).pixels for i in some]
                issued = [_issued(crop, TOUCHED, i) for i, crop in zip(some, crops, strict=True)]
                clean += [r.finding.score for r in remover.restore(crops)]
                meshed += [r.finding.score for r in remover.restore(issued)]
    return MeshRecord(
        name="people-not-in-lfw",
        remover=remover.id,
        protocol="aligned crops of 112 px as they are, several of each person, many of them used in training; the same "
        "under sine meshes as they were trained on, with JPEG of quality 60 to 95",
        data=tuple(data),
        n_clean=len(clean),
        n_meshed=len(meshed),
        rows=fit_mesh_rows(np.array(clean), np.array(meshed)),
    )


def restored_record(remover: NetworkRemover, profile: str, folder: Path) -> CalibrationRecord:
    """Restored references against probes as they are, on LFW View 1."""
    pipeline = FacePipeline.from_profile(profile)
    trials = read_pairs(folder / LFW_LIST)
    references: list[FloatArray | None] = []
    probes: list[FloatArray | None] = []
    with PictureSource(pictures_of(folder)) as source:
        digest = source.digest(trials.samples)
        for start in range(0, len(trials.samples), AT_ONCE):
            images = [decode_image(source.read(name)) for name in trials.samples[start : start + AT_ONCE]]
            plain = pipeline.extract_central(images)
            issued = list(_portraits(images, plain, start))
            restored = [
                Image(r.pixels)
                for r in remover.restore([picture for picture in issued if picture is not None])
            ]
            faces = iter(pipeline.extract_central(restored) if restored else [])
            references += [_vector(next(faces)) if picture is not None else None for picture in issued]
            probes += [_vector(face) for face in plain]
    _, subjects = np.unique(np.asarray(trials.subjects), return_inverse=True)
    pairs, left_out = _compared(references, probes, subjects.astype(np.int32))
    return fit_calibration(
        pairs,
        Provenance(
            name=f"{profile}-{folder.name}-restored",
            space=f"{pipeline.embedding_space}~{remover.id}",
            data=(CalibrationData(name=folder.name, digest=digest),),
            protocol=(
                f"references: the {len(references)} pictures of LFW View 1 pairsDevTest as ID photos of 178 x 220 px "
                f"under meshes ({', '.join(FAMILIES)}), JPEG 50 to 95, restored by {remover.id}; probes: every later "
                f"picture as it is; {END_TO_END} (profile {profile})"
            ),
            n_images=len(references) - left_out,
            n_refused=left_out,
        ),
    )


def _issued(
    pixels: ImageArray, ranges: IssueRanges, seed: int, points: FloatArray | None = None
) -> ImageArray:
    issuance = draw_issuance(ranges, (seed,), pixels.shape, points)
    return decode_image(issue_photo(pixels, issuance).image).pixels


def _portraits(images: Sequence[Image], faces: Sequence[object], first: int) -> Iterator[ImageArray | None]:
    for k, (image, face) in enumerate(zip(images, faces, strict=True)):
        points = face.detection.points if isinstance(face, Face) else None
        yield None if points is None else _issued(image.pixels, ISSUED, first + k, points)


def _vector(face: object) -> FloatArray | None:
    return face.embedding.vector if isinstance(face, Face) else None


def _compared(
    references: Sequence[FloatArray | None], probes: Sequence[FloatArray | None], subjects: np.ndarray
) -> tuple[PairScores, int]:
    """Each reference with every later probe; pictures without a face on either side are left out."""
    here = np.array([r is not None and p is not None for r, p in zip(references, probes, strict=True)])
    a = np.stack([r for r, ok in zip(references, here, strict=True) if ok and r is not None])
    b = np.stack([p for p, ok in zip(probes, here, strict=True) if ok and p is not None])
    known = subjects[here]
    first, second = np.triu_indices(len(a), k=1)
    scores: ScoreArray = (a @ b.T)[first, second].astype(np.float64)
    return PairScores(scores, known[first], known[second]), int(len(here) - here.sum())


if __name__ == "__main__":
    main()
