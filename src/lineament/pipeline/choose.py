"""Which face of a picture is meant: a rule that refuses rather than guesses."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lineament.core.types import Detections, Refusal, RefusalReason, Role


@dataclass(frozen=True, slots=True)
class FaceRules:
    """What a picture must show before its face is compared.

    Attributes:
        min_face_px: shorter side of the face box from which on a face is compared.
        rival_ratio: a second face counts when its box is at least this share of the largest one's size;
            smaller ones are bystanders, ignored and noted.
        outside_ratio: how far a face's five points may lie outside the picture, as a share of the box size.
        spread_ratio: the five points of a face span at least this share of the width or height of its box. Points
            that huddle in a corner are a detector's way of being wrong: the faces of 1,349 photos (LFW, Helen,
            web portraits) span 0.34 or more, a dog that was taken for a face 0.12.
    """

    min_face_px: float = 24.0
    rival_ratio: float = 0.4
    outside_ratio: float = 0.05
    spread_ratio: float = 0.2

    def __post_init__(self) -> None:
        shares = (self.outside_ratio, self.spread_ratio)
        if self.min_face_px < 1 or not 0 < self.rival_ratio <= 1 or not all(0 <= s <= 1 for s in shares):
            raise ValueError(f"face rules out of range: {self}")


def choose_face(
    detections: Detections, size: tuple[int, int], rules: FaceRules, role: Role
) -> tuple[int, tuple[str, ...]] | Refusal:
    """Index of the one face that a picture is about, with notes, or why there is none.

    Args:
        detections: faces of the upright picture, px.
        size: height and width of the picture, px.
        rules: limits.
        role: repeated in a refusal.
    """
    usual = has_usual_points(detections, rules)
    if not usual.any():
        detail = "no face was found; use a picture that shows one face from the front"
        return Refusal(RefusalReason.NO_FACE, detail, detections, role)
    sides = np.where(usual, (detections.boxes[:, 2:] - detections.boxes[:, :2]).min(axis=1), 0.0)
    main = int(np.argmax(sides))
    if sides[main] < rules.min_face_px:
        detail = f"the largest face is {sides[main]:.0f} px; at least {rules.min_face_px:.0f} px are needed"
        return Refusal(RefusalReason.FACE_TOO_SMALL, detail, detections, role)
    rivals = int((sides >= rules.rival_ratio * sides[main]).sum()) - 1
    if rivals:
        detail = f"{rivals + 1} faces of similar size were found; crop the picture to the one that is meant"
        return Refusal(RefusalReason.SEVERAL_FACES, detail, detections, role)
    return check_whole(detections, main, size, rules, role) or (main, _bystanders(int(usual.sum()) - 1))


def has_usual_points(detections: Detections, rules: FaceRules) -> NDArray[np.bool_]:
    """(N,) True for detections whose points are spread over their box as those of a face are."""
    known = np.isfinite(detections.points)
    low = np.where(known, detections.points, np.inf).min(axis=1)
    high = np.where(known, detections.points, -np.inf).max(axis=1)
    sides = detections.boxes[:, 2:] - detections.boxes[:, :2]
    return np.asarray((high - low >= rules.spread_ratio * sides).any(axis=1))


def central_face(detections: Detections, size: tuple[int, int]) -> int | None:
    """Index of the face whose box centre is nearest to the picture's centre; None without a face.

    For data sets whose protocol puts the subject there (LFW), not for decisions.
    """
    if len(detections) == 0:
        return None
    centres = (detections.boxes[:, :2] + detections.boxes[:, 2:]) / 2
    middle = np.array([(size[1] - 1) / 2, (size[0] - 1) / 2], np.float32)
    return int(np.argmin(((centres - middle) ** 2).sum(axis=1)))


def check_whole(
    detections: Detections, index: int, size: tuple[int, int], rules: FaceRules, role: Role
) -> Refusal | None:
    """A refusal when the points of a face lie outside the picture: what is not there cannot be compared."""
    points = detections.points[index]
    margin = rules.outside_ratio * detections[index].size_px
    limit = np.array([size[1] - 1 + margin, size[0] - 1 + margin])
    if np.any(points < -margin) or np.any(points > limit):
        detail = "the face is cut off by the border of the picture; use one that shows the whole face"
        return Refusal(RefusalReason.FACE_CUT_OFF, detail, detections, role)
    return None


def _bystanders(count: int) -> tuple[str, ...]:
    if count == 0:
        return ()
    return (f"{count} smaller {'face' if count == 1 else 'faces'} ignored",)
