"""HTTP with the user's certificates and proxies, and downloads that resume.

No message shows credentials: user names, passwords and query strings of addresses never leave this module.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import requests
from requests import codes
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InsecureRequestWarning
from urllib3.util.retry import Retry

from lineament.zoo.files import SourceFailed, sha256_of
from lineament.zoo.options import Progress
from lineament.zoo.pip_settings import PipSettings

logger = logging.getLogger(__name__)
RETRY_STATUS = (500, 502, 503, 504, 520, 524)
PIECE = 1 << 15
"""Bytes read at once; what is left of an interrupted piece is lost."""
MAX_PAGE_BYTES = 64 << 20


def redact(url: str) -> str:
    """``url`` without user, password, query and fragment."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file that is being fetched.

    Attributes:
        name: what progress and errors call it.
        sha256: digest that it must have.
        bytes: its size; nothing longer is read.
    """

    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Page:
    """An answer that was read whole.

    Attributes:
        url: where it was found after redirects; relative links start here.
        kind: its media type, without parameters.
    """

    url: str
    kind: str
    text: str


class _Interrupted(Exception):
    """The connection ended before the file did."""


class Web:
    """A requests session that follows pip's settings; a context manager.

    Args:
        settings: certificates, proxy, trusted hosts, patience.
    """

    def __init__(self, settings: PipSettings) -> None:
        retry = Retry(
            total=settings.retries, backoff_factor=0.25, status_forcelist=RETRY_STATUS, raise_on_status=False
        )
        self._settings = settings
        self._proxies = {"http": settings.proxy, "https": settings.proxy} if settings.proxy else None
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))
        if settings.client_cert:
            self._session.cert = settings.client_cert

    def __enter__(self) -> "Web":
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def get(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """An answer whose body has not been read yet; status below 400, or 416 for a range beyond the end.

        Raises:
            SourceFailed: no connection, or another status.
        """
        parts = urlsplit(url)
        trusted = {parts.hostname, parts.netloc.rpartition("@")[2]} & set(self._settings.trusted_hosts)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InsecureRequestWarning)  # the user trusts this host by name
                response = self._session.get(
                    url,
                    headers=dict(headers),
                    stream=True,
                    timeout=self._settings.timeout_s,
                    verify=False if trusted else self._settings.cert or True,
                    proxies=self._proxies,
                )
        except (OSError, ValueError) as error:  # requests' own errors are OSErrors, bad addresses ValueErrors
            raise SourceFailed(f"{redact(url)}: {self._reason(error)}") from None
        status = response.status_code
        if status >= codes.bad_request and status != codes.requested_range_not_satisfiable:
            response.close()
            hint = "; check the credentials in the settings" if status in {401, 403} else ""
            raise SourceFailed(f"{redact(url)}: HTTP status {status}{hint}")
        return response

    def _reason(self, error: Exception) -> str:
        """What went wrong, without any text of the error: it may hold the address with its password."""
        reasons: tuple[tuple[type[Exception], str], ...] = (
            (requests.exceptions.ProxyError, "the proxy does not answer"),
            (requests.exceptions.SSLError, "the server's certificate is not trusted"),
            (requests.Timeout, f"no answer within {self._settings.timeout_s:g} s"),
            (requests.exceptions.RetryError, "too many failures"),
            (requests.ConnectionError, "cannot be reached"),
            (requests.RequestException, "the request failed"),
            (ValueError, "not an address"),
        )
        text = next(
            (text for kind, text in reasons if isinstance(error, kind)), "certificate file not readable"
        )
        return f"{text} ({type(error).__name__})"

    def page(self, url: str, accept: str) -> Page:
        """A whole page.

        Raises:
            SourceFailed: it cannot be had, or is larger than a page should be.
        """
        body = bytearray()
        with self.get(url, {"Accept": accept}) as response:
            try:
                for chunk in response.iter_content(PIECE):
                    body += chunk
                    if len(body) > MAX_PAGE_BYTES:
                        raise SourceFailed(
                            f"{redact(url)}: the page is larger than {MAX_PAGE_BYTES >> 20} MB"
                        )
            except requests.RequestException as error:
                raise SourceFailed(f"{redact(url)}: {self._reason(error)}") from None
            kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            return Page(response.url, kind, body.decode("utf-8", "replace"))

    def download(self, url: str, part: Path, wanted: Wanted, progress: Progress) -> None:
        """Fetch a file into ``part`` and check its digest; what is already there is continued.

        Args:
            url: where the file is.
            part: partial file; stays after an interruption, gone after a wrong digest.
            wanted: name, digest and size.
            progress: hears of each piece.

        Raises:
            SourceFailed: it cannot be had, or has other bytes.
        """
        part.parent.mkdir(parents=True, exist_ok=True)
        resumed = _size(part) > 0
        self._complete(url, part, wanted, progress)
        found = sha256_of(part)
        if found != wanted.sha256 and resumed:
            logger.warning("the continued download of %s does not fit together; starting again", wanted.name)
            part.unlink()
            self._complete(url, part, wanted, progress)
            found = sha256_of(part)
        if found != wanted.sha256:
            part.unlink()
            raise SourceFailed(
                f"{redact(url)}: {wanted.name}: sha256 expected {wanted.sha256}, found {found}",
                wrong_digest=True,
            )

    def _complete(self, url: str, part: Path, wanted: Wanted, progress: Progress) -> None:
        stalled = 0
        while stalled <= self._settings.retries:
            before = _size(part)
            try:
                return self._continue(url, part, wanted, progress)
            except _Interrupted:
                logger.info("%s: interrupted after %d of %d bytes", wanted.name, _size(part), wanted.bytes)
                stalled = 0 if _size(part) > before else stalled + 1
        raise SourceFailed(
            f"{redact(url)}: {wanted.name} ended after {_size(part)} of {wanted.bytes} bytes; "
            "the part is kept, try again"
        )

    def _continue(self, url: str, part: Path, wanted: Wanted, progress: Progress) -> None:
        offset = _size(part)
        if offset == wanted.bytes:
            return
        # the part must be in the bytes of the file, not of a compressed transfer
        headers = {"Accept-Encoding": "identity"}
        if 0 < offset < wanted.bytes:
            headers["Range"] = f"bytes={offset}-"
        with self.get(url, headers) as response:
            if response.status_code == codes.requested_range_not_satisfiable:
                part.unlink()
                raise SourceFailed(
                    f"{redact(url)}: {wanted.name} is shorter than {offset} bytes", wrong_digest=True
                )
            starts = f"bytes {offset}-"
            goes_on = response.status_code == codes.partial_content and response.headers.get(
                "Content-Range", ""
            ).startswith(starts)
            if response.status_code == codes.partial_content and not goes_on:
                part.unlink()
                raise _Interrupted
            done = offset if goes_on else 0
            with part.open("ab" if goes_on else "wb") as stream:
                for chunk in _chunks(response):
                    done += len(chunk)
                    if done > wanted.bytes:
                        raise SourceFailed(
                            f"{redact(url)}: {wanted.name} is longer than {wanted.bytes} bytes",
                            wrong_digest=True,
                        )
                    stream.write(chunk)
                    stream.flush()
                    progress(wanted.name, done, wanted.bytes)


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """Pieces of a body; network trouble becomes :class:`_Interrupted`, so that it is not taken for the disk's."""
    pieces = response.iter_content(PIECE)
    while True:
        try:
            piece = next(pieces, None)
        except requests.RequestException as error:
            raise _Interrupted from error
        if piece is None:
            return
        yield piece


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
