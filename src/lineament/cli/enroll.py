"""``lineament enroll``: put people into a gallery."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli import common, results
from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, note, print_json, progress
from lineament.core.errors import InputError, NotCalibrated

if TYPE_CHECKING:
    from lineament.core.types import Face, Image, OperatingPoint, Refusal
    from lineament.gallery import Enrolled, EnrollmentRefusal, Gallery
    from lineament.pipeline import FacePipeline

AT_ONCE = 8
"""Pictures that are in memory together."""
MAX_NAME = 150


@dataclass(frozen=True, slots=True)
class Offered:
    """One picture with what became of it."""

    path: Path
    subject: str
    outcome: "Enrolled | EnrollmentRefusal | Refusal | InputError"


def enroll(
    words: list[str] = typer.Argument(
        None,
        metavar="NAME PICTURE...",
        help="Who it is, then files, folders or patterns.",
        show_default=False,
    ),
    people: Path = typer.Option(
        None, "--people", help="Instead of NAME and PICTURE: a folder with one folder for each person."
    ),
    gallery: Path = common.GALLERY,
    conflict_fmr: float = typer.Option(
        None,
        "--conflict-fmr",
        callback=common.optional_rate("--conflict-fmr"),
        help="Refuse a picture that matches somebody else at this false match rate; by default the smallest rate "
        "that the calibration supports.",
        show_default=False,
    ),
    allow_conflict: bool = typer.Option(False, "--allow-conflict", help="Do not look for such conflicts."),
    profile: str = common.PROFILE,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Put people into a gallery; the gallery is made when it is not there.

    Every picture is judged alone: what is enrolled stays enrolled whatever comes after it, and a command that was
    interrupted can be run again. Exit code 0: every picture is in the gallery now, or was before; 3: some were
    refused (no face, several faces, or the face of somebody else); 4: some cannot be read. The highest code counts.

    Examples: lineament enroll ada ada-1.jpg ada-2.jpg --gallery staff.gallery ·
    lineament enroll --people photos/ --gallery staff.gallery
    """
    wanted = _wanted(words or [], people)
    if gallery.exists():
        common.find_gallery(gallery)
    else:
        common.require_folder(gallery)
    pipeline = common.open_pipeline(profile, backend, threads, accept_noncommercial)
    point = None if allow_conflict else _conflict_point(pipeline, conflict_fmr)
    offered = []
    for one in _offer(pipeline, gallery, wanted, point):
        offered.append(one)
        if not as_json:
            _say(one)
    counts = Counter(_status(o) for o in offered)
    if as_json:
        facts = {"gallery": str(gallery), "conflict": point and results.point_json(point)}
        rows = [_json(o) for o in offered]
        print_json(
            facts
            | common.provenance(profile, pipeline)
            | {"counts": dict(sorted(counts.items())), "results": rows}
        )
    else:
        print(_summary(counts, gallery))
    raise typer.Exit(common.worst([_code(o) for o in offered]))


def _wanted(words: list[str], people: Path | None) -> list[tuple[str, Path]]:
    """Subjects with their pictures, in order."""
    from lineament.gallery.types import check_id
    from lineament.imaging import find_images

    if people is None:
        if len(words) < 2:
            raise typer.BadParameter(
                "give a name and its pictures, or --people FOLDER", param_hint="NAME PICTURE..."
            )
        if Path(words[0]).is_file():
            raise typer.BadParameter(
                f"the first word is the person's name, but {words[0]} is a file", param_hint="NAME"
            )
        return [(check_id(words[0], "name"), path) for path in find_images(words[1:])]
    if words:
        raise typer.BadParameter("takes the names from the folders; give no NAME", param_hint="--people")
    if not people.is_dir():
        raise InputError(f"{people}: expected a folder with one folder for each person")
    folders = sorted(f for f in people.iterdir() if f.is_dir() and not f.name.startswith("."))
    if not folders:
        raise InputError(
            f'{people}: no folders in it; for pictures of one person use "lineament enroll NAME {people}"'
        )
    return [(check_id(f.name, "name"), path) for f in folders for path in _pictures(f)]


def _pictures(folder: Path) -> list[Path]:
    from lineament.imaging import find_images

    try:
        return find_images([folder])
    except InputError as error:
        note(f"left out: {error}")
        return []


def _conflict_point(pipeline: "FacePipeline", fmr: float | None) -> "OperatingPoint":
    try:
        return pipeline.operating_point(pipeline.calibration.smallest_fmr if fmr is None else fmr)
    except NotCalibrated as error:
        raise NotCalibrated(f"{error}. Or enroll without looking for conflicts: --allow-conflict") from error


def _offer(
    pipeline: "FacePipeline", path: Path, wanted: Sequence[tuple[str, Path]], point: "OperatingPoint | None"
) -> Iterator[Offered]:
    """Read, extract and enroll in small batches."""
    from lineament.gallery import Gallery

    with Gallery.open(path, space=pipeline.embedding_space, create=True) as gallery:
        if point is not None and not gallery.calibration:
            gallery.set_calibration(point.record)
        left = iter(progress(wanted, "enrolling"))
        while batch := list(islice(left, AT_ONCE)):
            yield from _offer_batch(pipeline, gallery, batch, None if point is None else point.threshold)


def _offer_batch(
    pipeline: "FacePipeline",
    gallery: "Gallery",
    batch: Sequence[tuple[str, Path]],
    threshold: float | None,
) -> Iterator[Offered]:
    from lineament.core.types import Refusal, Role

    images = [common.read_picture(path) for _, path in batch]
    faces = iter(pipeline.extract_many([i for i in images if not isinstance(i, InputError)], Role.REFERENCE))
    for (subject, path), image in zip(batch, images, strict=True):
        if isinstance(image, InputError):
            yield Offered(path, subject, image)
            continue
        face = next(faces)
        if isinstance(face, Refusal):
            yield Offered(path, subject, face)
        else:
            yield Offered(path, subject, _enroll(gallery, subject, path, image, face, threshold))


def _enroll(
    gallery: "Gallery", subject: str, path: Path, image: "Image", face: "Face", threshold: float | None
) -> "Enrolled | EnrollmentRefusal":
    return gallery.enroll(
        subject,
        face.embedding,
        sample_id=_sample_id(path, image),
        source_sha256=image.sha256,
        conflict_threshold=threshold,
    )


def _sample_id(path: Path, image: "Image") -> str:
    """The file's name, so that people know it again, and the start of its digest, so that it is unique."""
    name = "".join(c if c.isprintable() else "?" for c in path.name)[-MAX_NAME:]
    return f"{name}#{image.sha256[:12]}"


def _status(offered: Offered) -> str:
    """One word for an outcome; the JSON document and the summary count them."""
    from lineament.core.types import Refusal
    from lineament.gallery import Enrolled, EnrollmentRefusalKind

    found = offered.outcome
    if isinstance(found, Enrolled):
        return "enrolled"
    if isinstance(found, Refusal):
        return found.reason.value
    if isinstance(found, InputError):
        return "unreadable"
    if found.kind is EnrollmentRefusalKind.IDENTITY_CONFLICT:
        return "conflict"
    return "already_there" if found.subject_id == offered.subject else "belongs_to_another"


def _code(offered: Offered) -> Exit:
    codes = {"enrolled": Exit.DONE, "already_there": Exit.DONE, "unreadable": Exit.INPUT}
    return codes.get(_status(offered), Exit.REFUSED)


def _say(offered: Offered) -> None:
    """Print one outcome: what is in the gallery to stdout, the rest to stderr."""
    from lineament.core.types import Refusal
    from lineament.gallery import Enrolled

    found, status = offered.outcome, _status(offered)
    if isinstance(found, Refusal):
        results.say_refused(offered.path, found)
    elif isinstance(found, InputError):
        results.say_failed(found)
    elif isinstance(found, Enrolled):
        print(f"enrolled       {offered.subject}  {offered.path}")
    elif status == "already_there":
        print(f"already there  {offered.subject}  {offered.path}")
    else:
        look = "is already enrolled as" if status == "belongs_to_another" else "looks like"
        note(
            f"{offered.path}: refused ({status}): it {look} {found.subject_id} (similarity {found.similarity:.4f} to "
            f"{found.sample_id}); enroll it there, or merge the two if they are one person"
            + ("" if status == "belongs_to_another" else ", or give --allow-conflict")
        )


def _json(offered: Offered) -> dict[str, Any]:
    from lineament.core.types import Refusal
    from lineament.gallery import Enrolled, EnrollmentRefusal

    found = offered.outcome
    row: dict[str, Any] = {
        "path": str(offered.path),
        "subject": offered.subject,
        "status": _status(offered),
        "sample": found.sample_id if isinstance(found, Enrolled | EnrollmentRefusal) else None,
    }
    row |= {"refusal": None, "conflict": None, "error": None}
    if isinstance(found, Refusal):
        row["refusal"] = results.refusal_json(found)
    elif isinstance(found, EnrollmentRefusal):
        row["sample"] = None
        row["conflict"] = {
            "subject": found.subject_id,
            "sample": found.sample_id,
            "similarity": found.similarity,
        }
    elif isinstance(found, InputError):
        row["error"] = results.error_json(found)
    return row


def _summary(counts: Counter[str], gallery: Path) -> str:
    words = [f"{counts['enrolled']:,} enrolled in {gallery}"]
    words += [f"{counts[s]:,} {s.replace('_', ' ')}" for s in ("already_there", "unreadable") if counts[s]]
    refused = {s: n for s, n in counts.items() if s not in ("enrolled", "already_there", "unreadable")}
    if refused:
        reasons = ", ".join(f"{n:,} {s.replace('_', ' ')}" for s, n in sorted(refused.items()))
        words.append(f"{sum(refused.values()):,} refused ({reasons})")
    return "; ".join(words)
