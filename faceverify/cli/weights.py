"""``faceverify weights``: which models there are, what they are, and how to get more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet, Verbose
from faceverify.errors import UNUSABLE, ModelError
from faceverify.models.catalogue import Kind

app = typer.Typer(
    help="List, inspect, import and download models.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


class Colour(str, Enum):
    """Order of a net's input channels."""

    RGB = "RGB"
    BGR = "BGR"


To = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="FOLDER|FILE",
        help="Where the model file goes, instead of the user's folder.",
        show_default=False,
    ),
]
Name = Annotated[
    str, typer.Option("--name", help="What to call the model.", show_default=False, metavar="NAME")
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace another model there.", show_default=False)
]


@app.command("list")
def list_models(
    available: Annotated[
        bool,
        typer.Option("--available", help="What can be downloaded instead.", show_default=False),
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List the installed models; the default one is marked with a star.

    **Example:** `faceverify weights list --json | jq -r .name`
    """
    from faceverify.cli.weights_text import columns, licence_text, megabytes
    from faceverify.models.catalogue import CATALOGUE
    from faceverify.models.model_file import load_model_file
    from faceverify.models.registry import installed

    console = Console(json, quiet)
    models = installed()
    if available:
        names = {model.name for model in models}
        values = [
            {
                "name": entry.name,
                "bytes": entry.size,
                "installed": entry.name in names,
                "licence": entry.licence,
                "url": entry.url,
                "sha256": entry.sha256,
            }
            for entry in CATALOGUE.values()
        ]
        rows = [
            (entry.name, megabytes(entry.size), entry.dataset, entry.licence)
            for entry in CATALOGUE.values()
        ]
    else:
        values, rows = [], []
        for found in models:
            value = {"name": found.name, "bundled": found.bundled, "default": found.default}
            star = "*" if found.default else " "
            try:
                model = load_model_file(found.path, found.name)
            except ModelError as error:
                value |= {"path": str(found.path), "error": str(error)}
                row = (f"{star} {found.name}", "damaged", "", str(error))
            else:
                size, licence = model.contract.embedding_size, model.provenance.licence
                value |= {"id": model.id, "embedding_size": size, "licence": licence}
                value |= {"path": str(found.path), "error": None}
                row = (f"{star} {found.name}", model.id, f"{size}", licence_text(licence))
            values.append(value)
            rows.append(row)
    for value, line in zip(values, columns(rows), strict=True) if rows else []:
        console.result(value, line)
    if not rows:
        console.message("no models are installed; `faceverify weights pull` downloads some")
    if any(value.get("error") for value in values):
        raise typer.Exit(UNUSABLE)


@app.command()
def show(
    model: Annotated[
        str, typer.Argument(help="A model file, or the name of an installed one.", metavar="MODEL")
    ] = "default",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show what a model is: contract, origin, licence, id, thresholds with their evidence.

    **Example:** `faceverify weights show buffalo_l`
    """
    from faceverify.cli.weights_text import described, page
    from faceverify.models.model_file import load_model_file
    from faceverify.models.registry import find_model, scores_of

    path = find_model(model)
    loaded = load_model_file(path, model)
    scores = scores_of(path)
    Console(json, quiet).result(
        {**described(loaded, path), "scores": scores}, page(loaded, path, scores)
    )


@app.command("import")
def import_file(
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="An ONNX file, a state dict or a model file.")
    ],
    name: Name = "",
    kind: Annotated[
        Kind, typer.Option("--kind", help="What it is; auto looks at its content.")
    ] = Kind.AUTO,
    colour: Annotated[
        Colour, typer.Option("--colour", help="BGR for AdaFace and the like.")
    ] = Colour.RGB,
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

    ONNX files of the ArcFace kind (InsightFace, AdaFace) need nothing more; a state dict of
    facenet-pytorch needs `pip install 'faceverify[train]'`.

    **Examples:**

    `faceverify weights import w600k_r50.onnx --licence "non-commercial research only"`

    `faceverify weights import adaface_ir101.onnx --colour BGR --name adaface`
    """
    from faceverify.models.install.install import import_model, install, name_from, target_for

    console = Console(json, quiet)
    target = target_for(name or name_from(source), to)
    model = import_model(
        source,
        kind=kind,
        name=name,
        colour_order=colour.value,
        flip_average=flip,
        licence=licence,
    )
    done = install(model, target, force=force)
    report(console, done.path, written=done.written)


@app.command()
def pull(
    download: Annotated[
        str, typer.Argument(metavar="NAME", help="One of `faceverify weights list --available`.")
    ],
    name: Name = "",
    to: To = "",
    url: Annotated[
        str,
        typer.Option(
            "--url",
            metavar="URL",
            help="A mirror: the file's address, or a folder's that ends in /.",
            show_default=False,
        ),
    ] = "",
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no server.", show_default=False)
    ] = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Download a well-known model, check its SHA-256 and install it.

    A download that broke off goes on where it stopped. What is installed already is not downloaded
    again. The proxy is that of https_proxy.

    **Examples:**

    `faceverify weights pull buffalo_l`

    `faceverify weights pull buffalo_s --url https://mirror.example.org/insightface/`
    """
    from faceverify.models.catalogue import find_download
    from faceverify.models.install.install import pull_model, target_for

    console = Console(json, quiet, verbose)
    entry = find_download(download)
    target = target_for(name or download, to)
    console.message(f"{download}: licence: {entry.licence}")
    console.detail(f"{url or entry.url}, {entry.size:,} bytes, SHA-256 {entry.sha256}")
    with bytes_shown(console, download) as progress:
        done = pull_model(
            download,
            target,
            as_name=name,
            url=url,
            offline=offline,
            force=force,
            progress=progress,
        )
    report(console, done.path, written=done.written)


def report(console: Console, path: Path, *, written: bool) -> None:
    """Say which model is now where, and under which licence."""
    from faceverify.cli.weights_text import described, licence_text
    from faceverify.models.model_file import load_model_file

    model = load_model_file(path)
    console.result(
        {**described(model, path), "written": written},
        f"{model.provenance.name} {model.id} {'installed as' if written else 'is there already:'} "
        f"{path}\nlicence: {licence_text(model.provenance.licence)}",
    )


@contextmanager
def bytes_shown(console: Console, label: str) -> Iterator[Callable[[int, int], None]]:
    """Give what shows the bytes of a download: a bar where stderr is a terminal."""
    import sys

    if console.quiet or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console as Terminal
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    parts = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*parts, console=Terminal(stderr=True), transient=True) as bar:
        task = bar.add_task(label)
        yield lambda done, total: bar.update(task, completed=done, total=total)
