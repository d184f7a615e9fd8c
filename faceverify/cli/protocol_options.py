"""Options of the protocols of ``faceverify evaluate`` that judge embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from faceverify.choices import Distance
from faceverify.cli.options import Command, fields_as_options

PROTOCOL_OPTIONS: dict[str, Any] = {  # by their names in ProtocolOptions
    "distance": Annotated[
        Distance,
        typer.Option(
            "--distance",
            help="By which pairs are ordered (10fold, knn, retrieval); thresholds are cosine ones.",
        ),
    ],
    "k": Annotated[
        int | None,
        typer.Option(
            "--k",
            help="knn: neighbours that vote; by default 20, or as many as there are.",
            min=1,
            show_default=False,
        ),
    ],
    "split": Annotated[
        float | None,
        typer.Option(
            "--split",
            help="knn, linear: share of each person's photos that are learned, the others asked; "
            "by default the list's own split, or else leave-one-out (knn), 0.5 (linear).",
            min=0,
            max=1,
            show_default=False,
        ),
    ],
    "ways": Annotated[int, typer.Option("--ways", help="few-shot: people in an episode.", min=2)],
    "shots": Annotated[
        list[int],
        typer.Option("--shots", help="few-shot: known photos of each; may be repeated.", min=1),
    ],
    "queries": Annotated[
        int, typer.Option("--queries", help="few-shot: asked photos of each.", min=1)
    ],
    "episodes": Annotated[
        int, typer.Option("--episodes", help="few-shot: how many.", min=1, max=1_000_000)
    ],
    "seed": Annotated[
        int, typer.Option("--seed", help="knn, linear, few-shot: of splits and episodes.", min=0)
    ],
}


def protocol_options() -> Callable[[Command], Command]:
    """Give a command all of them, in the place of its parameter ``judging``."""
    return fields_as_options("judging", PROTOCOL_OPTIONS)
