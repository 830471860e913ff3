"""What several tests of the service start with."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from lineament.service.job_layout import FOLDER


@pytest.fixture
def let_go(tmp_path: Path) -> Iterator[Callable[[], None]]:
    """Jobs of services in ``tmp_path`` are worked on after this was called."""
    folder = tmp_path / "galleries" / FOLDER
    folder.mkdir(parents=True)
    lock = FileLock(folder / ".lock", thread_local=False)
    with lock:
        yield lock.release
