"""``lineament evaluate verification --html``: from pictures to a page, and the report behind it to a comparison."""

import json
import zipfile
from pathlib import Path

import pytest

from lineament.cli.app import run
from lineament.evaluation.trials import read_pairs

pytestmark = [pytest.mark.weights, pytest.mark.shared]
HARD = {300: 165, 2400: 87}
"""Where to begin in two blocks, so that a pair of two alike and a pair of two unlike pictures come in."""


@pytest.fixture(scope="module")
def view2(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve mated and twelve non-mated pairs of each fold: enough for a false match rate of 1 %."""
    source, folder = shared / "data" / "lfw_aligned112", tmp_path_factory.mktemp("page")
    lines = (source / "pairs.txt").read_text().splitlines()
    starts = [start + HARD.get(start, 0) for fold in range(10) for start in (600 * fold, 600 * fold + 300)]
    keep = [1 + start + k for start in starts for k in range(12)]
    (folder / "pairs.txt").write_text("\n".join(["10 12", *(lines[k] for k in keep)]) + "\n")
    (archive,) = source.glob("*.zip")
    with zipfile.ZipFile(archive) as whole, zipfile.ZipFile(folder / "pictures.zip", "w") as some:
        for name in read_pairs(folder / "pairs.txt").samples:
            some.writestr(name, whole.read(name))
    return folder


def test_from_pictures_to_a_page_and_a_comparison(
    view2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, report = tmp_path / "page.html", tmp_path / "report.json"
    models = [word for name in ("mobilefacenet", "mobilefacenet+flip") for word in ("--model", name)]
    command = ["evaluate", "verification", "--data", str(view2), *models, "--report", str(report)]
    assert run([*command, "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert "mobilefacenet+flip minus mobilefacenet, paired: 120 mated and 120 non-mated" in said
    text = page.read_text()
    assert text.count("data:image/png") == 4
    assert "data:image/jpeg" not in text
    assert all(word in text for word in ("Do the systems differ?", "TAR at FAR 0.01", "sha256"))

    assert run([*command, "--html", str(page), "--thumbnails", "1"]) == 0
    capsys.readouterr()
    shown = page.read_text()
    names = {name.partition("/")[0] for name in read_pairs(view2 / "pairs.txt").samples}
    assert shown.count("data:image/jpeg") >= 4
    assert [name for name in names if name in shown] == []

    both = json.loads(report.read_text())
    for name, document in zip(("a", "b"), both, strict=True):
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    assert run(["report", "diff", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert "Same data, comparisons and draws" in found["notes"][0]
    assert {figure["basis"] for figure in found["figures"][:2]} == {"paired"}
