"""Options that several commands share, each declared once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import Annotated, Any

import typer

from faceverify.choices import Engine, FaceChoice
from faceverify.faces.options import MOST_CROPS, SMALLEST_FACE

Command = Callable[..., None]

Json = Annotated[
    bool, typer.Option("--json", help="Results as JSON, one object a line.", show_default=False)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No messages, no progress.", show_default=False)
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Say what is done.", show_default=False)
]
Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", help="A model file, or the name of an installed one.", metavar="MODEL"
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Photos processed at once; by default one for each processor.",
        min=1,
        show_default=False,
    ),
]
Engines = Annotated[
    Engine, typer.Option("--engine", help="Where the work is done; ray is many machines.")
]

FACES = {  # by their names in FaceOptions
    "face": Annotated[
        FaceChoice, typer.Option("--face", help="Which face, when a photo shows several.")
    ],
    "min_face": Annotated[
        float,
        typer.Option(
            "--min-face", help="Side of the smallest face looked for, pixels.", min=SMALLEST_FACE
        ),
    ],
    "min_quality": Annotated[
        float, typer.Option("--min-quality", help="Least quality of a face, 0 to 1.", min=0, max=1)
    ],
    "aligned": Annotated[
        str | None,
        typer.Option(
            "--aligned",
            help="Photos are aligned crops already, of this alignment: arcface-112 or dlib-150.",
            metavar="ALIGNMENT",
            show_default=False,
        ),
    ],
    "augment": Annotated[
        int,
        typer.Option(
            "--augment",
            help="Average this many crops of each face: slower, finer.",
            min=1,
            max=MOST_CROPS,
        ),
    ],
}


def face_options(*names: str) -> Callable[[Command], Command]:
    """Give a command the options of :class:`FaceOptions`, in the place of its parameter ``faces``.

    The default of that parameter holds the options' defaults.

    Args:
        names: of the options; all of them, if none is named.
    """
    return fields_as_options("faces", {name: FACES[name] for name in names or FACES})


def fields_as_options(parameter: str, options: Mapping[str, Any]) -> Callable[[Command], Command]:
    """Give a command the fields of a frozen dataclass as options, in the place of a parameter.

    Args:
        parameter: name of the command's parameter; its default holds the options' defaults.
        options: annotated type of each option by the name of its field.
    """

    def declared(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        default = signature.parameters[parameter].default
        own = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=getattr(default, name),
                annotation=annotation,
            )
            for name, annotation in options.items()
        ]

        @wraps(command)
        def parsed(**given: Any) -> None:
            chosen = {one.name: given.pop(one.name) for one in own}
            command(**given, **{parameter: replace(default, **chosen)})

        parameters: list[inspect.Parameter] = []
        for name, one in signature.parameters.items():
            parameters += own if name == parameter else [one.replace(kind=one.KEYWORD_ONLY)]
        parsed.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        parsed.__annotations__ = {one.name: one.annotation for one in parameters}
        return parsed

    return declared
