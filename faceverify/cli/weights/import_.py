"""``faceverify weights import``: a network of another project as a model file."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet
from faceverify.cli.weights.installed import Force, Name, To, report
from faceverify.models.catalogue import Kind


class Colour(str, Enum):
    """Order of a net's input channels."""

    RGB = "RGB"
    BGR = "BGR"


def import_file(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="An ONNX file, a state dict or a model file.")
    ],
    name: Name = "",
    kind: Annotated[
        Kind, typer.Option("--kind", help="What it is; auto looks at its content.")
    ] = Kind.AUTO,
    colour: Annotated[
        Colour | None,
        typer.Option("--colour", help="RGB by default; BGR for AdaFace and the like."),
    ] = None,
    mean: Annotated[
        str,
        typer.Option(
            "--mean",
            metavar="X[,Y,Z]",
            help="The input is (x - mean) / scale, x from 0 to 255; found by running it.",
            show_default=False,
        ),
    ] = "",
    scale: Annotated[
        str, typer.Option("--scale", metavar="X[,Y,Z]", help="See --mean.", show_default=False)
    ] = "",
    output: Annotated[
        str,
        typer.Option(
            "--output",
            metavar="NAME",
            help="The output that is the embedding, where several can be.",
            show_default=False,
        ),
    ] = "",
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Add the mirrored crop's embedding.")
    ] = True,
    licence: Annotated[
        str, typer.Option("--licence", help="Licence of the weights.", show_default=False)
    ] = "",
    to: To = "",
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make a model file of somebody else's model, or take in a model file as it is.

    ONNX files of the ArcFace kind (InsightFace, AdaFace) need nothing more: it is said what is
    assumed of them. They are prepared for the engine: faster, with the same embeddings and id. A
    state dict of facenet-pytorch needs `pip install 'faceverify[train]'`.

    **Examples:**

    `faceverify weights import w600k_r50.onnx --licence "non-commercial research only"`

    `faceverify weights import adaface_ir101.onnx --colour BGR --name adaface`

    `faceverify weights import net.onnx --mean 127.5 --scale 128 --output embedding`
    """
    from faceverify.models.install.install import import_model, install, name_from, target_for
    from faceverify.models.install.preprocessing import Preprocessing, channels

    console = Console(json, quiet)
    stated = Preprocessing(
        colour_order=colour.value if colour else "",
        mean=channels(mean, "--mean"),
        scale=channels(scale, "--scale"),
        output=output,
    )
    target = target_for(name or name_from(source), to)
    model = import_model(
        source,
        kind=kind,
        name=name,
        stated=stated,
        flip_average=flip,
        licence=licence,
        say=console.message,
    )
    done = install(model, target, force=force)
    report(console, done.path, written=done.written)
