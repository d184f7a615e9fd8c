"""The commands, one file each."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from faceverify.cli.commands import Commands
from faceverify.version import __version__

# in the order of the help: NAME is the function of that name in faceverify/cli/NAME.py, or the
# group ``app`` of the package faceverify/cli/NAME
COMMANDS = (
    "verify",
    "enroll",
    "identify",
    "embed",
    "detect",
    "align",
    "doctor",
    "evaluate",
    "calibrate",
    "train",
    "pretrain",
)
GROUPS = ("gallery", "data", "weights")


def build_app(first: str = "") -> typer.Typer:
    """The command line, with all commands or one.

    Args:
        first: word of the command line; where it is a command, no other one is imported and
            declared, which would take longer than all else that precedes its work.
    """
    app = Commands(
        name="faceverify",
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options)
    every = (*COMMANDS, *GROUPS)
    for name in (first,) if first in every else every:
        module = import_module(f"faceverify.cli.{name}")
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command(name)(getattr(module, name))
    return app


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        print(f"faceverify {__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Face verification: decisions a script can trust, and how far to trust them."""
