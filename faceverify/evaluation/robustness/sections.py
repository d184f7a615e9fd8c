"""A robustness measurement as an evaluation: one section a kind, one estimate a strength."""

from __future__ import annotations

from collections.abc import Sequence

from faceverify.evaluation.degradation import DEGRADATIONS
from faceverify.evaluation.metrics.error_versus_discard import DiscardCurve
from faceverify.evaluation.results import Estimate, Evaluation, Section
from faceverify.evaluation.robustness.discard import KindDiscard
from faceverify.evaluation.robustness.faces import CLEAN
from faceverify.evaluation.robustness.measure import CellRates, Robustness
from faceverify.evaluation.robustness.selection import MIN_IMPOSTORS

PROTOCOL = "robustness"
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)  # discarded, as printed


def robustness_evaluation(found: Robustness, discards: Sequence[KindDiscard]) -> Evaluation:
    """The estimates, from a summary to every kind and strength, as the report and JSON take them.

    Args:
        found: the measurement.
        discards: error-versus-discard curves of each kind.
    """
    kinds: dict[str, list[Estimate]] = {}
    for cell in found.cells:
        kinds.setdefault(cell.kind, []).append(_strength(cell, found.point.fmr))
    sections = [
        Section(
            kind,
            "clean: FMR among the decided"
            if kind == CLEAN
            else f"{kind}: FMR among the decided, by strength ({DEGRADATIONS[kind].unit})",
            tuple(estimates),
        )
        for kind, estimates in kinds.items()
    ]
    point = found.point
    notes = list(found.notes)
    if point.dataset:
        notes.append(f"the threshold was calibrated on {point.dataset}")
    return Evaluation(
        source=found.source,
        protocol=PROTOCOL,
        model=point.model,
        model_id=point.model_id,
        sections=(_summary(found), *sections, _discard_section(discards)),
        notes=tuple(notes),
        threshold=point.threshold,
        discards=tuple((one.kind, one.fmr, one.fnmr) for one in discards),
    )


def _summary(found: Robustness) -> Section:
    point = found.point
    measured = [cell for cell in found.cells if cell.fmr.value is not None]
    worst = max(measured, key=lambda cell: cell.fmr.value or 0.0, default=None)
    few = sum(cell.fmr.extra.get("comparisons", 0) < MIN_IMPOSTORS for cell in found.cells)
    estimates = [
        Estimate("photos", "photos", found.photos, "count"),
        Estimate("people", "people", found.people, "count"),
        Estimate("threshold", "threshold", point.threshold, "distance", detail=point.origin),
        Estimate(
            "worst_fmr",
            "worst FMR",
            worst.fmr.value if worst else None,
            interval=worst.fmr.interval if worst else None,
            method=worst.fmr.method if worst else "",
            detail=f"{worst.kind} {worst.strength:g}" if worst else "nothing decided",
        ),
        Estimate(
            "few_decided",
            f"kinds and strengths with under {MIN_IMPOSTORS:,} decided impostor comparisons",
            few,
            "count",
        ),
    ]
    if point.fmr is not None:
        above = sum(_is_above(cell, point.fmr) for cell in found.cells)
        estimates.append(
            Estimate(
                "above",
                f"kinds and strengths whose FMR is above {point.fmr:g}",
                above,
                "count",
                detail=f"interval and all, of {len(found.cells)}",
            )
        )
    return Section("summary", "Robustness", tuple(estimates))


def _is_above(cell: CellRates, promised: float) -> bool:
    return cell.fmr.interval is not None and cell.fmr.interval.low > promised


def _strength(cell: CellRates, promised: float | None) -> Estimate:
    detail = f"decided {cell.decided.text}, FNMR {cell.fnmr.text}"
    if cell.kind != CLEAN:
        detail += f"; one clean: FMR {cell.clean_fmr.text}, FNMR {cell.clean_fnmr.text}"
    if promised is not None and _is_above(cell, promised):
        detail += f"; above {promised:g}"
    values = cell.as_dict()
    fmr = values["alike"].pop("fmr")
    for key in ("value", "interval", "interval_method", "reason", "kind", "strength"):
        values.pop(key, None)
        fmr.pop(key, None)
    return Estimate(
        f"{cell.strength:g}",
        cell.kind if cell.kind == CLEAN else f"{cell.strength:g}",
        cell.fmr.value,
        interval=cell.fmr.interval,
        method=cell.fmr.method,
        detail=detail if cell.fmr.value is not None else f"decided {cell.decided.text}",
        extra={**fmr, **values},
    )


def _discard_section(discards: Sequence[KindDiscard]) -> Section:
    estimates = [
        _area(one.kind, name, curve)
        for one in discards
        for name, curve in (("fmr", one.fmr), ("fnmr", one.fnmr))
    ]
    return Section(
        "error_versus_discard",
        "Quality: mean error over the share discarded (ISO/IEC 29794-1)",
        tuple(estimates),
    )


def _area(kind: str, rate: str, curve: DiscardCurve | None) -> Estimate:
    key, name = f"{kind}_{rate}".replace(" ", "_"), f"{kind}, {rate.upper()}"
    if curve is None:
        return Estimate(key, name, None, detail="no such comparison")
    steps = ", ".join(f"{100 * curve.at(share):.3g}" for share in SHARES)
    shares = ", ".join(f"{100 * share:g}" for share in SHARES)
    return Estimate(
        key,
        name,
        curve.area(),
        detail=f"best {100 * curve.least_area():.3g} %; {steps} % with {shares} % discarded",
        extra={
            "least": curve.least_area(),
            "comparisons": curve.comparisons,
            "error": {f"{share:g}": curve.at(share) for share in SHARES},
        },
    )
