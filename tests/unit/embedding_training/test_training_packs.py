"""Packs that a run, a measure or a check of int8 cannot use, and pictures whose subject nobody knows."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lineament.core.errors import ConfigError, DataError
from lineament.embedding.training import (
    AnswersConfig,
    BackboneConfig,
    DataConfig,
    DistillationConfig,
    EmbeddingConfig,
    HeadConfig,
    InputConfig,
    StartConfig,
    train,
)
from lineament.embedding.training.build import open_task
from lineament.embedding.training.check_pairs import calibration_crops, held_pairs
from lineament.embedding.training.verification import measure_names, verification_measures
from lineament.engine import LoopConfig, OptimConfig, Ranks
from lineament.imaging import encode_png
from lineament.packs import UNKNOWN, Record, write_pack
from lineament.testing import draw_face
from lineament.zoo.manifest import list_models
from lineament.zoo.user import add_model

SPEC = InputConfig(height_px=48, width_px=48).spec


def drawn(path: Path, sizes: Sequence[int], strangers: int = 0) -> Path:
    """Drawn subjects with so many pictures each, and pictures of nobody known in front of them."""
    whose = [UNKNOWN] * strangers + [subject for subject, n in enumerate(sizes) for _ in range(n)]
    records = []
    for k, label in enumerate(whose, start=-strangers):
        face = draw_face(size_px=112, seed=label + 9, roll_deg=float(k))
        records.append(Record(f"{label}/{k}.png", label, encode_png(face.pixels)))
    write_pack(records, path, "rec", [f"p{k}" for k in range(len(sizes))])
    return path


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("packs") / "drawn.rec", [4] * 6)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same people, and three strangers."""
    return drawn(tmp_path_factory.mktemp("packs") / "mixed.rec", [4] * 6, strangers=3)


@pytest.fixture
def damaged(pack: Path, tmp_path: Path) -> Path:
    """The same without its second record, which cannot be read."""
    path = tmp_path / "damaged.rec"
    for suffix in (".rec", ".idx"):
        path.with_suffix(suffix).write_bytes(pack.with_suffix(suffix).read_bytes())
    data = bytearray(path.read_bytes())
    data[int(path.with_suffix(".idx").read_text().split()[2 * 2 + 1])] ^= 1
    path.write_bytes(data)
    return path


def config(pack: Path, held: Path | None = None, **changes: object) -> EmbeddingConfig:
    base = EmbeddingConfig(
        name="drawn.arcface",
        data=DataConfig(pack=pack, held=held, batch=8),
        backbone=BackboneConfig(name="thin_net16", embedding=16),
        head=HeadConfig(name="arcface", settings={"scale": 16.0, "margin_rad": 0.2}),
        crop=InputConfig(height_px=48, width_px=48),
        loop=LoopConfig(steps=2, optim=OptimConfig(lr=0.05), threads=1, seed=3),
    )
    return replace(base, **changes)


def refused(config: EmbeddingConfig, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said), open_task(config, Ranks()):
        pass


def measures(config: EmbeddingConfig) -> dict[str, float]:
    with open_task(config, Ranks()) as task:
        return dict(task.measure())


def test_heads_and_batches_by_subject_refuse_pictures_of_nobody_known(mixed: Path) -> None:
    refused(config(mixed), ConfigError, r"head\.name needs the subject of every picture, 3 of 27 have none")


@pytest.fixture
def own_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("LINEAMENT_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("LINEAMENT_CACHE", str(tmp_path / "cache"))
    list_models.cache_clear()
    yield
    list_models.cache_clear()


@pytest.mark.usefixtures("own_zoo")
def test_distillation_takes_pictures_of_anybody(pack: Path, tmp_path: Path) -> None:
    first = train(config(pack, answers=AnswersConfig(commercial_use=True)), tmp_path / "first")
    assert first is not None
    assert first.model is not None
    add_model(first.model)
    follow = config(
        drawn(tmp_path / "strangers.rec", [], strangers=8),
        backbone=BackboneConfig(name=""),
        head=HeadConfig(name=""),
        start=StartConfig(model="drawn.arcface"),
        distillation=DistillationConfig(),
    )
    second = train(follow, tmp_path / "second")
    assert second is not None
    assert second.model is not None
    assert "8 pictures of people who are not named" in (second.model / "MODEL_CARD.md").read_text()
    by_subject = replace(follow, data=replace(follow.data, subjects=2))
    refused(by_subject, ConfigError, r"data\.subjects needs the subject")


def test_strangers_are_in_no_pair_of_a_held_pack(pack: Path, mixed: Path) -> None:
    assert measures(config(pack, mixed)) == measures(config(pack, pack))
    known, found = held_pairs(pack, SPEC, 0.1), held_pairs(mixed, SPEC, 0.1)
    assert np.array_equal(known.left, found.left)
    assert np.array_equal(known.right, found.right)
    assert np.array_equal(known.mated, found.mated)


def test_packs_with_faults_are_refused(pack: Path, damaged: Path) -> None:
    refused(config(damaged), DataError, "damaged.rec: .*magic number")
    refused(config(pack, damaged), DataError, "damaged.rec: .*magic number")
    with pytest.raises(DataError, match="magic number"):
        calibration_crops(damaged, SPEC)
    with pytest.raises(DataError, match="magic number"):
        held_pairs(damaged, SPEC, 0.1)


def test_a_copy_of_lfw_under_another_name_is_refused(tmp_path: Path) -> None:
    picture = encode_png(draw_face(size_px=112, seed=1).pixels)
    records = [Record(f"Ada_Lovelace/Ada_Lovelace_000{k}.png", 0, picture) for k in range(1, 4)]
    write_pack(records, tmp_path / "people.rec", "rec", ["Ada_Lovelace"])
    refused(config(tmp_path / "people.rec"), DataError, "LFW is for evaluation only")


@pytest.mark.parametrize(
    ("sizes", "said"), [([5], "10 mated and 0 non-mated"), ([1, 1, 1], "0 mated and 3 non-mated")]
)
def test_a_held_pack_that_nothing_can_be_measured_on_is_refused(
    pack: Path, tmp_path: Path, sizes: Sequence[int], said: str
) -> None:
    refused(config(pack, drawn(tmp_path / "held.rec", sizes)), ConfigError, said)


def test_a_best_that_would_not_be_measured_is_refused_at_once(pack: Path, tmp_path: Path) -> None:
    loop = replace(config(pack).loop, best="tar_at_far_0.01")
    refused(
        config(pack, loop=loop), ConfigError, r"loop\.best is 'tar_at_far_0\.01', but nothing is measured"
    )
    few = drawn(tmp_path / "held.rec", [3, 3])
    refused(
        config(pack, few, loop=loop), ConfigError, r"one of eer, auc, accuracy, which the 9 non-mated pairs"
    )
    assert "tar_at_far_0.01" in measures(config(pack, pack, loop=loop))
    with pytest.raises(ValueError, match="held_limit must be 1 or more, got 64, 0"):
        DataConfig(pack=pack, held_limit=0)


@pytest.mark.parametrize("n_different", [1, 99, 100, 999, 1_000])
def test_measures_are_those_that_are_announced(n_different: int) -> None:
    scores = np.random.default_rng(0).random(n_different + 5)
    mated = np.arange(len(scores)) < 5
    assert tuple(verification_measures(scores, mated)) == measure_names(n_different)
