"""``faceverify data split``: two parts of a training set that share no person."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet
from faceverify.errors import UsageError


class SplitAs(str, Enum):
    """What a split is written as."""

    LISTS = "lists"
    LINKS = "links"


def split(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="A training set.", show_default=False)
    ],
    destination: Annotated[
        Path, typer.Argument(metavar="DST", help="A new folder.", show_default=False)
    ],
    fraction: Annotated[
        float | None,
        typer.Option(
            "--fraction", help="Share of the people to hold out.", min=0, max=1, show_default=False
        ),
    ] = None,
    identities: Annotated[
        int | None,
        typer.Option(
            "--identities", help="How many people to hold out.", min=1, show_default=False
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of the draw.", min=0)] = 0,
    form: Annotated[
        SplitAs,
        typer.Option(
            "--as",
            help="lists: train.txt and held-out.txt, names of people. links: folders train/ and "
            "held-out/ of hard links to the photos.",
        ),
    ] = SplitAs.LISTS,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hold some people of a training set out: nobody is on both sides.

    Who is held out follows from --seed and the names. Lists go to `data convert --only`.

    **Exit status:** 0 done, 2 wrong usage or unusable data.

    **Examples:**

    `faceverify data split people/ parts/ --fraction 0.1`

    `faceverify data split people/ parts/ --identities 20 --as links`
    """
    if (fraction is None) == (identities is None):
        raise UsageError("how many people to hold out?", cure="give --fraction or --identities")
    console = Console(json, quiet)
    from faceverify.training.data.sets.open import open_face_set
    from faceverify.training.data.writers.convert import staged
    from faceverify.training.data.writers.split import link_photos, split_people, write_list

    face_set = open_face_set(source)
    people = face_set.identities
    wanted = identities if identities is not None else round((fraction or 0) * len(people))
    parts = split_people(people, wanted, seed=seed)
    named = {"train": parts.train, "held-out": parts.held_out}
    counts = {}
    with staged(destination) as folder:
        for name, names in named.items():
            part = face_set.only(names)
            counts[name] = len(part)
            if form is SplitAs.LINKS:
                link_photos(part, folder / name)
            else:
                write_list(folder / f"{name}.txt", names)
    for name, names in named.items():
        line = {"part": name, "people": len(names), "images": counts[name]}
        console.result(line, f"{name}: {len(names):,} people, {counts[name]:,} images")
