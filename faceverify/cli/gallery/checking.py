"""``faceverify gallery verify``, ``compact``, ``audit verify``: is all as it was stored?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.gallery_options import Gallery, KeyFile, open_gallery
from faceverify.cli.options import Json
from faceverify.errors import UNUSABLE

app = typer.Typer(help="Look into audit logs.", no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def audit() -> None:
    """Look into audit logs."""


def verify(gallery: Gallery = None, key_file: KeyFile = None, json: Json = False) -> None:
    """Check every checksum of a gallery; of an encrypted one, every seal.

    **Exit status:** 0 all is as it was stored, 2 something is damaged: one line for each thing.

    **Example:** `faceverify gallery verify && cp -r gallery backup`
    """
    console = Console(json)
    with open_gallery(gallery, key_file) as store:
        problems = store.check()
        found = store.stats() if not problems else None
    for problem in problems:
        console.result({"problem": problem}, problem)
    if found is None:
        raise typer.Exit(UNUSABLE)
    told = {"url": found.url, "identities": found.identities, "templates": found.templates}
    text = f"{found.url}: {found.templates:,} templates of {found.identities:,} people are intact"
    console.result({"problem": None, **told}, text)


def compact(gallery: Gallery = None, key_file: KeyFile = None, json: Json = False) -> None:
    """Give back the space of what was removed, and build what searches read anew.

    **Example:** `faceverify gallery compact`
    """
    with open_gallery(gallery, key_file) as store:
        before = store.stats()
        store.compact()
        after = store.stats()
    told = {"url": after.url, "bytes_before": before.details.get("bytes")}
    told["bytes"] = after.details.get("bytes")
    size = after.details.get("bytes")
    shown = f": {size:,} bytes" if isinstance(size, int) else ""
    Console(json).result(told, f"{after.url} is compact{shown}")


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

    Prints the head, the hash of the last line. Keep it where whoever writes the log cannot, and
    give it next time: a log that was cut off or written anew does not hold it.

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
    told = {"problem": None, "lines": report.lines, "head": report.head}
    console.result(told, f"{log}: {report.lines:,} lines, whole; head {report.head}")
