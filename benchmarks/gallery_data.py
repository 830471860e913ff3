"""What encryption costs a gallery, and how far one wrong sample moves a subject's template.

Templates are drawn as in ``benchmarks.bench_gallery``. Times are processor time, which a busy machine disturbs
less, beside wall time. One sample of a stranger is put among the samples of a subject, and the template
is compared with that of the plain mean.

    python -m benchmarks.gallery_data --size 100000 --json reports/bench-gallery-data.json
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.bench_gallery import MATE_COSINE, SAMPLES_PER_SUBJECT, SPACE, Faces, machine
from lineament.core.arrays import FloatArray
from lineament.core.types import Embedding
from lineament.gallery import Gallery, GalleryKey, NewSample, encrypt_gallery, fuse, restore, rotate_key

KEYS = GalleryKey(b"1" * 32), GalleryKey(b"2" * 32)
SEARCHES = 200
SUBJECTS = 200


def timed(work: Callable[[], object]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {
        "cpu_s": round(time.process_time() - cpu, 3),
        "wall_s": round(time.perf_counter() - wall, 3),
    }


def fill(path: Path, vectors: FloatArray, key: GalleryKey | None) -> None:
    samples = [
        NewSample(f"p{i // SAMPLES_PER_SUBJECT}", Embedding(vector, SPACE), f"s{i}")
        for i, vector in enumerate(vectors)
    ]
    with Gallery.open(path, space=SPACE, create=True, key=key) as gallery:
        gallery.enroll_many(samples)


def first_search(path: Path, query: FloatArray, key: GalleryKey | None) -> None:
    with Gallery.open(path, space=SPACE, key=key) as gallery:
        gallery.search(query[None])


def measure(path: Path, vectors: FloatArray, key: GalleryKey | None) -> dict[str, Any]:
    """A gallery from enrollment to removal."""
    result: dict[str, Any] = {"enroll": timed(lambda: fill(path, vectors, key))}
    result["open_and_first_search"] = timed(lambda: first_search(path, vectors[0], key))
    with Gallery.open(path, space=SPACE, key=key) as gallery:
        gallery.search(vectors[:1])
        several = timed(lambda: [gallery.search(v[None]) for v in vectors[:SEARCHES]])
        result["one_search_ms"] = round(several["cpu_s"] / SEARCHES * 1e3, 2)
        result["check"] = timed(gallery.check)
        result["back_up"] = timed(lambda: gallery.copies.back_up(path.with_name(path.name + ".backup")))
        result["remove_subject"] = timed(lambda: gallery.remove_subject("p0"))
        result["disk_mb"] = round(gallery.info().bytes_on_disk / 1e6, 1)
    result["restore"] = timed(lambda: restore(path.with_name(path.name + ".backup"), path, key=key))
    return result


def influence(samples: int, dimension: int) -> dict[str, float]:
    """Means over subjects with ``samples`` samples, one of which is of a stranger."""
    faces = Faces(dimension, seed=samples)
    found = []
    for _ in range(SUBJECTS):
        centre = faces.draw(1)
        own = faces.at_cosine(
            np.repeat(centre, samples - 1, axis=0), np.full(samples - 1, np.sqrt(MATE_COSINE), np.float32)
        )
        stranger = faces.draw(1)
        mixed = np.concatenate([own, stranger])
        template = fuse([str(i) for i in range(samples)], mixed)
        mean = mixed.sum(0) / np.linalg.norm(mixed.sum(0))
        clean = own.sum(0) / np.linalg.norm(own.sum(0))
        is_last = template.agreement.argmin() == samples - 1
        found.append(
            [
                template.shares[-1],
                template.vector @ stranger[0],
                mean @ stranger[0],
                template.vector @ clean,
                mean @ clean,
                is_last,
            ]
        )
    names = (
        "share_of_the_wrong_sample",
        "similarity_to_the_stranger",
        "similarity_to_the_stranger_plain_mean",
        "similarity_to_the_clean_template",
        "similarity_to_the_clean_template_plain_mean",
        "wrong_sample_agrees_least",
    )
    means = np.mean(np.array(found, np.float64), 0)
    return {"samples": samples, **{name: round(float(v), 4) for name, v in zip(names, means, strict=True)}}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=100_000, help="templates in the gallery")
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    vectors = Faces(arguments.dimension, seed=arguments.size).templates(arguments.size)
    report: dict[str, Any] = {"machine": machine(), "templates": arguments.size}
    with tempfile.TemporaryDirectory() as folder:
        plain, sealed = Path(folder) / "plain", Path(folder) / "sealed"
        report["plain"] = measure(plain, vectors, None)
        report["encrypted"] = measure(sealed, vectors, KEYS[0])
        report["encrypt"] = timed(lambda: encrypt_gallery(plain, KEYS[0]))
        report["rotate"] = timed(lambda: rotate_key(sealed, KEYS[0], KEYS[1]))
        report["rotate_and_reencrypt"] = timed(lambda: rotate_key(sealed, KEYS[1], KEYS[0], reencrypt=True))
    report["influence"] = [influence(samples, arguments.dimension) for samples in (3, 5, 10, 20)]
    print(json.dumps(report, indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
