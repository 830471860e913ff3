"""Data sets for training in the layouts in which their publishers give them out.

Each function reads names, subjects and labels and opens no picture. What deviates from the publication (files that
are not there, counts) becomes a :class:`lineament.packs.Fault` of the pack: many people hold a part of a data set,
and it is a sound pack.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from lineament.core.errors import DataError
from lineament.packs.filepack import FilePack
from lineament.packs.filetree import (
    FileTree,
    Published,
    compare_counts,
    csv_rows,
    some,
    spaced_rows,
    text_lines,
)
from lineament.packs.folder import open_folder
from lineament.packs.pictures import is_picture
from lineament.packs.rec import open_rec
from lineament.packs.views import selected
from lineament.packs.zipped import open_zip

VGGFACE2: Published = {8_631: ("train", 3_141_890), 500: ("test", 169_396)}
"""Cao et al., VGGFace2, FG 2018."""
CASIA_WEBFACE: Published = {10_575: ("folders", 494_414), 10_572: (".rec of InsightFace", 490_623)}
"""Yi et al., Learning Face Representation from Scratch, 2014."""
CELEBA: Published = {10_177: ("all", 202_599)}
"""Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015."""
MS1M: Published = {
    79_076: ("cleaned list", 5_049_824),
    86_876: ("list of Glint", 3_923_399),
    85_164: ("MS1M-IBUG, .rec", 3_804_846),
    85_742: ("MS1MV2, .rec", 5_822_653),
    93_431: ("MS1MV3, .rec", 5_179_510),
}
"""MS-Celeb-1M (Guo et al., ECCV 2016) as others cleaned it."""
GLINT: Published = {93_979: ("Asian-Celeb", 2_830_146), 360_232: ("Glint360K, .rec", 17_091_657)}
"""The sets of DeepGlint."""
_LFW_NAME = re.compile(r"(?:^|/)([^/]+)/\1_\d{4}\.[a-z]+$")


def read_vggface2(path: Path) -> FilePack:
    """VGGFace2: ``n000001/0001_01.jpg`` below ``train`` or ``test``, with ``identity_meta.csv`` and list files.

    Args:
        path: the folder with the folders of the subjects, or the one above it; there ``train`` is read.

    Raises:
        DataError: no such layout.
    """
    root = path / "train" if (path / "train").is_dir() else _folder(path)
    tree = FileTree(root)
    _take_folders(tree, re.compile(r"n\d{6}"))
    listed = _find(root, f"{root.name}_list.txt")
    if listed is not None:
        _compare_list(tree, listed, {line.strip() for line in text_lines(listed)} - {""})
    meta = _find(root, "identity_meta.csv")
    if meta is not None:
        _compare_meta(tree, meta)
    tree.compare(VGGFACE2, "VGGFace2")
    return tree.pack(path, read_vggface2)


def read_casia_webface(path: Path) -> FilePack:
    """CASIA-WebFace: ``0000045/001.jpg``, a folder of seven digits for each subject; or InsightFace's ``.rec``.

    Args:
        path: the folder with the folders of the subjects, the ``.rec`` or the folder of a ``train.rec``.

    Raises:
        DataError: no such layout.
    """
    packed = _rec(path)
    if packed is not None:
        return _counted(packed, path, (CASIA_WEBFACE, "CASIA-WebFace"), read_casia_webface)
    tree = FileTree(_folder(path))
    _take_folders(tree, re.compile(r"\d{7}"))
    tree.compare(CASIA_WEBFACE, "CASIA-WebFace")
    return tree.pack(path, read_casia_webface)


def read_celeba(path: Path) -> FilePack:
    """CelebA: ``identity_CelebA.txt`` with pictures in ``img_align_celeba`` or ``img_celeba`` (in the wild).

    Records are named ``subject/file``. Where both kinds of pictures are there, those in the wild are read: the others
    are cropped for attributes, not on the template of face networks.

    Args:
        path: the folder with the list and the pictures, each there or in ``Anno`` and ``Img``.

    Raises:
        DataError: no such layout.
    """
    root = _folder(path)
    places = [root / part / name for name in ("img_celeba", "img_align_celeba") for part in ("", "Img")]
    pictures = next((place for place in places if place.is_dir()), None)
    lists = [root / part / "identity_CelebA.txt" for part in ("", "Anno")]
    identity = next((file for file in lists if file.is_file()), None)
    if pictures is None or identity is None:
        raise DataError(
            f"{path}: expected identity_CelebA.txt and a folder img_celeba or img_align_celeba, found "
            f"{'no list' if identity is None else 'no pictures'}"
        )
    tree = FileTree(pictures)
    there = {file.name for file in pictures.iterdir()}
    missing = []
    for number, cells in spaced_rows(identity, (2,)):
        file, subject = cells
        if file not in there:
            missing.append(file)
        elif "/" in file or not subject.isdigit():
            tree.note(f"{identity.name}, line {number}: expected 'file subject', got {' '.join(cells)!r}")
        else:
            tree.add(subject, file, f"{subject}/{file}")
    tree.note_missing(identity, missing)
    tree.compare(CELEBA, "CelebA")
    return tree.pack(path, read_celeba)


def read_ms1m(path: Path) -> FilePack:
    """MS-Celeb-1M: a cleaned list of files with labels, or InsightFace's ``.rec`` with ``property``.

    Each line of a list holds ``file label``, or ``file label x1 y1 … x5 y5``, separated by spaces; the five points are
    not read, as ``lineament data align`` finds its own.

    Args:
        path: the list, to whose folder files are relative; the ``.rec`` or the folder of a ``train.rec``.

    Raises:
        DataError: no such layout, or none of the files is there.
    """
    packed = _rec(path)
    if packed is not None:
        return _counted(packed, path, (MS1M, "MS-Celeb-1M"), read_ms1m)
    return _read_list(path, (MS1M, "MS-Celeb-1M"), read_ms1m)


def read_glint(path: Path) -> FilePack:
    """Asian-Celeb and Glint360K: a list of files with labels and points (``celeb_lmk``), or a ``.rec``.

    Args:
        path: as for :func:`read_ms1m`.

    Raises:
        DataError: no such layout, or none of the files is there.
    """
    packed = _rec(path)
    if packed is not None:
        return _counted(packed, path, (GLINT, "Glint"), read_glint)
    return _read_list(path, (GLINT, "Glint"), read_glint)


def _read_list(path: Path, counts: tuple[Published, str], reopen: Callable[[Path], FilePack]) -> FilePack:
    if not path.is_file():
        raise DataError(
            f"expected a list of files with labels, a .rec or a folder with a train.rec at {path}"
        )
    tree = FileTree(path.parent)
    missing, seen = [], set()
    for number, cells in spaced_rows(path, (2, 12)):
        file, label = cells[0], cells[1]
        if not label.isdigit() or file.startswith("/") or ".." in file.split("/"):
            raise DataError(f"{path}, line {number}: expected 'file label', got {' '.join(cells[:2])!r}")
        if file in seen:
            tree.note(f"line {number}: {file} was listed before; the first line counts")
        elif not (path.parent / file).is_file():
            missing.append(file)
        else:
            tree.add(label, file)
        seen.add(file)
    tree.note_missing(path, missing)
    tree.compare(*counts)
    return tree.pack(path, reopen)


def read_indexed(path: Path) -> FilePack:
    """Pictures ``identity/file``, in the folder or in its one zip, with an ``index.csv`` of these two columns.

    Rows with a column ``in_lfw`` that is neither empty nor 0 are left out; how many is a fault of the pack.

    Args:
        path: the folder.

    Raises:
        DataError: no such layout, or none of the pictures is there.
    """
    listed = _folder(path) / "index.csv"
    columns, rows = csv_rows(listed)
    if not {"identity", "file"} <= set(columns):
        raise DataError(f"{listed}: expected the columns identity and file, got {','.join(columns)}")
    zips = sorted(path.glob("*.zip"))
    if len(zips) > 1:
        raise DataError(f"expected one zip of pictures in {path}, got {', '.join(z.name for z in zips)}")
    pack = open_zip(zips[0]) if zips else open_folder(path)
    files = [f"{row['identity']}/{row['file']}" for row in rows]
    held_out = {f for f, row in zip(files, rows, strict=True) if row.get("in_lfw", "") not in {"", "0"}}
    place = {name: number for number, name in enumerate(pack.names)}
    wanted = dict.fromkeys(file for file in files if file not in held_out)
    tree = FileTree(path, faults=list(pack.faults))
    if held_out:
        tree.note(f"{len(held_out)} pictures of people in LFW are left out (in_lfw)")
    tree.note_missing(listed, [file for file in wanted if file not in place])
    records = [place[file] for file in wanted if file in place]
    if not records:
        raise DataError(f"none of the pictures of {listed} is in {zips[0] if zips else path}")
    return selected(pack, records, tree.faults, path, read_indexed)


def read_lfw(path: Path) -> FilePack:
    """Always refuses: LFW is what models are measured on, so nobody in it may be trained on.

    Raises:
        DataError: always.
    """
    raise DataError(
        f"{path}: LFW is for evaluation only, and a model that saw its people cannot be measured on it; "
        "evaluate with: lineament evaluate verification --data FOLDER"
    )


READERS: Mapping[str, Callable[[Path], FilePack]] = MappingProxyType(
    {
        "casia-webface": read_casia_webface,
        "celeba": read_celeba,
        "glint": read_glint,
        "indexed": read_indexed,
        "lfw": read_lfw,
        "ms1m": read_ms1m,
        "vggface2": read_vggface2,
    }
)
"""Every layout by its name."""


def refuse_lfw(names: Sequence[str], path: Path) -> None:
    """Refuse records that are named as those of LFW, whatever the layout or format that they come in.

    Args:
        names: of the records; a thousand of them, spread over the pack, are looked at.
        path: for the message.

    Raises:
        DataError: most of the names look like ``Aaron_Eckhart/Aaron_Eckhart_0001.jpg``.
    """
    some = names[:: max(1, len(names) // 1000)]
    if some and sum(bool(_LFW_NAME.search(name)) for name in some) > len(some) / 2:
        read_lfw(path)


def _rec(path: Path) -> FilePack | None:
    """The ``.rec`` at or in ``path``; None when there is none."""
    file = path / "train.rec" if path.is_dir() else path
    return open_rec(file) if file.suffix == ".rec" and file.is_file() else None


def _counted(
    pack: FilePack, path: Path, counts: tuple[Published, str], reopen: Callable[[Path], FilePack]
) -> FilePack:
    """A packed data set, with a fault when its counts are those of no edition."""
    faults = (*pack.faults, *compare_counts(len(pack.subjects), len(pack), *counts))
    return selected(pack, range(len(pack)), faults, path, reopen)


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise DataError(f"expected a folder of a data set, there is none at {path}")
    return path


def _take_folders(tree: FileTree, subject: re.Pattern[str]) -> None:
    """All pictures in folders whose name is a subject's; says what else is there."""
    other = []
    for folder in sorted(tree.root.iterdir()):
        if not folder.is_dir():
            continue
        if not subject.fullmatch(folder.name):
            other.append(folder.name)
            continue
        files = sorted(file.name for file in folder.iterdir() if is_picture(file.name))
        if not files:
            tree.note(f"the folder {folder.name} holds no picture")
        for file in files:
            tree.add(folder.name, f"{folder.name}/{file}")
    if other:
        tree.note(f"{len(other)} folders are no subjects by their name: {some(other)}")


def _find(root: Path, name: str) -> Path | None:
    """A file of the publication beside the pictures, above them, or in ``meta`` or ``data`` there."""
    places = [base / part for base in (root, root.parent) for part in ("", "meta", "data")]
    return next((place / name for place in places if (place / name).is_file()), None)


def _compare_list(tree: FileTree, path: Path, listed: set[str]) -> None:
    there = set(tree.names)
    tree.note_missing(path, sorted(listed - there))
    extra = sorted(there - listed)
    if extra:
        tree.note(f"{len(extra)} pictures are not in {path.name}: {some(extra)}")


def _compare_meta(tree: FileTree, path: Path) -> None:
    """Pictures of each subject against ``identity_meta.csv``."""
    columns, rows = csv_rows(path)
    if not {"Class_ID", "Sample_Num"} <= set(columns):
        tree.note(f"{path.name}: expected columns Class_ID and Sample_Num, got {','.join(columns)}")
        return
    published = {row["Class_ID"]: row["Sample_Num"] for row in rows}
    counts: dict[str, int] = {}
    for name in tree.names:
        subject = name.partition("/")[0]
        counts[subject] = counts.get(subject, 0) + 1
    wrong = [s for s in tree.subjects if published.get(s, "") != str(counts[s])]
    if wrong:
        tree.note(f"{len(wrong)} subjects have not the number of pictures of {path.name}: {some(wrong)}")
