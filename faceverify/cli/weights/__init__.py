"""``faceverify weights``: which models there are, what they are, and how to get more."""

from __future__ import annotations

from faceverify.cli.commands import Commands
from faceverify.cli.weights.import_ import import_file
from faceverify.cli.weights.list_ import list_models
from faceverify.cli.weights.pull import pull
from faceverify.cli.weights.show import show

app = Commands(
    help="List, inspect, import and download models.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command("list")(list_models)
app.command()(show)
app.command("import")(import_file)
app.command()(pull)
