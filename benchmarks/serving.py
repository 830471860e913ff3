"""``python -m benchmarks.serving``: the service under load, beside the bare engine on the same pictures.

The service runs in a process of its own on a free port. Every client verifies and identifies in turn, and sends the
next request as soon as it has an answer. The bare engine does the same work in turns (decode, find, align, embed,
compare or search) without HTTP, limits, logs and audit, in this process and at another time. Memory is that of the
service's process, each second.

python -m benchmarks.serving --minutes 10 --clients 32 --templates 100000 --json reports/bench-serving.json
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil  # type: ignore[import-untyped]

from benchmarks.systems import pictures
from lineament.core.types import Embedding, Face
from lineament.evaluation.machine import this_machine
from lineament.gallery import Gallery, NewSample
from lineament.imaging import decode_image
from lineament.pipeline import Engine, FacePipeline
from lineament.zoo.profiles import find_profile

CODE = "import typer; from lineament.cli.serve import serve; typer.run(serve)"
FMR = 1e-3
FPIR = 0.95
"""The records support no smaller one over 100,000 templates; the search is the same at any rate."""
SAMPLES_PER_SUBJECT = 5
CHUNK = 5000
WARM_S = 20.0
Work = Callable[[FacePipeline], object]


@dataclass(slots=True)
class Load:
    """What clients saw.

    Attributes:
        statuses: answers of each route by status; 0 for a connection that failed.
        ms: time of each answer 200 of each route, ms.
        resident_mb: memory of the service each second, MB.
    """

    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    ms: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    resident_mb: list[float] = field(default_factory=list)


def main() -> None:
    arguments = _arguments()
    jpegs = [p.jpeg for p in pictures()[0]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        engine = Engine.from_profile(find_profile(arguments.profile))
        gallery_path = folder / "galleries" / "crowd.gallery"
        gallery_path.parent.mkdir()
        with Gallery.open(gallery_path, space=engine.pipeline.embedding_space, create=True) as gallery:
            _fill(gallery, arguments.templates, engine.pipeline.embedder.dimension)
            bare = _bare(
                engine, [partial(_verify, jpegs), partial(_identify, jpegs[0], gallery)], arguments.minutes
            )
            engine.drain()
            del engine
        with _service(folder, arguments.profile) as (process, address):
            load = asyncio.run(_press(address, _requests(jpegs), process, arguments))
    found = _figures(load, bare, arguments.minutes)
    print(json.dumps(found, indent=1))
    if arguments.json:
        report = {"machine": asdict(this_machine()), "pictures": pictures()[1]}
        report |= {"clients": arguments.clients, "minutes": arguments.minutes, "profile": arguments.profile}
        report |= {"templates": arguments.templates} | found
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving")
    parser.add_argument("--minutes", type=float, default=10.0, help="Under load.")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--templates", type=int, default=100_000)
    parser.add_argument("--profile", default="open")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _fill(gallery: Gallery, templates: int, dimension: int) -> None:
    """Enroll random unit vectors, five of each subject."""
    rng = np.random.default_rng(0)
    for start in range(0, templates, CHUNK):
        vectors = rng.standard_normal((min(CHUNK, templates - start), dimension)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        gallery.enroll_many(
            [
                NewSample(f"s{i // SAMPLES_PER_SUBJECT}", Embedding(vector, gallery.space), f"t{i}")
                for i, vector in enumerate(vectors, start)
            ]
        )


def _verify(jpegs: Sequence[bytes], pipeline: FacePipeline) -> object:
    return pipeline.verify(decode_image(jpegs[0]), decode_image(jpegs[1]), FMR)


def _identify(jpeg: bytes, gallery: Gallery, pipeline: FacePipeline) -> object:
    size = gallery.size
    point = pipeline.calibration.point_for_fpir(FPIR, size.samples, size.subjects)
    face = pipeline.extract_one(decode_image(jpeg))
    return gallery.identify(face.embedding, point=point, fpir=FPIR) if isinstance(face, Face) else face


def _bare(engine: Engine, works: Sequence[Work], minutes: float) -> float:
    """Pieces of work a second without a service; a tenth of the time is enough for a rate."""
    engine.warm_up()
    list(engine.map(lambda p, k: works[k % len(works)](p), range(2 * engine.workers)))
    began, done = time.perf_counter(), 0
    for _ in engine.map(lambda p, k: works[k % len(works)](p), count()):
        done += 1
        if time.perf_counter() - began > max(5.0, 6.0 * minutes):
            break
    return done / (time.perf_counter() - began)


@contextmanager
def _service(folder: Path, profile: str) -> "Iterator[tuple[subprocess.Popen[bytes], str]]":
    settings = folder / "lineament.toml"
    settings.write_text(f'[server]\nport = 0\n[engine]\nprofile = "{profile}"\nqueue = 64\n')
    log_path = folder / "log"
    with log_path.open("wb") as log:
        words = [sys.executable, "-c", CODE, "--config", str(settings)]
        process = subprocess.Popen(words, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"})
    try:
        yield process, _ready(process, log_path)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)


def _ready(process: "subprocess.Popen[bytes]", log: Path) -> str:
    while process.poll() is None:
        said = re.search(r'"address": "([^"]+)"', log.read_text())
        if said and httpx.get(f"{said[1]}/readyz").status_code == 200:
            return said[1]
        time.sleep(0.2)
    raise SystemExit(log.read_text())


def _requests(jpegs: Sequence[bytes]) -> dict[str, dict[str, Any]]:
    """What each route is sent."""
    pair = {"reference": jpegs[0], "probe": jpegs[1]}
    return {
        "verify": {"url": "/v1/verify", "files": pair, "data": {"fmr": str(FMR)}},
        "identify": {
            "url": "/v1/galleries/crowd/identify",
            "files": {"picture": jpegs[0]},
            "data": {"fpir": str(FPIR)},
        },
    }


async def _press(
    address: str,
    asked: dict[str, dict[str, Any]],
    process: "subprocess.Popen[bytes]",
    arguments: argparse.Namespace,
) -> Load:
    """All clients at once: first to warm up, then counted."""
    limits = httpx.Limits(max_connections=arguments.clients, max_keepalive_connections=arguments.clients)
    async with httpx.AsyncClient(limits=limits, timeout=120) as client:
        sends = {route: _send(client, address, ask) for route, ask in asked.items()}
        await _all(sends, arguments.clients, WARM_S, Load())
        load, over = Load(), threading.Event()
        watching = threading.Thread(target=_watch, args=(process.pid, over, load.resident_mb))
        watching.start()
        await _all(sends, arguments.clients, 60.0 * arguments.minutes, load)
        over.set()
        watching.join()
    return load


def _send(client: httpx.AsyncClient, address: str, ask: dict[str, Any]) -> Callable[[], Any]:
    """One request, encoded once."""
    request = httpx.Request("POST", f"{address}{ask['url']}", files=ask["files"], data=ask["data"])
    return partial(client.post, str(request.url), content=request.read(), headers=dict(request.headers))


async def _all(sends: dict[str, Callable[[], Any]], clients: int, seconds: float, load: Load) -> None:
    until = time.perf_counter() + seconds

    async def one(first: int) -> None:
        routes = list(sends)
        for turn in count(first):
            began = time.perf_counter()
            if began >= until:
                return
            route = routes[turn % len(routes)]
            try:
                answer = await sends[route]()
            except httpx.TransportError:
                load.statuses[route][0] += 1
                continue
            load.statuses[route][answer.status_code] += 1
            if answer.status_code == 200:
                load.ms[route].append(1e3 * (time.perf_counter() - began))
            elif answer.status_code == 429:
                await asyncio.sleep(float(answer.headers["Retry-After"]))

    await asyncio.gather(*[one(k) for k in range(clients)])


def _watch(pid: int, over: threading.Event, resident_mb: list[float]) -> None:
    process = psutil.Process(pid)
    while not over.wait(1.0):
        resident_mb.append(process.memory_info().rss / 1e6)


def _figures(load: Load, bare_per_s: float, minutes: float) -> dict[str, Any]:
    routes = {}
    for route, statuses in load.statuses.items():
        p50, p95, p99 = np.percentile(load.ms[route] or [np.nan], [50, 95, 99])
        routes[route] = {
            "answers": {str(status): answers for status, answers in sorted(statuses.items())},
            "p50_ms": round(float(p50), 1),
            "p95_ms": round(float(p95), 1),
            "p99_ms": round(float(p99), 1),
        }
    per_s = sum(map(len, load.ms.values())) / (60.0 * minutes)
    tenth = max(1, len(load.resident_mb) // 10)
    first = float(np.median(list(islice(load.resident_mb, tenth)) or [np.nan]))
    last = float(np.median(load.resident_mb[-tenth:] or [np.nan]))
    return {
        "routes": routes,
        "per_second": round(per_s, 2),
        "bare_engine_per_second": round(bare_per_s, 2),
        "of_bare_engine": round(per_s / bare_per_s, 3),
        "resident_mb_first_tenth": round(first, 1),
        "resident_mb_last_tenth": round(last, 1),
        "resident_mb_highest": round(max(load.resident_mb, default=float("nan")), 1),
        "resident_change": round(last / first - 1.0, 4),
    }


if __name__ == "__main__":
    main()
