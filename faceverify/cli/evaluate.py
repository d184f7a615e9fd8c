"""``faceverify evaluate``: error rates of a model on a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from faceverify.choices import Classes
from faceverify.cli.console import Console
from faceverify.cli.evaluation_options import (
    DEFAULT_PATTERN,
    Against,
    ClassesKept,
    Compare,
    Embeddings,
    Fmr,
    Group,
    Images,
    Kind,
    NoCache,
    OneModel,
    Pattern,
    Prompts,
    ProtocolName,
    Reference,
    Replicates,
    Report,
    Robustness,
    Source,
    TemplateFiles,
    Threshold,
    template_options,
)
from faceverify.cli.evaluation_request import Request
from faceverify.cli.options import Json, Quiet, Verbose, Workers, face_options
from faceverify.cli.protocol_options import protocol_options
from faceverify.evaluation.options import ProtocolOptions
from faceverify.faces.options import FaceOptions

if TYPE_CHECKING:
    from faceverify.evaluation.results import Evaluation, Section


@face_options()
@protocol_options()
@template_options()
def evaluate(
    source: Source,
    images: Images = None,
    pattern: Pattern = DEFAULT_PATTERN,
    kind: Kind = None,
    protocol: ProtocolName = None,
    classes: ClassesKept = Classes.ALL,
    model: OneModel = None,
    compare: Compare = None,
    against: Against = None,
    embeddings: Embeddings = None,
    fmr: Fmr = 1e-3,
    threshold: Threshold = None,
    group: Group = None,
    reference: Reference = None,
    templates: TemplateFiles = TemplateFiles(),
    prompts: Prompts = None,
    robustness: Robustness = False,
    out: Report = None,
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

    `faceverify evaluate photos/ --protocol zero-shot --prompts words.txt --model runs/a/model.onnx`
    """
    console = Console(json, quiet, verbose)
    request = Request(
        source=source, images=images, pattern=pattern, kind=kind, protocol=protocol,
        classes=classes, model=model, compare=compare or [], against=against,
        embeddings=embeddings, fmr=fmr, threshold=threshold, group=group, reference=reference,
        templates=templates, prompts=prompts, robustness=robustness, replicates=replicates,
        judging=judging, faces=faces, workers=workers,
    )  # fmt: skip
    from faceverify.cli.evaluation_run import measured
    from faceverify.embeddings.cache import EmbeddingCache, cache_folder

    with EmbeddingCache(None if no_cache else cache_folder(), console.message) as cache:
        ran = measured(request, cache, console, report=out is not None)
    show([one.evaluation for one in ran.found], ran.differences, console)
    if out is not None:
        from faceverify.evaluation.report.writing import write_report

        benchmark = ran.benchmark
        page, *_ = write_report(out, ran.found, benchmark.photos, benchmark.names, ran.differences)
        console.message(f"report: {page}")


def show(evaluations: list[Evaluation], differences: Sequence[Section], console: Console) -> None:
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
