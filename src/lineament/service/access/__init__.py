"""Who may do what: keys with scopes and galleries, rate limits, and where a service may listen.

A resource asks for a scope with ``Depends(require(Scope.MATCH))`` and gets a :class:`Caller`. The names below are
imported when they are first used: keys are made and listed without the web framework.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineament.service.access.binding import allow_origins, check_bind, check_origins
    from lineament.service.access.guard import (
        GALLERY_PARAMETER,
        Access,
        Caller,
        KeyRequired,
        RateLimited,
        require,
    )
    from lineament.service.access.keys import ApiKey, KeyFile, Scope
    from lineament.service.access.limits import TokenBuckets

_HOMES = {
    "GALLERY_PARAMETER": "guard",
    "Access": "guard",
    "ApiKey": "keys",
    "Caller": "guard",
    "KeyFile": "keys",
    "KeyRequired": "guard",
    "RateLimited": "guard",
    "Scope": "keys",
    "TokenBuckets": "limits",
    "allow_origins": "binding",
    "check_bind": "binding",
    "check_origins": "binding",
    "require": "guard",
}

__all__ = [
    "GALLERY_PARAMETER",
    "Access",
    "ApiKey",
    "Caller",
    "KeyFile",
    "KeyRequired",
    "RateLimited",
    "Scope",
    "TokenBuckets",
    "allow_origins",
    "check_bind",
    "check_origins",
    "require",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'lineament.service.access' has no attribute {name!r}")
    return getattr(import_module(f"lineament.service.access.{_HOMES[name]}"), name)
