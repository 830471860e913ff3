"""Detection, templates, models, calibration records, reports, health and metrics over HTTP."""

import asyncio
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from service_client import Client, encoded, png, serving, settings

from drawn_people import SCENES, drawn_pipeline, image
from lineament.core.errors import ModelError, WeightsMissing
from lineament.core.types import Face
from lineament.pipeline import Engine
from lineament.service import calibration, create_app
from lineament.service.config import LimitSettings, ReportSettings
from lineament.zoo.calibration import calibrated_spaces, load_calibration
from lineament.zoo.manifest import list_models

REPORTS = Path(__file__).resolve().parents[3] / "reports"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder = tmp_path_factory.mktemp("service")
    shown = folder / "reports"
    shown.mkdir()
    shutil.copy(REPORTS / "detection-det_facemask.json", shown)
    (shown / "other.json").write_text('{"no": "report"}')
    (shown / "broken.json").write_text("{")
    (folder / "outside.json").write_text((shown / "detection-det_facemask.json").read_text())
    with serving(settings(folder, reports=ReportSettings(folder=shown))) as client:
        yield client


@pytest.mark.parametrize("name", SCENES)
def test_detect_agrees_with_the_library(client: Client, name: str) -> None:
    expected = drawn_pipeline().detect(image(name))
    answer = client.post("/v1/detect", files={"picture": png(name)})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["height"], found["width"]) == expected.pixels.shape[:2]
    assert found["rotation_deg"] == expected.rotation_deg
    assert found["detected"] == len(found["faces"]) == len(expected.detections)
    for face, (box, points) in zip(
        found["faces"], zip(expected.detections.boxes, expected.detections.points, strict=True), strict=True
    ):
        np.testing.assert_allclose(face["box"], box, atol=0.006)
        np.testing.assert_allclose(list(face["points"].values()), points, atol=0.006)


def test_detect_says_how_a_picture_was_turned(client: Client) -> None:
    found = client.post("/v1/detect", files={"picture": encoded(image("ada", 180).pixels)}).json()
    assert found["rotation_deg"] == 180


def test_number_of_faces_is_limited_and_says_so(tmp_path: Path) -> None:
    with serving(settings(tmp_path, limits=LimitSettings(faces=1))) as client:
        found = client.post("/v1/detect", files={"picture": png("ada and bob")}).json()
        assert (found["detected"], len(found["faces"])) == (2, 1)
        files = {"picture": png("ada and bob")}
        templates = client.post("/v1/embed", files=files, data={"faces": "all"}).json()
        assert (templates["detected"], len(templates["faces"])) == (2, 1)


def test_embed_gives_the_template_of_the_library(client: Client) -> None:
    expected = drawn_pipeline().extract_one(image("bob and a bystander"))
    assert isinstance(expected, Face)
    found = client.post("/v1/embed", files={"picture": png("bob and a bystander")}).json()
    (face,) = found["faces"]
    np.testing.assert_array_equal(np.array(face["vector"], np.float32), expected.embedding.vector)
    assert face["notes"] == ["1 smaller face ignored"]
    assert found["space"] == expected.embedding.space
    assert found["refusal"] is None


def test_embed_all_faces_or_refuse_to_choose(client: Client) -> None:
    files = {"picture": png("ada and bob")}
    one = client.post("/v1/embed", files=files).json()
    assert (one["faces"], one["detected"], one["refusal"]["reason"]) == ([], 2, "several_faces")
    every = client.post("/v1/embed", files=files, data={"faces": "all"}).json()
    expected = drawn_pipeline().extract(image("ada and bob"))
    assert every["refusal"] is None
    np.testing.assert_array_equal(
        np.array([f["vector"] for f in every["faces"]], np.float32), [f.embedding.vector for f in expected]
    )


def test_models_say_what_may_be_done_with_them(client: Client) -> None:
    found = client.get("/v1/models").json()
    assert [m["name"] for m in found] == list(list_models())
    one = client.get(f"/v1/models/{found[0]['name']}").json()
    assert one == found[0]
    assert set(one["licence"]) == {"code", "weights", "data", "commercial_use"}
    answer = client.get("/v1/models/nothing")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_calibrations_of_the_package_and_of_this_service(client: Client) -> None:
    own = drawn_pipeline().calibration
    found = client.get("/v1/calibrations").json()
    assert {r["space"] for r in found} == {*calibrated_spaces(), own.space}
    assert [r["name"] for r in found if r["in_use"]] == [own.name]
    space = calibrated_spaces()[0]
    record = load_calibration(space)
    assert client.get(f"/v1/calibrations/{space}").json() == json.loads(record.model_dump_json())
    fmr = record.rows[3].fmr
    point = client.get(f"/v1/calibrations/{space}/point", params={"fmr": fmr}).json()
    assert (point["threshold"], point["record"]) == (record.rows[3].threshold, record.name)


def test_the_list_of_calibrations_reads_all_records_once(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[None] = []

    def counted() -> tuple[str, ...]:
        read.append(None)
        return calibrated_spaces()

    monkeypatch.setattr(calibration, "calibrated_spaces", counted)
    assert len(client.get("/v1/calibrations").json()) > 2
    assert len(read) == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/calibrations/nothing", 404),
        ("/v1/calibrations/nothing/point?fmr=0.1", 404),
        ("/v1/calibrations/nothing/point", 422),
        ("/v1/calibrations/nothing/point?fmr=nan", 422),
        ("/v1/calibrations/..%2F..%2Fetc/point?fmr=0.1", 404),
        ("/v1/reports/nothing", 404),
        ("/v1/reports/other", 404),
        ("/v1/reports/broken/page", 404),
        ("/v1/reports/..%2Foutside", 404),
        ("/v1/nothing", 404),
    ],
)
def test_what_is_not_there(client: Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.json()["request_id"] == answer.headers["X-Request-Id"]


def test_a_rate_beyond_the_evidence_is_refused(client: Client) -> None:
    space = calibrated_spaces()[0]
    answer = client.get(f"/v1/calibrations/{space}/point", params={"fmr": 1e-12})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "not_calibrated")
    assert "non-mated comparisons" in answer.json()["error"]["message"]


def test_reports_are_listed_and_given_out_as_written(client: Client) -> None:
    (summary,) = client.get("/v1/reports").json()
    assert (summary["name"], summary["kinds"]) == ("detection-det_facemask", ["detection"])
    assert "scrfd-2.5g at 160 and 640 px" in summary["systems"]
    whole = client.get("/v1/reports/detection-det_facemask")
    assert whole.content == (REPORTS / "detection-det_facemask.json").read_bytes()
    page = client.get("/v1/reports/detection-det_facemask/page")
    assert page.text.startswith("<!DOCTYPE html>")
    assert "Detection: det_facemask" in page.text
    assert page.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")


def test_a_page_that_is_older_than_its_report_is_drawn_anew(tmp_path: Path) -> None:
    report, written = tmp_path / "detection-det_facemask.json", tmp_path / "detection-det_facemask.html"
    shutil.copy(REPORTS / report.name, report)
    written.write_text("as it was written")
    with serving(settings(tmp_path / "service", reports=ReportSettings(folder=tmp_path))) as client:
        for age_ns, is_given in ((0, True), (1_000_000_000, False)):
            changed_ns = written.stat().st_mtime_ns + age_ns
            os.utime(report, ns=(changed_ns, changed_ns))
            text = client.get("/v1/reports/detection-det_facemask/page").text
            assert (text == "as it was written") is is_given


def test_no_folder_no_reports(tmp_path: Path) -> None:
    with serving(settings(tmp_path)) as client:
        assert client.get("/v1/reports").json() == []


class Unloadable(Engine):
    """Its weights are not there."""

    def warm_up(self) -> None:
        raise WeightsMissing("no source has the file")


def test_alive_but_not_ready_without_weights(tmp_path: Path) -> None:
    app = create_app(settings(tmp_path), Unloadable(drawn_pipeline(), workers=1))
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        client = Client(app, runner)
        runner.run(app.state.opening.settled.wait())
        assert client.get("/healthz").status_code == 200
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["error"]["code"]) == (503, "not_ready")
        work = client.post("/v1/detect", files={"picture": png("ada")})
        assert (work.status_code, work.headers["Retry-After"]) == (503, "5")
        runner.run(lifespan.__aexit__(None, None, None))


class Faulty(Engine):
    """Fails in a way that nobody expected."""

    def warm_up(self) -> None:
        raise RuntimeError("/home/ada/weights")


def test_a_fault_while_loading_is_a_failure_and_ends_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = set(threading.enumerate())
    app = create_app(settings(tmp_path), Faulty(drawn_pipeline(), workers=1))
    with asyncio.Runner() as runner:
        lifespan = app.router.lifespan_context(app)
        runner.run(lifespan.__aenter__())
        runner.run(app.state.opening.settled.wait())
        answer = Client(app, runner).get("/readyz")
        assert "cannot be loaded" in answer.json()["error"]["message"]
        runner.run(lifespan.__aexit__(None, None, None))
    assert isinstance(app.state.opening.failure, ModelError)
    assert [t.name for t in set(threading.enumerate()) - before if t.name == "lineament-jobs"] == []
    assert "engine_failed" in [r.getMessage() for r in caplog.records]


def test_metrics_count_answers_and_load(client: Client) -> None:
    client.post("/v1/detect", files={"picture": b"junk"})
    text = client.get("/metrics").text
    assert 'lineament_requests_total{method="POST",route="/v1/detect",status="422"}' in text
    assert "lineament_ready 1.0" in text
    assert "lineament_engine_waiting 0.0" in text
    assert "process_resident_memory_bytes" in text


def test_answers_are_never_cached_or_sniffed(client: Client) -> None:
    answer = client.get("/v1/models")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_3", True), ("a b", False), ("x" * 65, False)])
def test_request_ids_are_kept_where_harmless(client: Client, given: str, kept: bool) -> None:
    answer = client.get("/healthz", headers={"X-Request-Id": given})
    assert (answer.headers["X-Request-Id"] == given) is kept
