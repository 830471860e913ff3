"""The door: who calls, whether they may, and whether they come too often."""

import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from lineament.core.errors import AccessDenied, ServiceError
from lineament.service.access.binding import is_loopback_name
from lineament.service.access.keys import ApiKey, KeyFile, Scope
from lineament.service.access.limits import TokenBuckets

GALLERY_PARAMETER = "gallery"
"""Name of the path parameter that names a gallery; :func:`require` checks it on every route that has it."""

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(:[0-9]+)?")
_bearer = HTTPBearer(
    scheme_name="key",
    description='An API key, made with "lineament keys create".',
    bearerFormat="lineament_<id>_<secret>",
    auto_error=False,
)


class KeyRequired(AccessDenied):
    """No key, or one that does not work: 401, where a plain :class:`AccessDenied` is 403."""


class RateLimited(ServiceError):
    """A key came too often: 429.

    Attributes:
        retry_after_s: when the next request would pass, whole s.
    """

    def __init__(self, message: str, retry_after_s: int) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request.

    Attributes:
        key: the key that was shown; None on a service without keys, where everything is allowed.
    """

    key: ApiKey | None = None

    @property
    def key_id(self) -> str:
        """Id of the key for logs; empty on a service without keys."""
        return "" if self.key is None else self.key.key_id

    def may_touch(self, gallery: str) -> bool:
        """Whether the key may touch this gallery; lists leave out the others."""
        return self.key is None or self.key.galleries is None or gallery in self.key.galleries

    def check_gallery(self, gallery: str) -> None:
        """Insist on :meth:`may_touch`; says the same whether the gallery is there or not.

        Raises:
            AccessDenied: the key is for other galleries.
        """
        if not self.may_touch(gallery):
            raise AccessDenied("the key may not touch this gallery; use a key that names it")

    def check_scope(self, scope: Scope) -> None:
        """Insist on a scope.

        Raises:
            AccessDenied: the key has not got it.
        """
        if self.key is not None and scope not in self.key.scopes:
            raise AccessDenied(f"the key has no scope {scope}; it has {', '.join(sorted(self.key.scopes))}")


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of one service; ``create_app`` puts it at ``app.state.access``.

    Attributes:
        keys: the keys; None for a service without, which only this machine may reach (:func:`check_bind`).
        origins: origins of other web pages that may call (:func:`check_origins`).
        buckets: rate limits of the keys.
        clock: gives s since 1970 UTC.
    """

    keys: KeyFile | None = None
    origins: frozenset[str] = frozenset()
    buckets: TokenBuckets = field(default_factory=TokenBuckets)
    clock: Callable[[], float] = time.time

    def admit(self, text: str | None) -> Caller:
        """Who shows this key.

        Args:
            text: what stood after "Bearer"; None when nothing did.

        Raises:
            KeyRequired: no key, or one that does not work.
            RateLimited: a key that came too often.
            ConfigError: the key file cannot be read.
        """
        if self.keys is None:
            return Caller()
        if text is None:
            raise KeyRequired('a key is needed: send the header "Authorization: Bearer KEY"')
        key = self.keys.find(text)
        if key is None:
            raise KeyRequired("this is no key of this service; check that it is whole")
        fault = key.fault_at(self.clock())
        if fault:
            raise KeyRequired(f"the key {key.key_id} {fault}; ask for another one")
        wait_s = self.buckets.take(key.key_id, per_second=key.per_minute / 60.0, burst=key.burst)
        if wait_s:
            raise RateLimited(
                f"the key {key.key_id} may make {key.per_minute:g} requests a minute, {key.burst} at once; wait",
                max(1, math.ceil(wait_s)),
            )
        return Caller(key)

    def check_page(self, request: Request) -> None:
        """Keep the pages of other sites away from a service that asks for no key.

        A browser sends simple requests of any page to any address, this machine included, and a name server can let
        a foreign name mean this machine; only a key, or these headers, tell such requests from wanted ones.

        Raises:
            AccessDenied: the request was not addressed to this machine by name, or a page of another origin made it.
        """
        if self.keys is not None:
            return
        host = request.headers.get("host", "")
        named = _HOST.fullmatch(host)
        if named is None or not is_loopback_name(named[1]):
            raise AccessDenied("a service without keys answers only to localhost and loopback addresses")
        origin = request.headers.get("origin")
        if origin is not None and origin not in self.origins | {f"http://{host}", f"https://{host}"}:
            raise AccessDenied(
                "a page of another origin may not call this service; see allowed origins in its settings"
            )


def require(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A FastAPI dependency that lets only callers with a scope through, and only to the galleries of their key.

    ::

        @router.post("/v1/verify")
        def verify(caller: Annotated[Caller, Depends(require(Scope.MATCH))], ...) -> ...:

    It reads ``app.state.access`` and leaves the caller at ``request.state.caller``. It counts the request against
    the rate of the key, so a route has one such dependency. A path parameter called :data:`GALLERY_PARAMETER` is
    checked here; a route that takes a gallery by another way calls :meth:`Caller.check_gallery`.

    Args:
        scope: what the key must be for.
    """

    async def guard(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> Caller:
        access: Access = request.app.state.access
        access.check_page(request)
        caller = access.admit(credentials.credentials if credentials else None)
        request.state.caller = caller
        caller.check_scope(scope)
        if GALLERY_PARAMETER in request.path_params:
            caller.check_gallery(request.path_params[GALLERY_PARAMETER])
        return caller

    return guard
