"""Bodies of JSON, read after the caller was let in.

A parameter that FastAPI fills from the body is read before any dependency runs: strangers could fill the memory that
bodies have together.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from lineament.service.errors import UnknownBodyType
from lineament.service.schemas import RequestBody

M = TypeVar("M", bound=RequestBody)


def json_body(model: type[M]) -> Callable[[Request], Awaitable[M]]:
    """A FastAPI dependency that reads a body; put it after :func:`lineament.service.access.require`, so that strangers
    send nothing. :func:`accepts_json` declares it.

    Args:
        model: the members.
    """

    async def read(request: Request) -> M:
        if content_type(request) != "application/json":
            raise UnknownBodyType("send application/json")
        with valid_body():
            return model.model_validate_json(await request.body())

    return read


def accepts_json(model: type[RequestBody]) -> dict[str, Any]:
    """``openapi_extra`` of a route whose body :func:`json_body` reads."""
    content = {"application/json": {"schema": model.model_json_schema()}}
    return {"requestBody": {"required": True, "content": content}}


def content_type(request: Request) -> str:
    """What a request says about its body, in lower case and without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


@contextmanager
def valid_body() -> Iterator[None]:
    """Say of the faults of a model that is made inside the block that they are those of the body.

    Raises:
        RequestValidationError: there are some; they never repeat what came.
    """
    try:
        yield
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError([f | {"loc": ("body", *f["loc"])} for f in faults]) from error
