"""``faceverify train``: train a model on a set of face crops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet, Verbose
from faceverify.cli.run_options import (
    Align,
    Backbone,
    BatchSize,
    Device,
    Epochs,
    LearningRate,
    Minutes,
    Precision,
    Resume,
    RunName,
    Runs,
    Seed,
    Steps,
    Workers,
)
from faceverify.cli.training_run import (
    check_resume,
    place_of,
    refuse_command,
    run_and_show,
    started,
)
from faceverify.errors import UsageError

if TYPE_CHECKING:
    from faceverify.training.run.finish import Trained

DEFAULT_RECIPE, FINE_TUNING = "small-arcface", "finetune-default"
TAUGHT = "soft-targets"  # method of --teacher


def train(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            help="A folder with one folder per person, a RecordIO folder, WebDataset shards, or "
            "their URLs: s3://..., https://..., pipe:COMMAND.",
            show_default=False,
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME|FILE",
            help="Initial settings, see --recipes.  [default: by --init and --loss, else "
            "small-arcface]",
            show_default=False,
        ),
    ] = None,
    align: Align = False,
    name: RunName = None,
    out: Runs = Path("runs"),
    resume: Resume = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any setting, such as loss.margin=0.4; may be repeated.",
            show_default=False,
        ),
    ] = None,
    backbone: Backbone = None,
    loss: Annotated[
        str | None,
        typer.Option(
            "--loss",
            "--head",
            help="Loss function, such as arcface; recipe and batches follow it where nothing else "
            "is said.",
            show_default=False,
        ),
    ] = None,
    joined: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="METHOD",
            help="A method without names beside the loss, on the same embeddings, such as simclr; "
            "`faceverify pretrain --methods` lists them.",
            show_default=False,
        ),
    ] = None,
    weight: Annotated[
        float | None,
        typer.Option(
            "--weight", help="Factor of that method's loss.  [default: 0.3]", show_default=False
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="MODEL",
            help="A model whose opinion of each image is learned beside its label: a name, a model "
            "file, or a run.",
            show_default=False,
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            "--temperature",
            help="Divides the logits of teacher and student in that.  [default: 4]",
            show_default=False,
        ),
    ] = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="MODEL",
            help="Initial weights: a model, a run, a checkpoint, facenet:NAME; the backbone is "
            "theirs, and the recipe finetune-default (small-arcface for weights of `pretrain`), "
            "where nothing else is said.",
            show_default=False,
        ),
    ] = None,
    freeze: Annotated[
        str | None,
        typer.Option(
            "--freeze",
            metavar="STAGES",
            help="Frozen stages of the backbone, separated by commas.",
            show_default=False,
        ),
    ] = None,
    epochs: Epochs = None,
    steps: Steps = None,
    minutes: Minutes = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    validate: Annotated[
        str | None,
        typer.Option(
            "--validate",
            metavar="LIST",
            help="Pairs that select the best checkpoint; by default identities held out of DATA.",
            show_default=False,
        ),
    ] = None,
    images: Annotated[
        str | None,
        typer.Option(
            "--images",
            metavar="ROOT",
            help="Folder of the photos of LIST; by default that of LIST.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    precision: Precision = None,
    workers: Workers = None,
    seed: Seed = None,
    recipes: Annotated[
        bool, typer.Option("--recipes", help="List the recipes.", show_default=False)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a model on aligned face crops; the result is FOLDER/NAME/model.onnx.

    `faceverify align` makes the crops. Ctrl-C, SIGTERM or the end of the terminal finishes the
    step, saves a checkpoint, and exits with 130, 143 or 129; `--resume` continues the run exactly
    where it stopped. A second signal exits at once. With torchrun, several processes and machines
    train together.

    **Examples:**

    `faceverify train people112 --recipe small-arcface --name mine`

    `faceverify train people112 --recipe finetune-default --minutes 20`

    `faceverify train people112 --loss softmax --with simclr --weight 0.3`

    `torchrun --nproc-per-node 8 -m faceverify train ms1mv3 --recipe arcface-ms1mv3-r50`
    """
    console = Console(json, quiet, verbose)
    if recipes:
        show_recipes(console)
        return
    changes = {
        "seed": seed,
        "data": {"source": place_of(data), "workers": workers, "align": align or None},
        "backbone": {"name": backbone, "init": place_of(init), "freeze": words(freeze)},
        "loss": {"name": loss},
        "method": {
            "name": None if teacher is None else TAUGHT,
            "teacher": place_of(teacher),
            "temperature": temperature,
        },
        "joined": {"name": joined, "weight": weight},
        "budget": {"epochs": epochs, "steps": steps, "minutes": minutes},
        "batches": {"size": batch_size},
        "optimiser": {"learning_rate": learning_rate},
        "validation": {"pairs": place_of(validate), "images": place_of(images)},
        "compute": {"device": device, "precision": precision},
    }
    run_and_show(
        lambda: run(changes, settings or [], recipe, out, name, console, resume=resume), console
    )


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
    """Make the configuration and train.

    Args:
        changes: settings of the flags, by section; None is not given.
        settings: ``--set`` assignments, applied last.
        recipe: name or file; None for the default.
        out: folder of all runs.
        name: name of the run; None for that of the recipe.
        console: where to report.
        resume: continue the run, with its own settings instead of a recipe.
    """
    check_resume(resume, recipe, name)  # before torch is imported
    from faceverify.runtime.addresses import check_path
    from faceverify.training.config.files import as_dict, changes_of, overridden, read_recipe
    from faceverify.training.optim.freezing import BODY
    from faceverify.training.run.folder import RunFolder
    from faceverify.training.run.follow_loss import following_loss, recipe_of
    from faceverify.training.run.follow_weights import following_weights, learned_without_names

    given = overridden(changes, changes_of(settings))
    init = given.get("backbone", {}).get("init")
    unnamed = bool(init) and learned_without_names(init)
    if recipe is None and init and not unnamed:
        recipe = FINE_TUNING
    recipe = recipe or recipe_of(given.get("loss", {}).get("name"), DEFAULT_RECIPE)
    check_path(name or "", "--name")
    folder = RunFolder(out / (name or Path(recipe).stem))
    values = as_dict(folder.read_config()) if resume else read_recipe(recipe)
    if changes["data"]["source"] is None:
        refuse_command(values.get("data"))
    began = values
    values = overridden(values, given)
    if not resume:
        values = following_weights(following_loss(values, began, given), given)
        if unnamed:
            values["backbone"].setdefault("kept", BODY)
    from faceverify.training.config.checked import config_from_dict

    if given["method"].get("temperature") is not None and "teacher" not in values["method"]:
        raise UsageError("--temperature: of which teacher?", cure="give --teacher MODEL as well")
    config = config_from_dict(values)
    from faceverify.training.methods import find_method

    if given["joined"].get("weight") is not None and not config.joined.name:
        raise UsageError("--weight: of which method?", cure="give --with METHOD as well")
    if not resume and not find_method(config.method.name).learns_by_loss:
        raise UsageError(
            f"{config.method.name} is a method of pre-training, which no loss of people belongs to",
            cure="use `faceverify pretrain`, and `faceverify train --init` after it",
        )

    return started(config, folder, console, resume=resume)


def words(text: str | None) -> list[str] | None:
    """List of comma-separated words."""
    return None if text is None else [one.strip() for one in text.split(",") if one.strip()]


def show_recipes(console: Console) -> None:
    """Print the recipes, each with the first line of its file."""
    from faceverify.training.config.files import RECIPES, recipe_names

    for name in recipe_names():
        first = (RECIPES / f"{name}.toml").read_text(encoding="utf-8").partition("\n")[0]
        about = first.lstrip("# ")
        console.result({"recipe": name, "about": about}, f"{name:24} {about}")
