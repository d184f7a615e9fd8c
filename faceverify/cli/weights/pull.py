"""``faceverify weights pull``: a well-known model, downloaded and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from faceverify.cli.console import Console
from faceverify.cli.options import Json, Quiet, Verbose
from faceverify.cli.weights.installed import Force, Name, To, report


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
