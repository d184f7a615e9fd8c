"""How models are described, as JSON and as text."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from faceverify.models.model_file import ModelFile, Threshold

UNKNOWN_LICENCE = "unknown: find out what you may do with it before you use it"


def described(model: ModelFile, path: Path) -> dict[str, Any]:
    """All that a model file says, as plain values."""
    return {
        "name": model.provenance.name,
        "id": model.id,
        "path": str(path),
        "bytes": path.stat().st_size,
        "licence": model.provenance.licence,
        "prepared": model.prepared_from is not None,
        "contract": model.contract.as_dict(),
        "provenance": asdict(model.provenance),
        "thresholds": [asdict(threshold) for threshold in model.thresholds],
        "card": model.card,
    }


def page(model: ModelFile, path: Path, scores: Mapping[str, Any]) -> str:
    """All that a model file says, as a page of text."""
    contract, provenance = model.contract, model.provenance
    kind = contract.as_dict()["alignment"]
    alignment = (
        f"the detector's box, {kind['margin']:.3g} of the side around it"
        if kind["kind"] == "box"
        else "five points onto " + " ".join(f"({x:.4g}, {y:.4g})" for x, y in kind["points"])
    )
    flip = ", that of the mirrored crop added" if contract.flip_average else ""
    prepared = {"graph": "prepared for the engine"} if model.prepared_from else {}
    rows = {
        "model": provenance.name,
        "id": model.id,
        "file": f"{path} ({megabytes(path.stat().st_size)})",
        "licence": licence_text(provenance.licence),
        "architecture": provenance.architecture,
        "head": provenance.head,
        "dataset": provenance.dataset,
        "source": provenance.source,
        "input": f"{contract.width} x {contract.height} {contract.colour_order}, "
        f"(x - {numbers(contract.mean)}) / {numbers(contract.scale)}",
        "alignment": alignment,
        "embedding": f"{contract.embedding_size} numbers{flip}",
        **prepared,
        **{f"score {key}": str(value) for key, value in scores.items()},
    }
    width = max(map(len, rows)) + 2
    lines = [f"{key:<{width}}{value}" for key, value in rows.items()]
    card = ["", model.card] if model.card else []
    return "\n".join([*lines, "", *threshold_table(model.thresholds), *card])


def threshold_table(thresholds: tuple[Threshold, ...]) -> list[str]:
    """Thresholds with the evidence behind them, a line each."""
    if not thresholds:
        return ["thresholds: none, it is not calibrated; verify with it takes --threshold"]
    heading = ("FMR", "distance", "FNMR", "95 % interval of FMR", "impostors", "genuine", "on")
    cells = [
        (
            f"{threshold.fmr:g}",
            f"{threshold.distance:.4f}",
            f"{threshold.fnmr:.4f}",
            f"{threshold.interval[0]:.2g} to {threshold.interval[1]:.2g}",
            f"{threshold.impostors:,}",
            f"{threshold.genuine:,}",
            threshold.dataset + ("" if threshold.holds else "; does not hold, and is not used"),
        )
        for threshold in thresholds
    ]
    return columns([heading, *cells])


def columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows of text with their cells one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def licence_text(licence: str) -> str:
    """A licence as it is shown."""
    return UNKNOWN_LICENCE if licence == "unknown" else licence


def megabytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:,.1f} MB"


def numbers(values: tuple[float, ...]) -> str:
    """One number where all channels have the same."""
    return (
        f"{values[0]:g}"
        if len(set(values)) == 1
        else "[" + ", ".join(map("{:g}".format, values)) + "]"
    )
