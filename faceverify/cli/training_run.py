"""Start a run of ``train`` or ``pretrain``, print what became of it, end with its status."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from faceverify.cli.console import Console
from faceverify.cli.exit import BY_A_SIGNAL
from faceverify.errors import FaceverifyError, UsageError
from faceverify.runtime.launch import launched
from faceverify.runtime.malloc import restart_without_thread_cache

if TYPE_CHECKING:
    from faceverify.training.config.schema import Config
    from faceverify.training.run.finish import Trained
    from faceverify.training.run.folder import RunFolder

PATIENCE = 2.0  # seconds that other processes give the first one to print the same error


def run_and_show(run: Callable[[], Trained], console: Console) -> None:
    """Run in this process, one of a run's, and print the result in the first one.

    Raises:
        typer.Exit: a signal stopped it: 128 and its number.
    """
    restart_without_thread_cache()
    rank = launched("RANK", 0)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "FATAL")  # its errors come as exceptions, too
    try:
        trained = run()
    except FaceverifyError:
        if rank:  # most often the same error as in the first process, which prints it
            time.sleep(PATIENCE)
        raise
    if rank == 0:
        show(trained, console)
    if trained.stopped_by:
        raise typer.Exit(BY_A_SIGNAL + trained.stopped_by)


def check_resume(resume: bool, recipe: str | None, name: str | None) -> None:
    """UsageError if a run is to be resumed that is not named, or by another recipe than its own."""
    if resume and recipe is not None:
        raise UsageError("--resume keeps the run's own settings", cure="leave --recipe out")
    if resume and name is None:
        raise UsageError("--resume: which run?", cure="give its --name")


def started(config: Config, folder: RunFolder, console: Console, *, resume: bool) -> Trained:
    """Train by a configuration, with messages and progress on a console."""
    from faceverify.training.run.train import train_model

    return train_model(
        config,
        folder,
        resume=resume,
        say=console.message,
        show_progress=console.progress,
        live=not console.quiet,
    )


def show(trained: Trained, console: Console) -> None:
    """Print what became of a run."""
    figures = {key: round(value, 6) for key, value in trained.results.items()}
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


def refuse_command(section: object) -> None:
    """UsageError if ``data.source`` of a file is a command: only the command line may give one."""
    from faceverify.training.data.sets.shard_stream import has_command

    source = section.get("source") if isinstance(section, dict) else None
    if isinstance(source, str) and has_command(source):
        raise UsageError(
            f"data.source is a command in a file: {source}",
            cure="read it, and give it as DATA if it may run",
        )


def place_of(text: str | None) -> str | None:
    """Absolute path if it exists, so that the run can be resumed from any folder."""
    return os.path.abspath(text) if text and os.path.exists(text) else text
