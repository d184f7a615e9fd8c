"""``faceverify embed``: photos to embeddings, printed or kept in files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceverify.choices import Engine
from faceverify.cli.console import Console
from faceverify.cli.options import (
    Engines,
    Json,
    Model,
    Quiet,
    Verbose,
    Workers,
    face_options,
)
from faceverify.cli.photo_inputs import Outcome, Photos, Tally, attempt
from faceverify.errors import FaceverifyError
from faceverify.faces.options import FaceOptions
from faceverify.images.inputs import STANDARD_INPUT, PhotoInput, find_inputs, not_shared

if TYPE_CHECKING:
    from faceverify.embeddings.embedding_set import EmbeddingSet
    from faceverify.embeddings.extractor import FaceEmbedder, FaceEmbedding
    from faceverify.embeddings.formats.shards import ShardFolder
    from faceverify.embeddings.formats.single_file import SingleFile


@face_options()
def embed(
    photos: Photos,
    out: Annotated[
        str | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE|FOLDER",
            help="Keep the embeddings: .npz, .parquet or .jsonl, or a folder of shards.",
            show_default=False,
        ),
    ] = None,
    shard_size: Annotated[
        int, typer.Option("--shard-size", help="Templates in a file of the folder.", min=1)
    ] = 10_000,
    model: Model = "default",
    faces: FaceOptions = FaceOptions(),
    workers: Workers = None,
    engine: Engines = Engine.THREADS,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Turn photos into embeddings that can be stored and compared.

    Prints one JSON object for each face: photo, model_id, face, box, points, quality, embedding,
    error. A photo that gives none has one too, with its error as a code and a message.

    With --out, embeddings are kept, and a run that was cut short goes on where it stopped: photos
    whose embeddings are there are skipped. A photo that has changed since, by size, time and
    content, or was embedded with other options, is embedded anew. A folder gets shards, each of
    which appears whole, and suits millions of photos; a single file appears at the end. Refused
    photos are listed beside, in refused.jsonl, and tried again. --json then prints a summary.

    --engine processes uses many processors more fully than threads do; --engine ray spreads the
    photos over a Ray cluster (RAY_ADDRESS), each machine of which has faceverify and can read them.

    **Exit status:** 0 every photo gave an embedding, 2 wrong usage or a photo that cannot be read,
    3 a photo without a face, with several (--face only) or with too low a quality.

    **Examples:**

    `faceverify embed alice.jpg bob.jpg | jq -c '[.photo, .quality]'`

    `curl -s $URL | faceverify embed - > embedding.jsonl`

    `find photos -name '*.jpg' | faceverify embed - --out embeddings.npz`

    `faceverify embed photos/ --out embeddings/ --engine processes --workers 8`

    `faceverify embed s3://bucket/photos --out embeddings/ --engine ray`
    """
    console = Console(json, quiet, verbose)
    from faceverify.embeddings.extractor import FaceEmbedder
    from faceverify.embeddings.formats.done_photos import way_of
    from faceverify.embeddings.formats.output import open_output
    from faceverify.models.registry import load_model
    from faceverify.runtime.workers import map_on

    load = partial(FaceEmbedder.load, model, faces)
    if engine == Engine.THREADS:
        extractor = load()
        file, build = extractor.model, partial(extraction, lambda: extractor)
    else:  # each worker loads its own
        file = load_model(model)
        build = partial(extraction, load, model_id=file.id)
    model_id = file.id
    console.detail(f"model {file.provenance.name} ({model_id})")
    tally = Tally()
    with (
        PrintedLines(model_id)
        if out is None
        else open_output(out, model_id, shard_size=shard_size, way=way_of(faces))
    ) as output:
        wanted = wanted_inputs(photos, output, tally)
        if engine != Engine.THREADS:
            wanted = map(unshared, wanted)
        outcomes = map_on(engine, build, wanted, workers=workers)
        for outcome in console.progress(outcomes, "photos"):
            if outcome.result is not None:
                tally.done += 1
                output.add(outcome.result)
            elif outcome.error is not None:
                tally.refuse(outcome.error)
                output.refuse(outcome.photo.name, outcome.error)
                console.message(str(outcome.error))
    if out is not None and json:
        counts = {**tally.as_dict(), "others": tally.others}
        console.result({"out": out, "model_id": model_id, **counts}, "")
    elif out is not None:
        console.message(f"{tally}; in {out}")
    raise typer.Exit(tally.exit_status)


def wanted_inputs(
    photos: list[str], output: PrintedLines | ShardFolder | SingleFile, tally: Tally
) -> Iterator[PhotoInput]:
    """Yield the photos whose embeddings are not there yet, and count the others."""
    for photo in find_inputs(photos, passed=tally.pass_over):
        # standard input is another photo every time
        if output.wants(photo.name) or photo.name == STANDARD_INPUT:
            yield photo
        else:
            tally.skipped += 1


def unshared(photo: PhotoInput) -> PhotoInput:
    """Refuse what a worker in another process cannot read."""
    if photo.name != STANDARD_INPUT:
        return photo
    return replace(photo, error=not_shared())


def extraction(
    load: Callable[[], FaceEmbedder], *, model_id: str | None = None
) -> Callable[[PhotoInput], Outcome[EmbeddingSet]]:
    """Make the function that a worker applies to photos.

    Raises:
        ModelError: the model of that name is another one on the worker's machine.
    """
    from faceverify.embeddings.extractor import same_model

    extractor = load() if model_id is None else same_model(load(), model_id)
    return attempt(lambda photo: rows_of(photo, extractor))


def rows_of(photo: PhotoInput, extractor: FaceEmbedder) -> EmbeddingSet:
    """Extract a photo's faces as rows; its errors are the extractor's."""
    import numpy as np

    from faceverify.embeddings.embedding_set import EmbeddingSet
    from faceverify.embeddings.formats.done_photos import origin_of, way_of
    from faceverify.images.content import settled_state
    from faceverify.images.photo import open_photo

    state = settled_state(photo.name)
    opened = open_photo(photo.name)
    faces: list[FaceEmbedding] = extractor.extract(opened)
    origin = origin_of(opened.sha256, way_of(extractor.options), state)
    return EmbeddingSet(
        extractor.model.id,
        [photo.name] * len(faces),
        np.stack([face.embedding for face in faces]),
        np.arange(len(faces), dtype=np.int32),
        np.array([face.face.box for face in faces], np.float32),
        np.stack([face.face.points for face in faces]),
        np.array([face.quality.score for face in faces], np.float32),
        [origin] * len(faces),
    )


class PrintedLines:
    """Standard output as a place for embeddings: every photo is embedded, and printed at once."""

    def __init__(self, model_id: str) -> None:
        self._model_id = model_id
        self._console = Console(as_json=True)

    def wants(self, photo: str) -> bool:
        """Tell that it is wanted."""
        return True

    def add(self, rows: EmbeddingSet) -> None:
        """Print a photo's faces."""
        from faceverify.embeddings.formats.jsonl import embedding_lines

        for line in embedding_lines(replace(rows, origins=None)):
            self._console.result(line, "")

    def refuse(self, photo: str, error: FaceverifyError) -> None:
        """Print that a photo gave none."""
        nothing = dict.fromkeys(("face", "box", "points", "quality", "embedding"))
        line: dict[str, Any] = {"photo": photo, "model_id": self._model_id, **nothing}
        self._console.result({**line, "error": error.as_dict()}, "")

    def __enter__(self) -> PrintedLines:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass
