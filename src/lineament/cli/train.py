"""``lineament train``: recipes, runs, memory plans and exports. Needs the extra ``train`` (torch)."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import typer

from lineament.cli.output import JsonFlag, note, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from lineament.demesh.training import RestorationConfig
    from lineament.embedding.training import EmbeddingConfig
    from lineament.engine import TrainedRun

app = typer.Typer(
    help="Train embedders and mesh removers from recipes: plan, run, resume, export.", no_args_is_help=True
)
RecipeArgument = typer.Argument(metavar="RECIPE", help='A name that "lineament train list" shows.')
PackOption = typer.Option(..., "--pack", help="Training pack of aligned crops (lineament data align).")
HeldOption = typer.Option(
    None, "--held", help="Pack of other people, measured during training.", show_default=False
)
SetOption = typer.Option(
    [],
    "--set",
    metavar="FIELD=VALUE",
    help="Replace a field of the recipe, as in loop.steps=500; repeatable.",
)


@app.command("list")
def list_recipes(as_json: bool = JsonFlag) -> None:
    """Show the recipes.

    Example: lineament train list
    """
    found = _recipes()
    recipes = {**found.RECIPES, **found.RESTORATION_RECIPES}
    rows = [(name, (recipe.__doc__ or "").strip().partition("\n")[0]) for name, recipe in recipes.items()]
    if as_json:
        print_json([{"name": name, "summary": summary} for name, summary in rows])
    else:
        print_table(("recipe", "what it trains"), rows)


@app.command()
def run(
    recipe: str = RecipeArgument,
    pack: Path = PackOption,
    held: Path = HeldOption,
    out: Path = typer.Option(
        ..., "--out", help="Folder of the run: checkpoints, log, run card, exported model."
    ),
    settings: list[str] = SetOption,
    fresh: bool = typer.Option(
        False, "--fresh", help="Refuse to go on with a run that lies in the folder already."
    ),
    as_json: bool = JsonFlag,
) -> None:
    """Train an embedder or a mesh remover, or go on with a run that was interrupted.

    The same command goes on where the newest sound checkpoint is, and ends as an uninterrupted run would have.
    Ctrl-C finishes the step, writes a checkpoint and stops. Several ranks: "torchrun --nproc-per-node 2 -m lineament
    train run ...". The exported model lies in OUT/model: "lineament models add OUT/model" takes it into the zoo.

    Example: lineament train run thin_arcface_cpu --pack train.rec --held held.rec --out runs/thin --set loop.steps=500
    """
    config = _configured(recipe, pack, held, settings)
    if fresh and out.exists() and any(out.iterdir()):
        raise typer.BadParameter(f"{out} is not empty; choose another folder or leave --fresh out")
    trained = _trained(config, out)
    if trained is None:  # another rank than the first reports nothing
        return
    document = _document(trained)
    if as_json:
        print_json(document)
    else:
        print_pairs((name, f"{value}") for name, value in document.items() if value is not None)
    if not trained.result.finished:
        note("stopped before the end; the same command goes on")


@app.command()
def plan(
    recipe: str = RecipeArgument,
    pack: Path = PackOption,
    settings: list[str] = SetOption,
    memory_gib: float = typer.Option(
        0.0, "--memory-gib", help="Memory that may be used; says which batch fits.", show_default=False
    ),
    as_json: bool = JsonFlag,
) -> None:
    """Say how much memory a run needs before it starts, and which batch fits.

    The first steps are made with two small batches, which takes some seconds to a minute.

    Example: lineament train plan mobilefacenet_arcface_1gpu --pack train.rec --memory-gib 16
    """
    from lineament.embedding.training import EmbeddingConfig
    from lineament.embedding.training.planning import plan_run

    config = _configured(recipe, pack, None, settings)
    if not isinstance(config, EmbeddingConfig):
        raise typer.BadParameter(f"memory is planned for embedders; {recipe} trains a mesh remover")
    found = plan_run(config, round(memory_gib * 2**30))
    if as_json:
        print_json(found.to_json())
    else:
        print(found.text())


@app.command()
def int8(
    model: Path = typer.Argument(metavar="MODEL", help="Exported model: the folder RUN/model."),
    pack: Path = typer.Option(..., "--pack", help="Pack whose crops the ranges are taken from."),
    held: Path = typer.Option(..., "--held", help="Pack of other people, on which the cost is measured."),
    far: float = typer.Option(0.01, "--far", min=1e-6, max=0.5, help="FAR at which TAR is compared."),
    out: Path = typer.Option(..., "-o", "--out", help="Folder for the int8 model."),
) -> None:
    """Make the int8 version of an exported model, a space of its own, and state what it costs.

    Example: lineament train int8 runs/thin/model --pack train.rec --held held.rec -o thin-int8
    """
    _recipes()  # says what to install when torch is missing
    from lineament.embedding.training.check_pairs import calibration_crops, held_pairs
    from lineament.embedding.training.quantise import quantise_export
    from lineament.zoo.manifest import parse_manifest

    manifest = parse_manifest((model / "manifest.toml").read_text(encoding="utf-8"), str(model))
    made = quantise_export(
        model, out, calibration_crops(pack, manifest.input), held_pairs(held, manifest.input, far)
    )
    print_table(
        ("runtime", "mean cosine to f32", "smallest", f"TAR at FAR {far:g}", "in f32"),
        [
            (c.runtime, f"{c.mean_cosine:.4f}", f"{c.min_cosine:.4f}", f"{c.tar:.4f}", f"{c.tar_f32:.4f}")
            for c in made.costs
        ],
    )
    print(f"written to {made.folder}; take it with: lineament models add {made.folder}")


def _configured(
    recipe: str, pack: Path, held: Path | None, settings: list[str]
) -> "EmbeddingConfig | RestorationConfig":
    recipes = _recipes()
    known = {**recipes.RECIPES, **recipes.RESTORATION_RECIPES}
    if recipe not in known:
        raise typer.BadParameter(f"no recipe {recipe!r}; there are {', '.join(known)}")
    config: EmbeddingConfig | RestorationConfig = recipes.override(known[recipe](pack, held), settings)
    return replace(config, recipe=" ".join([recipe, *settings]))


def _trained(config: "EmbeddingConfig | RestorationConfig", out: Path) -> "TrainedRun | None":
    from lineament.demesh.training import train_restorer
    from lineament.embedding.training import EmbeddingConfig, train

    return train(config, out) if isinstance(config, EmbeddingConfig) else train_restorer(config, out)


def _document(trained: "TrainedRun") -> dict[str, str | int | float | bool | None]:
    result = trained.result
    return {
        "finished": result.finished,
        "steps": result.step,
        "wall_s": round(result.seconds, 1),
        **{name: round(value, 5) for name, value in result.measures.items()},
        "checkpoint": str(result.checkpoint),
        "best": None if result.best is None else str(result.best),
        "model": None if trained.model is None else str(trained.model),
    }


def _recipes() -> ModuleType:
    """The recipes.

    Raises:
        RuntimeUnavailable: torch is not installed.
    """
    from lineament.core.errors import RuntimeUnavailable

    try:
        from lineament import recipes
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            f"training needs the extra 'train' ({error.name} is not installed): pip install 'lineament[train]'"
        ) from error
    return recipes
