"""What may be evaluated on own data: a profile as the product runs it, or an embedder on aligned crops."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from lineament.core.types import Image
from lineament.embedding import load_embedder
from lineament.evaluation.cache import EmbeddingCache, Outcome
from lineament.evaluation.own import Measured
from lineament.evaluation.protocols import RewarpedEmbedder, weights_of
from lineament.evaluation.samples import Acquisition, decode_crop, decode_or_refuse, embed_images, outcomes_of
from lineament.evaluation.verification import SystemUsed
from lineament.geometry import ARCFACE_112
from lineament.pipeline import FacePipeline
from lineament.zoo.profiles import Profile
from lineament.zoo.session import Runtime

PRODUCT = "one face of each picture, found, chosen and aligned as in verify; other pictures are refused"


def product_of(profile: Profile, pipeline: FacePipeline, backend: str, cache_folder: Path) -> Measured:
    """A profile with the rules of the product, its vectors cached.

    Args:
        profile: models and rules.
        pipeline: made from it.
        backend: inference runtime that it uses; decides about vectors in the last digits.
        cache_folder: where vectors are kept.

    Raises:
        DataError: the cache cannot be used.
    """
    weights = weights_of(profile.detector, profile.embedder)
    digests = " ".join(weight.sha256 for weight in weights)
    how = f"{PRODUCT}; {backend}; {profile.sides_px} {pipeline.rules} {digests}; lineament {version('lineament')}"
    cache = EmbeddingCache(cache_folder, pipeline.embedding_space, how)

    def embed(images: Sequence[Image]) -> list[Outcome]:
        return outcomes_of(pipeline.extract_many(images))

    return Measured(
        system=SystemUsed(f"profile {profile.name} ({profile.detector}, {profile.embedder})", weights),
        space=pipeline.embedding_space,
        how=PRODUCT,
        acquisition=Acquisition(embed, decode_or_refuse, cache),
        threshold=pipeline.operating_point,
    )


def embedder_of(model: str, runtime: Runtime | None = None) -> Measured:
    """An embedder on crops that are aligned to the ArcFace template already.

    Args:
        model: name in the zoo; "NAME+flip" averages with the mirror image.
        runtime: how to run it.

    Raises:
        ModelError: the embedder cannot be had.
    """
    embedder = load_embedder(model, runtime)
    own = embedder.template == ARCFACE_112.name
    crops = embedder if own else RewarpedEmbedder(embedder)
    how = "aligned 112 px crops" + (", mirror image averaged" if model.endswith("+flip") else "")
    if not own:
        how += f"; re-warped to template {embedder.template} by one fixed similarity: not its own crop"

    def decode(name: str, data: bytes) -> Image | str:
        return decode_crop(name, data, ARCFACE_112.size_px)

    return Measured(
        system=SystemUsed(model, weights_of(model)),
        space=embedder.space,
        how=how,
        acquisition=Acquisition(lambda images: embed_images(crops, images), decode),
    )
