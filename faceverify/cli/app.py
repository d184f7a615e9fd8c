"""The commands, one file each."""

from __future__ import annotations

from typing import Annotated

import typer

from faceverify.cli import data, gallery, weights
from faceverify.cli.align import align
from faceverify.cli.calibrate import calibrate
from faceverify.cli.commands import Commands
from faceverify.cli.detect import detect
from faceverify.cli.doctor import doctor
from faceverify.cli.embed import embed
from faceverify.cli.enroll import enroll
from faceverify.cli.evaluate import evaluate
from faceverify.cli.identify import identify
from faceverify.cli.train import train
from faceverify.cli.verify import verify
from faceverify.version import __version__

app = Commands(
    name="faceverify",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(verify)
app.command()(enroll)
app.command()(identify)
app.command()(embed)
app.command()(detect)
app.command()(align)
app.command()(doctor)
app.command()(evaluate)
app.command()(calibrate)
app.command()(train)
app.add_typer(gallery.app, name="gallery")
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        print(f"faceverify {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Face verification: decisions a script can trust, and how far to trust them."""
