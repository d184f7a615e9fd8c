"""``faceverify doctor``: is everything here that faceverify needs, and does it work?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet, Verbose
from faceverify.errors import UNUSABLE, UsageError

if TYPE_CHECKING:
    from faceverify.cli.doctor_checks import Checkup


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
        from faceverify.cli.doctor_checks import Checkup
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


def text_of(checkup: Checkup) -> Iterator[str]:
    """Yield lines for people."""
    for name, version in checkup.versions.items():
        yield f"{name:<16} {version or 'missing'}"
    for name, version in checkup.optional.items():
        yield f"{name:<16} {version or 'not installed (optional)'}"
    yield f"{'system':<16} {checkup.platform}, {checkup.processors} processors"
    yield f"{'providers':<16} {', '.join(checkup.providers) or 'none'}"
    for weights in checkup.weights:
        state = "damaged" if weights.problem else "hash is right" if weights.bundled else "readable"
        yield f"{weights.name:<16} {state}, {weights.licence or 'licence unknown'}, {weights.file}"
    test = checkup.self_test
    for name, seconds in (("load", test.load), ("detect", test.detect), ("embed", test.embed)):
        yield f"{name:<16} {'failed' if seconds is None else f'{1000 * seconds:.1f} ms'}"
    for problem in checkup.problems:
        yield f"PROBLEM: {problem}"
    yield "something is wrong" if checkup.problems else "all is well"
