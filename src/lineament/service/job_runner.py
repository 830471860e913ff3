"""Works on jobs, one after another, beside the requests; goes on where a killed process stopped."""

import hashlib
import logging
import threading
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path

from filelock import FileLock, Timeout

from lineament.core.errors import InputError, LineamentError
from lineament.core.types import Face, OperatingPoint, Refusal, Role
from lineament.gallery import EnrollmentRefusal, GalleryStore, NewSample, PendingSample
from lineament.pipeline import FacePipeline
from lineament.service.audit_entries import AuditEvent
from lineament.service.audit_log import AuditLog
from lineament.service.config import LimitSettings
from lineament.service.enrolling import conflict_point, enroll, status_of
from lineament.service.errors import GalleryUnavailable, NotFound
from lineament.service.gallery_schemas import ConflictBody, FindingBody
from lineament.service.holdings import Holdings
from lineament.service.job_file import JobFile
from lineament.service.job_layout import SUFFIX
from lineament.service.job_store import JobStore
from lineament.service.job_types import Item
from lineament.service.pictures import decode
from lineament.service.schemas import RefusalBody
from lineament.service.work import Desk, Opening

AT_ONCE = 8
"""Pictures that are settled together; so many are worked on again after a crash."""
_LOOK_S = 2.0
_PAUSE_S = 5.0
log = logging.getLogger(__name__)

Extracted = tuple[Item, Face | Refusal | InputError]


class JobRunner:
    """One thread that enrolls what jobs hold, with the engine of the service.

    Of several processes with one folder, one works on jobs; another one takes over when it ends.

    Args:
        jobs: where they lie.
        holdings: the galleries.
        opening: the engine, once it is there.
        audit: where every change is written down.
        limits: of pictures.
    """

    def __init__(
        self, jobs: JobStore, holdings: Holdings, opening: Opening, audit: AuditLog, limits: LimitSettings
    ) -> None:
        self._jobs = jobs
        self._holdings = holdings
        self._opening = opening
        self._audit = audit
        self._limits = limits
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._idle: dict[Path, tuple[int, ...]] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work."""
        self._thread = threading.Thread(target=self._run, name="lineament-jobs", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the pictures at hand and stop; what waits is there at the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    def notify(self) -> None:
        """Say that there may be work."""
        self._wake.set()

    def _run(self) -> None:
        lock: FileLock | None = None
        while not self._stopping.is_set():
            wait_s = _LOOK_S
            desk = self._opening.desk
            if desk is not None and self._jobs.folder.is_dir():
                try:
                    lock = lock or _taken(self._jobs.folder / ".lock")
                    if lock is not None and not self._round(desk):
                        wait_s = _PAUSE_S
                except Exception:  # the thread must outlive every fault
                    log.exception("fault")
                    wait_s = _PAUSE_S
            self._wake.wait(wait_s)
            self._wake.clear()
        if lock is not None:
            lock.release()

    def _round(self, desk: Desk) -> bool:
        """Work on all jobs that have work; False when one could not go on."""
        is_well = True
        for path in self._jobs.paths():
            if self._stopping.is_set():
                break
            version = _version(path)
            if self._idle.get(path) == version:
                continue
            try:
                with self._jobs.open(path.parent.name, path.name.removesuffix(SUFFIX)) as job:
                    if job.progress().waiting:
                        is_well = self._work(job, desk) and is_well
                    else:
                        self._idle[path] = version
            except NotFound:
                self._idle.pop(path, None)
            except GalleryUnavailable as error:
                self._idle[path] = version  # said once; it opens when another key is put into it
                log.exception("job_failed", extra={"reason": str(error)})
            except LineamentError as error:
                log.exception("job_failed", extra={"reason": str(error)})
                is_well = False
        return is_well

    def _work(self, job: JobFile, desk: Desk) -> bool:
        """Enroll what waits; False when it cannot go on now."""
        try:
            self._enroll_all(job, desk)
        except Exception as error:
            reason = str(error) if isinstance(error, LineamentError) else ""
            log.exception("job_failed", extra={"reason": reason})
            job.note_stuck(True)
            return False
        job.note_stuck(False)
        job.tidy()
        return True

    def _enroll_all(self, job: JobFile, desk: Desk) -> None:
        settings = job.settings
        store = self._holdings.open(settings.gallery, desk.made_with.space)
        point = conflict_point(desk.engine.pipeline, settings.conflict, settings.conflict_fmr)
        found = desk.engine.map(partial(_extract, self._limits), job.waiting())
        try:
            while not self._stopping.is_set() and (batch := list(islice(found, AT_ONCE))):
                self._enroll(job, store, point, batch, desk)
        finally:
            found.close()

    def _enroll(
        self,
        job: JobFile,
        store: GalleryStore,
        point: OperatingPoint | None,
        batch: Sequence[Extracted],
        desk: Desk,
    ) -> None:
        """Enroll and settle a few pictures; both are in the audit log."""
        faces = [item for item, found in batch if isinstance(found, Face)]
        event = partial(
            AuditEvent,
            action="sample.enroll",
            request_id=job.settings.request_id,
            key_id=job.settings.key_id,
            route=job.settings.route,
            gallery=job.settings.gallery,
            space=desk.made_with.space,
            weights=desk.made_with.weight_ids(),
        )
        if faces:
            self._audit.append(event(outcome="asked", result_ids=_ids(faces)))
        enrolled = []
        try:
            with job.changing():
                for item, found in batch:
                    if job.is_waiting(item):
                        status, said = _settled(job, store, point, item, found)
                        job.settle(item.position, status, said)
                        enrolled += [item] if status in ("enrolled", "pending") else []
        except Exception:
            self._audit.append(event(outcome="failed", result_ids=_ids(faces)))
            raise
        if faces:
            self._audit.append(event(outcome="done", result_ids=_ids(enrolled)))


def _extract(limits: LimitSettings, pipeline: FacePipeline, item: Item) -> Extracted:
    try:
        image = decode(item.picture, "picture", limits)
    except InputError as error:
        return item, error
    return item, pipeline.extract_one(image, Role.REFERENCE)


def _settled(
    job: JobFile,
    store: GalleryStore,
    point: OperatingPoint | None,
    item: Item,
    found: Face | Refusal | InputError,
) -> tuple[str, dict[str, object]]:
    """What becomes of a picture, and what is said about it."""
    if isinstance(found, InputError):
        return "unreadable", {"detail": str(found)}
    if isinstance(found, Refusal):
        return found.reason.value, {"refusal": RefusalBody.of(found).model_dump(mode="json")}
    digest = hashlib.sha256(item.picture).hexdigest()
    sample = NewSample(item.subject_id, found.embedding, item.sample_id, digest)
    made = enroll(store, sample, job.settings.conflict, point)
    status = status_of(made, item.subject_id)
    if isinstance(made, EnrollmentRefusal):
        return status, {"conflict": ConflictBody.of(made).model_dump()}
    if isinstance(made, PendingSample):
        return status, {"findings": [FindingBody.of(f).model_dump() for f in made.findings]}
    return status, {"sample": made.sample_id}


def _ids(items: Sequence[Item]) -> tuple[str, ...]:
    """Subjects and samples, each once."""
    return tuple(dict.fromkeys(text for item in items for text in (item.subject_id, item.sample_id)))


def _taken(path: Path) -> FileLock | None:
    """The lock of the process that works on jobs; None when another one has it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock


def _version(path: Path) -> tuple[int, ...]:
    """Changes when anything is written to a job."""
    numbers: list[int] = []
    for name in (path.name, f"{path.name}-wal"):
        try:
            status = path.with_name(name).stat()
        except FileNotFoundError:
            numbers += (0, 0)
        else:
            numbers += (status.st_mtime_ns, status.st_size)
    return tuple(numbers)
