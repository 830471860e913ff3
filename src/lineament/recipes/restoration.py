"""Recipes of mesh removers, for two cores: one budget, one loss term after another, so that they can be compared.

Families of lines that are drawn: sines, rosettes, words; the patent's lines are left for tests.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lineament.demesh.training import LossConfig, RestorationConfig, RestorationData, RestorerConfig
from lineament.engine import LoopConfig, OptimConfig, ScheduleConfig

RestorationRecipe = Callable[[Path, Path | None], RestorationConfig]


def demesh_pixel_cpu(pack: Path, held: Path | None = None) -> RestorationConfig:
    """Residual of every pixel, squared error: what all others are compared with."""
    return RestorationConfig(
        name="demesh.own-pixel",
        data=RestorationData(pack=pack, held=held, batch=16),
        restorer=RestorerConfig(name="unet", width=24, with_mask=False),
        loss=LossConfig(),
        loop=LoopConfig(
            steps=2_000,
            optim=OptimConfig(kind="adamw", lr=1e-3, weight_decay=1e-4),
            schedule=ScheduleConfig(kind="cosine", warmup_steps=50),
            precision="bf16",
            channels_last=True,
            clip_norm=1.0,
            ema_decay=0.99,
            measure_every=1_000,
            checkpoint_every=500,
        ),
    )


def demesh_multitask_cpu(pack: Path, held: Path | None = None) -> RestorationConfig:
    """Residual and mask from one trunk (Zhang et al., ICB 2016)."""
    base = demesh_pixel_cpu(pack, held)
    return replace(
        base,
        name="demesh.own-multitask",
        restorer=replace(base.restorer, with_mask=True),
        loss=LossConfig(mask=0.02),
    )


def demesh_weighted_cpu(pack: Path, held: Path | None = None) -> RestorationConfig:
    """The same, and pixels under ink count five times (DeMeshNet's weights, Zhang et al. 2018)."""
    base = demesh_multitask_cpu(pack, held)
    return replace(base, name="demesh.own-weighted", loss=replace(base.loss, on_mesh=4.0))


def demesh_feature_cpu(pack: Path, held: Path | None = None) -> RestorationConfig:
    """DeMeshNet: weighted pixels, and the features of a frozen recogniser through a differentiable alignment."""
    base = demesh_weighted_cpu(pack, held)
    return replace(base, name="demesh.own-feature", loss=replace(base.loss, feature=0.02))


def demesh_gated_cpu(pack: Path, held: Path | None = None) -> RestorationConfig:
    """NAFNet's gated blocks with the whole loss, absolute error: a modern restorer of the same size."""
    base = demesh_feature_cpu(pack, held)
    return replace(
        base,
        name="demesh.own-gated",
        restorer=RestorerConfig(name="gated", width=24),
        loss=LossConfig(pixel="absolute", on_mesh=4.0, mask=0.1, feature=0.1),
    )


def demesh_cpu(pack: Path, held: Path | None = None) -> RestorationConfig:
    """A second stage for a remover that finds meshes, too: begins where :func:`demesh_feature_cpu` ended.

    Set ``restorer.start`` to that run's last checkpoint. A third of the pictures is clean, so that a score can be
    learned that leaves clean pictures alone.
    """
    base = demesh_feature_cpu(pack, held)
    return replace(
        base,
        name="demesh.own",
        mesh=replace(base.mesh, clean=0.35),
        restorer=replace(base.restorer, with_score=True),
        loss=replace(base.loss, score=0.02),
        loop=replace(base.loop, optim=replace(base.loop.optim, lr=5e-4)),
    )


RESTORATION_RECIPES: Mapping[str, RestorationRecipe] = MappingProxyType(
    {
        recipe.__name__: recipe
        for recipe in (
            demesh_cpu,
            demesh_feature_cpu,
            demesh_gated_cpu,
            demesh_multitask_cpu,
            demesh_pixel_cpu,
            demesh_weighted_cpu,
        )
    }
)
"""Every recipe by its name."""
