"""Recipes of embedders: whole configurations by name, ``<net>_<loss>_<hardware>``.

Learning rates and batches are the published ones where a paper gave them (the docstring says which); the ``_cpu``
recipes are scaled to two cores and a few hundred people.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from lineament.embedding.training import (
    AnswersConfig,
    Augmentation,
    BackboneConfig,
    DataConfig,
    DistillationConfig,
    EmbeddingConfig,
    HeadConfig,
    InputConfig,
    StartConfig,
)
from lineament.engine import LoopConfig, ModuleRule, OptimConfig, ScheduleConfig

Recipe = Callable[[Path, Path | None], EmbeddingConfig]
_IR_CROP = InputConfig(std=(128.0, 128.0, 128.0))
_BEST = "tar_at_far_0.01"


def mobilefacenet_arcface_1gpu(pack: Path, held: Path | None = None) -> EmbeddingConfig:
    """MobileFaceNet, 128 numbers, ArcFace, one GPU.

    Chen et al., MobileFaceNets (2018): batch 512, rate 0.1, a tenth at 36, 52 and 58 thousand of 60 thousand steps,
    weight decay 4e-5, and 4e-4 after the global operator. A warm-up is added: from scratch the margin often
    diverges at this rate.
    """
    return EmbeddingConfig(
        name="mobilefacenet.own-arcface",
        data=DataConfig(pack=pack, held=held, batch=512, in_memory=False),
        backbone=BackboneConfig(name="mobilefacenet", embedding=128),
        head=HeadConfig(name="arcface", settings={"scale": 64.0, "margin_rad": 0.5}),
        loop=LoopConfig(
            steps=60_000,
            optim=OptimConfig(
                lr=0.1,
                weight_decay=4e-5,
                rules=(
                    # output.0 is the global operator itself, output.2 the only weights after it.
                    ModuleRule(module="backbone.output.2", weight_decay=4e-4),
                    ModuleRule(module="head", weight_decay=4e-4),
                ),
            ),
            schedule=ScheduleConfig(kind="step", warmup_steps=1_000, milestones=(36_000, 52_000, 58_000)),
            precision="bf16",
            channels_last=True,
            clip_norm=5.0,
            device="cuda",
            measure_every=2_000,
            best=_BEST if held else "",
            prefetch_workers=8,
            prefetch_depth=16,
        ),
    )


def mobilefacenet512_arcface_1gpu(pack: Path, held: Path | None = None) -> EmbeddingConfig:
    """The same with 512 numbers, which practitioners find steadier."""
    base = mobilefacenet_arcface_1gpu(pack, held)
    return replace(base, name="mobilefacenet512.own-arcface", backbone=replace(base.backbone, embedding=512))


def iresnet50_arcface_1gpu(pack: Path, held: Path | None = None) -> EmbeddingConfig:
    """LResNet50E-IR with ArcFace on one GPU.

    Deng et al., ArcFace (2019): batch 512 over the GPUs, rate 0.1, a tenth at 100 and 160 of 180 thousand steps,
    weight decay 5e-4. On one GPU the batch is 128 in four parts.
    """
    base = mobilefacenet_arcface_1gpu(pack, held)
    return replace(
        base,
        name="iresnet50.own-arcface",
        data=replace(base.data, batch=128),
        backbone=BackboneConfig(name="iresnet50", embedding=512),
        crop=_IR_CROP,
        loop=replace(
            base.loop,
            steps=180_000,
            accumulate=4,
            optim=OptimConfig(lr=0.1, weight_decay=5e-4),
            schedule=ScheduleConfig(kind="step", warmup_steps=2_000, milestones=(100_000, 160_000)),
        ),
    )


def iresnet50_partial_fc_8gpu(pack: Path, held: Path | None = None) -> EmbeddingConfig:
    """LResNet50E-IR with millions of subjects: the classifier lies over eight ranks, a tenth of it in each step.

    An et al., Partial FC (2022): batch 128 a GPU, rate 0.1 falling as (1 - t) squared, sampling 0.1.
    Start it with ``torchrun --nproc-per-node 8 -m lineament train run iresnet50_partial_fc_8gpu``.
    """
    base = iresnet50_arcface_1gpu(pack, held)
    return replace(
        base,
        name="iresnet50.own-partial-fc",
        data=replace(base.data, batch=1024),
        head=HeadConfig(
            name="partial-am-softmax",
            settings={"scale": 64.0, "margin_cos": 0.4, "sample_rate": 0.1},
        ),
        loop=replace(
            base.loop,
            accumulate=1,
            schedule=ScheduleConfig(kind="poly", warmup_steps=2_000, power=2.0),
        ),
    )


def sphere_resnet20_am_softmax_1gpu(pack: Path, held: Path | None = None) -> EmbeddingConfig:
    """SphereFace's ResNet-20 with AM-Softmax.

    Wang et al., AM-Softmax (2018): 112 x 96 px, batch 256, rate 0.1, a tenth at 16, 24 and 28 of 30 thousand steps,
    weight decay 5e-4, scale 30, margin 0.35, pixels (x - 128) / 128.
    """
    base = iresnet50_arcface_1gpu(pack, held)
    return replace(
        base,
        name="sphere-resnet20.own-am-softmax",
        data=replace(base.data, batch=256),
        backbone=BackboneConfig(name="sphere_resnet20", embedding=512),
        crop=InputConfig(width_px=96, mean=(128.0, 128.0, 128.0), std=(128.0, 128.0, 128.0)),
        head=HeadConfig(name="am-softmax", settings={"scale": 30.0, "margin_cos": 0.35}),
        loop=replace(
            base.loop,
            steps=30_000,
            accumulate=1,
            schedule=ScheduleConfig(kind="step", warmup_steps=500, milestones=(16_000, 24_000, 28_000)),
        ),
    )


def inception_resnet_v1_center_1gpu(pack: Path, held: Path | None = None) -> EmbeddingConfig:
    """Inception-ResNet-v1 at 160 px with joint softmax and center loss, as the first free FaceNet weights were made.

    Wen et al., center loss (2016): weight 0.003 (half of the mean square), rate of the centers 0.5. Adam takes the
    place of RMSProp.
    """
    base = iresnet50_arcface_1gpu(pack, held)
    return replace(
        base,
        name="inception-resnet-v1.own-center",
        data=replace(base.data, batch=90),
        backbone=BackboneConfig(name="inception_resnet_v1", embedding=512),
        crop=InputConfig(height_px=160, width_px=160, std=(128.0, 128.0, 128.0)),
        head=HeadConfig(name="softmax-center"),
        loop=replace(
            base.loop,
            accumulate=1,
            optim=OptimConfig(kind="adamw", lr=1e-3, weight_decay=5e-4),
            schedule=ScheduleConfig(kind="step", warmup_steps=500, milestones=(100_000, 150_000)),
        ),
    )


def inception_resnet_v1_triplet_1gpu(pack: Path, held: Path | None = None) -> EmbeddingConfig:
    """Inception-ResNet-v1 with FaceNet's triplets: semi-hard negatives of the batch, squared distances, margin 0.2.

    Schroff et al., FaceNet (2015): about 40 pictures of each subject in a batch of 1,800; here 45 subjects with 20.
    """
    base = inception_resnet_v1_center_1gpu(pack, held)
    return replace(
        base,
        name="inception-resnet-v1.own-triplet",
        data=replace(base.data, batch=900, subjects=45),
        head=HeadConfig(name="triplet-euclidean", settings={"mining": "semi-hard", "margin_squared": 0.2}),
    )


def thin_arcface_cpu(pack: Path, held: Path | None = None) -> EmbeddingConfig:
    """A thin plain network at 48 px with ArcFace: minutes on two cores, to try data and settings."""
    return EmbeddingConfig(
        name="thin-net.own-arcface",
        data=DataConfig(pack=pack, held=held, batch=64),
        backbone=BackboneConfig(name="thin_net16", embedding=128),
        head=HeadConfig(name="arcface", settings={"scale": 32.0, "margin_rad": 0.3}),
        crop=InputConfig(height_px=48, width_px=48),
        loop=LoopConfig(
            steps=1_200,
            optim=OptimConfig(lr=0.05, weight_decay=5e-4),
            schedule=ScheduleConfig(kind="cosine", warmup_steps=60),
            channels_last=True,
            clip_norm=5.0,
            measure_every=300,
            checkpoint_every=300,
            best=_BEST if held else "",
        ),
    )


def mobilefacenet_robust_cpu(pack: Path, held: Path | None = None) -> EmbeddingConfig:
    """The published MobileFaceNet made robust against low resolution, blur and compression, on a CPU.

    The published weights are student and teacher: degraded crops are pulled to the template of the clean crop, and
    the third of the crops that stay nearly clean keeps theirs. No labels are used, so pictures of anybody do.
    """
    return EmbeddingConfig(
        name="mobilefacenet.robust",
        data=DataConfig(pack=pack, held=held, batch=32),
        backbone=BackboneConfig(name=""),
        head=HeadConfig(name=""),
        crop=InputConfig(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)),
        augmentation=Augmentation(low_resolution=0.6, blur=0.15, jpeg=0.25, colour=0.15),
        start=StartConfig(model="mobilefacenet"),
        distillation=DistillationConfig(clean=0.0),
        answers=AnswersConfig(
            publisher="the Lineament project",
            weights_licence="research only, because of the training pictures; they start from Apache-2.0 weights",
            data_licence="CelebA and Glint360K: non-commercial research; Bollywood faces: web photos, research only",
            limits=(
                "Made for faces of 12 to 56 px; not measured on other damage than its report names.",
                "Knows no more people than the published weights: it was trained without labels.",
                "Templates are a space of their own; do not compare them with those of mobilefacenet.",
            ),
        ),
        loop=LoopConfig(
            steps=800,
            optim=OptimConfig(kind="adamw", lr=3e-4, weight_decay=1e-4),
            schedule=ScheduleConfig(kind="cosine", warmup_steps=40),
            channels_last=True,
            clip_norm=5.0,
            ema_decay=0.99,
            checkpoint_every=100,
        ),
    )


def mobilefacenet_mesh_cpu(pack: Path, held: Path | None = None) -> EmbeddingConfig:
    """The published MobileFaceNet made robust against security meshes (网纹), without restoring anything, on a CPU.

    As :func:`mobilefacenet_robust_cpu`: meshed crops are pulled to the template of the clean crop.
    """
    base = mobilefacenet_robust_cpu(pack, held)
    return replace(
        base,
        name="mobilefacenet.mesh",
        augmentation=Augmentation(mesh=0.75, jpeg=0.5, colour=0.1),
        answers=replace(
            base.answers,
            limits=(
                "Made for faces under wavy lines; not measured on other cover than its report names.",
                *base.answers.limits[1:],
            ),
        ),
        loop=replace(base.loop, steps=700),
    )


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        recipe.__name__: recipe
        for recipe in (
            inception_resnet_v1_center_1gpu,
            inception_resnet_v1_triplet_1gpu,
            iresnet50_arcface_1gpu,
            iresnet50_partial_fc_8gpu,
            mobilefacenet512_arcface_1gpu,
            mobilefacenet_arcface_1gpu,
            mobilefacenet_mesh_cpu,
            mobilefacenet_robust_cpu,
            sphere_resnet20_am_softmax_1gpu,
            thin_arcface_cpu,
        )
    }
)
"""Every recipe by its name."""
