"""What only the gallery on PostgreSQL has: a server that fails, layouts, the graph, imports, privacy."""

import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from pgvector import HalfVector
from pgvector.psycopg import register_vector

from lineament.core.errors import (
    EmbeddingSpaceMismatch,
    GalleryCorrupt,
    GalleryError,
    GalleryNotFound,
    InputError,
)
from lineament.core.types import Embedding
from lineament.gallery import Enrolled, EnrollmentRefusal, Gallery, GallerySize, Imported, NewSample
from lineament.gallery.postgres import (
    Limits,
    PostgresGallery,
    drop_gallery,
    gallery_names,
    schema,
    search,
    stored_space,
)
from postgres_server import stop_at_once

SPACE = "space-a"
DIMENSION = 64
Open = Callable[..., PostgresGallery]


@pytest.fixture
def dsn(postgres: Any) -> str:
    return str(postgres.get_uri())


@pytest.fixture
def open_(dsn: str, name: str, request: pytest.FixtureRequest) -> Open:
    def opened(**how: Any) -> PostgresGallery:
        gallery = PostgresGallery.open(
            how.pop("dsn", dsn), **({"space": SPACE, "name": name, "create": True} | how)
        )
        request.addfinalizer(gallery.close)
        return gallery

    return opened


@pytest.fixture
def admin(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def with_options(dsn: str, options: str) -> str:
    return psycopg.conninfo.make_conninfo(dsn, options=f"-c {options}")


def vectors(count: int, seed: int = 7) -> np.ndarray:
    drawn = np.random.default_rng(seed).standard_normal((count, DIMENSION)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def people(count: int, seed: int = 7) -> list[NewSample]:
    return [NewSample(f"p{i}", Embedding(v, SPACE), f"s{i}") for i, v in enumerate(vectors(count, seed))]


@pytest.mark.parametrize(
    "wrong", ["host=127.0.0.1 port=1 user=me password=hunter2", "postgresql://me:hunter2@[::1"]
)
def test_a_server_that_is_not_there_is_an_error_without_the_password(wrong: str) -> None:
    with pytest.raises(GalleryError) as caught:
        PostgresGallery.open(wrong, space=SPACE, limits=Limits(wait_s=1))
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "database" in str(caught.value)


@pytest.mark.parametrize("name", ["", "Staff", "-a", "a b", 'a"; DROP SCHEMA public; --', "a" * 51])
def test_a_name_is_plain(dsn: str, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        PostgresGallery.open(dsn, space=SPACE, name=name, create=True)


def test_limits_and_settings_are_checked(dsn: str) -> None:
    for how in ({"connections": 0}, {"wait_s": 0.0}):
        with pytest.raises(ValueError, match="at least 1"):
            Limits(**how)
    for how in ({"hnsw_ef": 0}, {"hnsw_ef": 1001}, {"space": ""}):
        with pytest.raises(ValueError, match=r"hnsw_ef|space"):
            PostgresGallery.open(dsn, **({"space": SPACE} | how))


def test_galleries_of_one_database_know_nothing_of_each_other(open_: Open, name: str) -> None:
    first, second = open_(), open_(name=f"{name}_b", space="space-b")
    first.enroll_many(people(3))
    assert second.size == GallerySize(0, 0)
    with pytest.raises(EmbeddingSpaceMismatch):
        open_(space="space-b")


def test_galleries_are_listed_and_dropped(dsn: str, open_: Open, name: str) -> None:
    other = f"{name}-2nd_" + "x" * (49 - len(f"{name}-2nd_"))
    open_().enroll_many(people(3))
    open_(name=other, space="space-b").info()
    assert {name, other} <= set(gallery_names(dsn))
    assert (stored_space(dsn, name), stored_space(dsn, other)) == (SPACE, "space-b")
    drop_gallery(dsn, name)
    assert name not in gallery_names(dsn)
    for call in (drop_gallery, stored_space):
        with pytest.raises(GalleryNotFound):
            call(dsn, name)
    assert other in gallery_names(dsn)
    assert open_().size == GallerySize(0, 0)


def test_processes_that_start_together_make_one_gallery(open_: Open) -> None:
    with ThreadPoolExecutor(4) as pool:
        galleries = list(pool.map(lambda _: open_(), range(4)))
    galleries[0].enroll_many(people(2))
    assert {gallery.size.samples for gallery in galleries} == {2}
    assert len({gallery.info().public_key for gallery in galleries}) == 1


def test_an_older_layout_is_brought_up_to_date_once(open_: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    open_().enroll_many(people(3))
    step = "ALTER TABLE {s}.samples ADD COLUMN extra integer"
    with monkeypatch.context() as newer:
        newer.setattr(schema, "_STEPS", (*schema._STEPS, step))
        with ThreadPoolExecutor(3) as pool:
            updated = list(pool.map(lambda _: open_(create=False), range(3)))
        assert {gallery.info().schema_version for gallery in updated} == {2}
        assert updated[0].size.samples == 3
    with pytest.raises(GalleryError, match="newer lineament"):
        open_()


def test_a_server_that_forgets_is_not_used(dsn: str, open_: Open) -> None:
    with pytest.raises(GalleryError, match="synchronous_commit"):
        open_(dsn=with_options(dsn, "synchronous_commit=off"))


def test_a_replica_answers_and_refuses_changes(dsn: str, open_: Open) -> None:
    open_().enroll_many(people(3))
    replica = open_(dsn=with_options(dsn, "default_transaction_read_only=on"))
    assert replica.search(vectors(3))[2][0].subject_id == "p2"
    with pytest.raises(GalleryError, match="primary"):
        replica.remove_subject("p1")


def test_a_writer_does_not_wait_for_ever(open_: Open, admin: psycopg.Connection, name: str) -> None:
    gallery = open_(limits=Limits(wait_s=0.2))
    gallery.enroll_many(people(2))
    with admin.transaction():
        admin.execute(f"SELECT 1 FROM lineament_{name}.gallery FOR UPDATE")  # noqa: S608
        with pytest.raises(GalleryError, match="locked"):
            gallery.remove_subject("p0")
        assert gallery.size.samples == 2
    assert gallery.remove_subject("p0").samples == 1


def test_calls_wait_for_a_connection_and_say_when_there_is_none(open_: Open) -> None:
    gallery = open_(limits=Limits(connections=1, wait_s=0.2))
    with gallery._read(), pytest.raises(GalleryError, match="allow more connections"):
        gallery.size  # noqa: B018  the property asks the server
    assert gallery.size == GallerySize(0, 0)


def test_what_was_acknowledged_survives_a_crash_and_the_gallery_goes_on(open_: Open, postgres: Any) -> None:
    gallery = open_(limits=Limits(wait_s=3))
    acknowledged = [gallery.enroll(s.subject_id, s.embedding, sample_id=s.sample_id) for s in people(20)]
    gallery.remove_subject("p3")
    stop_at_once(postgres)
    with pytest.raises(GalleryError):
        open_(limits=Limits(wait_s=1))
    with pytest.raises(GalleryError):
        gallery.enroll("late", people(21)[20].embedding)
    postgres.start()
    assert all(isinstance(receipt, Enrolled) for receipt in acknowledged)
    assert gallery.size == GallerySize(19, 19)
    found = gallery.search(vectors(20))
    assert [c[0].subject_id for c in found if c[0].similarity > 0.99] == [
        f"p{i}" for i in range(20) if i != 3
    ]
    assert isinstance(gallery.enroll("late", people(21)[20].embedding), Enrolled)
    assert gallery.check() == []


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        ("UPDATE {s}.samples SET vector = set_byte(vector, 2, 1) WHERE name = 's1'", "digest"),
        ("UPDATE {s}.samples SET vector = substr(vector, 5) WHERE name = 's1'", "bytes"),
        ("DELETE FROM {s}.templates", "in no search"),
        (
            "UPDATE {s}.templates SET half = (SELECT half FROM {s}.templates WHERE sample = 1)",
            "half-precision",
        ),
        ("UPDATE {s}.gallery SET samples = 7", "record says"),
        ("INSERT INTO {s}.subjects (name) VALUES ('nobody')", "no sample"),
    ],
)
def test_check_finds_what_somebody_changed(
    open_: Open, admin: psycopg.Connection, name: str, damage: str, fault: str
) -> None:
    gallery = open_()
    gallery.enroll_many(people(4))
    assert gallery.check() == []
    admin.execute(damage.replace("{s}", f"lineament_{name}"))
    assert fault in " ".join(gallery.check())


def test_a_gallery_that_was_dropped(open_: Open, admin: psycopg.Connection, name: str) -> None:
    gallery = open_()
    admin.execute(f"DROP SCHEMA lineament_{name} CASCADE")
    with pytest.raises(GalleryError, match="gone"):
        gallery.search(vectors(1))
    open_().enroll_many(people(1))
    assert gallery.size.samples == 1


def test_pictures_and_very_long_templates_stay_out(open_: Open) -> None:
    (one,) = people(1)
    with pytest.raises(InputError, match="crop"):
        open_().enroll_many([NewSample("ada", one.embedding, crop=b"picture")])
    longest = Embedding(np.eye(1, 4000, 3, dtype=np.float32)[0], SPACE)
    with pytest.raises(InputError, match="4000"):
        open_().enroll("ada", Embedding(np.eye(1, 4001, dtype=np.float32)[0], SPACE))
    assert isinstance(open_().enroll("ada", longest), Enrolled)
    assert open_().search(longest.vector[None])[0][0].similarity == 1.0


def test_an_export_moves_in_whole_or_not_at_all(open_: Open, name: str, tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "g", space=SPACE, create=True) as embedded:
        embedded.enroll_many(people(50))
        embedded.set_calibration("record")
        embedded.export(tmp_path / "moving")
        records, found = embedded.subject("p7"), embedded.search(vectors(9, seed=8))
    gallery = open_()
    assert gallery.import_(tmp_path / "moving") == Imported(50, 50)
    assert gallery.subject("p7") == records
    assert gallery.calibration == "record"
    for mine, theirs in zip(gallery.search(vectors(9, seed=8)), found, strict=True):
        assert [(c.subject_id, c.sample_id) for c in mine] == [(c.subject_id, c.sample_id) for c in theirs]
    refusal = gallery.import_(tmp_path / "moving")
    assert isinstance(refusal, EnrollmentRefusal)
    assert (refusal.sample_id, refusal.position) == ("s0", 0)
    damaged = bytearray((tmp_path / "moving").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    other = open_(name=f"{name}_b")
    with pytest.raises(GalleryCorrupt):
        other.import_(tmp_path / "damaged")
    assert other.size == GallerySize(0, 0)
    with pytest.raises(EmbeddingSpaceMismatch):
        open_(name=f"{name}_c", space="space-c").import_(tmp_path / "moving")


def plan(admin: psycopg.Connection, name: str, statement: str) -> str:
    """How the server would search when it may not read a table from one end to the other."""
    register_vector(admin)
    text = psycopg.sql.SQL("EXPLAIN " + statement).format(
        s=psycopg.sql.Identifier(f"lineament_{name}"), take=psycopg.sql.Literal(40), dimension=DIMENSION
    )
    query = (HalfVector(vectors(1)[0]),) * statement.count("%b")
    admin.execute("SET enable_seqscan = off")
    return "\n".join(line for (line,) in admin.execute(text, query))


def test_the_graph_is_searched_when_asked_and_never_for_an_exact_search(
    open_: Open, admin: psycopg.Connection, dsn: str, name: str
) -> None:
    with pytest.raises(GalleryError, match="enroll first"):
        open_().build_hnsw()
    samples = people(1500)
    exact = open_()
    exact.enroll_many(samples)
    with pytest.raises(ValueError, match="ef_construction"):
        exact.build_hnsw(m=16, ef_construction=20)
    exact.build_hnsw(m=8, ef_construction=32)
    assert "templates_graph" in plan(admin, name, search._GRAPH)
    assert "templates_graph" not in plan(admin, name, search._EXACT)
    want = exact.search(vectors(20, seed=8))
    graph = open_(dsn=with_options(dsn, "enable_seqscan=off"), hnsw_ef=40)
    assert [c[0].subject_id for c in graph.search(vectors(1500)[:50])] == [f"p{i}" for i in range(50)]
    assert graph.search(vectors(20, seed=8), exact=True) == want
    graph.remove_subject("p0")
    assert all(c.subject_id != "p0" for c in graph.search(vectors(1), max_candidates=60)[0])
    late = vectors(1, seed=9)[0]
    graph.enroll("late", Embedding(late, SPACE))
    assert graph.search(late[None])[0][0].subject_id == "late"
    graph.build_hnsw(m=4, ef_construction=16)
    assert graph.search(late[None])[0][0].subject_id == "late"


def test_vacuum_full_leaves_nothing_of_what_was_removed(
    open_: Open, postgres: Any, admin: psycopg.Connection, name: str
) -> None:
    """The guide says so: after it, the tables' files hold neither template nor name."""
    gallery = open_()
    gallery.enroll_many(
        [*people(30), NewSample("Ada Lovelace", Embedding(vectors(1, 99)[0], SPACE), "her picture")]
    )
    traces = [b"Ada Lovelace", b"her picture", vectors(1, 99)[0].tobytes()[:64]]

    def found() -> list[bytes]:
        admin.execute("CHECKPOINT")
        files = [f for f in (Path(postgres.pgdata) / "base").rglob("*") if f.is_file()]
        stored = [file.read_bytes() for file in files]
        return [trace for trace in traces if any(trace in content for content in stored)]

    assert found() == traces
    gallery.remove_subject("Ada Lovelace")
    for table in ("subjects", "samples", "templates"):
        admin.execute(f"VACUUM FULL lineament_{name}.{table}")
    assert found() == []


@pytest.mark.parametrize("missing", ["psycopg", "psycopg_pool", "pgvector"])
def test_what_is_not_installed_is_named(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import lineament.gallery.postgres"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"GalleryError: a gallery on PostgreSQL needs {missing}" in done.stderr
    assert "lineament[postgres]" in done.stderr
