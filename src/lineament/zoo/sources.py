"""The published weight file from the first source that has it: cache, weights folders, then the manifest's own."""

from dataclasses import dataclass, field
from pathlib import Path

from lineament.core.errors import WeightsCorrupt, WeightsMissing
from lineament.zoo.files import set_aside, sha256_of
from lineament.zoo.manifest import Manifest, Weight
from lineament.zoo.options import FetchOptions


@dataclass(slots=True)
class Attempts:
    """What each source said, for the error that is raised when none had the file."""

    lines: list[str] = field(default_factory=list)
    wrong_digest: bool = False

    def failed(self, source: str, reason: str, *, wrong_digest: bool = False) -> None:
        """Note that ``source`` could not give the file."""
        self.lines.append(f"{source}: {reason}")
        self.wrong_digest = self.wrong_digest or wrong_digest

    def error(self, manifest: Manifest, weight: Weight) -> WeightsMissing | WeightsCorrupt:
        """The error that gathers all attempts and says what to do next."""
        said = "".join(f"\n  - {line}" for line in self.lines)
        step = (
            f'run "lineament models fetch {manifest.name}" on a machine with access, or put {weight.file} '
            f"(sha256 {weight.sha256}) into a folder and set LINEAMENT_WEIGHTS to it"
        )
        kind = WeightsCorrupt if self.wrong_digest else WeightsMissing
        return kind(f"weights for {manifest.name}: no source could give {weight.file}:{said}\n  {step}")


def find_local(weight: Weight, options: FetchOptions, attempts: Attempts | None = None) -> Path | None:
    """The published file with the right digest in the cache or a weights folder; sources are only read.

    Args:
        weight: the file that is looked for.
        options: cache and folders.
        attempts: takes one line for each place that has not got the file.
    """
    said = attempts or Attempts()
    cached = options.cached(weight.sha256, weight.file)
    if _matches(cached, weight, said, "cache"):
        return cached
    if not options.folders:
        said.failed("weights folder", "LINEAMENT_WEIGHTS is not set")
    for folder in options.folders:
        name = f"weights folder {folder}"
        if not folder.is_dir():
            said.failed(name, "there is no such folder")
            continue
        here = [p for p in (folder / weight.file, folder / Path(weight.file).name) if p.is_file()]
        if not here:
            said.failed(name, f"has no {weight.file}")
        elif _matches(here[0], weight, said, name):
            return here[0]
    return None


def _matches(path: Path, weight: Weight, said: Attempts, source: str) -> bool:
    try:
        found = sha256_of(path)
    except FileNotFoundError:
        said.failed(source, f"has no {path.name}")
        return False
    except OSError as error:
        said.failed(source, f"cannot read {path}: {error.strerror}")
        return False
    if found != weight.sha256:
        said.failed(
            source, f"{path}: sha256 expected {weight.sha256}, found {found}", wrong_digest=source != "cache"
        )
        return False
    return True


def obtain(manifest: Manifest, options: FetchOptions) -> dict[str, Path]:
    """Published files by role, fetched where the machine has not got them; the caller holds the model's lock.

    Raises:
        WeightsMissing: no source has a file; says what each answered and the next step.
        WeightsCorrupt: the same, and one source had the file with other bytes.
    """
    found: dict[str, Path] = {}
    for weight in manifest.weights:
        _drop_damaged(weight, options)
        attempts = Attempts()
        path = find_local(weight, options, attempts)
        if path is None:
            raise attempts.error(manifest, weight)
        found[weight.role] = path
    return found


def _drop_damaged(weight: Weight, options: FetchOptions) -> None:
    cached = options.cached(weight.sha256, weight.file)
    if cached.is_file() and (found := sha256_of(cached)) != weight.sha256:
        set_aside(cached, found, weight.sha256)
