"""The command line: ``faceverify COMMAND``, one file a command.

Exit status: 0 done, or the same person; 1 different people; 2 wrong usage or unusable input;
3 no decision; 70 a fault of this program; 130 interrupted; 141 the reader of stdout went away.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, NoReturn

import typer

from faceverify.cli import data, gallery, weights
from faceverify.cli.align import align
from faceverify.cli.calibrate import calibrate
from faceverify.cli.console import error_line
from faceverify.cli.detect import detect
from faceverify.cli.doctor import doctor
from faceverify.cli.embed import embed
from faceverify.cli.enroll import enroll
from faceverify.cli.evaluate import evaluate
from faceverify.cli.identify import identify
from faceverify.cli.leaving import leave
from faceverify.cli.train import train
from faceverify.cli.verify import verify
from faceverify.errors import INTERNAL_ERROR, INTERRUPTED, UNUSABLE, FaceverifyError
from faceverify.version import __version__

OUTPUT_CLOSED = 141  # as the shell reports a process that SIGPIPE ended

app = typer.Typer(
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


def main() -> NoReturn:
    """Run a command and leave with its exit status; no error of the input shows a traceback."""
    try:
        status = app(standalone_mode=False) or 0
        sys.stdout.flush()
        if status == INTERRUPTED:  # newer parsers take Ctrl-C for themselves
            error_line("interrupted")
    except FaceverifyError as error:
        error_line(str(error))
        status = error.exit_status
    except KeyboardInterrupt:
        error_line("interrupted")
        status = INTERRUPTED
    except BrokenPipeError:
        status = closed_output()
    except SystemExit as leaving:  # so the parser leaves, with 1, when stdout is closed
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        status = closed_output()
    except Exception as error:
        status = usage_status(error)
    leave(status)


def closed_output() -> int:
    """Take what is still to be flushed to a reader that went away; return the exit status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OUTPUT_CLOSED


def usage_status(error: Exception) -> int:
    """Report what the option parser refused, or else a fault of this program."""
    if hasattr(error, "show") and hasattr(error, "exit_code"):  # the parser's own exceptions
        error.show()
        return UNUSABLE
    if type(error).__name__ == "Abort":  # the parser's word for Ctrl-C
        error_line("interrupted")
        return INTERRUPTED
    if os.environ.get("FACEVERIFY_TRACEBACK"):
        raise error
    error_line(
        f"internal error: {type(error).__name__}: {error}; please report it, with the traceback "
        "that FACEVERIFY_TRACEBACK=1 shows"
    )
    return INTERNAL_ERROR
