"""A package file from the user's own index: Simple API pages (HTML or JSON) and link folders.

Nothing of the package is executed: pip would run the build script of a source archive to learn its metadata, so
this module reads the index itself, with pip's settings.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from lineament.zoo.files import SourceFailed
from lineament.zoo.manifest import PackageSource
from lineament.zoo.pip_settings import PipSettings
from lineament.zoo.web import Web, redact

ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Somewhere a package file may be: an index page, a page of links or a folder.

    Attributes:
        url: address or path as configured; may hold credentials.
        is_index: an index, that has a page for each project; else a page or folder of links.
    """

    url: str
    is_index: bool

    @property
    def shown(self) -> str:
        """What errors call it."""
        return redact(self.url) if "://" in self.url else self.url


def places(settings: PipSettings) -> list[Place]:
    """Everywhere pip would look, links before indexes because they are mostly local."""
    return [*(Place(u, False) for u in settings.find_links), *(Place(u, True) for u in settings.indexes)]


def locate(place: Place, source: PackageSource, web: Web) -> str | Path:
    """The package file at a place: an address to fetch, or a path on this machine.

    Raises:
        SourceFailed: the place cannot be read, or has not got exactly this file.
    """
    url = _project_url(place, source.package) if place.is_index else place.url
    local = local_path(url)
    links = _local_links(local, source.archive) if local else _remote_links(url, source.archive, web)
    for link in links:
        target, fragment = urldefrag(link)
        stated = re.fullmatch(r"sha256=([0-9a-f]{64})", fragment)
        if stated and stated[1] != source.archive_sha256:
            raise SourceFailed(
                f"{source.archive}: sha256 expected {source.archive_sha256}, the index has {stated[1]}",
                wrong_digest=True,
            )
        return local_path(target) or _with_credentials(target, place.url)
    raise SourceFailed(f"has no {source.archive}")


def _project_url(place: Place, package: str) -> str:
    name = re.sub(r"[-_.]+", "-", package).lower()
    return f"{place.url.rstrip('/')}/{name}/"


def local_path(url: str) -> Path | None:
    """The path that a ``file:`` address or a plain path names; None for other addresses."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if "://" in url else Path(url).expanduser()


def _local_links(path: Path, archive: str) -> list[str]:
    try:
        if path.is_file():
            if path.name == archive:
                return [path.resolve().as_uri()]
            return _named(_html_links(path.read_text("utf-8", "replace"), path.resolve().as_uri()), archive)
        page = path / "index.html"
        if page.is_file():
            return _named(_html_links(page.read_text("utf-8", "replace"), page.resolve().as_uri()), archive)
        here = path / archive
        return [here.resolve().as_uri()] if here.is_file() else []
    except OSError as error:
        raise SourceFailed(f"cannot be read: {error.strerror}") from error


def _remote_links(url: str, archive: str, web: Web) -> list[str]:
    if unquote(urlsplit(url).path).rpartition("/")[2] == archive:
        return [url]
    page = web.page(url, ACCEPT)
    if page.kind.endswith("json"):
        return _named(_json_links(page.text, page.url), archive)
    return _named(_html_links(page.text, page.url), archive)


def _named(links: Iterator[str], archive: str) -> list[str]:
    return [link for link in links if unquote(urlsplit(link).path).rpartition("/")[2] == archive]


def _json_links(text: str, base: str) -> Iterator[str]:
    """Links of a PEP 691 page, each with its digest as fragment."""
    try:
        files = json.loads(text)["files"]
        for entry in files:
            sha256 = entry.get("hashes", {}).get("sha256", "")
            yield urljoin(base, entry["url"]) + (f"#sha256={sha256}" if sha256 else "")
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise SourceFailed("its answer is not a Simple API page in JSON") from error


class _Anchors(HTMLParser):
    """Collects the targets of links of a PEP 503 page."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href")
        if tag == "base" and target and not self.base:
            self.base = target
        elif tag == "a" and target:
            self.targets.append(target)


def _html_links(text: str, base: str) -> Iterator[str]:
    parser = _Anchors()
    parser.feed(text)
    start = urljoin(base, parser.base)
    for target in parser.targets:
        yield urljoin(start, target)


def _with_credentials(url: str, configured: str) -> str:
    """``url`` with the user and password of the configured address, when it is on the same server without its own."""
    parts, source = urlsplit(url), urlsplit(configured)
    credentials, _, host = source.netloc.rpartition("@")
    if credentials and parts.netloc == host and parts.scheme == source.scheme:
        return urlunsplit(parts._replace(netloc=f"{credentials}@{host}"))
    return url
