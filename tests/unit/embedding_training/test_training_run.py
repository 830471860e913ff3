"""Runs from packs to exported models, on drawn faces."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lineament.core.errors import ConfigError, DataError
from lineament.embedding.training import (
    Augmentation,
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
from lineament.embedding.training.data import CropSource
from lineament.embedding.training.task import Batches, embed
from lineament.engine import LoopConfig, OptimConfig, Ranks
from lineament.engine.sampler import ShuffledSampler
from lineament.geometry import ARCFACE_112, TEMPLATES, fit_similarity, warp
from lineament.imaging import encode_png
from lineament.packs import Record, open_pack, write_pack
from lineament.testing import draw_face


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six drawn people, four pictures each, 112 px."""
    path = tmp_path_factory.mktemp("packs") / "drawn.rec"
    records = []
    for subject in range(6):
        for picture in range(4):
            face = draw_face(size_px=112, seed=subject, roll_deg=5.0 * picture)
            records.append(Record(f"p{subject}/{picture}.png", subject, encode_png(face.pixels)))
    write_pack(records, path, "rec", [f"p{k}" for k in range(6)])
    return path


def config(pack: Path, **changes: object) -> EmbeddingConfig:
    base = EmbeddingConfig(
        name="drawn.arcface",
        data=DataConfig(pack=pack, held=pack, batch=8, held_limit=12),
        backbone=BackboneConfig(name="thin_net16", embedding=16),
        head=HeadConfig(name="arcface", settings={"scale": 16.0, "margin_rad": 0.2}),
        crop=InputConfig(height_px=48, width_px=48),
        loop=LoopConfig(steps=4, optim=OptimConfig(lr=0.05), checkpoint_every=2, threads=1, seed=3),
    )
    return replace(base, **changes)


def test_a_run_gives_a_model_that_embeds_as_the_trained_network(pack: Path, tmp_path: Path) -> None:
    run = train(config(pack), tmp_path / "run")
    assert run is not None
    assert run.model is not None
    assert {"eer", "auc", "accuracy"} <= set(run.result.measures)
    assert {p.name for p in run.model.iterdir()} == {
        "model.onnx",
        "golden.npz",
        "manifest.toml",
        "MODEL_CARD.md",
    }
    assert "24 pictures of 6 subjects" in (run.model / "MODEL_CARD.md").read_text()


def test_the_same_run_again_only_exports(pack: Path, tmp_path: Path) -> None:
    first = train(config(pack), tmp_path / "run")
    again = train(config(pack), tmp_path / "run")
    assert first is not None
    assert again is not None
    assert again.result.step == 4
    assert again.result.measures == first.result.measures


def test_another_head_is_another_run(pack: Path, tmp_path: Path) -> None:
    train(config(pack), tmp_path / "run")
    with pytest.raises(ConfigError, match="head"):
        train(config(pack, head=HeadConfig(name="softmax")), tmp_path / "run")


def test_ranks_share_a_batch_without_overlap_and_as_one_rank_sees_it(pack: Path) -> None:
    with open_pack(pack) as opened:
        source = CropSource(opened, InputConfig(height_px=48, width_px=48), in_memory=True)
        plan = {
            "source": source,
            "sampler": ShuffledSampler(24, 8, 0),
            "augmentation": Augmentation(flip=0.5, colour=0.5, jpeg=0.5),
            "seed": 1,
        }
        whole = Batches(**plan).batch(5)
        halves = [Batches(**plan, rank=rank, ranks=2).batch(5) for rank in range(2)]
    assert np.array_equal(whole.changed, np.concatenate([half.changed for half in halves]))
    assert np.array_equal(whole.labels, np.concatenate([half.labels for half in halves]))


def test_a_batch_that_ranks_cannot_share_is_refused(pack: Path) -> None:
    with pytest.raises(ConfigError, match="multiple of the 3 ranks"), open_task(config(pack), Ranks(0, 3, 0)):
        pass


def test_crops_are_those_that_evaluation_sees(pack: Path) -> None:
    with open_pack(pack) as opened:
        for height in (48, 160):
            crop = CropSource(opened, InputConfig(height_px=height, width_px=height), in_memory=False).crop(7)
            whole = CropSource(opened, InputConfig(), in_memory=False).crop(7)
            matrix = fit_similarity(ARCFACE_112.points, TEMPLATES[f"arcface-{height}"].points)
            assert np.array_equal(crop, warp(whole, matrix, height))


def test_a_square_of_another_size_is_brought_to_the_same_crop(tmp_path: Path) -> None:
    face = draw_face(size_px=224, seed=1).pixels
    half = face.reshape(112, 2, 112, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8)
    records = [Record("a/1.png", 0, encode_png(face)), Record("a/2.png", 0, encode_png(half))]
    write_pack(records, tmp_path / "two.rec", "rec", ["a"])
    with open_pack(tmp_path / "two.rec") as opened:
        source = CropSource(opened, InputConfig(height_px=56, width_px=56), in_memory=False)
        assert np.abs(source.crop(0).astype(int) - source.crop(1)).mean() < 2


def test_a_picture_that_is_not_square_is_named(tmp_path: Path) -> None:
    write_pack(
        [Record("a/1.png", 0, encode_png(np.zeros((112, 90, 3), np.uint8)))],
        tmp_path / "odd.rec",
        "rec",
        ["a"],
    )
    with (
        open_pack(tmp_path / "odd.rec") as opened,
        pytest.raises(DataError, match=r"a/1.png.*90 x 112.*align"),
    ):
        CropSource(opened, InputConfig(), in_memory=False).crop(0)


def test_embedding_keeps_the_mode_and_does_not_depend_on_the_batch() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 46 * 46, 8))
    crops = np.random.default_rng(0).integers(0, 256, (70, 48, 48, 3), dtype=np.uint8)
    crop = InputConfig(height_px=48, width_px=48)
    net.train()
    vectors = embed(net, crops, crop)
    assert net.training
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.allclose(vectors[3], embed(net, crops[3:4], crop)[0], atol=1e-5)


def test_narrow_crops_are_the_middle_of_the_square() -> None:
    crop = InputConfig(height_px=112, width_px=96)
    assert (crop.columns.start, crop.columns.stop) == (8, 104)
    assert crop.spec.shape == ("batch", 3, 112, 112)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"height_px": 100}, "no crop template arcface-100; there are arcface-112"),
        ({"height_px": 48, "width_px": 64}, "width_px must be in 1..48"),
        ({"std": (0.0, 1.0, 1.0)}, "std must be positive"),
    ],
)
def test_input_faults(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        InputConfig(**changes)


def test_settings_that_do_not_go_together_are_refused(pack: Path) -> None:
    with pytest.raises(ValueError, match="distillation needs a teacher"):
        config(pack, distillation=DistillationConfig())
    with pytest.raises(ValueError, match="nothing to learn"):
        config(pack, head=HeadConfig(name=""))
    with pytest.raises(ValueError, match="not from both"):
        StartConfig(model="mobilefacenet", checkpoint=Path("x"))
    with (
        pytest.raises(ConfigError, match="did you mean 'arcface'"),
        open_task(config(pack, head=HeadConfig(name="arcfase")), Ranks()),
    ):
        pass
    with (
        pytest.raises(ConfigError, match="backbone"),
        open_task(config(pack, backbone=BackboneConfig(name="thin_nett")), Ranks()),
    ):
        pass


def test_lfw_is_never_trained_on(tmp_path: Path) -> None:
    lfw = tmp_path / "lfw_aligned112"
    with pytest.raises(ConfigError, match="evaluation only"), open_task(config(lfw), Ranks()):
        pass


def test_a_run_starts_from_a_checkpoint(pack: Path, tmp_path: Path) -> None:
    run = train(config(pack), tmp_path / "run")
    assert run is not None
    started = config(pack, start=StartConfig(checkpoint=run.result.checkpoint, frozen=0.3))
    with open_task(started, Ranks()) as task:
        weights = task.modules["backbone"].state_dict()
        frozen = [name for name, p in task.modules["backbone"].named_parameters() if not p.requires_grad]
    with open_task(config(pack), Ranks()) as task:
        fresh = task.modules["backbone"].state_dict()
    assert frozen
    assert len(frozen) < len(weights)
    assert not torch.equal(weights["output.1.weight"], fresh["output.1.weight"])


def test_the_card_says_how_the_run_was_made(pack: Path, tmp_path: Path) -> None:
    train(config(pack, recipe="drawn loop.steps=4"), tmp_path / "run")
    card = json.loads((tmp_path / "run" / "card.json").read_text())
    assert card["result"]["steps"] == 4
    assert "drawn loop.steps=4" in (tmp_path / "run" / "model" / "MODEL_CARD.md").read_text()
