"""A service whose disk fills up: requests are refused, nothing acknowledged is lost, and it goes on when there is room.

The size limit of a process stands for a disk without space.
"""

import subprocess
from pathlib import Path

import pytest
import requests
from drawn_service import picture
from test_service_kill import archive, settled_job, started

from lineament.gallery import Gallery
from lineament.service.audit_check import verify_audit
from lineament.testing import FakeEmbedder

resource = pytest.importorskip("resource", reason="limits of other processes need Linux")
MANY = 200


def let_files_grow_to(process: "subprocess.Popen[str]", size: int) -> None:
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def enroll(staff: str, seed: int) -> requests.Response:
    data = {"subject": f"subject {seed}", "conflict": "ignore"}
    return requests.post(f"{staff}/samples", files={"picture": picture(seed)}, data=data, timeout=60)


def identify(staff: str) -> requests.Response:
    files = {"picture": picture(0)}
    return requests.post(f"{staff}/identify", files=files, data={"fpir": "0.1"}, timeout=60)


def code_of(answer: requests.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_full_disk_refuses_and_loses_nothing(tmp_path: Path) -> None:
    with started(tmp_path) as (process, address):
        staff = f"{address}/staff"
        assert requests.post(address, json={"name": "staff"}, timeout=60).status_code == 201
        job = f"{staff}/jobs/{requests.post(f'{staff}/jobs', json={}, timeout=60).json()['job']}"
        log = max((tmp_path / "audit").iterdir(), key=lambda path: path.stat().st_size)

        let_files_grow_to(process, 400_000)
        refused = requests.post(f"{job}/pictures", files={"archive": archive(range(1000, 1040))}, timeout=60)
        assert code_of(refused) == (503, "unavailable")
        assert requests.get(job, timeout=60).json()["total"] == 0
        enrolled = 0
        while (answer := enroll(staff, enrolled)).status_code == 201:
            enrolled += 1
            assert enrolled < MANY
        assert code_of(answer) == (503, "gallery_unavailable")
        assert identify(staff).status_code == 200

        let_files_grow_to(process, log.stat().st_size + 10)  # not even the log has room
        assert code_of(identify(staff)) == (503, "unavailable")
        assert requests.get(staff, timeout=60).status_code == 200

        let_files_grow_to(process, resource.RLIM_INFINITY)
        assert enroll(staff, enrolled).status_code == 201
        sent = requests.post(f"{job}/pictures", files={"archive": archive(range(1000, 1003))}, timeout=60)
        assert sent.json() == {"taken": 3, "known": 0}
        assert settled_job(job)["outcomes"] == {"enrolled": 3}
    with Gallery.open(tmp_path / "galleries" / "staff.gallery", space=FakeEmbedder().space) as gallery:
        assert gallery.check() == []
        assert gallery.size.subjects == enrolled + 1 + 3
    assert verify_audit(tmp_path / "audit").faults == ()
