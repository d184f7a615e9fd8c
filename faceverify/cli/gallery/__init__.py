"""``faceverify gallery``: look into a gallery of enrolled people, keep it, move it."""

from __future__ import annotations

import typer

from faceverify.cli.gallery.checking import app as audit
from faceverify.cli.gallery.checking import compact, verify
from faceverify.cli.gallery.codes import fit
from faceverify.cli.gallery.grouping import cluster, dedupe
from faceverify.cli.gallery.listing import list_people, show, stats
from faceverify.cli.gallery.moving import copy, export, import_
from faceverify.cli.gallery.people import remove, rename
from faceverify.cli.gallery.rebuilding import rebuild
from faceverify.cli.gallery.servers import index, roles

app = typer.Typer(
    help="Look into a gallery of enrolled people, keep it, move it.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command("list")(list_people)
app.command()(show)
app.command()(stats)
app.command()(remove)
app.command()(rename)
app.command()(verify)
app.command()(compact)
app.command()(rebuild)
app.command()(export)
app.command("import")(import_)
app.command()(copy)
app.command("fit-codes")(fit)
app.command()(dedupe)
app.command()(cluster)
app.command()(index)
app.command()(roles)
app.add_typer(audit, name="audit")
