"""``faceverify evaluate``: error rates of a model on a benchmark."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from faceverify.choices import Classes, Distance
from faceverify.cli.console import Console
from faceverify.cli.options import (
    Json,
    Quiet,
    Verbose,
    Workers,
    face_options,
)
from faceverify.cli.protocol_options import protocol_options
from faceverify.errors import UsageError
from faceverify.evaluation.options import ProtocolOptions
from faceverify.faces.options import FaceOptions

if TYPE_CHECKING:
    from faceverify.evaluation.protocols.benchmark import Benchmark
    from faceverify.evaluation.protocols.protocol import Measurement
    from faceverify.evaluation.protocols.template_benchmark import TemplateBenchmark
    from faceverify.evaluation.results import Evaluation, Section

DEFAULT_PATTERN = "{path}"


class Protocol(str, Enum):
    """Evaluation protocol."""

    TENFOLD = "10fold"
    FIXED = "fixed"
    ALL = "all"
    TEMPLATES = "templates"
    RETRIEVAL = "retrieval"
    KNN = "knn"
    LINEAR = "linear"
    FEW_SHOT = "few-shot"
    REPRESENTATION = "representation"
    INVARIANCE = "invariance"


class ReferenceProtocol(str, Enum):
    """Reference implementation whose results are reproduced."""

    INSIGHTFACE = "insightface"
    FACENET = "facenet"


NoCache = Annotated[
    bool,
    typer.Option("--no-cache", help="Neither read nor fill the cache.", show_default=False),
]
Images = Annotated[
    Path | None,
    typer.Option(
        "--images",
        metavar="ROOT",
        help="Where the photos lie; by default beside the list.",
        show_default=False,
    ),
]
Pattern = Annotated[
    str,
    typer.Option(
        "--pattern",
        help="From a listed photo to its file below ROOT, of {path}, {folder}, {file}, {stem}, "
        "{suffix}, {identity}.",
    ),
]
Kind = Annotated[
    str | None,
    typer.Option("--kind", help="Kind of list, instead of by its content.", show_default=False),
]
OneModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A model file, or the name of an installed one.  [default: default]",
        metavar="MODEL",
        show_default=False,
    ),
]
Replicates = Annotated[
    int,
    typer.Option(
        "--replicates", help="Of the bootstrap over identities; 0: none.", min=0, max=100_000
    ),
]


@face_options()
@protocol_options()
def evaluate(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="LIST",
            help="A pair list, a .bin pack, a list of photos with people or classes, or a folder "
            "with a folder a person.",
        ),
    ],
    images: Images = None,
    pattern: Pattern = DEFAULT_PATTERN,
    kind: Kind = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(
            "--protocol",
            help="10fold: threshold of a fold chosen on the others. fixed: the model's own. "
            "all: every photo against every other. templates: IJB. retrieval: Recall@k, mAP, NMI. "
            "knn: by votes of the nearest photos. linear: a classifier on embeddings. few-shot: "
            "people told apart after a few photos. representation: how embeddings are spread. "
            "invariance: how far they move with occlusion, viewpoint, light, resolution. "
            "By default 10fold; all for a folder; templates with --media.",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        Classes,
        typer.Option(
            "--classes",
            help="Of people or classes, sorted; last-half: what metric learning tests on "
            "(CUB, Cars).",
        ),
    ] = Classes.ALL,
    model: OneModel = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(
            "--compare",
            metavar="MODEL",
            help="Measure this model too and test the difference; may be repeated.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            "--against",
            metavar="MODEL",
            help="representation: compare the layers with those of this model (linear CKA).",
            show_default=False,
        ),
    ] = None,
    embeddings: Annotated[
        Path | None,
        typer.Option(
            "--embeddings",
            metavar="FILE",
            help="Ready embeddings, of `faceverify embed`, instead of photos.",
            show_default=False,
        ),
    ] = None,
    fmr: Annotated[
        float, typer.Option("--fmr", help="Use the model's threshold for this FMR.", min=0, max=1)
    ] = 1e-3,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", help="A distance instead of --fmr.", min=0, max=2, show_default=False
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            metavar="FILE|COLUMN",
            help="Rates by group: a file of lines of NAME, tab, GROUP, or a column of the list.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        ReferenceProtocol | None,
        typer.Option(
            "--compat",
            help="Also the results of these scripts, digit for digit.",
            show_default=False,
        ),
    ] = None,
    media: Annotated[
        Path | None,
        typer.Option(
            "--media",
            metavar="FILE",
            help="IJB: lines PHOTO TEMPLATE MEDIA (face_tid_mid).",
            show_default=False,
        ),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(
            "--points",
            metavar="FILE",
            help="IJB: lines with detector scores (name_5pts_score), to weigh photos.",
            show_default=False,
        ),
    ] = None,
    gallery: Annotated[
        list[Path] | None,
        typer.Option(
            "--gallery",
            metavar="FILE",
            help="IJB 1:N: a CSV of TEMPLATE_ID,SUBJECT_ID; may be repeated.",
            show_default=False,
        ),
    ] = None,
    probes: Annotated[
        Path | None,
        typer.Option(
            "--probes", metavar="FILE", help="IJB 1:N: likewise, the probes.", show_default=False
        ),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="Instead: how the model fails on degraded photos (blocks, blur, noise, masks, "
            "turned, ...), each from mild to hopeless; a few photos of 160 people.",
            show_default=False,
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Write a report: report.html, figures.json, and the plots as SVG.",
            show_default=False,
        ),
    ] = None,
    replicates: Replicates = 1000,
    judging: ProtocolOptions = ProtocolOptions(),
    faces: FaceOptions = FaceOptions(),
    workers: Workers = None,
    no_cache: NoCache = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Measure the error rates of a model, with confidence intervals.

    Photos without a face count as failures in every rate. What the data do not support is n/a.
    docs/evaluation.md says how to read each number.

    **Examples:**

    `faceverify evaluate pairs.txt --images lfw --face center --out report`

    `faceverify evaluate agedb_30.bin --aligned arcface-112 --compat insightface`

    `faceverify evaluate people/ --protocol all --json | jq .curve.eer.value`

    `faceverify evaluate people/ --protocol knn --model runs/after/model.onnx`

    `faceverify evaluate pairs.txt --images lfw --face center --robustness`
    """
    console = Console(json, quiet, verbose)
    from faceverify.embeddings.cache import EmbeddingCache, cache_folder
    from faceverify.embeddings.source import feature_source, file_source, model_source
    from faceverify.evaluation.benchmark import read_benchmark
    from faceverify.evaluation.evaluate import measure
    from faceverify.evaluation.protocols.benchmark import Benchmark
    from faceverify.evaluation.protocols.protocol import Measurement, Settings
    from faceverify.evaluation.protocols.template_benchmark import (
        TemplateBenchmark,
        read_template_benchmark,
    )

    if embeddings is not None and compare:
        raise UsageError("--compare embeds photos itself", cure="leave --embeddings out")
    other = (compare, embeddings, group, reference, media, protocol not in (None, Protocol.ALL))
    if robustness and any(other):
        raise UsageError("--robustness degrades photos itself, and goes with --protocol all alone")
    if against is not None and (protocol is not Protocol.REPRESENTATION or embeddings):
        raise UsageError(
            "--against compares the layers of two models",
            cure="use it with --protocol representation, and without --embeddings",
        )
    if robustness:
        judging.require_used_by("--robustness")
    if protocol is Protocol.INVARIANCE:
        judging.require_used_by(protocol.value)
        if any((embeddings, group, reference, media, threshold is not None)):
            raise UsageError(
                "--protocol invariance changes photos itself, and has no threshold",
                cure="leave --embeddings, --group, --compat, --media and --threshold out",
            )
    if reference is not None and judging.distance is not Distance.COSINE:
        raise UsageError("--compat has a distance of its own", cure="leave --distance out")
    with EmbeddingCache(None if no_cache else cache_folder(), console.message) as cache:

        def of_model(name: str) -> Any:
            return model_source(name, faces, cache, workers=workers, progress=console.progress)

        benchmark: Benchmark | TemplateBenchmark
        if robustness:
            from faceverify.evaluation.robustness.evaluate import evaluate_robustness
            from faceverify.evaluation.robustness.selection import select_photos

            listed = read_benchmark(
                source, images=images, pattern=pattern, protocol="all", kind=kind, classes=classes
            )
            benchmark = select_photos(listed)
            _, evaluation = evaluate_robustness(
                benchmark, model or "default", faces, cache, fmr=fmr, threshold=threshold,
                replicates=replicates, workers=workers, progress=console.progress,
            )  # fmt: skip
            show_and_report([Measurement(evaluation)], [], benchmark, out, console)
            return
        if protocol is Protocol.INVARIANCE:
            from faceverify.evaluation.robustness.invariance import evaluate_invariance

            benchmark = read_benchmark(
                source, images=images, pattern=pattern, protocol="all", kind=kind, classes=classes
            )
            moved = [
                evaluate_invariance(
                    benchmark, name, faces, cache,
                    replicates=replicates, workers=workers, progress=console.progress,
                )
                for name in (model or "default", *(compare or ()))
            ]  # fmt: skip
            show_and_report([Measurement(one) for one in moved], [], benchmark, out, console)
            return
        if media is not None or protocol is Protocol.TEMPLATES:
            if protocol not in (None, Protocol.TEMPLATES) or compare or group or reference:
                raise UsageError("--media goes with --protocol templates, and with no comparison")
            judging.require_used_by("templates")
            if classes is not Classes.ALL:
                raise UsageError("--classes is of people or classes, not of templates")
            benchmark = read_template_benchmark(
                source, media, points=points, galleries=gallery or [], probes=probes,
                images=images, check_files=embeddings is None,
            )  # fmt: skip
        else:
            column, groups_of = grouping(group)
            benchmark = read_benchmark(
                source, images=images, pattern=pattern, protocol=protocol and protocol.value,
                kind=kind, group_column=column, check_files=embeddings is None, classes=classes,
            )  # fmt: skip
            benchmark = replace(benchmark, groups=groups_of(benchmark))
        if embeddings is None:
            sources = [of_model(name) for name in (model or "default", *(compare or ()))]
        elif isinstance(benchmark, TemplateBenchmark) and embeddings.suffix.lower() == ".npy":
            sources = [feature_source(embeddings, len(benchmark.photos))]
        else:
            sources = [file_source(embeddings, model, console.message)]
        how = Settings(
            fmr, threshold, reference and reference.value, replicates, report=out is not None,
            options=judging,
        )  # fmt: skip
        measured = [measure(benchmark, one, how) for one in sources]
    console.detail(f"{sum(one.photos.computed for one in measured)} photos were not cached")
    found = [one.measurement for one in measured]
    if against is not None:
        from faceverify.evaluation.similarity.layers import with_layers

        assert isinstance(benchmark, Benchmark)
        layers = with_layers(
            found[0].evaluation, benchmark, (model or "default", against), faces,
            workers=workers, progress=console.progress,
        )  # fmt: skip
        found[0] = replace(found[0], evaluation=layers)
    show_and_report(found, compared(found), benchmark, out, console)


def show_and_report(
    found: list[Measurement],
    differences: list[Section],
    benchmark: Benchmark | TemplateBenchmark,
    out: Path | None,
    console: Console,
) -> None:
    """Print what was measured, and write the report if there is a folder for it."""
    show([one.evaluation for one in found], differences, console)
    if out is not None:
        from faceverify.evaluation.report.writing import write_report

        page, *_ = write_report(out, found, benchmark.photos, benchmark.names, differences)
        console.message(f"report: {page}")


def grouping(group: str | None) -> tuple[str, Any]:
    """The group column for --group, and a function from a benchmark to the groups of its pairs."""
    if group is not None and Path(group).is_file():
        from faceverify.evaluation.lists.identity_groups import read_groups
        from faceverify.evaluation.lists.pair_list import groups_of_pairs

        people = read_groups(Path(group))
        return (
            "group",
            lambda benchmark: benchmark.pairs and groups_of_pairs(benchmark.pairs, people),
        )

    def of_column(benchmark: Benchmark) -> list[str] | None:
        found = benchmark.pairs.group if benchmark.pairs is not None else None
        if group is not None and found is None:
            raise UsageError(
                f"--group {group}: no such file, and the list has no such column",
                cure="name a file of lines NAME, tab, GROUP, or a column of the list",
            )
        return found

    return group or "group", of_column


def compared(measured: list[Measurement]) -> list[Section]:
    """Paired differences of the other models from the first."""
    from faceverify.evaluation.protocols.comparison import difference_section

    first, *others = [(one.evaluation, one.replicates) for one in measured]
    return [difference_section(first, other) for other in others if first[1] is not None]


def show(evaluations: list[Evaluation], differences: list[Section], console: Console) -> None:
    """Print all evaluations and differences."""
    from faceverify.cli.evaluation_table import show_sections

    if console.as_json:
        value = evaluations[0].as_dict()
        if len(evaluations) > 1:
            value["compared"] = [other.as_dict() for other in evaluations[1:]]
            value["differences"] = [section.as_dict() for section in differences]
        console.result(value, "")
        return
    for found in evaluations:
        title = f"{found.source}: {found.protocol}, model {found.model} ({found.model_id})"
        show_sections(title, found.sections, found.notes)
    for section in differences:
        show_sections("Paired over people", [section], [])
