"""Ids of subjects and samples that have an address."""

from lineament.core.errors import InputError
from lineament.gallery.types import check_id


def check_address(text: str, name: str) -> str:
    """Return ``text`` when it can be the id of a subject or sample, and the last part of an address.

    Clients and proxies take "." and ".." for steps to another address, however they are encoded: the one of such a
    subject would mean the gallery.

    Args:
        text: the id.
        name: how messages call it.

    Raises:
        InputError: it can be no id, or no part of an address.
    """
    if text in {".", ".."}:
        raise InputError(f'{name} must not be "." or "..", which mean another address; choose another id')
    return check_id(text, name)
