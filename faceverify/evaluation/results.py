"""What an evaluation says: named figures with their intervals, and how a number is written."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faceverify.evaluation.metrics.wilson import Interval, wilson

if TYPE_CHECKING:
    from faceverify.evaluation.metrics.scores import ScoreCounts
    from faceverify.matching.probability import Reliability

NOT_AVAILABLE = "n/a"
FEWEST_ERRORS = 10  # below, resampled people say little about a rate: Wilson's bounds stand in

Band = tuple[tuple[float, float, float], ...]  # (FMR, lowest TMR, highest TMR), FMR ascending


@dataclass(frozen=True)
class Figure:
    """One number.

    Args:
        key: its name in JSON.
        name: in words: ISO/IEC 19795-1's, the common one beside it.
        value: None where the data cannot say.
        unit: "rate" (printed in percent), "distance", "count" or "number".
        interval: 95 %; None where there is none.
        method: how the interval was made: "identities" (bootstrap) or "wilson".
        detail: what else there is to know about it, in few words.
        extra: further values for JSON.
    """

    key: str
    name: str
    value: float | int | None
    unit: str = "rate"
    interval: Interval | None = None
    method: str = ""
    detail: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The value as people read it."""
        return written(self.value, self.unit)

    @property
    def interval_text(self) -> str:
        """The interval, in brackets; empty where there is none."""
        if self.interval is None or self.value is None:
            return ""
        low, high = (written(bound, self.unit) for bound in (self.interval.low, self.interval.high))
        return f"[{low}, {high}]"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; null where the data cannot say."""
        values: dict[str, Any] = {"value": self.value, **self.extra}
        if self.interval is not None and self.value is not None:
            values["interval"] = [self.interval.low, self.interval.high]
            values["interval_method"] = self.method
        if self.value is None and self.detail:
            values["reason"] = self.detail
        return values


@dataclass(frozen=True)
class Section:
    """Figures that belong together.

    Args:
        key: its name in JSON.
        title: in words.
        figures: in the order to print.
    """

    key: str
    title: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that was found about one model on one list or folder.

    Args:
        source: what it was measured on.
        protocol: as ``--protocol`` takes it.
        model: name of the model.
        model_id: its id.
        sections: the figures.
        notes: what a reader should know before trusting them, one line each.
        counts: the scores behind them; None for protocols without comparisons.
        threshold: at which errors are shown and groups compared; None where there is none.
        band: interval band of the ROC; empty where nobody asked.
        reliability: of the calibrated probability; None where nobody asked.
    """

    source: str
    protocol: str
    model: str
    model_id: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    counts: ScoreCounts | None = None
    threshold: float | None = None
    band: Band = ()
    reliability: Reliability | None = None

    def figure(self, key: str) -> Figure | None:
        """Find a figure by its key."""
        for section in self.sections:
            for figure in section.figures:
                if figure.key == key:
                    return figure
        return None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "source": self.source,
            "protocol": self.protocol,
            "model": self.model,
            "model_id": self.model_id,
            **{
                section.key: {figure.key: figure.as_dict() for figure in section.figures}
                for section in self.sections
            },
            "notes": list(self.notes),
        }


def written(value: float | None, unit: str) -> str:
    """Write a value for people: rates in percent, with digits enough to tell small ones apart.

    >>> written(0.99217, "rate"), written(2.5e-6, "rate"), written(None, "rate")
    ('99.217 %', '0.00025 %', 'n/a')
    """
    if value is None or math.isnan(value):
        return NOT_AVAILABLE
    if unit == "count":
        return f"{int(value):,}"
    if unit == "distance":
        return f"{value:.6f}"
    if unit == "rate":
        percent = 100 * value
        return f"{percent:.2g} %" if 0 < percent < 0.01 and percent >= 1e-4 else _percent(percent)
    return f"{value:.6f}" if abs(value) < 1000 else f"{value:,.0f}"


def _percent(percent: float) -> str:
    return f"{percent:.2e} %" if 0 < percent < 1e-4 else f"{percent:.3f} %"


def rate_figure(
    key: str,
    name: str,
    errors: int,
    trials: int,
    *,
    over_identities: Interval | None = None,
    detail: str = "",
    **extra: Any,
) -> Figure:
    """A rate of errors in trials; its interval over identities if there is one, else Wilson's.

    Wilson's takes trials for independent, but can bound a rate of which hardly any is seen.
    """
    if not trials:
        return Figure(key, name, None, detail=detail or "no such comparison")
    resampled = over_identities is not None and min(errors, trials - errors) >= FEWEST_ERRORS
    return Figure(
        key,
        name,
        errors / trials,
        interval=over_identities if resampled else wilson(errors, trials),
        method="identities" if resampled else "wilson",
        detail=detail or f"{errors:,} of {trials:,}",
        extra={"errors": errors, "comparisons": trials, **extra},
    )
