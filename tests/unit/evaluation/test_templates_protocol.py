"""Templates of several pictures: averaging against loops, and 1:1 and 1:N on a made-up set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import DataError
from lineament.core.types import Image
from lineament.embedding.cache import Outcome
from lineament.evaluation.own import Asked, Measured
from lineament.evaluation.samples import Acquisition, SampleEmbeddings, decode_or_refuse
from lineament.evaluation.sets import PictureSource
from lineament.evaluation.templates import (
    TemplateProtocol,
    measure_templates,
    pool_templates,
    read_template_list,
    read_template_pairs,
)
from lineament.evaluation.verification import SystemUsed
from lineament.metrics.bootstrap import Resampling

ASKED = Asked((0.1,), (0.5,), Resampling(100, seed=0))


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_media_count_alike_however_many_frames_they_have(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [(f"T{rng.integers(6)}", f"m{rng.integers(4)}", f"{k % 30}.jpg") for k in range(60)]
    lines = [f"{t},P{t},{m},{f}" for t, m, f in rows]
    listed = read_template_list(
        write(tmp_path / "l.csv", ["TEMPLATE_ID,SUBJECT_ID,SIGHTING_ID,FILENAME", *lines])
    )
    vectors = rng.standard_normal((30, 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    acquired = rng.random(30) < 0.7
    of_file = dict(zip(listed.files, vectors, strict=True))
    seen = dict(zip(listed.files, acquired, strict=True))
    pooled = pool_templates(SampleEmbeddings(vectors, acquired, {}, "a", 0.0), listed)
    for name, vector in zip(listed.templates, pooled.vectors, strict=True):
        media: dict[str, list[np.ndarray]] = {}
        for t, m, f in rows:
            if t == name and seen[f]:
                media.setdefault(m, []).append(of_file[f])
        total = sum(np.mean(frames, axis=0) for frames in media.values())
        assert vector == pytest.approx(total / np.linalg.norm(total), abs=1e-6)


def test_a_template_without_a_face_is_not_made(tmp_path: Path) -> None:
    listed = read_template_list(
        write(
            tmp_path / "l.csv", ["template,subject,media,file", "1,A,x,a.jpg", "1,A,y,b.jpg", "2,B,x,c.jpg"]
        )
    )
    vectors = np.array([[1, 0], [0, 1], [0, 0]], np.float32)
    pooled = pool_templates(SampleEmbeddings(vectors, np.array([True, True, False]), {}, "a", 0.0), listed)
    assert pooled.made.tolist() == [True, False]
    assert pooled.vectors[0] == pytest.approx([0.5**0.5, 0.5**0.5])
    assert not pooled.vectors[1].any()


def embed(images: Sequence[Image]) -> list[Outcome]:
    """The pixels as a unit vector."""
    values = [image.pixels.astype(np.float32).ravel() - 127.5 for image in images]
    return [value / np.linalg.norm(value) for value in values]


def test_a_made_up_set_end_to_end(stored: Path, tmp_path: Path) -> None:
    """Twelve people: two pictures make a template each for galleries and searches; two galleries of four people."""
    rows = [f"g{s},S{s},0,S{s}/S{s}_0001.png" for s in range(8)]
    rows += [f"p{s},S{s},{k},S{s}/S{s}_000{k}.png" for s in range(12) for k in (2, 3)]
    listed = read_template_list(write(tmp_path / "l.csv", ["template,subject,media,file", *rows]))
    galleries = tuple(
        write(tmp_path / f"g{half}.csv", ["template", *(f"g{s}" for s in range(half * 4, half * 4 + 4))])
        for half in (0, 1)
    )
    measured = Measured(SystemUsed("pixels", ()), "p@1", "as they are", Acquisition(embed, decode_or_refuse))
    with PictureSource(stored) as source:
        report = measure_templates(TemplateProtocol(listed, None, galleries), source, measured, ASKED)
        chosen = write(tmp_path / "pairs.csv", ["template_a,template_b", "g0,p0", "p0,g0", "g0,p1", "g1,p5"])
        few = measure_templates(TemplateProtocol(listed, chosen, ()), source, measured, ASKED)
    assert (report.n_samples, report.comparisons.n_mated, report.comparisons.n_nonmated) == (32, 8, 182)
    assert report.protocol.startswith("every pair of 20 templates once; 20 templates, vectors averaged")
    assert [(s.failures.n_people, s.n_mated, s.n_nonmated) for s in report.searches] == [(4, 4, 8), (4, 4, 8)]
    assert all(s.ranks[0].rate == 1 for s in report.searches)
    assert (few.comparisons.n_mated, few.comparisons.n_nonmated, few.searches) == (1, 2, ())
    assert few.notes == ("1 duplicate pairs were counted once",)


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (["template_a,template_b", "g0,nobody"], "'nobody' first"),
        (["template_a,template_b", "g0,g1"], "got 0 and 1"),
        (None, "got 0 and 1"),
    ],
)
def test_pairs_are_read_before_any_picture(
    stored: Path, tmp_path: Path, pairs: list[str] | None, words: str
) -> None:
    rows = [f"g{s},S{s},0,S{s}/S{s}_0001.png" for s in range(2)]
    listed = read_template_list(write(tmp_path / "l.csv", ["template,subject,media,file", *rows]))
    chosen = None if pairs is None else write(tmp_path / "p.csv", pairs)
    looked_at: list[Image] = []

    def look(images: Sequence[Image]) -> list[Outcome]:
        looked_at.extend(images)
        return embed(images)

    measured = Measured(SystemUsed("pixels", ()), "p@1", "as they are", Acquisition(look, decode_or_refuse))
    with PictureSource(stored) as source, pytest.raises(DataError, match=words):
        measure_templates(TemplateProtocol(listed, chosen, ()), source, measured, ASKED)
    assert not looked_at


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (
            ["template,subject,file", "1,A,a.jpg"],
            r"expected a column media or media_id or sighting_id, found template",
        ),
        (
            ["template,subject,media,file", "1,A,0,a.jpg", "1,B,0,b.jpg"],
            r"two people \(1 of 2 rows: line 3\)",
        ),
    ],
)
def test_faulty_lists_are_explained(tmp_path: Path, lines: list[str], words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_template_list(write(tmp_path / "l.csv", lines))


@pytest.mark.parametrize(
    ("pair", "words"), [("1,3", "not in the list of templates, '3' first"), ("1,1", r"with itself .*line 2")]
)
def test_faulty_pairs_are_explained(tmp_path: Path, pair: str, words: str) -> None:
    listed = read_template_list(
        write(tmp_path / "l.csv", ["template,subject,media,file", "1,A,0,a.jpg", "2,B,0,b.jpg"])
    )
    with pytest.raises(DataError, match=words):
        read_template_pairs(write(tmp_path / "p.csv", ["template_a,template_b", pair]), listed)
