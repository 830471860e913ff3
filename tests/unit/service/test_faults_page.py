"""The table of faults names tests that are there, in every row."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FILES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}


def test_every_row_names_a_test() -> None:
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    rows = [row for row in page.splitlines() if row.startswith("| ") and not row.endswith("| test |")]
    assert len(rows) > 30
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row.rpartition(" | ")[2])
        assert named, row
        assert [name for name, test in named if f"def {test}(" not in FILES.get(name, "")] == [], row
