"""Photos become the crops that the geometry gives; an interrupted run ends as an uninterrupted one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from made_packs import MadePack, made_pack

from lineament.core.errors import DataError
from lineament.core.types import Detections
from lineament.curation.align import AlignSettings, AlignWork, Choice, CropRefusal, cut_face
from lineament.curation.tables import write_refusals
from lineament.geometry import ARCFACE_112, align
from lineament.imaging import decode_image, encode_png
from lineament.packs import Record
from lineament.testing import DrawnScene, FakeDetector, Place, draw_scene

HERE = Path(__file__).parent


def scene(seed: int) -> DrawnScene:
    """A large face at the left, a smaller one in the middle."""
    places = [
        Place(seed=seed, x_px=80, y_px=120, size_px=140),
        Place(seed=seed + 100, x_px=205, y_px=120, size_px=90),
    ]
    return draw_scene(240, 400, places, background_seed=seed)


def photos(count: int) -> tuple[MadePack, FakeDetector]:
    """Photos of drawn faces; one without a face and one broken file among them."""
    scenes = [scene(seed) for seed in range(count)]
    rows = [(f"p{k // 3}/{k}.png", encode_png(s.pixels)) for k, s in enumerate(scenes)]
    rows[1:1] = [("p0/bad.png", b"broken"), ("empty/1.png", encode_png(np.zeros((60, 60, 3), np.uint8)))]
    return made_pack(rows), FakeDetector([(s.pixels, s.detections) for s in scenes])


class Stopping(FakeDetector):
    """Is interrupted at the nth picture."""

    def __init__(self, inner: FakeDetector, at: int) -> None:
        self._inner, self.left = inner, at

    def detect(self, images: Sequence[np.ndarray]) -> list[Detections]:
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self._inner.detect(images)


def aligned(pack: MadePack, detector: FakeDetector, settings: AlignSettings, path: Path) -> list[Record]:
    with AlignWork(pack, detector, settings, path) as work:
        work.run()
        return list(work.records())


@pytest.mark.parametrize(("choice", "face"), [(Choice.LARGEST, 0), (Choice.CENTRAL, 1)])
def test_the_crop_is_that_of_the_chosen_face(choice: Choice, face: int) -> None:
    drawn = scene(3)
    got = cut_face(drawn.pixels, drawn.detections, AlignSettings(choice=choice))
    assert isinstance(got, np.ndarray)
    expected = align(drawn.pixels, drawn.detections.points[face], ARCFACE_112).pixels
    np.testing.assert_array_equal(got, expected)


def test_a_chosen_face_that_is_too_small_is_no_reason_to_take_another() -> None:
    drawn = scene(3)
    settings = AlignSettings(choice=Choice.CENTRAL, min_face_px=80)
    reason, detail = cut_face(drawn.pixels, drawn.detections, settings)
    assert reason == CropRefusal.FACE_TOO_SMALL
    assert "at least 80 px" in str(detail)


def test_png_is_without_loss_and_names_subjects_and_order_stay(tmp_path: Path) -> None:
    pack, detector = photos(7)
    settings = AlignSettings(jpeg_quality=None)
    with AlignWork(pack, detector, settings, tmp_path / "w") as work:
        work.run()
        records, refusals, subjects = list(work.records()), work.refusals(), work.subjects()
    assert [r.name for r in records] == [n for n in pack.names if n not in {"p0/bad.png", "empty/1.png"}]
    assert subjects == ["p0", "p1", "p2"]
    assert [subjects[r.label] for r in records] == [r.name.partition("/")[0] for r in records]
    drawn = scene(0)
    expected = align(drawn.pixels, drawn.detections.points[1], ARCFACE_112).pixels
    np.testing.assert_array_equal(decode_image(records[0].image).pixels, expected)
    assert [(r.name, r.subject, r.reason) for r in refusals] == [
        ("p0/bad.png", "p0", CropRefusal.UNREADABLE),
        ("empty/1.png", "empty", CropRefusal.NO_FACE),
    ]
    write_refusals(tmp_path / "r.csv", refusals)
    assert (tmp_path / "r.csv").read_text().splitlines()[2] == "empty/1.png,empty,no_face,no face was found"


def test_the_number_of_workers_does_not_change_the_crops(tmp_path: Path) -> None:
    pack, detector = photos(40)
    one = aligned(pack, detector, AlignSettings(workers=1), tmp_path / "1")
    assert aligned(pack, detector, AlignSettings(workers=3), tmp_path / "3") == one
    assert len(one) == 40


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    pack, detector = photos(50)
    settings = AlignSettings()
    whole = aligned(pack, detector, settings, tmp_path / "whole")
    stopping = Stopping(detector, 33)
    with pytest.raises(KeyboardInterrupt):
        aligned(pack, stopping, settings, tmp_path / "parts")
    counted = Stopping(detector, 1000)
    seen: list[tuple[int, int]] = []
    with AlignWork(pack, counted, settings, tmp_path / "parts") as work:
        work.run(lambda done, total: seen.append((done, total)))
        assert list(work.records()) == whole
        work.remove()
    assert 1000 - counted.left < 25
    assert seen[-1] == (52, 52)
    assert list(tmp_path.glob("parts*")) == []


def test_other_work_is_not_mixed_in(tmp_path: Path) -> None:
    pack, detector = photos(3)
    aligned(pack, detector, AlignSettings(), tmp_path / "w")
    with pytest.raises(DataError, match="other photos, with another detector or other settings"):
        aligned(pack, detector, AlignSettings(jpeg_quality=80), tmp_path / "w")
    fewer = made_pack(list(zip(pack.names, pack.images, strict=True))[:3])
    with pytest.raises(DataError, match="other photos"):
        aligned(fewer, detector, AlignSettings(), tmp_path / "w")
    assert len(aligned(pack, detector, AlignSettings(workers=2), tmp_path / "w")) == 3


def test_two_processes_cannot_hold_one_work_file(tmp_path: Path) -> None:
    pack, detector = photos(1)
    with (
        AlignWork(pack, detector, AlignSettings(), tmp_path / "w"),
        pytest.raises(DataError, match="in use"),
    ):
        AlignWork(pack, detector, AlignSettings(), tmp_path / "w")


def test_a_file_that_is_no_work_file_and_a_folder_that_is_not_there(tmp_path: Path) -> None:
    pack, detector = photos(1)
    (tmp_path / "w").write_bytes(b"something else" * 100)
    with pytest.raises(DataError, match="not a database"):
        AlignWork(pack, detector, AlignSettings(), tmp_path / "w")
    with pytest.raises(DataError, match="cannot be used"):
        AlignWork(pack, detector, AlignSettings(), tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"jpeg_quality": 0}, {"jpeg_quality": 101}, {"workers": 0}, {"min_face_px": 0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"expected|must be"):
        AlignSettings(**wrong)  # type: ignore[arg-type]


SLOW_RUN = """
import sys, time
from pathlib import Path
sys.path[:0] = [{here!r}]
from test_align_pack import AlignSettings, AlignWork, Stopping, photos

class Slow(Stopping):
    def detect(self, images):
        time.sleep(0.02)
        return super().detect(images)

pack, detector = photos(60)
with AlignWork(pack, Slow(detector, 1000), AlignSettings(), Path({path!r})) as work:
    work.run(lambda done, total: print(done, flush=True))
"""


def test_a_killed_process_loses_one_group_at_most(tmp_path: Path) -> None:
    path = tmp_path / "w"
    code = SLOW_RUN.format(here=str(HERE), path=str(path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert int(child.stdout.readline()) == 16
        time.sleep(0.1)
        os.kill(child.pid, signal.SIGKILL)
    pack, detector = photos(60)
    counted = Stopping(detector, 1000)
    with AlignWork(pack, counted, AlignSettings(), path) as work:
        work.run()
        assert 1000 - counted.left <= 61 - 15
        resumed = list(work.records())
    assert resumed == aligned(pack, detector, AlignSettings(), tmp_path / "whole")
