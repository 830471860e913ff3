"""Bodies with pictures: a form with files, or JSON with base64, of the same members.

Files are kept in memory (:mod:`lineament.service.limits` bounds it): faces of people are never written to a disk on
the way.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from lineament.core.types import Image
from lineament.imaging import Limits, decode_image
from lineament.service.config import LimitSettings, ServiceConfig
from lineament.service.errors import MalformedBody, UnknownBodyType
from lineament.service.json_body import content_type, valid_body
from lineament.service.schemas import RequestBody

M = TypeVar("M", bound=RequestBody)
MAX_PARTS = 32
"""Parts of a form."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a form.

    Attributes:
        name: of the member.
        value: bytes of a file, or text.
        file_name: as the client calls the file; empty for text.
    """

    name: str
    value: bytes | str
    file_name: str = ""


class _FormInMemory(MultiPartParser):
    spool_max_size = 1 << 62


def picture_body(model: type[M]) -> Callable[[Request], Awaitable[M]]:
    """A FastAPI dependency that reads a body with pictures; put it after :func:`lineament.service.access.require`,
    so that strangers send nothing. :func:`accepts` declares it.

    Args:
        model: the members; those of type :data:`lineament.service.schemas.Picture` may be files of a form.
    """

    async def read(request: Request) -> M:
        kind = content_type(request)
        if kind not in {"application/json", "multipart/form-data"}:
            raise UnknownBodyType("send multipart/form-data with files, or application/json with base64")
        with valid_body():
            if kind == "application/json":
                return model.model_validate_json(await request.body())
            return model.model_validate(await _form(request))

    return read


def accepts(model: type[RequestBody]) -> dict[str, Any]:
    """``openapi_extra`` of a route whose body :func:`picture_body` reads."""
    json_schema, form_schema = model.model_json_schema(), model.model_json_schema()
    for name, member in form_schema["properties"].items():
        if member.get("contentEncoding") == "base64":
            text = member["description"].replace(" in base64", "")
            form_schema["properties"][name] = {"type": "string", "format": "binary", "description": text}
    content = {
        "multipart/form-data": {"schema": form_schema},
        "application/json": {"schema": json_schema},
    }
    return {"requestBody": {"required": True, "content": content}}


def decode(data: bytes, name: str, limits: LimitSettings) -> Image:
    """A picture of a request, upright by its metadata.

    Args:
        data: encoded picture.
        name: how messages call it; the member of the body, never a file name.
        limits: of the service.

    Raises:
        DecodeError: damaged, cut off, or no picture.
        ImageTooLarge: too many pixels; found before decoding.
    """
    return decode_image(data, limits=Limits(max_pixels=limits.picture_pixels), name=name)


async def read_parts(request: Request, max_parts: int = MAX_PARTS) -> list[Part]:
    """The parts of a form in the order in which they came.

    Args:
        request: its body is read.
        max_parts: files, and other members, at most.

    Raises:
        MalformedBody: no sound form, or more parts.
    """
    config: ServiceConfig = request.app.state.config
    parser = _FormInMemory(
        request.headers,
        request.stream(),
        max_files=max_parts,
        max_fields=max_parts,
        max_part_size=config.limits.body_bytes,
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise MalformedBody(f"this is no sound multipart/form-data: {error.message}") from error
    try:
        return [
            Part(name, await value.read(), value.filename or "")
            if isinstance(value, UploadFile)
            else Part(name, value)
            for name, value in form.multi_items()
        ]
    finally:
        await form.close()


async def _form(request: Request) -> dict[str, bytes | str]:
    """Parts of a form by name; files as bytes."""
    parts: dict[str, bytes | str] = {}
    for part in await read_parts(request):
        if part.name in parts:
            raise MalformedBody("each part of the form must have its own name; one came twice")
        parts[part.name] = part.value
    return parts
