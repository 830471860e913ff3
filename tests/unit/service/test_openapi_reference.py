"""The OpenAPI document that is committed is the one that the service gives."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_reference_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    committed = (ROOT / "docs" / "reference" / "openapi.json").read_text(encoding="utf-8")
    assert committed == generator.http().rstrip() + "\n", "run `make docs`"
