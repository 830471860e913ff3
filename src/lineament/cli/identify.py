"""``lineament identify``: who is this?"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli import common, pictures, results
from lineament.cli.exits import Exit, exit_of
from lineament.cli.output import JsonFlag, print_json, progress
from lineament.core.errors import GalleryError

if TYPE_CHECKING:
    from lineament.core.errors import InputError
    from lineament.core.types import Decision, Face, Identification, Image, OperatingPoint, Refusal
    from lineament.gallery import Gallery
    from lineament.pipeline import FacePipeline


@dataclass(frozen=True, slots=True)
class Searched:
    """One picture with what was found for each of its faces, or why there was nothing to search."""

    path: Path
    image: "Image | None"
    found: "tuple[tuple[Face, Identification], ...] | Refusal | InputError"


def identify(
    images: list[str] = common.PICTURES,
    fpir: float = common.FPIR,
    gallery: Path = common.GALLERY,
    top: int = typer.Option(5, "--top", min=1, max=1000, help="Longest list of candidates."),
    all_faces: bool = typer.Option(
        False, "--all-faces", help="Search every face; otherwise a picture must be of one person."
    ),
    picture: Path = common.PICTURE,
    profile: str = common.PROFILE,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Who is this, at a rate of false alarms that you accept?

    The threshold follows from the rate and the numbers of samples and people in the gallery. The nearest person
    below it is shown as a hint only. Exit code 0: somebody was found in every picture; 1: in one picture nobody
    was; 3: a picture was refused; 4: a file cannot be read; 6: the gallery is missing or empty; 8: undecided,
    somebody's similarity lies within the interval of the threshold. The highest code counts.

    Examples: lineament identify door.jpg --gallery staff.gallery --fpir 1e-2 ·
    lineament identify party.jpg --all-faces --fpir 1e-2 --picture named.png
    """
    from lineament.gallery import Gallery
    from lineament.imaging import find_images

    files = find_images(images)
    common.find_gallery(gallery)
    pipeline = common.open_pipeline(profile, backend, threads, accept_noncommercial)
    with Gallery.open(gallery, space=pipeline.embedding_space) as opened:
        held = opened.size
        size = held.samples
        if size == 0:
            raise GalleryError(
                f'{gallery} holds nobody yet; enroll somebody with "lineament enroll NAME PICTURE... '
                f'--gallery {gallery}"'
            )
        point = pipeline.calibration.point_for_fpir(fpir, size, held.subjects)
        search = _Search(pipeline, opened, point, fpir, top, all_faces)
        searched = [search.run(path) for path in progress(files, "searching")]
    if picture is not None:
        _draw(picture, searched, point, f"FPIR {fpir:g} over {results.count(size, 'sample')}")
    if as_json:
        facts = {"gallery": str(gallery), "gallery_size": size, "fpir": fpir} | results.point_json(point)
        print_json(facts | common.provenance(profile, pipeline) | {"results": [_json(s) for s in searched]})
    codes = [_say(s, quiet=as_json) for s in searched]
    if not as_json and any(c in (Exit.DONE, Exit.NO_MATCH, Exit.UNDECIDED) for c in codes):
        print(f"FPIR {fpir:g} over {results.count(size, 'sample')}: {results.evidence(point)}")
    raise typer.Exit(common.worst(codes))


@dataclass(frozen=True, slots=True)
class _Search:
    pipeline: "FacePipeline"
    gallery: "Gallery"
    point: "OperatingPoint"
    fpir: float
    top: int
    all_faces: bool

    def run(self, path: Path) -> Searched:
        """Search the face or the faces of one picture."""
        from lineament.core.errors import InputError
        from lineament.core.types import Refusal

        image = common.read_picture(path)
        if isinstance(image, InputError):
            return Searched(path, None, image)
        faces = self.pipeline.extract(image) if self.all_faces else []
        if not faces:
            one = self.pipeline.extract_one(image)
            if isinstance(one, Refusal):
                return Searched(path, image, one)
            faces = [one]
        found = tuple((face, self._search(face)) for face in faces)
        return Searched(path, image, found)

    def _search(self, face: "Face") -> "Identification":
        return self.gallery.identify(
            face.embedding, point=self.point, fpir=self.fpir, max_candidates=self.top
        )


def _say(searched: Searched, quiet: bool) -> Exit:
    """Print what was found in one picture; returns its exit code."""
    from lineament.core.errors import InputError
    from lineament.core.types import Refusal

    if isinstance(searched.found, InputError):
        return results.say_failed(searched.found)
    if isinstance(searched.found, Refusal):
        return results.say_refused(searched.path, searched.found)
    for number, (face, found) in enumerate(searched.found, start=1):
        if quiet:
            continue
        which = f" face {number}" if len(searched.found) > 1 else ""
        notes = f" ({'; '.join(face.notes)})" if face.notes else ""
        for c in found.candidates:
            place = "" if len(found.candidates) == 1 else f" #{c.rank}"
            print(
                f"found{place}  {searched.path}{which}  {c.subject_id}  similarity "
                f"{results.beside_threshold(c.similarity, found.point)}{notes}"
            )
        for c in found.undecided:
            print(
                f"undecided  {searched.path}{which}  {c.subject_id}?  similarity "
                f"{results.beside_threshold(c.similarity, found.point)}{notes}"
            )
        if found.decision == "no_match" and found.nearest is not None:
            print(
                f"nobody  {searched.path}{which}  nearest is {found.nearest.subject_id} with "
                f"{found.nearest.similarity:.4f} < {found.point.threshold:.4f}{notes}"
            )
    return exit_of(_decision(searched.found))


def _decision(found: "tuple[tuple[Face, Identification], ...]") -> "Decision":
    """Of all faces of a picture: a match when one matches, else undecided when one is."""
    from lineament.core.types import Decision

    made = {f.decision for _, f in found}
    return next(d for d in (Decision.MATCH, Decision.UNDECIDED, Decision.NO_MATCH) if d in made)


def _json(searched: Searched) -> dict[str, Any]:
    from lineament.core.errors import InputError
    from lineament.core.types import Refusal

    row: dict[str, Any] = {"path": str(searched.path), "faces": [], "refusal": None, "error": None}
    if isinstance(searched.found, InputError):
        return row | {"error": results.error_json(searched.found)}
    if isinstance(searched.found, Refusal):
        return row | {"refusal": results.refusal_json(searched.found)}
    row["faces"] = [
        {
            "face": results.face_json(face),
            "decision": found.decision.value,
            "candidates": [results.candidate_json(c) for c in found.candidates],
            "undecided": [results.candidate_json(c) for c in found.undecided],
            "nearest": results.candidate_json(found.nearest),
        }
        for face, found in searched.found
    ]
    return row


def _draw(path: Path, searched: list[Searched], point: "OperatingPoint", rate: str) -> None:
    panels = [_panel(s, s.image) for s in searched if s.image is not None]
    if not panels:
        return
    verdicts = {p.verdict for p in panels}
    (verdict,) = verdicts if len(verdicts) == 1 else ("mixed",)
    headline = panels[0].caption.split("\n")[0]
    if len(panels) > 1:
        headline = f"found in {sum(p.verdict == 'yes' for p in panels)} of {len(panels)}"
    pictures.write_result(path, panels, verdict, headline, f"{rate}: {results.evidence(point)}")


def _panel(searched: Searched, image: "Image") -> pictures.Panel:
    from lineament.core.types import Refusal

    found, name = searched.found, searched.path.name
    if isinstance(found, Refusal):
        marks = pictures.marks_of(found, "which?" if len(found.detections) > 1 else "", "refused")
        return pictures.Panel(image, f"{results.refused_words(found)}\n{name}", "refused", marks)
    if not isinstance(found, tuple):
        raise TypeError(f"{name} has no picture")
    labels = [_label(f) for _, f in found]
    verdicts = [results.VERDICTS[f.decision] for _, f in found]
    marks = pictures.Marks(tuple(f.detection for f, _ in found), found[0][0].rotation_deg, labels, verdicts)
    named = [label for label, verdict in zip(labels, verdicts, strict=True) if verdict == "yes"]
    perhaps = [label for label, verdict in zip(labels, verdicts, strict=True) if verdict == "undecided"]
    words = f"FOUND: {', '.join(named)}" if named else "NOBODY FOUND"
    if perhaps and not named:
        words = f"UNDECIDED: {', '.join(perhaps)}"
    return pictures.Panel(image, f"{words}\n{name}", results.VERDICTS[_decision(found)], marks)


def _label(found: "Identification") -> str:
    if found.best:
        return found.best.subject_id
    return f"{found.undecided[0].subject_id}?" if found.undecided else "nobody"
