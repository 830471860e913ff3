"""Faces, refusals and rates as JSON objects with stable keys, and the lines that people read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lineament.cli.exits import Exit, exit_for
from lineament.cli.output import note

if TYPE_CHECKING:
    from lineament.core.errors import InputError
    from lineament.core.types import Candidate, Comparison, Decision, Detection, Face, OperatingPoint, Refusal
    from lineament.gallery import Finding


def detection_json(detection: "Detection") -> dict[str, Any]:
    """Box and points in px of the upright picture; a point that the detector does not give is null."""
    import math

    from lineament.core.types import POINT_NAMES

    points = detection.points.tolist()
    return {
        "box": _rounded(detection.box.tolist()),
        "score": round(detection.score, 4),
        "points": {
            name: None if math.isnan(sum(xy)) else _rounded(xy)
            for name, xy in zip(POINT_NAMES, points, strict=True)
        },
    }


def face_json(face: "Face") -> dict[str, Any]:
    """A face without its template."""
    return detection_json(face.detection) | {"rotation_deg": face.rotation_deg, "notes": list(face.notes)}


def restored_json(face: "Face") -> dict[str, Any] | None:
    """What was done to the picture of a reference first; None for a picture as it was."""
    if face.restored is None:
        return None
    return {
        "remover": face.restored.remover,
        "mesh_score": face.restored.mesh_score,
        "calibration_space": face.calibration_space,
    }


def refusal_json(refusal: "Refusal") -> dict[str, Any]:
    """Why a picture was refused, and what was seen in it."""
    return {
        "reason": refusal.reason.value,
        "detail": refusal.detail,
        "boxes": [_rounded(box) for box in refusal.detections.boxes.tolist()],
        "rotation_deg": refusal.rotation_deg,
    }


def error_json(error: "InputError") -> dict[str, Any]:
    """A file that cannot be used."""
    return {"kind": type(error).__name__, "message": str(error)}


def point_json(point: "OperatingPoint") -> dict[str, Any]:
    """A threshold with its evidence."""
    return {
        "fmr": point.fmr,
        "threshold": point.threshold,
        "interval95": [point.low, point.high],
        "n_nonmated": point.n_nonmated,
        "record": point.record,
    }


VERDICTS = {"match": "yes", "no_match": "no", "undecided": "undecided"}
"""Colour of each decision, as in :class:`lineament.cli.pictures.Panel`."""


def decision_words(decision: "Decision") -> str:
    """A decision for people: "match", "no match", "undecided"."""
    return decision.replace("_", " ")


def beside_threshold(similarity: float, point: "OperatingPoint", digits: int = 4) -> str:
    """A similarity and what decided about it: the threshold, or its interval where it left no answer."""
    value, threshold = f"{similarity:.{digits}f}", f"{point.threshold:.{digits}f}"
    if point.decide(similarity) == "undecided":
        return f"{value} within {point.low:.{digits}f} to {point.high:.{digits}f}, the 95 % interval of the threshold"
    return f"{value} {'≥' if similarity >= point.threshold else '<'} {threshold}"


def ratio_json(comparison: "Comparison") -> dict[str, float | None]:
    """Log-likelihood ratio to base e and to base 10."""
    import math

    llr = comparison.llr
    return {"llr": llr, "log10_lr": None if llr is None else llr / math.log(10)}


def ratio_words(comparison: "Comparison") -> str:
    """The likelihood ratio as it follows a similarity, in powers of ten; nothing without one."""
    power = ratio_json(comparison)["log10_lr"]
    return "" if power is None else f", likelihood ratio 10^{power:.1f}"


def restored_words(comparison: "Comparison") -> str:
    """That the reference was restored, and what its similarity was before; nothing for one as it was."""
    if comparison.reference.restored is None:
        return ""
    before = comparison.unrestored_similarity
    without = "no face was found under the mesh" if before is None else f"{before:.4f} with the mesh"
    return f", restored ({without})"


def candidate_json(candidate: "Candidate | None") -> dict[str, Any] | None:
    """One entry of a candidate list."""
    if candidate is None:
        return None
    return {
        "rank": candidate.rank,
        "subject": candidate.subject_id,
        "similarity": candidate.similarity,
        "sample": candidate.sample_id,
    }


def finding_json(finding: "Finding") -> dict[str, Any]:
    """Why a sample waits for a decision."""
    return {
        "kind": finding.kind,
        "value": finding.value,
        "limit": finding.limit,
        "subject": finding.subject_id or None,
        "sample": finding.sample_id or None,
    }


def finding_words(finding: "Finding") -> str:
    """Why a sample waits, for people."""
    what = finding.kind.replace("_", " ")
    of = finding.sample_id or finding.subject_id
    value = "not measured" if finding.value is None else f"{finding.value:.4f}"
    return f"{what}{f' with {of}' if of else ''} ({value}, limit {finding.limit:.4f})"


def say_refused(path: Path, refusal: "Refusal") -> Exit:
    """Tell people why a picture gave no result."""
    note(f"{path}: refused ({refusal.reason.value}): {refusal.detail}")
    return Exit.REFUSED


def refused_words(refusal: "Refusal") -> str:
    """A refusal in capitals, short enough for a result picture."""
    return f"REFUSED: {refusal.reason.value.replace('_', ' ')}"


def say_failed(error: "InputError") -> Exit:
    """Tell people why a file could not be read; its message begins with the name."""
    note(f"error: {error}")
    return exit_for(error)


def evidence(point: "OperatingPoint") -> str:
    """One line about a threshold."""
    return (
        f"threshold {point.threshold:.4f} (95 % interval {point.low:.4f} to {point.high:.4f}) "
        f"from {point.n_nonmated:,} comparisons, record {point.record}"
    )


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(v, 2) for v in values]
