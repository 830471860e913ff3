"""Losses of mesh removers against slow sums; a run from a pack to an exported model."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from lineament.core.errors import ConfigError, DataError
from lineament.demesh.training import (
    LossConfig,
    MeshConfig,
    RestorationConfig,
    RestorationData,
    RestorerConfig,
    train_restorer,
)
from lineament.demesh.training.build import open_restoration
from lineament.demesh.training.export import export_restorer
from lineament.demesh.training.spoil import spoil, stacked
from lineament.demesh.training.task import Portraits, Recogniser, RestorationTask
from lineament.engine import LoopConfig, OptimConfig, Ranks, ShuffledSampler
from lineament.imaging import encode_png
from lineament.nets import RESTORERS
from lineament.nets.restorer import Answers
from lineament.packs import Record, write_pack
from lineament.recipes import RESTORATION_RECIPES
from lineament.zoo.card import ExportCard
from lineament.zoo.manifest import Licence

RNG = np.random.default_rng(0)
CROPS = np.stack(
    [cv2.GaussianBlur(RNG.integers(0, 256, (112, 112, 3), np.uint8), (0, 0), 4) for _ in range(6)]
)


class Fixed(nn.Module):
    """A restorer that brightens by a tenth and thinks that there is ink in the upper half."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Parameter(torch.tensor(0.1))

    def forward(self, pictures: torch.Tensor) -> Answers:
        logit = torch.full_like(pictures[:, :1], -2.0)
        logit[:, :, : pictures.shape[2] // 2] = 3.0
        return Answers(pictures + self.step, logit, torch.full_like(pictures[:, 0, 0, :1], 1.5))


class Mean(nn.Module):
    """Features: the mean of each colour in each quarter of a crop."""

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(crops, 2).flatten(1)


def task_of(loss: LossConfig, recogniser: Recogniser | None = None) -> RestorationTask:
    portraits = Portraits(crops=CROPS, mesh=MeshConfig(), sampler=ShuffledSampler(6, 4, 0), seed=0)
    return RestorationTask(Fixed(), portraits, loss, recogniser=recogniser)


@pytest.mark.parametrize("pixel", ["squared", "absolute"])
def test_the_loss_is_the_sum_over_pixels(pixel: str) -> None:
    loss = LossConfig(pixel=pixel, on_mesh=4.0, mask=0.5, score=0.25)  # type: ignore[arg-type]
    task = task_of(loss)
    batch = task.batch(3)
    found = task.loss(batch)
    total_pixel, total_mask, total_score = 0.0, 0.0, 0.0
    for spoilt, clean, mask in zip(batch.pixels, batch.clean, batch.mask, strict=True):
        error = spoilt / 255 + 0.1 - clean / 255
        each = error**2 if pixel == "squared" else np.sqrt(error**2 + 1e-6)
        total_pixel += float((each * np.where(mask, 5.0, 1.0)[..., None]).mean())
        logit = np.where(np.arange(112)[:, None] < 56, 3.0, -2.0) * np.ones((112, 112))
        chance = 1 / (1 + np.exp(-logit))
        total_mask += float(-np.where(mask, np.log(chance), np.log(1 - chance)).mean())
        meshed = 1 / (1 + np.exp(-1.5))
        total_score += float(-np.log(meshed if mask.any() else 1 - meshed))
    n = len(batch.pixels)
    assert float(found.parts["pixel"]) == pytest.approx(total_pixel / n, rel=1e-4)
    assert float(found.parts["mask"]) == pytest.approx(total_mask / n, rel=1e-4)
    assert float(found.total.detach()) == pytest.approx(
        (total_pixel + 0.5 * total_mask + 0.25 * total_score) / n, rel=1e-4
    )


def test_the_differentiable_alignment_is_the_warp_that_it_undoes() -> None:
    made = [
        spoil(c, replace(MeshConfig(), clean=1.0, as_is=0.0), np.random.default_rng(i))
        for i, c in enumerate(CROPS)
    ]
    batch = stacked(made)

    class Keep(nn.Module):
        def forward(self, crops: torch.Tensor) -> torch.Tensor:
            return crops.flatten(1)

    looked = Recogniser(Keep(), (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
    pictures = torch.from_numpy(batch.clean).permute(0, 3, 1, 2).float() / 255
    found = looked(pictures, torch.from_numpy(batch.back)).view(-1, 3, 112, 112).permute(0, 2, 3, 1).numpy()
    for clean, back, crop in zip(batch.clean, batch.back, found, strict=True):
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        wanted = cv2.warpAffine(clean.astype(np.float32), back, (112, 112), flags=flags)
        seen = cv2.warpAffine(np.ones((112, 112), np.float32), back, (112, 112), flags=flags) == 1
        unit = wanted / np.linalg.norm(wanted)
        ratio = (crop[seen] * unit[seen]).sum() / (unit[seen] ** 2).sum()
        assert np.abs(crop[seen] / ratio - unit[seen]).max() < 0.02 * unit.max()


def test_the_feature_loss_reaches_pixels_and_never_the_recogniser() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Mean())
    recogniser = Recogniser(network, (127.5,) * 3, (127.5,) * 3)
    recogniser.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    task = task_of(LossConfig(feature=1.0), recogniser)
    task.modules.train()
    found = task.loss(task.batch(0))
    found.total.backward()
    assert found.parts["feature"] > 0
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(p.grad is None for p in network.parameters())
    assert task.modules["restorer"].step.grad is not None


def test_batches_are_the_same_for_any_number_of_ranks() -> None:
    def part(rank: int, ranks: int) -> Portraits:
        sampler = ShuffledSampler(6, 4, 0)
        return Portraits(crops=CROPS, mesh=MeshConfig(), sampler=sampler, seed=5, rank=rank, ranks=ranks)

    whole = part(0, 1).batch(7)
    halves = [part(rank, 2).batch(7) for rank in (0, 1)]
    assert np.array_equal(whole.pixels, np.concatenate([h.pixels for h in halves]))


def test_a_batch_that_ranks_cannot_share_is_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of the 3 ranks, got 4"):
        Portraits(crops=CROPS, mesh=MeshConfig(), sampler=ShuffledSampler(6, 4, 0), seed=5, ranks=3)


def test_the_recogniser_follows_the_restorer_to_its_device() -> None:
    task = task_of(LossConfig(feature=1.0), Recogniser(Mean(), (127.5,) * 3, (127.5,) * 3))
    task.modules.to("meta")  # computes shapes only, and refuses tensors of another device
    assert task.loss(task.batch(0)).parts["feature"].device.type == "meta"


def test_an_export_is_that_of_a_copy_in_single_precision(tmp_path: Path) -> None:
    restorer = RESTORERS["unet"](4, True, False).double().train()
    card = ExportCard(
        name="demesh.own-double",
        summary="For a test.",
        publisher="nobody",
        licence=Licence(code="Apache-2.0", weights="none", data="none", commercial_use=False),
        data="nothing",
        recipe="none",
        config_digest="0" * 16,
        limits=("For a test.",),
    )
    export_restorer(restorer, tmp_path / "model", card, {}, CROPS[:2])
    assert (tmp_path / "model" / "model.onnx").is_file()
    assert restorer.training
    assert next(restorer.parameters()).dtype == torch.float64


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("packs") / "drawn.rec"
    records = [Record(f"s{i % 3}/{i}.png", i % 3, encode_png(c)) for i, c in enumerate(CROPS)]
    write_pack(records, path, "rec", ["s0", "s1", "s2"])
    return path


def small(pack: Path, name: str = "unet") -> RestorationConfig:
    return RestorationConfig(
        name="demesh.own-test",
        data=RestorationData(pack=pack, held=pack, batch=2),
        restorer=RestorerConfig(name=name, width=8),
        loss=LossConfig(mask=0.02, on_mesh=4.0),
        loop=LoopConfig(steps=3, optim=OptimConfig(kind="adamw", lr=1e-3)),
    )


@pytest.mark.parametrize("name", ["unet", "gated"])
def test_a_run_ends_in_a_model_that_onnx_runtime_runs_at_any_size(
    pack: Path, tmp_path: Path, name: str
) -> None:
    trained = train_restorer(small(pack, name), tmp_path / "run")
    assert trained is not None
    assert trained.model is not None
    assert {"psnr_under_ink_db", "mask_iou"} <= set(trained.result.measures)
    session = onnxruntime.InferenceSession(trained.model / "model.onnx", providers=["CPUExecutionProvider"])
    pictures = np.random.default_rng(1).random((1, 3, 64, 96), np.float32)
    restored, mask = session.run(["restored", "mask"], {"pictures": pictures})
    assert restored.shape == (1, 3, 64, 96)
    assert mask.shape == (1, 1, 64, 96)
    assert restored.min() >= 0
    assert restored.max() <= 1
    assert np.abs(restored - pictures).max() < 0.3


def test_a_second_stage_begins_with_the_weights_of_the_first_and_adds_a_score(
    pack: Path, tmp_path: Path
) -> None:
    first = train_restorer(small(pack), tmp_path / "first")
    assert first is not None
    base = small(pack)
    config = replace(
        base,
        restorer=replace(base.restorer, with_score=True, start=first.result.checkpoint),
        loss=replace(base.loss, score=0.1),
    )
    with open_restoration(config, Ranks()) as task:
        begun = dict(task.modules["restorer"].named_parameters())
    with open_restoration(base, Ranks()) as task:
        drawn = dict(task.modules["restorer"].named_parameters())
    assert not torch.equal(begun["residual.weight"], drawn["residual.weight"])
    second = train_restorer(config, tmp_path / "second")
    assert second is not None
    assert second.model is not None
    session = onnxruntime.InferenceSession(second.model / "model.onnx", providers=["CPUExecutionProvider"])
    (score,) = session.run(["score"], {"pictures": np.zeros((2, 3, 48, 64), np.float32)})
    assert score.shape == (2, 1)
    assert ((score > 0) & (score < 1)).all()


def test_what_cannot_be_trained_is_refused(pack: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"restorer\.name"):
        train_restorer(small(pack, "transformer"), tmp_path / "a")
    lfw = replace(small(pack), data=RestorationData(pack=tmp_path / "lfw" / "x.rec"))
    with pytest.raises(ConfigError, match="evaluation only"):
        train_restorer(lfw, tmp_path / "b")
    wrong = tmp_path / "wide.rec"
    write_pack([Record("s/a.png", 0, encode_png(np.zeros((80, 112, 3), np.uint8)))], wrong, "rec", ["s"])
    with pytest.raises(DataError, match="aligned crop"):
        train_restorer(replace(small(pack), data=RestorationData(pack=wrong)), tmp_path / "c")


def test_packs_with_faults_or_of_lfw_are_refused(pack: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.rec"
    for suffix in (".rec", ".idx"):
        damaged.with_suffix(suffix).write_bytes(pack.with_suffix(suffix).read_bytes())
    second = int(damaged.with_suffix(".idx").read_text().split()[2 * 2 + 1])
    data = bytearray(damaged.read_bytes())
    data[second] ^= 1
    damaged.write_bytes(data)
    lfw = tmp_path / "people.rec"
    picture = encode_png(CROPS[0])
    write_pack([Record("Ada_Lovelace/Ada_Lovelace_0001.png", 0, picture)], lfw, "rec", ["Ada"])
    for data_config, said in (
        (RestorationData(pack=damaged), "magic number"),
        (RestorationData(pack=pack, held=damaged, batch=2), "magic number"),
        (RestorationData(pack=lfw), "LFW is for evaluation only"),
    ):
        with (
            pytest.raises(DataError, match=said),
            open_restoration(replace(small(pack), data=data_config), Ranks()),
        ):
            pass


def test_a_best_that_would_not_be_measured_is_refused_at_once(pack: Path) -> None:
    base = small(pack)
    for best, held in (("cosine", pack), ("mask_iou", None)):
        config = replace(base, data=replace(base.data, held=held), loop=replace(base.loop, best=best))
        with (
            pytest.raises(ConfigError, match=rf"loop\.best must be one of .* got '{best}'"),
            open_restoration(config, Ranks()),
        ):
            pass


def test_recipes_share_one_budget() -> None:
    made = [recipe(Path("a.rec"), None) for recipe in RESTORATION_RECIPES.values()]
    assert (
        len({(c.loop.steps, c.data.batch, c.loop.seed, c.mesh) for c in made if not c.restorer.with_score})
        == 1
    )
    assert all("patent" not in dict(c.mesh.families) for c in made)
