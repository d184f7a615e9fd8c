"""``faceverify pretrain``: train a backbone on photos without names."""

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

RECIPE = "pretrain-"  # and the name of the method
DISTILLATION, NARROW = "distil", "pretrain-distil-narrow"  # the recipe of a teacher that fits it


def pretrain(
    photos: Annotated[
        str | None,
        typer.Argument(
            metavar="PHOTOS",
            help="Aligned crops of faces: a folder with photos at any depth, a list of them "
            "(.txt, a path a line), WebDataset shards, or a RecordIO folder. Names are not read. "
            "For --method clip a CSV of photo,caption.",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method", metavar="NAME", help="How to learn, see --methods.", show_default=False
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME|FILE",
            help="Initial settings.  [default: pretrain-METHOD; for distil with a teacher such as "
            "sface pretrain-distil-narrow]",
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
            help="Any setting, such as method.temperature=0.1; may be repeated.",
            show_default=False,
        ),
    ] = None,
    backbone: Backbone = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="MODEL",
            help="Initial weights: a model, a run, a checkpoint.",
            show_default=False,
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            "--teacher",
            metavar="MODEL",
            help="The model to learn from, with --method distil: a name or a model file.",
            show_default=False,
        ),
    ] = None,
    positives: Annotated[
        str | None,
        typer.Option(
            "--positives",
            metavar="photo|tracks",
            help="What a second view of a photo is of: the photo, or another one of its folder, "
            "as frames of a track in a video.  [default: photo]",
            show_default=False,
        ),
    ] = None,
    probe: Annotated[
        str | None,
        typer.Option(
            "--probe",
            metavar="FOLDER",
            help="Other people, a folder of crops each: they tell how the run goes, and choose the "
            "checkpoint; without them the effective rank does.",
            show_default=False,
        ),
    ] = None,
    epochs: Epochs = None,
    steps: Steps = None,
    minutes: Minutes = None,
    batch_size: BatchSize = None,
    learning_rate: LearningRate = None,
    device: Device = None,
    precision: Precision = None,
    workers: Workers = None,
    seed: Seed = None,
    methods: Annotated[
        bool, typer.Option("--methods", help="List the methods.", show_default=False)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a backbone on crops of nobody in particular; the result is FOLDER/NAME/model.onnx.

    `faceverify train --init FOLDER/NAME` goes on from it with people. The line of progress shows
    how far the embeddings spread (1: over the sphere, 0: all alike) and over how many directions
    (effective rank); a run whose embeddings collapse stops, and says what to change. Signals,
    `--resume` and torchrun are those of `faceverify train`.

    **Examples:**

    `faceverify pretrain crops112 --method simclr --minutes 10 --name pre`

    `faceverify pretrain crops112 --method byol --probe people112 --epochs 100`
    """
    console = Console(json, quiet, verbose)
    if methods:
        show_methods(console)
        return
    changes = {
        "seed": seed,
        "data": {"source": place_of(photos), "workers": workers, "align": align or None},
        "backbone": {"name": backbone, "init": place_of(init)},
        "method": {"name": method, "teacher": place_of(teacher)},
        "views": {"positives": positives},
        "budget": {"epochs": epochs, "steps": steps, "minutes": minutes},
        "batches": {"size": batch_size},
        "optimiser": {"learning_rate": learning_rate},
        "validation": {"probe": place_of(probe)},
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
    """Make the configuration and train; arguments as of :func:`faceverify.cli.train.run`."""
    check_resume(resume, recipe, name)  # before torch is imported
    from faceverify.runtime.addresses import check_path
    from faceverify.training.config.checked import config_from_dict
    from faceverify.training.config.files import as_dict, changes_of, overridden, read_recipe
    from faceverify.training.methods import find_method
    from faceverify.training.run.folder import RunFolder
    from faceverify.training.run.follow_weights import following_weights, teacher_to_narrow

    given = overridden(changes, changes_of(settings))
    chosen = given.get("method", {}).get("name")
    if chosen is not None and find_method(chosen).learns_by_loss:
        raise UsageError(f"--method {chosen} learns people's names", cure="use `faceverify train`")
    if given.get("loss"):
        raise UsageError(
            f"loss.{next(iter(given['loss']))}: a method of pre-training has no loss of people",
            cure="leave it out, or use `faceverify train --with METHOD`",
        )
    if not resume and recipe is None and chosen is None:
        raise UsageError("which method?", cure="give --method NAME; --methods lists them")
    may_narrow = recipe is None and chosen == DISTILLATION and not resume
    recipe = recipe or f"{RECIPE}{chosen}"
    check_path(name or "", "--name")
    folder = RunFolder(out / (name or Path(recipe).stem))
    values = as_dict(folder.read_config()) if resume else read_recipe(recipe)
    if may_narrow and (teacher := teacher_to_narrow(given, values)):
        values = overridden(read_recipe(NARROW), {"backbone": {"init": teacher}})
    if changes["data"]["source"] is None:
        refuse_command(values.get("data"))
    values = overridden(values, given)
    if not resume:
        values = following_weights(values, given)
    config = config_from_dict(values)
    if find_method(config.method.name).learns_by_loss:
        raise UsageError(
            f"{folder.path if resume else recipe}: no method of pre-training in it",
            cure="use `faceverify train`, or give --method NAME",
        )
    return started(config, folder, console, resume=resume)


def show_methods(console: Console) -> None:
    """Print the methods, each with the first line of its file."""
    import sys

    from faceverify.training.methods import METHODS

    for name, method in METHODS.items():
        if not method.learns_by_loss:
            about = (sys.modules[method.__module__].__doc__ or "").partition("\n")[0]
            console.result({"method": name, "about": about}, f"{name:10} {about}")
