"""Groups of commands, none of which takes a URL for the path of a file or a folder."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import typer

from faceverify.runtime.addresses import check_path

Function = TypeVar("Function", bound=Callable[..., Any])

# Arguments that may be URLs, whose readers tell them apart: of photos, galleries, training sets.
ADDRESSES = {"photos", "gallery", "url", "data", "source", "target"}
NO_PLACES = {"name", "names", "claim", "old", "new", "licence", "pattern", "settings"}  # just text


class Commands(typer.Typer):
    """A group of commands; what they are given as paths is checked before they run."""

    def command(self, *names: Any, **options: Any) -> Callable[[Function], Function]:
        """See typer."""
        register = super().command(*names, **options)
        return lambda function: register(with_paths(function))


def with_paths(command: Function) -> Function:
    """The command, which refuses a URL in the place of a path.

    Raises:
        UsageError: any Path, or text that may be one, looks like an address of another machine.
    """

    @wraps(command)
    def checked(**given: Any) -> None:
        for name, value in given.items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, Path) or (
                    isinstance(one, str) and name not in ADDRESSES | NO_PLACES
                ):
                    check_path(str(one), word_of(command, name))
        command(**given)

    return checked  # type: ignore[return-value]


def word_of(command: Callable[..., Any], name: str) -> str:
    """What the help calls a parameter: ``--out``, or the name of an argument."""
    annotation = inspect.signature(command, eval_str=True).parameters[name].annotation
    (declared, *_) = getattr(annotation, "__metadata__", [None])
    words = (getattr(declared, "default", None), *(getattr(declared, "param_decls", None) or ()))
    options = [word for word in words if isinstance(word, str) and word.startswith("-")]
    return options[0] if options else getattr(declared, "metavar", None) or name
