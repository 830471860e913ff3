"""``lineament verify``: are these the same person?"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli import common, pictures, results
from lineament.cli.exits import Exit, exit_of
from lineament.cli.output import JsonFlag, print_json, progress

if TYPE_CHECKING:
    from lineament.core.errors import InputError
    from lineament.core.types import Comparison, Face, Image, OperatingPoint, Refusal
    from lineament.pipeline import FacePipeline


@dataclass(frozen=True, slots=True)
class Judged:
    """One probe with its outcome; a file that cannot be read has no image."""

    path: Path
    image: "Image | None"
    outcome: "Comparison | Refusal | InputError"


def verify(
    reference: Path = typer.Argument(metavar="REFERENCE", help="Picture of the person who is claimed."),
    probes: list[str] = typer.Argument(
        metavar="PROBE", help="Pictures to judge: files, folders or patterns."
    ),
    fmr: float = common.FMR,
    picture: Path = common.PICTURE,
    profile: str = common.PROFILE,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Are these the same person, at a false match rate that you accept?

    Exit code 0: every probe matches; 1: one does not; 3: a picture shows no face, several, or one that is too
    small or cut off; 4: a file cannot be read; 8: undecided, the similarity lies within the interval of the
    threshold. The highest code of all probes counts.

    The profile id-photo takes a security mesh off the reference, and says so; probes are compared as they are.

    Examples: lineament verify passport.jpg selfie.jpg --fmr 1e-3 ·
    lineament verify passport.jpg selfies/ --fmr 1e-4 --json · lineament verify a.jpg b.jpg --fmr 1e-3 --picture ab.png
    """
    from lineament.core.types import Face, Refusal
    from lineament.imaging import find_images, read_image

    files = find_images(probes)
    claimed = read_image(reference)
    pipeline = common.open_pipeline(profile, backend, threads, accept_noncommercial)
    point = pipeline.operating_point(fmr)
    known = pipeline.extract_reference(claimed)
    judged = []
    if isinstance(known, Face):
        point = pipeline.point_for(known, fmr)
        judged = [_judge(pipeline, known, path, point) for path in progress(files, "comparing")]
    if picture is not None:
        _draw(picture, reference, claimed, known, judged, point)
    if as_json:
        facts = results.point_json(point) | common.provenance(profile, pipeline)
        print_json(facts | {"reference": _reference_json(reference, known), "results": _json(judged)})
    if isinstance(known, Refusal):
        raise typer.Exit(results.say_refused(reference, known))
    codes = [_say(j, quiet=as_json) for j in judged]
    if not as_json and known.restored is not None:
        print(f"a mesh was taken off {reference} (score {known.restored.mesh_score:.2f})")
    if not as_json and any(c in (Exit.DONE, Exit.NO_MATCH, Exit.UNDECIDED) for c in codes):
        print(results.evidence(point))
    raise typer.Exit(common.worst(codes))


def _judge(pipeline: "FacePipeline", known: "Face", path: Path, point: "OperatingPoint") -> Judged:
    from lineament.core.errors import InputError
    from lineament.core.types import Refusal
    from lineament.pipeline import compare

    image = common.read_picture(path)
    if isinstance(image, InputError):
        return Judged(path, None, image)
    face = pipeline.extract_one(image)
    return Judged(path, image, face if isinstance(face, Refusal) else compare(known, face, point))


def _say(judged: Judged, quiet: bool) -> Exit:
    """Print one outcome; returns its exit code."""
    from lineament.core.types import Comparison, Refusal

    found = judged.outcome
    if isinstance(found, Comparison):
        if not quiet:
            print(
                f"{results.decision_words(found.decision):<9}  {judged.path}  similarity "
                f"{results.beside_threshold(found.similarity, found.point)} at FMR {found.fmr:g}"
                f"{results.ratio_words(found)}{results.restored_words(found)}{_notes(found)}"
            )
        return exit_of(found.decision)
    if isinstance(found, Refusal):
        return results.say_refused(judged.path, found)
    return results.say_failed(found)


def _notes(found: "Comparison") -> str:
    said = [f"reference: {n}" for n in found.reference.notes] + [f"probe: {n}" for n in found.probe.notes]
    return f" ({'; '.join(said)})" if said else ""


def _reference_json(path: Path, known: "Face | Refusal") -> dict[str, Any]:
    from lineament.core.types import Refusal

    if isinstance(known, Refusal):
        return {"path": str(path), "face": None, "restored": None, "refusal": results.refusal_json(known)}
    face, restored = results.face_json(known), results.restored_json(known)
    return {"path": str(path), "face": face, "restored": restored, "refusal": None}


def _json(judged: list[Judged]) -> list[dict[str, Any]]:
    from lineament.core.types import Comparison, Refusal

    rows = []
    for j in judged:
        row: dict[str, Any] = {"path": str(j.path), "decision": "", "similarity": None, "llr": None}
        row |= {"log10_lr": None, "unrestored_similarity": None, "face": None, "refusal": None, "error": None}
        if isinstance(j.outcome, Comparison):
            row["decision"] = j.outcome.decision.value
            row |= {"similarity": j.outcome.similarity} | results.ratio_json(j.outcome)
            row["unrestored_similarity"] = j.outcome.unrestored_similarity
            row["face"] = results.face_json(j.outcome.probe)
        elif isinstance(j.outcome, Refusal):
            row |= {"decision": "refused", "refusal": results.refusal_json(j.outcome)}
        else:
            row |= {"decision": "error", "error": results.error_json(j.outcome)}
        rows.append(row)
    return rows


def _draw(
    path: Path,
    reference: Path,
    claimed: "Image",
    known: "Face | Refusal",
    judged: list[Judged],
    point: "OperatingPoint",
) -> None:
    """The reference, as it was given, beside every probe."""
    from lineament.core.types import Face, Refusal

    verdict = "refused" if isinstance(known, Refusal) else ""
    why = f"{results.refused_words(known)}\n" if isinstance(known, Refusal) else ""
    marks = pictures.marks_of(known, "", verdict)
    if isinstance(known, Face) and known.restored is not None:
        why = "mesh taken off\n"
    panels = [pictures.Panel(claimed, f"{why}reference: {reference.name}", verdict, marks)]
    panels += [_panel(j, j.image) for j in judged if j.image is not None]
    verdicts = {p.verdict for p in panels} - {""}
    (verdict,) = verdicts if len(verdicts) == 1 else ("mixed",)
    evidence = f"FMR {point.fmr:g}: {results.evidence(point)}"
    pictures.write_result(path, panels, verdict, _headline(judged), evidence)


def _panel(judged: Judged, image: "Image") -> pictures.Panel:
    from lineament.core.types import Comparison, Refusal

    found, name = judged.outcome, judged.path.name
    if isinstance(found, Comparison):
        caption = f"{_verdict(found)}\nprobe: {name}"
        verdict = results.VERDICTS[found.decision]
        marks = pictures.marks_of(found.probe, f"{found.similarity:.3f}", verdict)
        return pictures.Panel(image, caption, verdict, marks)
    if isinstance(found, Refusal):
        marks = pictures.marks_of(found, "which?" if len(found.detections) > 1 else "", "refused")
        return pictures.Panel(image, f"{results.refused_words(found)}\nprobe: {name}", "refused", marks)
    raise TypeError(f"{name} has no picture")


def _verdict(found: "Comparison") -> str:
    word = results.decision_words(found.decision).upper()
    return f"{word}: {results.beside_threshold(found.similarity, found.point, 3)}"


def _headline(judged: list[Judged]) -> str:
    from lineament.core.types import Comparison

    compared = [j.outcome for j in judged if isinstance(j.outcome, Comparison)]
    if len(judged) == 1 and compared:
        return _verdict(compared[0])
    if not compared:
        return "REFUSED"
    return f"{sum(c.is_match for c in compared)} of {len(judged)} match"
