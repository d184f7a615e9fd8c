"""``faceverify gallery audit``: is an audit log whole?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.commands import Commands
from faceverify.cli.console import Console
from faceverify.cli.options import Json
from faceverify.errors import UNUSABLE

app = Commands(help="Look into audit logs.", no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def audit() -> None:
    """Look into audit logs."""


@app.command("verify")
def verify_audit(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="What --audit wrote.")],
    head: Annotated[
        str | None,
        typer.Option(
            "--head",
            metavar="HASH",
            help="The head that was printed earlier and kept elsewhere: it must be in the log.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Check that no line of an audit log was changed, removed or slipped in.

    Prints the head, the hash of the last line. Keep it where the writer of the log cannot change
    it, and give it next time: a log that was truncated or replaced does not contain it.

    **Exit status:** 0 the chain is whole, 2 it is not: one line for each break.

    **Example:** `faceverify gallery audit verify audit.jsonl --head $(cat last-head)`
    """
    from faceverify.gallery.audit import check_audit_log

    console = Console(json)
    report = check_audit_log(log, head=head)
    for problem in report.problems:
        console.result({"problem": problem}, problem)
    if report.problems:
        raise typer.Exit(UNUSABLE)
    value = {"problem": None, "lines": report.lines, "head": report.head}
    console.result(value, f"{log}: {report.lines:,} lines, whole; head {report.head}")
