"""Write docs/cli.md out of the commands' own help: ``python scripts/build_cli_docs.py``."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import typer

from faceverify.cli.app import build_app
from faceverify.errors import CODES

TARGET = Path(__file__).parents[1] / "docs" / "cli.md"


def command_pages(command: Any, name: str) -> list[str]:
    """One section a command, those of a group after it."""
    page = [f"## `{name}`", "", inspect.cleandoc(command.help or ""), ""]
    rows = [option_row(parameter) for parameter in command.params if parameter.name != "help"]
    if rows:
        page += ["| option | | default |", "|---|---|---|", *rows, ""]
    for child in sorted(getattr(command, "commands", {}).items()):
        page += command_pages(child[1], f"{name} {child[0]}")
    return page


def option_row(parameter: Any) -> str:
    """A row of the table of options."""
    is_option = parameter.param_type_name == "option"
    names = (
        ", ".join(parameter.opts) if is_option else (parameter.metavar or parameter.name.upper())
    )
    default = parameter.default
    if default in (None, False, "") or callable(default) or not is_option:
        default = ""
    default = getattr(default, "value", default)
    text = " ".join((getattr(parameter, "help", "") or "").split()).replace("|", "\\|")
    return f"| `{names}` | {text} | {default} |"


def codes() -> list[str]:
    """The table of what an error's code means."""
    lines = [
        "## Error codes",
        "",
        'What `--json` prints as `"error": {"code": ..., "message": ...}`; codes do not change.',
        "",
        "| code | meaning |",
        "|---|---|",
    ]
    return [*lines, *(f"| `{code}` | {meaning} |" for code, meaning in CODES.items())]


def page() -> str:
    """The whole document."""
    command: Any = typer.main.get_command(build_app())
    lines = [
        "# Commands",
        "",
        "Written by `scripts/build_cli_docs.py`; `--help` says the same.",
        "",
    ]
    for name, child in sorted(command.commands.items()):
        lines += command_pages(child, f"faceverify {name}")
    lines += codes()
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
