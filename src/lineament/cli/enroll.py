"""``lineament enroll``: put people into a gallery."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli import common, results
from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, note, print_json, progress
from lineament.core.errors import InputError, NotCalibrated
from lineament.core.names import is_hidden

if TYPE_CHECKING:
    from lineament.core.types import Face, Image, OperatingPoint, Refusal
    from lineament.gallery import Enrolled, EnrollmentRefusal, Gallery, NewSample, PendingSample
    from lineament.pipeline import Engine, FacePipeline

MAX_NAME = 150
REVIEW = typer.Option(
    False,
    "--review",
    help="Do not refuse such a picture: it waits for a decision, as does one that does not match the person's other "
    "pictures at that rate (see 'lineament gallery review').",
)
KEEP_CROPS = typer.Option(
    False,
    "--keep-crops",
    help="Keep the aligned face pictures, so that another model can embed them (see 'lineament gallery upgrade').",
)


@dataclass(frozen=True, slots=True)
class Offered:
    """One picture with what became of it."""

    path: Path
    subject: str
    outcome: "Enrolled | PendingSample | EnrollmentRefusal | Refusal | InputError"


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms pictures are enrolled.

    Attributes:
        point: from which on two samples are of one person; None does not look for conflicts.
        review: what the point objects to waits for a decision instead of being refused.
        keep_crops: the aligned pictures are kept.
    """

    point: "OperatingPoint | None"
    review: bool
    keep_crops: bool


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
    review: bool = REVIEW,
    keep_crops: bool = KEEP_CROPS,
    profile: str = common.PROFILE,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Put people into a gallery; the gallery is made when it is not there.

    Every picture is judged alone: what is enrolled stays enrolled whatever comes after it, and a command that was
    interrupted can be run again. Exit code 0: every picture is in the gallery now, or was before; 3: some were
    refused (no face, several faces, or the face of somebody else) or wait for a decision; 4: some cannot be read.
    The highest code counts.

    Examples: lineament enroll ada ada-1.jpg ada-2.jpg --gallery staff.gallery ·
    lineament enroll --people photos/ --gallery staff.gallery
    """
    looking = [name for name, on in {"--review": review, "--conflict-fmr": conflict_fmr}.items() if on]
    if looking and allow_conflict:
        raise typer.BadParameter("looks for conflicts; leave --allow-conflict out", param_hint=looking[0])
    wanted = _wanted(words or [], people)
    _check_place(gallery)
    offered = []
    with common.open_engine(profile, backend, threads, accept_noncommercial, len(wanted)) as engine:
        point = None if allow_conflict else _conflict_point(engine.pipeline, conflict_fmr)
        for one in _offer(engine, gallery, wanted, Terms(point, review, keep_crops)):
            offered.append(one)
            if not as_json:
                _say(one)
        made_with = common.provenance(profile, engine.pipeline)
    counts = Counter(_status(o) for o in offered)
    if as_json:
        facts = {"gallery": str(gallery), "conflict": point and results.point_json(point)}
        rows = {"counts": dict(sorted(counts.items())), "results": [_json(o) for o in offered]}
        print_json(facts | made_with | rows)
    else:
        print(_summary(counts, gallery))
    raise typer.Exit(common.worst([_code(o) for o in offered]))


def _check_place(gallery: Path) -> None:
    """Find out before the networks are loaded that the gallery cannot be opened or made.

    An empty file is what making one leaves behind when it is interrupted; it is made then.
    """
    if gallery.exists() and not (gallery.is_file() and gallery.stat().st_size == 0):
        common.find_gallery(gallery)
    else:
        common.require_folder(gallery)


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
    folders = sorted(f for f in people.iterdir() if f.is_dir() and not is_hidden(f.name))
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
    engine: "Engine", path: Path, wanted: Sequence[tuple[str, Path]], terms: Terms
) -> Iterator[Offered]:
    """Read and extract ahead, enroll one after the other in the order of the pictures."""
    from lineament.core.types import Refusal
    from lineament.gallery import Gallery

    with Gallery.open(path, space=engine.pipeline.embedding_space, create=True) as gallery:
        if terms.point is not None and not gallery.calibration:
            gallery.set_calibration(terms.point.record)
        looked = engine.map(_look, [picture for _, picture in wanted])
        for subject, picture in progress(wanted, "enrolling"):
            found = next(looked)
            if isinstance(found, InputError | Refusal):
                yield Offered(picture, subject, found)
            else:
                image, face = found
                sample = _sample(subject, picture, image, face, terms.keep_crops)
                yield Offered(picture, subject, _enroll(gallery, sample, terms))


def _look(pipeline: "FacePipeline", path: Path) -> "InputError | Refusal | tuple[Image, Face]":
    from lineament.core.types import Face, Role

    image = common.read_picture(path)
    if isinstance(image, InputError):
        return image
    face = pipeline.extract_one(image, Role.REFERENCE)
    return (image, face) if isinstance(face, Face) else face


def _sample(subject: str, path: Path, image: "Image", face: "Face", keep_crop: bool) -> "NewSample":
    from lineament.gallery import NewSample
    from lineament.imaging import encode_png

    return NewSample(
        subject,
        face.embedding,
        _sample_id(path, image),
        image.sha256,
        crop=encode_png(face.crop) if keep_crop else b"",
    )


def _enroll(
    gallery: "Gallery", sample: "NewSample", terms: Terms
) -> "Enrolled | PendingSample | EnrollmentRefusal":
    from lineament.gallery import EnrollmentRefusal, ReviewRules

    threshold = None if terms.point is None else terms.point.threshold
    if terms.review:
        return gallery.review.offer(sample, ReviewRules(conflict=threshold, own=threshold))
    done = gallery.enroll_many([sample], conflict_threshold=threshold)
    return done if isinstance(done, EnrollmentRefusal) else done[0]


def _sample_id(path: Path, image: "Image") -> str:
    """The file's name, so that people know it again, and the start of its digest, so that it is unique."""
    name = "".join(c if c.isprintable() else "?" for c in path.name)[-MAX_NAME:]
    return f"{name}#{image.sha256[:12]}"


def _status(offered: Offered) -> str:
    """One word for an outcome; the JSON document and the summary count them."""
    from lineament.core.types import Refusal
    from lineament.gallery import Enrolled, EnrollmentRefusalKind, PendingSample

    found = offered.outcome
    if isinstance(found, Enrolled):
        return "enrolled"
    if isinstance(found, PendingSample):
        return "pending"
    if isinstance(found, Refusal):
        return found.reason.value
    if isinstance(found, InputError):
        return "unreadable"
    there = "already_there" if found.subject_id == offered.subject else "belongs_to_another"
    said = {
        EnrollmentRefusalKind.IDENTITY_CONFLICT: "conflict",
        EnrollmentRefusalKind.REJECTED_BEFORE: "rejected_before",
    }
    return said.get(found.kind, there)


def _code(offered: Offered) -> Exit:
    codes = {"enrolled": Exit.DONE, "already_there": Exit.DONE, "unreadable": Exit.INPUT}
    return codes.get(_status(offered), Exit.REFUSED)


def _say(offered: Offered) -> None:
    """Print one outcome: what is in the gallery to stdout, the rest to stderr."""
    from lineament.core.types import Refusal
    from lineament.gallery import Enrolled, PendingSample

    found, status = offered.outcome, _status(offered)
    if isinstance(found, Refusal):
        results.say_refused(offered.path, found)
    elif isinstance(found, InputError):
        results.say_failed(found)
    elif isinstance(found, Enrolled):
        print(f"enrolled       {offered.subject}  {offered.path}")
    elif isinstance(found, PendingSample):
        why = "; ".join(map(results.finding_words, found.findings))
        note(f'{offered.path}: waits for a decision as "{found.sample_id}": {why}')
    elif status == "already_there":
        print(f"already there  {offered.subject}  {offered.path}")
    elif status == "rejected_before":
        note(
            f"{offered.path}: refused ({status}): it was rejected as {found.sample_id} of {found.subject_id}"
        )
    else:
        look = "is already enrolled as" if status == "belongs_to_another" else "looks like"
        note(
            f"{offered.path}: refused ({status}): it {look} {found.subject_id} (similarity {found.similarity:.4f} to "
            f"{found.sample_id}); enroll it there, or merge the two if they are one person"
            + ("" if status == "belongs_to_another" else ", or give --allow-conflict")
        )


def _json(offered: Offered) -> dict[str, Any]:
    from lineament.core.types import Refusal
    from lineament.gallery import Enrolled, EnrollmentRefusal, PendingSample

    found = offered.outcome
    row: dict[str, Any] = {
        "path": str(offered.path),
        "subject": offered.subject,
        "status": _status(offered),
        "sample": found.sample_id if isinstance(found, Enrolled | PendingSample) else None,
    }
    row |= {"refusal": None, "conflict": None, "error": None, "findings": []}
    if isinstance(found, Refusal):
        row["refusal"] = results.refusal_json(found)
    elif isinstance(found, PendingSample):
        row["findings"] = [results.finding_json(finding) for finding in found.findings]
    elif isinstance(found, EnrollmentRefusal):
        row["conflict"] = {
            "subject": found.subject_id,
            "sample": found.sample_id,
            "similarity": found.similarity,
        }
    elif isinstance(found, InputError):
        row["error"] = results.error_json(found)
    return row


_NOT_REFUSED = ("enrolled", "already_there", "unreadable", "pending")


def _summary(counts: Counter[str], gallery: Path) -> str:
    words = [f"{counts['enrolled']:,} enrolled in {gallery}"]
    words += [f"{counts[s]:,} {s.replace('_', ' ')}" for s in _NOT_REFUSED[1:] if counts[s]]
    refused = {s: n for s, n in counts.items() if s not in _NOT_REFUSED}
    if refused:
        reasons = ", ".join(f"{n:,} {s.replace('_', ' ')}" for s, n in sorted(refused.items()))
        words.append(f"{sum(refused.values()):,} refused ({reasons})")
    return "; ".join(words)
