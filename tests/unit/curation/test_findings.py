"""Planted faults are found: wrong folders, copies, people under two names, people of an evaluation set."""

import csv
from pathlib import Path

import numpy as np
import pytest
from made_packs import MadePack, crop, crop_png, made_pack

from lineament.core.errors import DataError
from lineament.curation.duplicates import Duplicate, find_duplicates, superfluous
from lineament.curation.noise import Cut, Suspect, find_noise
from lineament.curation.people import SubjectPair, find_overlap, find_same_person
from lineament.curation.sheet import duplicates_sheet, people_sheet, suspects_sheet
from lineament.curation.tables import write_duplicates, write_people, write_suspects
from lineament.curation.vectors import PackVectors, embed_pack
from lineament.embedding.cache import EmbeddingCache
from lineament.imaging import decode_image, encode_jpeg, encode_png
from lineament.testing import FakeEmbedder


def people(seeds: list[int], pictures: int = 4) -> list[tuple[str, bytes]]:
    return [(f"p{seed}/{k}.png", crop_png(seed, k + 1)) for seed in seeds for k in range(pictures)]


def embedded(pack: MadePack) -> PackVectors:
    return embed_pack(pack, FakeEmbedder())


def test_a_picture_in_the_wrong_folder_is_the_first_suspect(tmp_path: Path) -> None:
    pack = made_pack([*people([0, 1, 2]), ("p0/wrong.png", crop_png(2, 50))])
    noise = find_noise(embedded(pack), 3, Cut(below=0.9))
    assert [pack.names[s.record] for s in noise.suspects] == ["p0/wrong.png"]
    (suspect,) = noise.suspects
    assert pack.subjects[suspect.rival] == "p2"
    assert suspect.rival_similarity > 0.95 > suspect.similarity
    assert noise.n_judged == 13
    write_suspects(tmp_path / "s.csv", pack, noise)
    with (tmp_path / "s.csv").open(encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    assert row["name"] == "p0/wrong.png"
    assert row["most_similar_other"] == "p2"


def test_a_fraction_takes_the_least_similar() -> None:
    pack = made_pack(people([0, 1, 2, 3, 4]))
    noise = find_noise(embedded(pack), 5, Cut(fraction=0.25))
    assert len(noise.suspects) == 5
    worst = np.sort(noise.similarity)[:5]
    assert [s.similarity for s in noise.suspects] == pytest.approx(worst.tolist())


def test_without_a_cut_only_the_similarities_are_told() -> None:
    noise = find_noise(embedded(made_pack(people([0, 1]))), 2, None)
    assert noise.suspects == ()
    assert noise.n_judged == 8
    assert noise.quantiles((0.0, 1.0)) == pytest.approx((noise.similarity.min(), noise.similarity.max()))
    assert np.isnan(find_noise(embedded(made_pack(people([0], 1))), 1, None).quantiles((0.5,))[0])


def test_a_subject_with_one_picture_is_not_judged() -> None:
    pack = made_pack([*people([0, 1]), ("p9/only.png", crop_png(9, 1))])
    noise = find_noise(embedded(pack), 3, Cut(below=1.0))
    assert 8 not in [s.record for s in noise.suspects]
    assert noise.n_judged == 8


@pytest.mark.parametrize("cut", [{}, {"below": 0.1, "fraction": 0.1}, {"below": 2.0}, {"fraction": 1.0}])
def test_a_cut_says_one_thing(cut: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"below|fraction"):
        Cut(**cut)


def test_records_that_are_no_crops_become_faults() -> None:
    small = encode_png(np.zeros((64, 64, 3), np.uint8))
    pack = made_pack([*people([0], 2), ("p0/small.png", small), ("p0/bad.png", b"no"), ("p0/gone.png", b"")])
    found = embedded(pack)
    assert found.known.tolist() == [True, True, False, False, False]
    assert found.labels.tolist() == [0, 0, -1, -1, -1]
    assert [index for index, _ in found.faults] == [2, 3, 4]
    assert "expected 112 x 112 px, got 64 x 64" in found.faults[0][1]
    with pytest.raises(DataError, match=r"none of 1 records is an aligned crop.*lineament data align"):
        embedded(made_pack([("p0/small.png", small)]))


def test_vectors_are_those_of_the_embedder_and_come_from_the_cache_again(tmp_path: Path) -> None:
    class Counting(FakeEmbedder):
        seen = 0

        def embed(self, crops: np.ndarray) -> np.ndarray:
            self.seen += len(crops)
            return super().embed(crops)

    pack = made_pack([*people([0, 1]), ("p1/again.png", crop_png(1, 1))])
    embedder, cache = Counting(), EmbeddingCache(tmp_path, "fake", "crops")
    first = embed_pack(pack, embedder, cache)
    assert embedder.seen == 8
    second = embed_pack(pack, embedder, cache)
    assert embedder.seen == 8
    np.testing.assert_array_equal(first.vectors, second.vectors)
    crops = np.stack([crop(s, k + 1) for s in (0, 1) for k in range(4)] + [crop(1, 1)])
    np.testing.assert_allclose(first.vectors, FakeEmbedder().embed(crops), atol=1e-6)


def test_copies_are_told_from_other_photos_of_the_person(tmp_path: Path) -> None:
    face = crop(0)
    moved = np.roll(face, 12, axis=1)
    pack = made_pack(
        [
            ("ada/1.png", encode_png(face)),
            ("ada/2.jpg", encode_jpeg(face, 60)),
            ("ada/3.png", encode_png(moved)),
            ("eve/1.png", encode_png(np.minimum(face, 240) + 10)),
            *people([7, 8]),
        ]
    )
    found = embedded(pack)
    pairs = find_duplicates((pack, None), (found, None), above=0.9, within=4.0)
    assert {(p.first, p.second) for p in pairs} >= {(0, 1), (0, 3), (1, 3)}
    assert not any(2 in (p.first, p.second) for p in pairs)
    assert all(p.first < p.second for p in pairs)
    planted = [p for p in pairs if p.second < 4]
    # ada and eve share a photo: nobody can say whose it is, so that it goes everywhere
    assert superfluous(planted, pack) == [0, 1, 3]
    assert superfluous([p for p in planted if p.second < 3], pack) == [1]
    write_duplicates(tmp_path / "d.csv", (pack, pack), pairs)
    assert "ada/1.png,ada,ada/2.jpg,ada" in (tmp_path / "d.csv").read_text()


def test_copies_in_another_pack_are_found_mirrored_too() -> None:
    one, other = crop(0), crop(1)
    first = made_pack([("a/1.png", encode_png(one)), ("b/1.png", encode_png(other))])
    second = made_pack([("x/1.jpg", encode_jpeg(other, 70)), ("y/1.png", encode_png(crop(5)))])
    found = find_duplicates((first, second), (embedded(first), embedded(second)), above=0.95, within=4.0)
    assert [(p.first, p.second) for p in found] == [(1, 0)]
    mirrored = made_pack([("a/1.png", encode_png(one[:, ::-1]))])
    # the embedding of the mirror image is given: the fake is not made for mirror images, real ones are
    vectors = embedded(made_pack([("a/1.png", encode_png(one))]))
    (pair,) = find_duplicates((first, mirrored), (embedded(first), vectors), above=0.99, within=1.0)
    assert pair.difference == 0


def test_one_person_under_two_names_is_found(tmp_path: Path) -> None:
    rows = people([0, 1, 2])
    rows += [(name.replace("p0", "alias"), crop_png(0, 20 + k)) for k, (name, _) in enumerate(rows[:4])]
    pack = made_pack(rows)
    found = embedded(pack)
    (pair,) = find_same_person(found, 4, above=0.95)
    assert (pack.subjects[pair.first], pack.subjects[pair.second]) == ("p0", "alias")
    best = found.vectors[:4] @ found.vectors[12:].T
    assert pair.best_similarity == pytest.approx(best.max(), abs=1e-6)
    assert best[pair.first_record, pair.second_record - 12] == best.max()
    write_people(tmp_path / "p.csv", (pack, pack), [pair])
    assert "p0,alias," in (tmp_path / "p.csv").read_text()


def test_people_of_an_evaluation_pack_are_found() -> None:
    train = made_pack(people([0, 1, 2]))
    held = made_pack([("x/1.png", crop_png(5)), ("y/1.png", crop_png(1, 30)), ("y/bad.png", b"no")])
    (pair,) = find_overlap((embedded(train), embedded(held)), (3, 2), above=0.95)
    assert (train.subjects[pair.first], held.subjects[pair.second]) == ("p1", "y")
    assert train.names[pair.first_record].startswith("p1/")
    assert held.names[pair.second_record] == "y/1.png"


def test_sheets_show_what_can_be_shown() -> None:
    pack = made_pack([("a/1.png", crop_png(0)), ("a/2.png", b"broken"), ("b/1.png", crop_png(1))])
    packs = (pack, pack)
    sheets = [
        suspects_sheet(pack, [Suspect(0, 0.1, 1, 0.5), Suspect(1, 0.1, -1, -1.0)], "noise"),
        duplicates_sheet(packs, [Duplicate(0, 1, 0.99, 1.0)], "twice"),
        people_sheet(packs, [SubjectPair(0, 1, 0.9, 0, 2, 0.8)], "people"),
    ]
    for sheet in sheets:
        assert sheet.dtype == np.uint8
        face = decode_image(pack.images[0]).pixels.reshape(-1, 3).mean(axis=0)
        assert np.abs(sheet.astype(float) - face).sum(axis=2).min() < 60
