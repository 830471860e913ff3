"""Where a service without keys may listen, and which web pages may call one."""

import ipaddress
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from lineament.core.errors import ConfigError
from lineament.service.access.keys import KeyFile


def check_bind(host: str, keys: KeyFile | None) -> None:
    """Refuse to serve others than this machine without a key that works.

    Args:
        host: name or address to listen on; empty for all.
        keys: the keys of the service; None when it has none.

    Raises:
        ConfigError: ``host`` can be reached from elsewhere (or is unknown) and no key works, or the key file cannot
            be read.
    """
    active = keys.active() if keys is not None else ()
    if not active and not _stays_here(host):
        raise ConfigError(
            f"{host or 'every address'} can be reached from other machines and no key works: make one with "
            '"lineament keys create NAME --scope match", or listen on 127.0.0.1'
        )


def check_origins(origins: Sequence[str]) -> frozenset[str]:
    """Origins of web pages as browsers send them: ``https://pages.example``, with a port where it is not the usual one.

    Raises:
        ConfigError: one is no origin ("*" is none: name the pages); lists all such.
    """
    wrong = [origin for origin in origins if not _is_origin(origin)]
    if wrong:
        raise ConfigError(
            f"allowed origins must be like https://pages.example or http://localhost:5173, got {', '.join(wrong)}"
        )
    return frozenset(origins)


def allow_origins(app: FastAPI, origins: frozenset[str]) -> None:
    """Let pages of these origins call the service from a browser; with none, no page of another origin can.

    Cookies and other credentials of the browser are never accepted: a page has to send a key.

    Args:
        app: the service.
        origins: what :func:`check_origins` gave.
    """
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=sorted(origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-Request-Id"],
            expose_headers=["X-Request-Id", "Retry-After"],
        )


def is_loopback_name(host: str) -> bool:
    """Whether a host name or address literal means this machine whatever a name server says."""
    bare = host.strip("[]").rstrip(".").lower()
    if bare == "localhost" or bare.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _stays_here(host: str) -> bool:
    """Whether every address of ``host`` is a loopback address."""
    if is_loopback_name(host):
        return True
    if not host:
        return False
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return bool(found) and all(is_loopback_name(str(entry[4][0])) for entry in found)


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        shown = f"{parts.scheme}://{parts.netloc}"
        has_host = bool(parts.hostname) and "@" not in parts.netloc and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    return text == shown.lower() and parts.scheme in {"http", "https"} and has_host and "*" not in text
