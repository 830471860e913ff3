"""The report on mesh removal: seeded data, formulas against slow ones, and the whole command on a few pairs."""

import json
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skimage.data import astronaut

from lineament.core.errors import DataError, ManifestError
from lineament.evaluation.trials import Trials

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


def save_graph(path: Path, restored: str = "restored") -> Path:
    """A restorer that changes nothing; the darker a pixel, the surer it is of ink."""
    names = [("pictures", 3), (restored, 3), ("mask", 1)]
    taken, *made = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, "height", "width"])
        for name, channels in names
    )
    nodes = [
        helper.make_node("Identity", ["pictures"], [restored]),
        helper.make_node("ReduceMean", ["pictures"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["one", "mean"], ["mask"]),
    ]
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    graph = helper.make_graph(nodes, "identity", [taken], made, [one])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def crops(count: int) -> np.ndarray:
    """(count, 112, 112, 3) windows of a picture."""
    picture = astronaut()
    return np.stack([picture[k : k + 112, 100 + 3 * k : 212 + 3 * k] for k in range(count)])


def test_meshes_follow_names_whatever_else_is_drawn() -> None:
    from benchmarks.mesh_data import CONDITIONS, INK_SHARE, lay_mesh

    clean = crops(4)
    names = ("a", "b", "c", "d")
    for condition in CONDITIONS:
        whole = lay_mesh(clean, names, condition)
        part = lay_mesh(clean[2:3], names[2:3], condition)
        assert np.array_equal(whole.pixels[2], part.pixels[0])
        assert np.array_equal(whole.ink[2], part.ink[0])
        assert 0.01 < whole.ink.mean() < 0.6
        assert np.abs(whole.pixels.astype(int) - clean).mean() > 1
    assert 0 < INK_SHARE < 1
    assert len({c.name for c in CONDITIONS}) == len(CONDITIONS) == 5


def test_some_pairs_are_the_first_of_each_kind_in_each_fold(shared: Path) -> None:
    from benchmarks.mesh_data import read_lfw

    from lineament.evaluation.trials import read_pairs

    folder = shared / "data" / "lfw_aligned112"
    lfw = read_lfw(folder, 60)
    every = read_pairs(folder / "pairs.txt")
    expected = [
        tuple(every.samples[s] for s in every.pairs[k])
        for fold in range(10)
        for k in [*range(600 * fold, 600 * fold + 3), *range(600 * fold + 300, 600 * fold + 303)]
    ]
    assert [tuple(lfw.trials.samples[s] for s in pair) for pair in lfw.trials.pairs] == expected
    assert [lfw.reference_names[k] for k in lfw.place] == [first for first, _ in expected]
    assert np.bincount(lfw.trials.folds).tolist() == [6] * 10
    assert lfw.crops.shape == (len(lfw.trials.samples), 112, 112, 3)
    with pytest.raises(DataError, match="20 to 6,000 pairs"):
        read_lfw(folder, 19)


def test_intersection_over_union_is_that_of_all_pixels() -> None:
    from benchmarks.mesh_pictures import mask_iou

    rng = np.random.default_rng(0)
    found, ink = rng.random((2, 3, 5, 7)) < 0.4
    both = sum(bool(f and i) for f, i in zip(found.ravel(), ink.ravel(), strict=True))
    either = sum(bool(f or i) for f, i in zip(found.ravel(), ink.ravel(), strict=True))
    assert mask_iou(found, ink) == both / either
    assert mask_iou(found & False, ink & False) == 1


def test_a_detector_is_counted_at_its_threshold() -> None:
    from benchmarks.mesh_methods import Restored
    from benchmarks.mesh_pictures import detector

    rng = np.random.default_rng(1)
    clean, meshed = rng.random(500) * 0.6, 0.4 + rng.random(200) * 0.6
    blank = np.zeros((500, 1, 1, 3), np.uint8)
    made = detector("net", 0.5, Restored(blank, clean, blank[..., 0] > 0), {"sines": meshed})
    assert made.touched == sum(s >= 0.5 for s in clean) / 500
    assert made.low is not None
    assert made.high is not None
    assert made.low < made.touched < made.high
    assert np.mean(clean > made.clean_quantile) <= 0.001
    (one,) = made.conditions
    assert one.found == sum(s >= 0.5 for s in meshed) / 200
    assert one.auc == pytest.approx(np.mean([(m > c) for m in meshed for c in clean]))
    without = detector("net", None, Restored(blank, clean, blank[..., 0] > 0), {"sines": meshed})
    assert (without.touched, without.conditions[0].found) == (None, None)
    assert without.conditions[0].auc == one.auc


def test_false_matches_are_all_pairs_of_two_people_at_the_threshold() -> None:
    from benchmarks.mesh_scores import false_matches

    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((40, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    subjects = rng.integers(0, 9, 40).astype(np.int32)
    references = vectors[:15] + np.float32(0.1)
    found = false_matches(references, vectors, subjects[:15], subjects, (0.3, 0.7))
    for (a, b), threshold in zip(found, (0.3, 0.7), strict=True):
        expected = [
            (subjects[i], subjects[j])
            for i in range(15)
            for j in range(40)
            if subjects[i] != subjects[j] and references[i] @ vectors[j] >= threshold
        ]
        assert list(zip(a, b, strict=True)) == expected


class Means:
    """An embedder by the means of blocks: enough of a face to tell windows of a picture apart."""

    name = space = "means"

    def embed(self, pixels: np.ndarray) -> np.ndarray:
        small = pixels.reshape(len(pixels), 7, 16, 7, 16, 3).mean((2, 4)).reshape(len(pixels), -1)
        small -= small.mean(1, keepdims=True)
        return np.asarray(small / np.linalg.norm(small, axis=1, keepdims=True), np.float32)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch):
    """Forty people with three windows of one place each, and a recogniser of them."""
    from benchmarks import mesh_scores
    from benchmarks.mesh_data import Lfw

    rng = np.random.default_rng(3)
    picture = astronaut()
    corners = rng.integers(3, 512 - 112 - 3, (40, 2))
    moved = corners[:, None] + rng.integers(-3, 4, (40, 3, 2))
    windows = np.stack([picture[y : y + 112, x : x + 112] for y, x in moved.reshape(-1, 2)])
    subjects = np.repeat(np.arange(40), 3)
    first, second = np.triu_indices(120, 1)
    mated = subjects[first] == subjects[second]
    others = rng.choice(np.flatnonzero(~mated), 1000, replace=False)
    chosen = np.concatenate([np.flatnonzero(mated), others])
    pairs = np.stack([first[chosen], second[chosen]], axis=1).astype(np.int32)
    names = tuple(f"{s:02d}/{k}" for k, s in enumerate(subjects))
    folds = (np.arange(len(chosen)) % 10).astype(np.int32)
    trials = Trials("made up", names, tuple(f"{s:02d}" for s in subjects), pairs, folds)
    references, place = np.unique(pairs[:, 0], return_inverse=True)
    monkeypatch.setattr(
        mesh_scores,
        "crop_system",
        lambda _name: SimpleNamespace(embedder=Means(), used=SimpleNamespace(weights=()), how="means"),
    )
    return Lfw(trials, windows, references, place, "0" * 64), mesh_scores.Recogniser


def spoilt(clean: np.ndarray) -> np.ndarray:
    """Every other picture lost in noise."""
    pixels = clean.copy()
    pixels[::2] = np.random.default_rng(0).integers(0, 256, pixels[::2].shape, np.uint8)
    return pixels


def test_rates_of_a_row_equal_slow_counts(made_up) -> None:
    lfw, recogniser_of = made_up
    recogniser = recogniser_of("means", lfw)
    clean_row = recogniser.clean()
    meshed = spoilt(lfw.crops[lfw.references])
    floor = recogniser.verified(meshed, "seen family", "", recogniser)
    again = recogniser.verified(meshed, "seen family", "nothing", recogniser)
    perfect = recogniser.verified(lfw.crops[lfw.references], "seen family", "perfect", recogniser)

    embed = Means().embed
    vectors, references = embed(lfw.crops), embed(meshed)
    subjects = lfw.trials.subject_of_sample
    mated = lfw.trials.mated

    def similarities(of_references: np.ndarray) -> list[float]:
        return [
            float(of_references[at] @ vectors[second])
            for at, (_, second) in zip(lfw.place, lfw.trials.pairs, strict=True)
        ]

    before, now = (np.array(similarities(v)) for v in (vectors[lfw.references], references))
    for rate in floor.rates:
        observed = sorted({*before[~mated], math.inf})
        held = next(t for t in observed if np.mean(before[~mated] >= t) <= rate.far)
        assert rate.fixed_fmr == np.mean(now[~mated] >= held)
        assert rate.fixed_tar == np.mean(now[mated] >= held)
        everything = sorted({*now, math.inf})
        own = next(t for t in everything if np.mean(now[~mated] >= t) <= rate.far)
        assert rate.tar == pytest.approx(np.mean(now[mated] >= own))
        assert rate.low <= rate.tar <= rate.high
        assert rate.gap is None
    assert floor.impostor_similarity == pytest.approx(now[~mated].mean())
    for row in floor.impostors:
        apart = subjects[lfw.references][:, None] != subjects
        scores = (vectors[lfw.references] @ vectors.T)[apart]
        held = next(t for t in sorted({*scores, math.inf}) if np.mean(scores >= t) <= row.fmr_asked)
        assert row.threshold == held
        assert row.n == apart.sum()
        assert row.fmr == np.mean((references @ vectors.T)[apart] >= held)
    for closed, share in ((again, 0.0), (perfect, 1.0)):
        for rate in closed.rates:
            assert rate.gap is not None
            assert (rate.gap.value, rate.gap.low, rate.gap.high) == (share, share, share)
    assert perfect.rates[0].tar == clean_row.rates[0].tar > floor.rates[0].tar
    assert [i.fmr for i in perfect.impostors] == [i.fmr for i in clean_row.impostors]
    assert not any(i.rises for i in perfect.impostors)


def test_crops_that_the_cache_knows_are_not_embedded_again(tmp_path: Path) -> None:
    from benchmarks.mesh_scores import embedded

    from lineament.embedding.cache import EmbeddingCache

    class Counting(Means):
        seen = 0

        def embed(self, pixels: np.ndarray) -> np.ndarray:
            self.seen += len(pixels)
            return super().embed(pixels)

    cache, embedder, pixels = EmbeddingCache(tmp_path, "means", "crops"), Counting(), crops(70)
    expected = Means().embed(pixels)
    assert np.allclose(embedded(embedder, pixels, cache), expected, atol=1e-6)
    assert embedder.seen == 70
    assert np.allclose(embedded(embedder, pixels[::-1], cache), expected[::-1], atol=1e-6)
    assert embedder.seen == 70
    assert np.allclose(embedded(embedder, pixels), expected, atol=1e-6)


def test_a_recogniser_trained_under_mesh_is_judged_by_the_gap_of_its_base(made_up) -> None:
    lfw, recogniser_of = made_up
    base, trained = recogniser_of("means", lfw), recogniser_of("other", lfw, "means")
    meshed = spoilt(lfw.crops[lfw.references])
    base.verified(meshed, "seen family", "", base)
    alone = trained.verified(meshed, "seen family", "", base)
    helped = trained.verified(lfw.crops[lfw.references], "seen family", "perfect", base)
    assert (alone.recogniser, alone.embedder) == ("means", "other")
    assert [rate.gap.value for rate in alone.rates if rate.gap] == [0.0] * len(alone.rates)
    assert [rate.gap.value for rate in helped.rates if rate.gap] == [1.0] * len(helped.rates)


def test_a_graph_is_measured_as_what_it_is(tmp_path: Path) -> None:
    from benchmarks.mesh_methods import graph_method, milliseconds, take_off

    path = save_graph(tmp_path / "identity.onnx")
    method = graph_method("identity", path, 0.25)
    assert (method.parameters, method.bytes, method.threshold) == (1, path.stat().st_size, 0.25)
    pictures = crops(35)
    made = take_off(method.remover, pictures)
    assert np.array_equal(made.pixels, pictures)
    darkness = 1 - pictures.mean(-1) / 255
    clear = np.abs(darkness - 0.5) > 1e-6
    assert np.array_equal(made.masks[clear], (darkness >= 0.5)[clear])
    highest = [np.sort(d.ravel())[-round(112 * 112 / 10) :].mean() for d in darkness]
    assert made.scores == pytest.approx(highest, abs=1e-6)
    assert milliseconds(method.timed, pictures[0]) > 0
    with pytest.raises(ManifestError, match="restored"):
        graph_method("other", save_graph(tmp_path / "other.onnx", "something"))


def test_a_sheet_is_small_and_seeded() -> None:
    from benchmarks.mesh_pictures import SHEET_BYTES, sheet, sheet_places

    from lineament.imaging import decode_image

    noise = np.random.default_rng(0).integers(0, 256, (38, 112, 112, 3), np.uint8)
    data = sheet(noise, noise, noise)
    assert len(data) <= SHEET_BYTES
    assert decode_image(data).pixels.shape == (10 * 116, 4 * (3 * 112 + 4), 3)
    assert len(set(sheet_places(5000).tolist())) == 40
    assert sheet_places(7).tolist() == list(range(7))


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.weights
def test_the_command_reports_a_network_that_does_nothing_as_the_floor(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmarks import mesh_removal

    monkeypatch.setenv("LINEAMENT_WEIGHTS", str(shared / "weights"))
    graph = save_graph(tmp_path / "identity.onnx")
    out, page, pictures = tmp_path / "m.json", tmp_path / "m.html", tmp_path / "m.jpg"
    arguments = ["--lfw", str(shared / "data" / "lfw_aligned112"), "--pairs", "60", "--json", str(out)]
    arguments += ["--method", f"identity={graph}", "--threshold", "identity=0.0", "--html", str(page)]
    arguments += ["--recogniser", "mobilefacenet", "--sheet", str(pictures)]
    monkeypatch.setattr(sys, "argv", ["mesh_removal", *arguments])
    mesh_removal.main()
    report = json.loads(out.read_text())
    rows = {(r["condition"], r["method"]): r for r in report["verified"]}
    assert len(rows) == 1 + 5 * 5
    for condition in {c for c, _ in rows if c}:
        floor, same = rows[condition, ""], rows[condition, "identity"]
        assert same["accuracy"] == floor["accuracy"]
        assert same["impostors"] == floor["impostors"]
    for likeness in report["likeness"]:
        assert 10 < likeness["psnr_ink_db"] < likeness["psnr_db"] < 40
    (found,) = report["detectors"]
    assert found["touched"] == 1
    assert [one["found"] for one in found["conditions"]] == [1] * 5
    assert {m["name"] for m in report["methods"]} == {"median-5", "telea", "notch", "identity"}
    assert "clean pictures touched, identity" in out.with_suffix(".md").read_text()
    assert "mobilefacenet, seen family" in page.read_text()
    assert pictures.stat().st_size <= 400_000
