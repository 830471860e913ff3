"""``/v1/galleries``: make, list, look at, and delete."""

from pathlib import Path

from gallery_client import enroll, error_of, keeping, make_gallery, make_job, send
from service_client import png, serving

from drawn_people import drawn_pipeline
from lineament.gallery import Gallery, new_key, restore
from lineament.service.access import KeyFile, Scope
from lineament.service.config import AccessSettings, GallerySettings


def test_a_gallery_from_its_making_to_its_end(tmp_path: Path) -> None:
    with serving(keeping(tmp_path)) as client:
        assert client.get("/v1/galleries").json() == {"galleries": [], "next": None}
        make_gallery(client)
        assert client.get("/v1/galleries").json() == {"galleries": ["staff"], "next": None}
        found = client.get("/v1/galleries/staff").json()
        assert found["space"] == drawn_pipeline().embedding_space
        assert (found["subjects"], found["samples"], found["held"]) == (2, 2, 0)
        assert found["calibration"] == "made up"
        assert not found["encrypted"]
        make_job(client)
        assert client.delete("/v1/galleries/staff").status_code == 204
        assert error_of(client.get("/v1/galleries/staff")) == (404, "gallery_not_found")
        assert error_of(enroll(client, "ada", png("ada"))) == (404, "gallery_not_found")
        left = [p for p in (tmp_path / "galleries").rglob("*") if p.is_file() and p.name != ".lock"]
        assert left == []
        make_gallery(client)
        assert client.get("/v1/galleries/staff/jobs").json()["jobs"] == []


def test_names_are_paged(tmp_path: Path) -> None:
    names = [f"g{n}" for n in range(5)]
    with serving(keeping(tmp_path)) as client:
        for name in reversed(names):
            client.post("/v1/galleries", json={"name": name})
        seen, after = [], None
        while True:
            page = client.get(
                "/v1/galleries", params={"limit": 2} | ({"after": after} if after else {})
            ).json()
            seen += page["galleries"]
            after = page["next"]
            if after is None:
                break
        assert seen == names
        assert error_of(client.get("/v1/galleries", params={"after": "ä"})) == (422, "input_unusable")


def test_names_that_cannot_be(tmp_path: Path) -> None:
    with serving(keeping(tmp_path)) as client:
        for name in ("", "Staff", "../x", "a" * 41, "1st", "a b", "ä"):
            assert error_of(client.post("/v1/galleries", json={"name": name})) == (422, "invalid_request")


def test_one_of_that_name_is_there(tmp_path: Path) -> None:
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {})
        assert error_of(client.post("/v1/galleries", json={"name": "staff"})) == (409, "gallery_conflict")


def test_another_space_is_refused_without_a_path(tmp_path: Path) -> None:
    (tmp_path / "galleries").mkdir()
    Gallery.open(tmp_path / "galleries" / "old.gallery", space="other", create=True).close()
    with serving(keeping(tmp_path)) as client:
        answer = client.get("/v1/galleries/old")
        assert error_of(answer) == (409, "space_mismatch")
        assert str(tmp_path) not in answer.text


def test_damage_is_said_without_a_path(tmp_path: Path) -> None:
    with serving(keeping(tmp_path)) as client:
        make_gallery(client)
        (tmp_path / "galleries" / "bad.gallery").write_bytes(b"no gallery at all" * 1000)
        answer = client.get("/v1/galleries/bad")
        assert error_of(answer) == (500, "gallery_corrupt")
        assert str(tmp_path) not in answer.text
        assert client.get("/v1/galleries/staff").status_code == 200


def test_galleries_are_encrypted_with_the_key_of_the_service(tmp_path: Path) -> None:
    new_key(tmp_path / "key")
    folder = GallerySettings(folder=tmp_path / "galleries", key_file=tmp_path / "key")
    config = keeping(tmp_path).model_copy(update={"gallery": folder})
    with serving(config) as client:
        make_gallery(client, {"ada-lovelace": "ada"})
        assert client.get("/v1/galleries/staff").json()["encrypted"]
        job = make_job(client)
        send(client, job, {"bob-of-the-north/bob.png": png("empty")})
        held = b"".join(p.read_bytes() for p in (tmp_path / "galleries").rglob("*") if p.is_file())
        assert b"ada-lovelace" not in held
        assert b"bob-of-the-north" not in held
        assert b"\x89PNG" not in held


def test_a_restored_gallery_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "galleries" / "staff.gallery"
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {"ada": "ada"})
        with Gallery.open(path, space=drawn_pipeline().embedding_space) as gallery:
            gallery.copies.back_up(tmp_path / "backup.gallery")
        assert enroll(client, "bob", png("bob")).status_code == 201
        restore(tmp_path / "backup.gallery", path)
        assert client.get("/v1/galleries/staff").json()["subjects"] == 1


def test_keys_see_their_galleries_only(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys")
    key, _ = keys.create("door", frozenset(Scope), galleries=frozenset({"door"}))
    anyone, _ = keys.create("all", frozenset(Scope))

    def with_key(text: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {text}"}

    with serving(keeping(tmp_path, access=AccessSettings(keys=keys.path))) as client:
        for name in ("door", "staff"):
            made = client.post("/v1/galleries", json={"name": name}, headers=with_key(anyone))
            assert made.status_code == 201
        assert client.get("/v1/galleries", headers=with_key(key)).json()["galleries"] == ["door"]
        refused = client.post("/v1/galleries", json={"name": "third"}, headers=with_key(key))
        assert error_of(refused) == (403, "access_denied")


def test_changes_are_in_the_audit_log(tmp_path: Path) -> None:
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {"ada": "ada"})
        client.delete("/v1/galleries/staff")
        events = [e["event"] for e in client.get("/v1/audit/entries").json()["entries"]]
    assert [(e["action"], e["outcome"]) for e in events] == [
        ("gallery.create", "asked"),
        ("gallery.create", "done"),
        ("sample.enroll", "asked"),
        ("sample.enroll", "enrolled"),
        ("gallery.delete", "asked"),
        ("gallery.delete", "done"),
    ]


def test_requests_are_refused_until_the_service_is_ready(tmp_path: Path) -> None:
    with serving(keeping(tmp_path)) as client:
        make_gallery(client, {})
        opening = client.app.state.opening
        desk, opening.desk = opening.desk, None
        assert error_of(client.get("/v1/galleries/staff")) == (503, "not_ready")
        opening.desk = desk
