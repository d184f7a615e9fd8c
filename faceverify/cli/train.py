"""``faceverify train``: from a folder of people to a model file."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceverify.cli.console import Console
from faceverify.cli.exit import BY_A_SIGNAL
from faceverify.cli.options import Json, Quiet, Verbose
from faceverify.errors import FaceverifyError, UsageError

if TYPE_CHECKING:
    from faceverify.training.run.train import Trained

DEFAULT_RECIPE = "small-arcface"
PATIENCE = 2.0  # seconds that other processes leave the first one to speak


def train(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder with a folder a person, a RecordIO folder, WebDataset shards, or their "
            "URLs: s3://..., https://..., pipe:COMMAND.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME|FILE",
            help="Settings to begin with, see --recipes.  [default: small-arcface]",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", help="Of the run; by default the recipe's.", show_default=False),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where runs lie, a folder each.")
    ] = Path("runs"),
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on from the run's last checkpoint.", show_default=False),
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting, such as head.margin=0.4; may be repeated.",
            show_default=False,
        ),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", help="Architecture, or timm:NAME.", show_default=False),
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", help="The loss.", show_default=False)
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="MODEL",
            help="Weights to start from: a model, a checkpoint, facenet:NAME.",
            show_default=False,
        ),
    ] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            "--freeze",
            metavar="STAGES",
            help="Stages whose weights stay, separated by commas.",
            show_default=False,
        ),
    ] = None,
    epochs: Annotated[
        float | None, typer.Option("--epochs", help="Passes over the data.", show_default=False)
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Optimiser steps instead.", show_default=False)
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            help="As many steps as fit, with 10 validations or fewer, instead.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            "--batch-size", help="Images of a step, over all processes.", show_default=False
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option("--learning-rate", help="Highest, of the backbone.", show_default=False),
    ] = None,
    validate: Annotated[
        str | None,
        typer.Option(
            "--validate",
            metavar="LIST",
            help="Pairs that choose the best checkpoint; by default people held out of DATA.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="ROOT",
            help="Where the photos of LIST lie; by default beside it.",
            show_default=False,
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option("--device", help="auto, cpu, cuda or mps.", show_default=False),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", help="auto, float32, bfloat16 or float16.", show_default=False),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Threads that make batches.", min=0, show_default=False),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Of everything drawn.", show_default=False)
    ] = None,
    recipes: Annotated[
        bool, typer.Option("--recipes", help="List the recipes.", show_default=False)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Learn a model from photos of people; it lands in FOLDER/NAME/model.onnx.

    Photos are aligned crops, as `faceverify align` cuts them. Ctrl-C, SIGTERM or a terminal that is
    closed finishes the step, saves, and exits with 130, 143 or 129; `--resume` goes on as if
    nothing had been. A second signal leaves at once. With torchrun, several processes and machines
    train together.

    **Examples:**

    `faceverify train people112 --recipe small-arcface --name mine`

    `faceverify train people112 --recipe finetune-default --minutes 20`

    `torchrun --nproc-per-node 8 -m faceverify train ms1mv3 --recipe arcface-ms1mv3-r50`
    """
    rank = int(os.environ.get("RANK", "0"))
    console = Console(json, quiet or rank > 0, verbose)
    if recipes:
        show_recipes(console)
        return
    changes = {
        "seed": seed,
        "data": {"source": place_of(data), "workers": workers},
        "backbone": {"name": backbone, "init": place_of(init), "freeze": words(freeze)},
        "head": {"name": head},
        "budget": {"epochs": epochs, "steps": steps, "minutes": minutes},
        "batches": {"size": batch_size},
        "optimiser": {"learning_rate": learning_rate},
        "validation": {"pairs": place_of(validate), "images": place_of(images)},
        "compute": {"device": device, "precision": precision},
    }
    try:
        trained = run(changes, settings or [], recipe, out, name, console, resume=resume)
    except FaceverifyError:
        if rank:  # the same error, most often, as the first process has: let that one say it
            time.sleep(PATIENCE)
        raise
    if rank == 0:
        show(trained, console)
    if trained.stopped_by:
        raise typer.Exit(BY_A_SIGNAL + trained.stopped_by)


def run(
    changes: dict[str, Any],
    settings: list[str],
    recipe: str | None,
    out: Path,
    name: str | None,
    console: Console,
    *,
    resume: bool,
) -> Trained:
    """Put the configuration together and train."""
    from faceverify.training.config.files import as_dict, changes_of, overridden, read_recipe
    from faceverify.training.run.folder import RunFolder

    if resume and recipe is not None:
        raise UsageError("--resume keeps the run's own settings", cure="leave --recipe out")
    recipe = recipe or DEFAULT_RECIPE
    folder = RunFolder(out / (name or Path(recipe).stem))
    if resume and name is None:
        raise UsageError("--resume: which run?", cure="give its --name")
    values = as_dict(folder.read_config()) if resume else read_recipe(recipe)
    if changes["data"]["source"] is None:
        refuse_command(values.get("data"))
    values = overridden(overridden(values, changes), changes_of(settings))
    from faceverify.training.config.schema import config_from_dict

    config = config_from_dict(values)
    from faceverify.training.run.train import train_model

    return train_model(
        config,
        folder,
        resume=resume,
        say=console.message,
        progress=console.progress,
        live=not console.quiet,
    )


def refuse_command(section: object) -> None:
    """UsageError where a file's ``[data]`` would run a command: only who types one may."""
    from faceverify.training.data.sets.shard_stream import has_command

    source = section.get("source") if isinstance(section, dict) else None
    if isinstance(source, str) and has_command(source):
        raise UsageError(
            f"data.source is a command in a file: {source}",
            cure="read it, and give it as DATA if it may run",
        )


def place_of(text: str | None) -> str | None:
    """A path that exists as one from the root, so that the run can go on from anywhere."""
    return os.path.abspath(text) if text and os.path.exists(text) else text


def words(text: str | None) -> list[str] | None:
    """A list out of ``a,b``."""
    return None if text is None else [one.strip() for one in text.split(",") if one.strip()]


def show(trained: Trained, console: Console) -> None:
    """Print what became of a run."""
    figures = {key: round(value, 6) for key, value in trained.figures.items()}
    value = {
        "run": str(trained.folder),
        "step": trained.step,
        "steps": trained.steps,
        "finished": trained.model is not None,
        "model": None if trained.model is None else str(trained.model),
        "model_id": trained.model_id or None,
        "checkpoint": trained.checkpoint or None,
        "figures": figures,
        "seconds": round(trained.seconds, 2),
    }
    if trained.model is None:
        text = (
            f"stopped at step {trained.step} of {trained.steps}, saved; go on with "
            f"--name {trained.folder.name} --resume"
        )
    else:
        shown = "".join(f"  {key} {100 * one:.2f} %" for key, one in figures.items())
        text = f"{trained.model}{shown}"
    console.result(value, text)


def show_recipes(console: Console) -> None:
    """List the recipes, each with the first line of its file."""
    from faceverify.training.config.files import RECIPES, recipe_names

    for name in recipe_names():
        first = (RECIPES / f"{name}.toml").read_text(encoding="utf-8").partition("\n")[0]
        about = first.lstrip("# ")
        console.result({"recipe": name, "about": about}, f"{name:24} {about}")
