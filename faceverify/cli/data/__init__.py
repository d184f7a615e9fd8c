"""``faceverify data``: look into, convert, split and check sets of faces."""

from __future__ import annotations

from faceverify.cli.commands import Commands
from faceverify.cli.data.check import check
from faceverify.cli.data.convert import convert
from faceverify.cli.data.inspect import inspect
from faceverify.cli.data.split import split

app = Commands(
    help="Look into, convert, split and check training sets, pair lists and verification packs.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command()(inspect)
app.command()(convert)
app.command()(split)
app.command()(check)
