"""``faceverify gallery``: look into a gallery of enrolled people, keep it, move it."""

from __future__ import annotations

from faceverify.cli.commands import Commands
from faceverify.cli.gallery import audit
from faceverify.cli.gallery.cluster import cluster
from faceverify.cli.gallery.compact import compact
from faceverify.cli.gallery.copy import copy
from faceverify.cli.gallery.dedupe import dedupe
from faceverify.cli.gallery.export import export
from faceverify.cli.gallery.fit_codes import fit
from faceverify.cli.gallery.import_ import import_
from faceverify.cli.gallery.index import index
from faceverify.cli.gallery.list_ import list_people
from faceverify.cli.gallery.rebuild import rebuild
from faceverify.cli.gallery.remove import remove
from faceverify.cli.gallery.rename import rename
from faceverify.cli.gallery.roles import roles
from faceverify.cli.gallery.show import show
from faceverify.cli.gallery.stats import stats
from faceverify.cli.gallery.verify import verify

app = Commands(
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
app.add_typer(audit.app, name="audit")
