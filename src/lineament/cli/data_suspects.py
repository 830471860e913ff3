"""``lineament data noise | near-duplicates | same-person | overlap``: what embeddings say about packs of crops."""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from lineament.cli import common, results
from lineament.cli.data import FORMAT, app, note_faults
from lineament.cli.data_curation import training_format
from lineament.cli.output import JsonFlag, note, picture_progress, print_json

if TYPE_CHECKING:
    from lineament.core.arrays import ImageArray
    from lineament.curation.noise import Cut
    from lineament.curation.people import SubjectPair
    from lineament.curation.vectors import PackVectors
    from lineament.packs import FilePack

__all__ = ["app"]

T = TypeVar("T")
PACK = typer.Argument(help="Pack of aligned crops (lineament data align).")
MODEL = typer.Option(
    "", "--model", help="Embedder; NAME+flip averages mirror images. By default that of profile open."
)
CSV = typer.Option(None, "--csv", help="Write everything that was found to this CSV.", show_default=False)
SHEET = typer.Option(
    None,
    "--sheet",
    callback=common.result_picture,
    help="Show the first 64 in this picture.",
    show_default=False,
)
CLEAN = typer.Option(None, "--clean", help="Write the pack without them.", show_default=False)
ABOVE = typer.Option(..., "--above", min=0.01, max=1.0, help="Similarity from which on a pair is looked at.")
SHARES = (0.001, 0.01, 0.05, 0.25, 0.5)
_N_SHOWN = 64


@dataclass(frozen=True)
class _Embedding:
    """How to embed. ``strict`` refuses a pack with faults, for what is written from it would lack records."""

    model: str
    backend: str
    threads: int
    accept: bool
    strict: bool = False


@app.command("noise")
def noise(
    pack: Path = PACK,
    below: float = typer.Option(
        None,
        "--below",
        min=-1.0,
        max=1.0,
        help="Pictures less similar than this are suspects.",
        show_default=False,
    ),
    fraction: float = typer.Option(
        None, "--fraction", help="This fraction of the pictures are suspects.", show_default=False
    ),
    csv: Path = CSV,
    sheet: Path = SHEET,
    clean: Path = CLEAN,
    file_format: str = FORMAT,
    model: str = MODEL,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Find pictures that look unlike the other pictures of their subject.

    Each picture is compared with the centre of the others of its subject. Without --below and --fraction only the
    distribution of the similarities is shown, to choose by. Look at the sheet before you remove anything.

    Example: lineament data noise crops.rec --below 0.2 --sheet suspects.jpg --clean clean.rec
    """
    from lineament.curation.noise import find_noise
    from lineament.curation.sheet import suspects_sheet
    from lineament.curation.tables import write_suspects

    cut = _cut(below, fraction)
    if cut is None and (csv or sheet or clean):
        raise typer.BadParameter(
            "say which pictures are suspects: --below or --fraction", param_hint="--below"
        )
    _check_outputs(csv, clean, file_format)
    how = _Embedding(model, backend, threads, accept_noncommercial, strict=clean is not None)
    with _embedded(pack, how) as (opened, found):
        noisy = find_noise(found, len(opened.subjects), cut)
        suspects = noisy.suspects
        if csv:
            write_suspects(csv, opened, noisy)
        title = f"{len(suspects):,} of {noisy.n_judged:,} pictures of {pack.name}, least similar to their subject first"
        _draw(sheet, suspects, lambda some: suspects_sheet(opened, some, title))
        _write_clean(opened, [suspect.record for suspect in suspects], clean, file_format)
    quantiles = dict(zip(map(str, SHARES), noisy.quantiles(SHARES), strict=True))
    if as_json:
        told = {share: None if math.isnan(v) else round(v, 4) for share, v in quantiles.items()}
        facts = {"pack": str(pack), "judged": noisy.n_judged, "suspects": len(suspects)}
        print_json(facts | {"quantiles": told})
        return
    print(
        f"{noisy.n_judged:,} of {results.count(len(opened), 'picture')} can be judged by others of their subject"
    )
    print("similarity: " + ", ".join(f"{float(s):.1%} below {value:.3f}" for s, value in quantiles.items()))
    print(results.count(len(suspects), "suspect"))


def _cut(below: float | None, fraction: float | None) -> "Cut | None":
    """Which pictures are suspects; None when it is not told."""
    from lineament.curation.noise import Cut

    if below is None and fraction is None:
        return None
    try:
        return Cut(below, fraction)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--below, --fraction") from error


@app.command("near-duplicates")
def near_duplicates(
    pack: Path = PACK,
    other: Path = typer.Argument(None, help="Compare with this pack instead of within the first."),
    above: float = ABOVE,
    within: float = typer.Option(
        ...,
        "--within",
        min=0.0,
        max=255.0,
        help="Largest mean difference of small grey pictures, of 255 levels.",
    ),
    csv: Path = CSV,
    sheet: Path = SHEET,
    clean: Path = CLEAN,
    file_format: str = FORMAT,
    model: str = MODEL,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Find one photo twice: encoded anew, resized or mirrored; within a pack or between two.

    Pairs of similar embeddings are compared as pictures. --clean keeps the first of them; a photo under two subjects
    goes under both, and so does what the other pack has too.

    Example: lineament data near-duplicates crops.rec --above 0.8 --within 8 --sheet twice.jpg
    """
    from lineament.curation.duplicates import find_duplicates, superfluous
    from lineament.curation.sheet import duplicates_sheet
    from lineament.curation.tables import subject_of, write_duplicates

    _check_outputs(csv, clean, file_format)
    how = _Embedding(model, backend, threads, accept_noncommercial, strict=clean is not None)
    with ExitStack() as stack:
        one, vectors = stack.enter_context(_embedded(pack, how))
        two, others = (None, None) if other is None else stack.enter_context(_embedded(other, how))
        found = find_duplicates((one, two), (vectors, others), above, within)
        packs = (one, two or one)
        if csv:
            write_duplicates(csv, packs, found)
        title = f"{results.count(len(found), 'pair')} that may show one photo, most similar first"
        _draw(sheet, found, lambda some: duplicates_sheet(packs, some, title))
        out = superfluous(found, one) if two is None else sorted({d.first for d in found})
        _write_clean(one, out, clean, file_format)
        crossing = sum(subject_of(one, d.first) != subject_of(packs[1], d.second) for d in found)
    if as_json:
        print_json({"pairs": len(found), "under_two_subjects": crossing, "superfluous": len(out)})
        return
    print(f"{results.count(len(found), 'pair')} of near-duplicates, {crossing:,} of them under two subjects")
    print(f"without them {results.count(len(out), 'picture')} of {pack} would go")


@app.command("same-person")
def same_person(
    pack: Path = PACK,
    above: float = ABOVE,
    csv: Path = CSV,
    sheet: Path = SHEET,
    model: str = MODEL,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Find subjects of a pack that look like one person under two names.

    Example: lineament data same-person crops.rec --above 0.6 --sheet people.jpg
    """
    from lineament.curation.people import find_same_person

    _check_outputs(csv, None, "")
    with _embedded(pack, _Embedding(model, backend, threads, accept_noncommercial)) as (opened, found):
        pairs = find_same_person(found, len(opened.subjects), above)
        _report_people((opened, opened), pairs, (csv, sheet), as_json)


@app.command("overlap")
def overlap(
    pack: Path = PACK,
    other: Path = typer.Argument(help="Another pack of aligned crops: of an evaluation set, for example."),
    above: float = ABOVE,
    csv: Path = CSV,
    sheet: Path = SHEET,
    clean: Path = CLEAN,
    file_format: str = FORMAT,
    model: str = MODEL,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Find people of one pack who may be in another: nobody who is evaluated on may be trained on.

    --clean leaves out the subjects of the first pack that were found.

    Example: lineament data overlap train.rec lfw_aligned112.zip --above 0.5 --sheet both.jpg
    """
    from lineament.curation.people import find_overlap

    _check_outputs(csv, clean, file_format)
    how = _Embedding(model, backend, threads, accept_noncommercial, strict=clean is not None)
    with _embedded(pack, how) as (one, vectors), _embedded(other, how) as (two, others):
        pairs = find_overlap((vectors, others), (len(one.subjects), len(two.subjects)), above)
        found = {pair.first for pair in pairs}
        _write_clean(
            one, [n for n, label in enumerate(one.labels.tolist()) if label in found], clean, file_format
        )
        _report_people((one, two), pairs, (csv, sheet), as_json)


@app.command("hard")
def hard(
    pack: Path = PACK,
    wanted: int = typer.Option(..., "--wanted", min=2, help="Subjects to choose."),
    seeds: int = typer.Option(
        ..., "--seeds", min=1, help="Subjects drawn at random, to which the others are near."
    ),
    same_above: float = typer.Option(
        ..., "--same-above", min=0.01, max=1.0, help="Subjects more alike than this count as one person."
    ),
    seed: int = typer.Option(0, "--seed", min=0, help="Of the draw."),
    out: Path = typer.Option(..., "-o", "--out", help="Pack to write; it must not be there."),
    file_format: str = FORMAT,
    model: str = MODEL,
    backend: str = common.BACKEND,
    threads: int = common.THREADS,
    accept_noncommercial: bool = common.ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Choose subjects that are taken for each other, for a second stage of training (Taigman et al., 2015).

    Seeds are extended by their most similar subjects. Of two that look like one person under two names the second is
    left out: it would teach a network to separate what is the same.

    Example: lineament data hard train.rec --wanted 500 --seeds 50 --same-above 0.6 -o hard.rec
    """
    import numpy as np

    from lineament.curation.hard_subjects import hard_subjects
    from lineament.curation.similar import subject_centres

    _check_outputs(None, out, file_format)
    how = _Embedding(model, backend, threads, accept_noncommercial, strict=True)
    with _embedded(pack, how) as (opened, found):
        centres = subject_centres(found.vectors, found.labels, len(opened.subjects))
        if not seeds <= wanted <= len(centres):
            raise typer.BadParameter(
                f"expected --seeds <= --wanted <= {len(centres)}, the subjects of {pack}"
            )
        chosen = hard_subjects(centres, wanted, seeds, same_above, np.random.default_rng(seed))
        kept = set(chosen.chosen.tolist())
        out_of_it = [n for n, label in enumerate(opened.labels.tolist()) if label not in kept]
        _write_clean(opened, out_of_it, out, file_format)
    facts = {"subjects": len(kept), "of": len(centres), "pairs_of_one_person": len(chosen.same_person)}
    if as_json:
        print_json(facts)
    else:
        print(
            f"{facts['subjects']:,} of {facts['of']:,} subjects; {facts['pairs_of_one_person']:,} pairs above the bound"
        )


def _report_people(
    packs: "tuple[FilePack, FilePack]",
    pairs: "Sequence[SubjectPair]",
    outputs: tuple[Path | None, Path | None],
    as_json: bool,
) -> None:
    from lineament.curation.sheet import people_sheet
    from lineament.curation.tables import write_people

    csv, sheet = outputs
    if csv:
        write_people(csv, packs, pairs)
    title = f"{results.count(len(pairs), 'pair')} that may be one person, most similar first"
    _draw(sheet, pairs, lambda some: people_sheet(packs, some, title))
    n_first, n_second = len({pair.first for pair in pairs}), len({pair.second for pair in pairs})
    if as_json:
        print_json({"pairs": len(pairs), "first_subjects": n_first, "second_subjects": n_second})
        return
    print(f"{results.count(len(pairs), 'pair')} of subjects that may be one person")
    for pair in pairs[:10]:
        names = f"{packs[0].subjects[pair.first]} and {packs[1].subjects[pair.second]}"
        print(f"  {pair.similarity:.3f}  {names} (most similar pictures {pair.best_similarity:.3f})")
    if len(pairs) > 10:
        print(f"  and {len(pairs) - 10:,} more{'' if csv else '; list them with --csv'}")


def _check_outputs(csv: Path | None, clean: Path | None, file_format: str) -> None:
    """Refuse before the work what could not be written after it."""
    if csv is not None:
        common.require_folder(csv)
    if clean is not None:
        training_format(clean, file_format)


@contextmanager
def _embedded(path: Path, how: _Embedding) -> "Iterator[tuple[FilePack, PackVectors]]":
    """A pack with its embeddings; those of earlier runs are used again."""
    from lineament.curation.vectors import HOW, embed_pack, load_crop_embedder
    from lineament.embedding.cache import EmbeddingCache
    from lineament.packs import open_pack
    from lineament.zoo.licence import accept
    from lineament.zoo.options import FetchOptions
    from lineament.zoo.profiles import find_profile

    model = how.model or find_profile("open").embedder
    if how.accept:
        accept(model.partition("+")[0])
    with open_pack(path, strict=how.strict) as pack:
        note_faults(path, pack.faults)
        embedder = load_crop_embedder(model, common.asked_runtime(how.backend, how.threads))
        cache = EmbeddingCache(FetchOptions.from_environment().cache / "embeddings", embedder.space, HOW)
        with picture_progress(path.name) as progress:
            found = embed_pack(pack, embedder, cache, progress)
        if found.faults:
            reason = found.faults[0][1]
            note(
                f"{results.count(len(found.faults), 'record')} of {path} left out, the first because of: {reason}"
            )
        yield pack, found


def _draw(path: Path | None, found: Sequence[T], draw: "Callable[[Sequence[T]], ImageArray]") -> None:
    """A sheet of the first findings, if it is wanted and there are any."""
    from lineament.imaging import write_image

    if path is not None and found:
        write_image(path, draw(found[:_N_SHOWN]))
    elif path is not None:
        note(f"nothing was found, so {path} is not written")


def _write_clean(pack: "FilePack", out: Collection[int], path: Path | None, file_format: str) -> None:
    """The pack without some records, if it is wanted."""
    if path is None:
        return
    from lineament.packs.selection import without, write_selection

    chosen = training_format(path, file_format)
    with picture_progress(path.name) as progress:
        info = write_selection(pack, without(pack, out), path, chosen, progress)
    note(
        f"{results.count(info.records, 'record')} of {results.count(info.subjects, 'subject')} written to {path}"
    )
