"""Import of an ONNX file with the preprocessing of InsightFace."""

from __future__ import annotations

from pathlib import Path

from faceverify.faces.alignment import REFERENCE_POINTS, FivePoints
from faceverify.models.contract import Contract
from faceverify.models.install.graph_check import Finding, examine
from faceverify.models.install.preprocessing import UNSTATED, Preprocessing
from faceverify.models.install.ready import Say, nothing, ready
from faceverify.models.install.whole_file import parsed, read_whole, serialised
from faceverify.models.model_file import ModelFile, Provenance, split_metadata
from faceverify.models.prepare.graph import with_output, without_unread_inputs
from faceverify.runtime.text import printable

ARCFACE_SIDE = 112


def import_insightface(
    path: Path,
    *,
    provenance: Provenance,
    stated: Preprocessing = UNSTATED,
    flip_average: bool = True,
    say: Say = nothing,
) -> ModelFile:
    """A model file of an ONNX file of the kind of InsightFace's, prepared for the engine.

    Crops have the ArcFace alignment and enter as (x - 127.5) / 127.5 in RGB, unless the graph does
    that itself: https://github.com/deepinsight/insightface, ``model_zoo/arcface_onnx.py``.

    Args:
        path: of the ONNX file; weights in a second file are taken in.
        provenance: name, licence and origin, as far as known.
        stated: what the user knows of its input and output.
        flip_average: whether to add the embedding of the mirrored crop, as usual in papers.
        say: called with lines about what was assumed and done.

    Raises:
        ModelError: unreadable, or not an ONNX model from crops to embeddings.
        UsageError: the user has to say which output it is, or how its input is normalised.
    """
    name = str(path)
    whole, _ = split_metadata(read_whole(path), name)
    model = parsed(whole, name)
    readable = without_unread_inputs(model)
    graph = whole if readable is model else serialised(readable)
    finding = examine(graph, name, default_side=ARCFACE_SIDE, output=stated.output)
    if finding.net.output != finding.net.outputs[0]:  # the engine is asked for the first
        graph = serialised(with_output(readable, finding.net.output))
    mean, scale = stated.normalisation(finding.normalises_itself, name)
    side = finding.side or ARCFACE_SIDE
    contract = Contract(
        width=side,
        height=side,
        colour_order=stated.colour_order or "RGB",
        mean=mean,
        scale=scale,
        alignment=arcface_alignment(side),
        embedding_size=finding.embedding_size,
        flip_average=flip_average,
    )
    say(f"{printable(path.name)}: {assumptions(stated, contract, finding)}")
    return ready(ModelFile(provenance.name, graph, contract, provenance), say)


def assumptions(stated: Preprocessing, contract: Contract, finding: Finding) -> str:
    """What is assumed of a net, because neither it nor the user says so, in one line."""
    found = "pixels of 0 to 255, which it normalises itself"
    if not finding.normalises_itself:
        mean, scale = contract.mean[0], contract.scale[0]
        found = f"(x - {mean:g}) / {scale:g}, which it does not do itself"
    size = contract.embedding_size
    parts = [
        "" if stated.colour_order else "colour order RGB (else: --colour)",
        "" if stated.mean else f"input {found} (else: --mean, --scale)",
        f"output {printable(finding.net.output)}, {size} numbers",
        "crops aligned as ArcFace has it",
    ]
    return "assumed: " + "; ".join(filter(None, parts))


def arcface_alignment(side: int) -> FivePoints:
    """The ArcFace alignment for a crop of another size.

    As InsightFace has it: for multiples of 128, the crop of 112 with 8 more pixels on either side
    and 16 below; for any other size, that of 112 scaled.
    """
    wider = side % 128 == 0 and side % ARCFACE_SIDE != 0
    ratio, shift = (side / 128, 8.0) if wider else (side / ARCFACE_SIDE, 0.0)
    points = REFERENCE_POINTS["arcface-112"].points
    return FivePoints(tuple(((x + shift) * ratio, y * ratio) for x, y in points))
