"""``faceverify doctor``: is everything here that faceverify needs, and does it work?"""

from __future__ import annotations

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet, Verbose
from faceverify.errors import UNUSABLE, UsageError


def doctor(
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Check the installation: versions, engine, weights, and a run of the nets.

    The weights that came with faceverify are checked against their hashes, your own for being model
    files. The self-test loads the detector and the default model, shows them a synthetic photo, and
    checks that embeddings have length 1.

    **Exit status:** 0 all is well, 2 something is not; it is printed, with its cure.

    **Examples:**

    `faceverify doctor`

    `faceverify doctor --json | jq .self_test`
    """
    console = Console(json, quiet, verbose)
    try:
        from faceverify.cli.checkup import Checkup, text_of
    except ImportError as error:  # what every command needs
        raise UsageError(
            f"{error.name or 'a package'} cannot be imported ({error})",
            cure="install faceverify again",
        ) from error
    checkup = Checkup.of_this_machine()
    if json:
        console.result(checkup.as_dict(), "")
    else:
        for line in text_of(checkup):
            console.result({}, line)
    raise typer.Exit(UNUSABLE if checkup.problems else 0)
