"""What ``faceverify evaluate`` measures: models on a benchmark, or on photos made worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from faceverify.cli.console import Console
from faceverify.cli.evaluation_options import Protocol
from faceverify.cli.evaluation_request import Request
from faceverify.embeddings.cache import EmbeddingCache
from faceverify.embeddings.source import (
    EmbeddingSource,
    feature_source,
    file_source,
    model_source,
)
from faceverify.errors import UsageError
from faceverify.evaluation.benchmark import read_benchmark
from faceverify.evaluation.evaluate import measure
from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.protocols.label_embeddings import LabelEmbeddings
from faceverify.evaluation.protocols.protocol import Measurement, Settings
from faceverify.evaluation.protocols.template_benchmark import (
    TemplateBenchmark,
    read_template_benchmark,
)
from faceverify.evaluation.results import Section

Grouping = Callable[[Benchmark], list[str] | None]


@dataclass(frozen=True)
class Measured:
    """Measurements of each model on a benchmark, and how the others differ from the first."""

    benchmark: Benchmark | TemplateBenchmark
    found: list[Measurement]
    differences: tuple[Section, ...] = ()


def measured(
    request: Request, cache: EmbeddingCache, console: Console, *, report: bool
) -> Measured:
    """Measure what was asked for.

    Args:
        request: what a user asks.
        cache: of embeddings.
        console: for messages and progress.
        report: whether a report will be written.

    Raises:
        FaceverifyError: lists, photos, models or embeddings that cannot be used.
    """
    if request.robustness:
        return degraded(request, cache, console)
    if request.protocol is Protocol.INVARIANCE:
        return changed(request, cache, console)
    benchmark = benchmark_of(request)
    sources = sources_of(request, benchmark, cache, console)
    how = Settings(
        request.fmr, request.threshold, request.reference and request.reference.value,
        request.replicates, report=report, options=request.judging,
    )  # fmt: skip
    settings = [how] * len(sources)
    if request.prompts is not None:
        assert isinstance(benchmark, Benchmark)
        settings = [
            replace(how, labels=labels_of(request.prompts, benchmark, name, one.model_id))
            for name, one in zip(request.models, sources, strict=True)
        ]
    ran = [measure(benchmark, *each) for each in zip(sources, settings, strict=True)]
    console.detail(f"{sum(one.photos.computed for one in ran)} photos were not cached")
    found = [one.measurement for one in ran]
    if request.against is not None:
        from faceverify.evaluation.similarity.layers import with_layers

        assert isinstance(benchmark, Benchmark)
        layers = with_layers(
            found[0].evaluation, benchmark, (request.models[0], request.against), request.faces,
            workers=request.workers, progress=console.progress,
        )  # fmt: skip
        found[0] = replace(found[0], evaluation=layers)
    return Measured(benchmark, found, compared(found))


def degraded(request: Request, cache: EmbeddingCache, console: Console) -> Measured:
    """The first model on photos made worse, of some people of the list."""
    from faceverify.evaluation.robustness.evaluate import evaluate_robustness
    from faceverify.evaluation.robustness.selection import select_photos

    benchmark = select_photos(all_photos(request))
    _, evaluation = evaluate_robustness(
        benchmark, request.models[0], request.faces, cache,
        fmr=request.fmr, threshold=request.threshold, replicates=request.replicates,
        workers=request.workers, progress=console.progress,
    )  # fmt: skip
    return Measured(benchmark, [Measurement(evaluation)])


def changed(request: Request, cache: EmbeddingCache, console: Console) -> Measured:
    """How far each model's embeddings move when photos are changed."""
    from faceverify.evaluation.robustness.invariance import evaluate_invariance

    benchmark = all_photos(request)
    moved = [
        evaluate_invariance(
            benchmark, name, request.faces, cache,
            replicates=request.replicates, workers=request.workers, progress=console.progress,
        )
        for name in request.models
    ]  # fmt: skip
    return Measured(benchmark, [Measurement(one) for one in moved])


def all_photos(request: Request) -> Benchmark:
    """Every photo of a list or folder, against every other."""
    return read_benchmark(
        request.source, images=request.images, pattern=request.pattern, protocol="all",
        kind=request.kind, classes=request.classes,
    )  # fmt: skip


def benchmark_of(request: Request) -> Benchmark | TemplateBenchmark:
    """The photos to embed and what is compared of them."""
    check_files = request.embeddings is None
    if request.of_templates:
        files = request.templates
        return read_template_benchmark(
            request.source, files.media, points=files.points, galleries=files.gallery or [],
            probes=files.probes, images=request.images, check_files=check_files,
        )  # fmt: skip
    column, groups_of = grouping(request.group)
    benchmark = read_benchmark(
        request.source, images=request.images, pattern=request.pattern,
        protocol=request.protocol and request.protocol.value, kind=request.kind,
        group_column=column, check_files=check_files, classes=request.classes,
    )  # fmt: skip
    return replace(benchmark, groups=groups_of(benchmark))


def sources_of(
    request: Request,
    benchmark: Benchmark | TemplateBenchmark,
    cache: EmbeddingCache,
    console: Console,
) -> list[EmbeddingSource]:
    """Where each model's embeddings come from: the model itself, or a file of ready ones."""
    ready = request.embeddings
    if ready is None:
        return [
            model_source(
                name, request.faces, cache, workers=request.workers, progress=console.progress
            )
            for name in request.models
        ]
    if isinstance(benchmark, TemplateBenchmark) and ready.suffix.lower() == ".npy":
        return [feature_source(ready, len(benchmark.photos))]
    return [file_source(ready, request.model, console.message)]


def labels_of(prompts: Path, benchmark: Benchmark, model: str, model_id: str) -> LabelEmbeddings:
    """Embeddings of the labels of a file of prompts, by the text model beside a model."""
    from faceverify.evaluation.lists.prompts import read_prompts
    from faceverify.evaluation.protocols.label_embeddings import check_covered, embedded_labels
    from faceverify.models.registry import find_model
    from faceverify.models.text_model import FILE_NAME

    sentences = read_prompts(prompts)
    check_covered(sentences, benchmark.labels)
    beside = find_model(model).with_name(FILE_NAME)
    return embedded_labels(sentences, beside, model_id=model_id)


def grouping(group: str | None) -> tuple[str, Grouping]:
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


def compared(measured: list[Measurement]) -> tuple[Section, ...]:
    """Paired differences of the other models from the first."""
    from faceverify.evaluation.protocols.comparison import difference_section

    first, *others = measured
    return tuple(difference_section(first, other) for other in others if first.replicates)
