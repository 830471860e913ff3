"""Requests to a service: keys, waiting when it is busy, and its errors as those of the library."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from lineament.core import errors

_ERRORS: Mapping[str, type[Exception]] = {
    "invalid_request": ValueError,
    "image_unreadable": errors.DecodeError,
    "image_too_large": errors.ImageTooLarge,
    "body_too_large": errors.ImageTooLarge,
    "input_unusable": errors.InputError,
    "not_calibrated": errors.NotCalibrated,
    "model_not_found": errors.ModelNotFound,
    "key_required": errors.AccessDenied,
    "access_denied": errors.AccessDenied,
    "rate_limited": errors.EngineBusy,
    "busy": errors.EngineBusy,
    "subject_not_found": errors.SubjectNotFound,
    "gallery_not_found": errors.GalleryNotFound,
    "space_mismatch": errors.EmbeddingSpaceMismatch,
    "gallery_conflict": errors.GalleryError,
    "gallery_corrupt": errors.GalleryCorrupt,
}
"""What a code of the service raises here; any other one is a ``ServiceError``."""
_COME_AGAIN = (429, 503)

Files = Mapping[str, tuple[str, bytes]]


class Failure(Exception):
    """An answer that is not a success.

    Attributes:
        code: stable name of the kind of error.
        message: for people.
        details: faults one by one.
    """

    def __init__(self, code: str, message: str, details: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details = details

    def as_error(self) -> Exception:
        """The error that the library raises for it."""
        return _ERRORS.get(self.code, errors.ServiceError)(self.message)


class Connection:
    """Connections to one service. Not to be shared by threads.

    Args:
        address: "http://host:port".
        key: API key; empty for a service without.
        timeout_s: longest wait for a connection, and for each piece of an answer.
        patience_s: how long to try again when the service says that it is busy or not ready.

    Raises:
        ValueError: not such an address, or no such key; the message does not hold it.
    """

    def __init__(self, address: str, key: str, timeout_s: float, patience_s: float) -> None:
        if not address.startswith(("http://", "https://")):
            raise ValueError(f"expected an address like http://localhost:8000, got {address!r}")
        self._address = address.rstrip("/")
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        key = key.strip()
        if not all("!" <= c <= "~" for c in key):
            raise ValueError(
                "expected an API key of letters, digits and signs, got one with white space or other characters in "
                "it; check that it is whole and alone"
            )
        self._session = requests.Session()
        self._session.auth = _Bearer(key)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def call(self, method: str, path: str, **body: Any) -> Any:
        """The document of an answer; None for an empty one.

        Args:
            method: HTTP method.
            path: from "/v1" on.
            body: ``params``, ``json``, ``files`` and ``data`` as ``requests`` takes them.

        Raises:
            Exception: as the library raises for the code of the answer.
            ServiceError: the service cannot be reached, or answers something else.
        """
        try:
            return self.ask(method, path, **body)
        except Failure as failure:
            raise failure.as_error() from None

    def ask(self, method: str, path: str, **body: Any) -> Any:
        """As :meth:`call`, with the answer's own error.

        Raises:
            Failure: an answer that is not a success.
            ServiceError: the service cannot be reached, or answers something else.
        """
        until = time.monotonic() + self._patience_s
        while True:
            answer = self._send(method, path, body)
            if answer.ok:
                return None if answer.status_code == 204 else _document(answer)
            again_s = _seconds(answer.headers.get("Retry-After", ""))
            if answer.status_code not in _COME_AGAIN or time.monotonic() + again_s > until:
                raise _failure(answer)
            time.sleep(again_s)

    def answers(self, path: str) -> bool:
        """Whether a GET of ``path`` succeeds; it is tried once."""
        try:
            return self._send("GET", path, {}).ok
        except errors.ServiceError:
            return False

    def pages(self, path: str, member: str, **params: Any) -> Iterator[Any]:
        """The entries of all pages.

        Args:
            path: from "/v1" on.
            member: of the document, with the entries.
            params: of each request.
        """
        after: object = None
        while True:
            given = params if after is None else params | {"after": after}
            document = self.call("GET", path, params=given)
            yield from document[member]
            after = document["next"]
            if after is None:
                return

    def _send(self, method: str, path: str, body: Mapping[str, Any]) -> requests.Response:
        try:
            return self._session.request(
                method, self._address + path, timeout=self._timeout_s, allow_redirects=False, **body
            )
        except requests.Timeout as error:
            raise errors.ServiceError(
                f"{self._address} did not answer within {self._timeout_s:g} s; allow more, or try again later"
            ) from error
        except requests.RequestException as error:
            raise errors.ServiceError(
                f"{self._address} cannot be reached ({type(error).__name__}); check the address, and whether "
                '"lineament serve" runs'
            ) from error


class _Bearer(requests.auth.AuthBase):
    """Shows the key and nothing else: without it, an entry of ~/.netrc would go out in its place."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _document(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except requests.JSONDecodeError as error:
        raise errors.ServiceError(
            f"expected JSON from the service, got {answer.headers.get('Content-Type', 'something else')}; check "
            "that the address is one of lineament"
        ) from error


def _failure(answer: requests.Response) -> Failure:
    try:
        document = _document(answer)
        error = document["error"]
        message = f"{error['message']} (request {document['request_id']})"
        return Failure(error["code"], message, error["details"])
    except (errors.ServiceError, LookupError, TypeError):
        return Failure(
            "unknown", f"the service answered with status {answer.status_code} and no known error", []
        )


def _seconds(text: str) -> float:
    """Retry-After in s; a second when it is no number."""
    return float(text) if text.isdigit() else 1.0
