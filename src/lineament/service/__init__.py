"""HTTP: one engine for a team; an application factory and one file for each resource.

>>> from lineament.service import ServiceConfig, create_app
>>> app = create_app(ServiceConfig.read("lineament.toml"))                              # doctest: +SKIP

The names below are imported when they are first used, so that commands for keys and the audit log start quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lineament.service.app import create_app
    from lineament.service.config import ServiceConfig

_HOMES = {"ServiceConfig": "config", "create_app": "app"}

__all__ = ["ServiceConfig", "create_app"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'lineament.service' has no attribute {name!r}")
    return getattr(import_module(f"lineament.service.{_HOMES[name]}"), name)
