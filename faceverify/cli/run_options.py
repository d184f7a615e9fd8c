"""Options that ``train`` and ``pretrain`` share, each declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RunName = Annotated[
    str | None,
    typer.Option(
        "--name", help="Name of the run; by default that of the recipe.", show_default=False
    ),
]
Runs = Annotated[Path, typer.Option("--out", metavar="FOLDER", help="Folder of all runs.")]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", help="Continue from the last checkpoint of the run.", show_default=False
    ),
]
Align = Annotated[
    bool,
    typer.Option(
        "--align",
        help="Cut the faces out of a folder of photos first, into the folder of the run.",
        show_default=False,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option("--backbone", help="Architecture, timm:NAME, or lab:NAME.", show_default=False),
]
Steps = Annotated[
    int | None, typer.Option("--steps", help="Optimiser steps instead.", show_default=False)
]
Epochs = Annotated[
    float | None,
    typer.Option("--epochs", help="Epochs, passes over the data.", show_default=False),
]
Minutes = Annotated[
    float | None,
    typer.Option(
        "--minutes",
        help="As many steps as fit into this time, with validations, instead.",
        show_default=False,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size", help="Images in a global batch, over all processes.", show_default=False
    ),
]
LearningRate = Annotated[
    float | None,
    typer.Option("--learning-rate", help="Peak learning rate of the backbone.", show_default=False),
]
Device = Annotated[
    str | None,
    typer.Option("--device", help="auto, cpu, cuda or mps.", show_default=False),
]
Precision = Annotated[
    str | None,
    typer.Option("--precision", help="auto, float32, bfloat16 or float16.", show_default=False),
]
Workers = Annotated[
    int | None,
    typer.Option("--workers", help="Loader threads.", min=0, show_default=False),
]
Seed = Annotated[
    int | None, typer.Option("--seed", help="Seed of all random numbers.", show_default=False)
]
