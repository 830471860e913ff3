"""What commands that remove people say and write: signed receipts, and where copies may be left."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lineament.cli.common import require_folder
from lineament.cli.output import note, save_text
from lineament.core.errors import InputError

if TYPE_CHECKING:
    from lineament.gallery import RemovalReceipt


def new_receipt(value: Path | None) -> Path | None:
    """Check the name of a receipt before anything is removed."""
    if value is not None:
        if value.exists():
            raise typer.BadParameter(f"{value} exists; choose another name", param_hint="--receipt")
        require_folder(value)
    return value


def receipt_json(receipt: "RemovalReceipt") -> dict[str, Any]:
    """A receipt as it is written to its file."""
    document: dict[str, Any] = json.loads(receipt.to_json())
    return document


def save_receipts(receipts: Mapping[Path, "RemovalReceipt"]) -> None:
    """Write receipts to files. The gallery keeps none, so those that cannot be written go to stderr.

    Raises:
        InputError: one cannot be written.
    """
    failed: list[InputError] = []
    for path, receipt in receipts.items():
        try:
            save_text(path, receipt.to_json() + "\n", "receipt")
        except InputError as error:
            failed.append(error)
            note(f"this receipt was not written, keep it: {receipt.to_json()}")
    if failed:
        raise failed[0]


def receipt_name(receipt: "RemovalReceipt") -> str:
    """A file name after the number of its first sample, which no other receipt has."""
    return f"removal-{receipt.uids[0]}.json"


def warn(receipts: Sequence["RemovalReceipt"], purged: bool) -> None:
    """Tell people where removed samples may still be."""
    if not purged:
        note("another process still reads the gallery; the bytes are overwritten when it closes")
    copies = {copy.path for receipt in receipts for copy in receipt.copies}
    if copies:
        note(
            f"{len(copies)} known {'copy' if len(copies) == 1 else 'copies'} may still hold what was removed; "
            'see "lineament gallery copies"'
        )
