"""Options that several commands share, each declared once."""

from __future__ import annotations

from typing import Annotated

import typer

from faceverify.engines import Engine
from faceverify.faces.choice import FaceChoice

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
Choice = Annotated[
    FaceChoice, typer.Option("--face", help="Which face, when a photo shows several.")
]
MinFace = Annotated[
    float, typer.Option("--min-face", help="Side of the smallest face looked for, pixels.", min=12)
]
MinQuality = Annotated[
    float, typer.Option("--min-quality", help="Least quality of a face, 0 to 1.", min=0, max=1)
]
Aligned = Annotated[
    str | None,
    typer.Option(
        "--aligned",
        help="Photos are aligned crops already, of this template: arcface-112 or dlib-150.",
        metavar="TEMPLATE",
        show_default=False,
    ),
]
Augment = Annotated[
    int,
    typer.Option(
        "--augment", help="Average this many crops of each face: slower, finer.", min=1, max=100
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
