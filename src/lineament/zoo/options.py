"""Where weights may come from on this machine, and who wants to watch."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from filelock import FileLock

Progress = Callable[[str, int, int | None], None]
"""Called with what is being fetched, the bytes so far and the bytes in all (None when unknown)."""

MODELS_VARIABLE = "LINEAMENT_MODELS"


def user_models_folder() -> Path:
    """Where a user's own models lie: ``LINEAMENT_MODELS``, or a folder of the user data directory.

    It holds one manifest a model, ``<name>.toml``, and a folder with its files beside it.
    """
    given = os.environ.get(MODELS_VARIABLE)
    return Path(given).expanduser() if given else Path(platformdirs.user_data_dir("lineament")) / "models"


def _silent(_what: str, _done: int, _total: int | None) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How weights are looked for.

    Attributes:
        cache: folder that is written to.
        folders: folders with weight files, read only; a file is found by its relative path in the manifest or by
            its bare name.
        offline: use the cache and the folders only.
        progress: hears of each piece that arrives.
    """

    cache: Path
    folders: tuple[Path, ...] = ()
    offline: bool = False
    progress: Progress = _silent

    @classmethod
    def from_environment(cls, *, offline: bool = False, progress: Progress = _silent) -> "FetchOptions":
        """Options from ``LINEAMENT_CACHE``, ``LINEAMENT_WEIGHTS`` and ``LINEAMENT_OFFLINE``.

        ``LINEAMENT_WEIGHTS`` may name several folders, separated as in ``PATH``.

        Args:
            offline: stay offline whatever the environment says.
            progress: hears of each piece that arrives.
        """
        cache = os.environ.get("LINEAMENT_CACHE") or platformdirs.user_cache_dir("lineament")
        folders = [f for f in os.environ.get("LINEAMENT_WEIGHTS", "").split(os.pathsep) if f]
        off = os.environ.get("LINEAMENT_OFFLINE", "").strip().lower() not in {"", "0", "false", "no"}
        return cls(
            cache=Path(cache).expanduser(),
            folders=tuple(Path(f).expanduser() for f in folders),
            offline=offline or off,
            progress=progress,
        )

    def cached(self, sha256: str, file: str) -> Path:
        """Where the cache keeps the published file with that digest."""
        return self.cache / "files" / sha256 / Path(file).name

    def partial(self, sha256: str) -> Path:
        """Where a download with that digest grows; a later try continues it."""
        return self.cache / "partial" / f"{sha256}.part"


def one_at_a_time(options: FetchOptions, name: str) -> FileLock:
    """A lock between processes that share the cache; use it in a ``with`` statement.

    Args:
        options: whose cache.
        name: model or digest that is worked on.
    """
    folder = options.cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / f"{name}.lock")
