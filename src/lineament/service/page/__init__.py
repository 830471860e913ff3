"""The web page: static files beside this one, served by the same process.

Nothing in it is built, nothing is loaded from elsewhere, and it holds nothing that a key protects: it calls the same
routes as every other client.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Header, Response

from lineament.service.errors import NotFound

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-cache",  # asked for anew each time, answered with 304 unless the package has changed
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    media_type: str
    etag: str


@cache
def _static() -> dict[str, _File]:
    """The files by name; a name that is not among them leads nowhere."""
    found = {}
    for path in files(__name__).joinpath("static").iterdir():
        kind = _TYPES.get(path.name[path.name.rfind(".") :])
        if kind is not None:
            data = path.read_bytes()
            found[path.name] = _File(data, kind, f'"{hashlib.sha256(data).hexdigest()[:32]}"')
    return found


@router.get("/")
async def get_page(if_none_match: Annotated[str, Header()] = "") -> Response:
    """The page."""
    return _answer("index.html", if_none_match)


@router.get("/page/{name}")
async def get_file(name: str, if_none_match: Annotated[str, Header()] = "") -> Response:
    """Scripts, styles and icons of the page."""
    return _answer(name, if_none_match)


def _answer(name: str, known_etags: str) -> Response:
    file = _static().get(name)
    if file is None:
        raise NotFound("there is no such file of the page")
    headers = _HEADERS | {"ETag": file.etag}
    if file.etag in known_etags:
        return Response(status_code=304, headers=headers)
    return Response(file.data, media_type=file.media_type, headers=headers)
