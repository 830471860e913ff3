"""What may be evaluated on own data: a profile as the product runs it, or an embedder on aligned crops."""

from collections.abc import Sequence
from pathlib import Path

from lineament.core.types import Face, Image, Refusal
from lineament.embedding.cache import Outcome
from lineament.evaluation.own import Measured
from lineament.evaluation.protocols import (
    crop_cache,
    crop_system,
    detector_arithmetic,
    pipeline_cache,
    weights_of,
)
from lineament.evaluation.samples import Acquisition, decode_crop, decode_or_refuse, embed_images, outcomes_of
from lineament.evaluation.verification import SystemUsed
from lineament.geometry import ARCFACE_112
from lineament.pipeline import Engine, FacePipeline
from lineament.zoo.licence import check_licence
from lineament.zoo.manifest import Task, find_model
from lineament.zoo.profiles import Profile
from lineament.zoo.session import Runtime
from lineament.zoo.store import ensure_weights

PRODUCT = "one face of each picture, found, chosen and aligned as in verify; other pictures are refused"


def require_models(embedders: Sequence[str], profiles: Sequence[Profile] = ()) -> None:
    """Fetch and check weights, so that what cannot be had stops a run before its first picture.

    Args:
        embedders: names in the zoo; "NAME+flip" means NAME.
        profiles: whose detectors and embedders are needed.

    Raises:
        ModelError: a model is not there, its terms were not accepted or its weights cannot be had.
    """
    wanted: list[tuple[Task, str]] = [("embedding", name.partition("+")[0]) for name in embedders]
    for profile in profiles:
        wanted += [("detection", profile.detector), ("embedding", profile.embedder.partition("+")[0])]
    manifests = [find_model(name, task) for task, name in dict.fromkeys(wanted)]
    for manifest in manifests:
        check_licence(manifest)
    for manifest in manifests:
        ensure_weights(manifest)


def product_of(
    profile: Profile, engine: Engine, cache_folder: Path, runtime: Runtime | None = None
) -> Measured:
    """A profile with the rules of the product, its vectors cached.

    Args:
        profile: models and rules.
        engine: over a pipeline that was made from it.
        cache_folder: where vectors are kept.
        runtime: how the pipeline was asked to run; runtimes differ in the last digits.

    Raises:
        DataError: the cache cannot be used.
    """
    pipeline = engine.pipeline
    cache = pipeline_cache(cache_folder, profile, pipeline, PRODUCT, runtime)

    def embed(images: Sequence[Image]) -> list[Outcome]:
        return outcomes_of(list(engine.map(_extract, images)))

    return Measured(
        system=SystemUsed(
            f"profile {profile.name} ({profile.detector}, {profile.embedder})",
            weights_of(profile.detector, profile.embedder),
        ),
        space=pipeline.embedding_space,
        how=f"{PRODUCT}; {detector_arithmetic(profile, runtime)}",
        acquisition=Acquisition(embed, decode_or_refuse, cache),
        threshold=pipeline.operating_point,
    )


def _extract(pipeline: FacePipeline, image: Image) -> Face | Refusal:
    return pipeline.extract_one(image)


def embedder_of(model: str, runtime: Runtime | None = None, cache_folder: Path | None = None) -> Measured:
    """An embedder on crops that are aligned to the ArcFace template already.

    Args:
        model: name in the zoo; "NAME+flip" averages with the mirror image.
        runtime: how to run it.
        cache_folder: where vectors are kept; None keeps none.

    Raises:
        DataError: the cache cannot be used.
        ModelError: the embedder cannot be had.
    """
    system = crop_system(model, runtime)
    cache = None if cache_folder is None else crop_cache(cache_folder, system, runtime)

    def decode(name: str, data: bytes) -> Image | str:
        return decode_crop(name, data, ARCFACE_112.size_px)

    return Measured(
        system=system.used,
        space=system.embedder.space,
        how=system.how,
        acquisition=Acquisition(lambda images: embed_images(system.embedder, images), decode, cache),
    )
