"""Fixtures that every test folder shares."""

import os
from pathlib import Path

import pytest

# models that somebody added on this machine are no part of any test
os.environ["LINEAMENT_MODELS"] = os.devnull


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the research data: ``LINEAMENT_SHARED``, by default beside the checkout."""
    default = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("LINEAMENT_SHARED", default))
    if not (folder / "data" / "MANIFEST.tsv").is_file():
        message = f"research data not found in {folder}: set LINEAMENT_SHARED"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
