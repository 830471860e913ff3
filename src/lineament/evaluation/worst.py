"""The comparisons that went most wrong, with small pictures for people to look at.

Faces of people: nothing here runs unless somebody asks for it, and no name of a person or file is kept.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lineament.evaluation.sets import PictureSource
from lineament.evaluation.verification import ScoredTrials
from lineament.imaging.decode import decode_image
from lineament.imaging.encode import encode_jpeg

THUMBNAIL_PX = 112


@dataclass(frozen=True, slots=True)
class WorstPair:
    """One wrong decision.

    Attributes:
        pair: number of the pair in the trial list, from 1.
        similarity: of the two pictures.
        pictures: both as small JPEG files without metadata.
    """

    pair: int
    similarity: float
    pictures: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class WorstErrors:
    """The worst decisions of one system at one threshold.

    Attributes:
        system: name of the system.
        threshold: similarity from which on pairs match.
        false_matches: most similar pairs of two subjects, most similar first.
        false_nonmatches: least similar pairs of one subject, least similar first.
    """

    system: str
    threshold: float
    false_matches: tuple[WorstPair, ...]
    false_nonmatches: tuple[WorstPair, ...]


def worst_places(scored: ScoredTrials, threshold: float, count: int) -> tuple[list[int], list[int]]:
    """Indices of the worst false matches and false non-matches, worst first; refused pairs are neither.

    Args:
        scored: comparisons and similarities.
        threshold: a comparison matches when similarity >= threshold.
        count: how many of each kind at most.
    """
    scores, mated = scored.scores, scored.trials.mated
    matched = np.flatnonzero(~mated & (scores >= threshold))
    missed = np.flatnonzero(mated & scored.compared & (scores < threshold))
    return (
        matched[np.argsort(-scores[matched], kind="stable")][:count].tolist(),
        missed[np.argsort(scores[missed], kind="stable")][:count].tolist(),
    )


def worst_errors(
    scored: ScoredTrials, pictures: Path, system: str, threshold: float, count: int
) -> WorstErrors:
    """The worst decisions with their pictures.

    Args:
        scored: comparisons and similarities.
        pictures: folder or zip of the pictures.
        system: name of the system.
        threshold: a comparison matches when similarity >= threshold.
        count: how many of each kind at most.

    Raises:
        DataError: a picture cannot be read.
    """
    trials = scored.trials
    with PictureSource(pictures) as source:

        def worst(place: int) -> WorstPair:
            a, b = (_thumbnail(source, trials.samples[k]) for k in trials.pairs[place])
            return WorstPair(place + 1, float(scored.scores[place]), (a, b))

        matched, missed = worst_places(scored, threshold, count)
        return WorstErrors(system, threshold, tuple(map(worst, matched)), tuple(map(worst, missed)))


def _thumbnail(source: PictureSource, name: str) -> bytes:
    pixels = decode_image(source.read(name), name=name).pixels
    scale = THUMBNAIL_PX / max(pixels.shape[:2])
    if scale < 1:
        size = [max(1, round(side * scale)) for side in pixels.shape[1::-1]]
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    return encode_jpeg(pixels, quality=85)
