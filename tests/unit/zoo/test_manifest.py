"""Manifests: strict, all faults at once, and the built-in ones are complete."""

import re
from importlib.resources import files

import pytest
from fake_index import manifest, weight

from lineament.core.errors import ManifestError, ModelNotFound
from lineament.zoo.manifest import find_model, list_models, parse_manifest

BUILT_IN = list_models()
GOOD = (files("lineament.zoo") / "models" / "yunet.toml").read_text()


def test_all_faults_are_listed() -> None:
    text = GOOD.replace("bytes = 322906", "bytes = -1\ncolour = 3").replace(
        'task = "detection"', 'task = "x"'
    )
    with pytest.raises(ManifestError) as error:
        parse_manifest(text.replace("std = [1.0", 'std = ["1"'), "bad.toml")
    said = str(error.value)
    assert said.startswith("bad.toml has 4 faults")
    assert all(t in said for t in ("weights.0.bytes", "weights.0.colour", "task", "input.std.0"))


def test_text_that_is_not_toml() -> None:
    with pytest.raises(ManifestError, match=r"bad\.toml is not valid TOML"):
        parse_manifest("name = ", "bad.toml")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('task = "detection"', 'task = "embedding"', "dimension must be set"),
        (
            "[licence]",
            '[[weights]]\nfile = "b"\nsha256 = "' + "0" * 64 + '"\nbytes = 1\n\n[licence]',
            "its own role",
        ),
        ("schema = 1", "schema = 2", "schema"),
        ('name = "yunet"', 'name = "../yunet"', "name"),
        (GOOD[GOOD.index("[[weights]]") : GOOD.index("[licence]")], "weights = []\n", "at least one weight"),
        ('kind = "url"', 'kind = "torrent"', "kind"),
    ],
)
def test_single_faults(old: str, new: str, fault: str) -> None:
    assert old in GOOD
    with pytest.raises(ManifestError, match=fault):
        parse_manifest(GOOD.replace(old, new, 1), "bad.toml")


def test_unknown_model_names_those_of_the_task() -> None:
    with pytest.raises(
        ModelNotFound, match=r"no embedding model is called 'yunet'; there are: .*mobilefacenet"
    ) as e:
        find_model("yunet", "embedding")
    assert "centerface" not in str(e.value)


def test_digest_follows_what_changes_the_output() -> None:
    base = manifest(weight(b"x"))
    same = manifest(weight(b"x"), summary="Other words.", settings={"min_score": 0.5})
    others = [
        manifest(weight(b"y")),
        manifest(weight(b"x", convert="a:b")),
        manifest(weight(b"x", role="other")),
        manifest(weight(b"x"), input=base.input.model_dump() | {"colour": "BGR"}),
    ]
    digests = {m.digest() for m in (base, *others)} | {base.digest("bf16")}
    assert base.digest() == same.digest()
    assert len(digests) == 6


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in(name: str) -> None:
    model = BUILT_IN[name]
    module, _, attribute = model.factory.partition(":")
    package = "demesh" if model.task == "restore" else model.task
    assert module.startswith(f"lineament.{package}.")
    assert attribute[0].isupper()
    assert all(w.convert == "" or w.convert.startswith("lineament.zoo.convert.") for w in model.weights)
    assert (model.task == "embedding") == bool(model.input.template)
    assert all(len(s.archive_sha256) == 64 for w in model.weights for s in w.sources if s.kind == "package")
    # a file that no public place has in these bytes says so
    says = "weights folder only" in model.summary
    assert says == (not all(w.sources for w in model.weights))
    hosts = set(re.findall(r"https?://([^/'\"]+)", repr(model)))
    assert hosts <= {"raw.githubusercontent.com"}


def test_one_archive_for_all_networks_of_a_model() -> None:
    archives = {s.archive_sha256 for w in BUILT_IN["mtcnn"].weights for s in w.sources if s.kind == "package"}
    assert [w.role for w in BUILT_IN["mtcnn"].weights] == ["pnet", "rnet", "onet"]
    assert len(archives) == 1
