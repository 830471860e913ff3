"""``/v1/galleries``: make, list, look at, and delete galleries."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from pydantic import Field

from lineament.gallery import GalleryInfo, GalleryStore
from lineament.service.access import Caller, Scope, require
from lineament.service.changes import change
from lineament.service.errors import errors_of
from lineament.service.gallery_schemas import Page, page
from lineament.service.holdings import NAME_PATTERN, GalleryName, Holdings, open_gallery, ready_space
from lineament.service.job_store import JobStore
from lineament.service.json_body import accepts_json, json_body
from lineament.service.schemas import ReplyBody, RequestBody

router = APIRouter(prefix="/v1/galleries", tags=["galleries"])
Admin = Annotated[Caller, Depends(require(Scope.ADMIN))]
Reader = Annotated[Caller, Depends(require(Scope.READ))]


class NewGallery(RequestBody):
    """A gallery to make."""

    name: str = Field(pattern=NAME_PATTERN, examples=["staff"])


class GalleryPage(ReplyBody):
    """Some galleries, ordered by name."""

    galleries: list[str]
    next: str | None = Field(description="Pass this as ``after`` to go on; null at the end.")


class GalleryBody(ReplyBody):
    """A gallery in numbers."""

    name: str
    space: str = Field(description="Id of the embedding space of its templates.")
    schema_version: int = Field(description="Version of the layout.")
    dimension: int | None = Field(description="Length of a template; null before the first enrollment.")
    subjects: int = Field(description="Subjects that a search can find.")
    samples: int = Field(description="Samples that a search can find.")
    held: int = Field(description="Samples that are not searched: pending, quarantined or rejected.")
    calibration: str = Field(description="Name of the calibration record in use, or empty.")
    created_s: float = Field(description="s since 1970 UTC.")
    bytes_on_disk: int
    encrypted: bool
    public_key: str = Field(description="64 hex digits that verify removal receipts, or empty.")
    other_space: str = Field(description="The space that an upgrade prepares or has left, or empty.")

    @classmethod
    def of(cls, name: str, info: GalleryInfo) -> "GalleryBody":
        """The body of a value."""
        return cls(
            name=name,
            space=info.space,
            schema_version=info.schema_version,
            dimension=info.dimension,
            subjects=info.size.subjects,
            samples=info.size.samples,
            held=info.held,
            calibration=info.calibration,
            created_s=info.created_s,
            bytes_on_disk=info.bytes_on_disk,
            encrypted=info.encrypted,
            public_key=info.public_key,
            other_space=info.other_space,
        )


@router.get("", summary="Names of the galleries", responses=errors_of(401, 403, 422, 429, 503))
async def list_galleries(request: Request, caller: Reader, query: Page) -> GalleryPage:
    """Only those that the key may touch."""
    holdings: Holdings = request.app.state.holdings
    names = [n for n in await to_thread.run_sync(holdings.names) if caller.may_touch(n)]
    stretch, following = page(names, str, query.after, query.limit)
    return GalleryPage(galleries=list(stretch), next=following)


@router.post(
    "",
    status_code=201,
    summary="Make a gallery",
    responses=errors_of(401, 403, 408, 409, 413, 415, 422, 429, 503),
    openapi_extra=accepts_json(NewGallery),
)
async def create_gallery(
    request: Request,
    caller: Admin,
    space: Annotated[str, Depends(ready_space)],
    body: Annotated[NewGallery, Depends(json_body(NewGallery))],
) -> GalleryBody:
    """Empty, for templates of this service's embedding space; encrypted when the service has a key for that."""
    caller.check_gallery(body.name)
    holdings: Holdings = request.app.state.holdings

    def make() -> GalleryInfo:
        return holdings.create(body.name, space).info()

    info = await change(request, {"action": "gallery.create", "gallery": body.name, "space": space}, make)
    return GalleryBody.of(body.name, info)


@router.get(
    "/{gallery}", summary="A gallery in numbers", responses=errors_of(401, 403, 404, 409, 422, 429, 503)
)
async def get_gallery(
    caller: Reader,  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
    store: Annotated[GalleryStore, Depends(open_gallery)],
) -> GalleryBody:
    """Counts, calibration, encryption, and the key that verifies its receipts."""
    return GalleryBody.of(gallery, await to_thread.run_sync(store.info))


@router.delete(
    "/{gallery}",
    status_code=204,
    summary="Delete a gallery",
    responses=errors_of(401, 403, 404, 409, 422, 429, 503),
)
async def delete_gallery(
    request: Request,
    caller: Admin,  # noqa: ARG001 (the dependency is the check)
    gallery: GalleryName,
) -> None:
    """With all its people and jobs, for good; backups and exports elsewhere stay. Its bytes are overwritten."""
    holdings: Holdings = request.app.state.holdings
    jobs: JobStore = request.app.state.jobs
    await to_thread.run_sync(holdings.require, gallery)

    def remove() -> None:
        jobs.remove_all(gallery)
        holdings.remove(gallery)

    await change(request, {"action": "gallery.delete", "gallery": gallery}, partial(remove))
