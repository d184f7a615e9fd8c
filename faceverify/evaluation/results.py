"""Results of an evaluation: estimates with confidence intervals, and their text."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from faceverify.choices import Distance
from faceverify.evaluation.metrics.wilson import Interval, wilson

if TYPE_CHECKING:
    from faceverify.evaluation.metrics.error_versus_discard import DiscardCurve
    from faceverify.evaluation.metrics.scores import ScoreCounts
    from faceverify.matching.probability import Reliability

NOT_AVAILABLE = "n/a"
MIN_ERRORS = 10  # with fewer, the interval of a rate is Wilson's, not the bootstrap's

Band = tuple[tuple[float, float, float], ...]  # (FMR, lowest TMR, highest TMR), FMR ascending


@dataclass(frozen=True)
class Estimate:
    """An estimate: a number with its confidence interval.

    Args:
        key: name in JSON.
        name: printed name: the term of ISO/IEC 19795-1, the common one in brackets.
        value: None where the data do not support an estimate.
        unit: "rate" (printed in percent), "distance", "count" or "number".
        interval: 95 % confidence interval; None without one.
        method: of the interval: "identities" (bootstrap) or "wilson".
        detail: printed remark; for a missing value, the reason.
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
        """The value as text, with its unit."""
        return format_value(self.value, self.unit)

    @property
    def interval_text(self) -> str:
        """The interval as text, in brackets; empty without one."""
        if self.interval is None or self.value is None:
            return ""
        low, high = (
            format_value(bound, self.unit) for bound in (self.interval.low, self.interval.high)
        )
        return f"[{low}, {high}]"

    def as_dict(self) -> dict[str, Any]:
        """JSON values; null where the data do not support an estimate."""
        values: dict[str, Any] = {"value": self.value, **self.extra}
        if self.interval is not None and self.value is not None:
            values["interval"] = [self.interval.low, self.interval.high]
            values["interval_method"] = self.method
        if self.value is None and self.detail:
            values["reason"] = self.detail
        return values


@dataclass(frozen=True)
class Section:
    """A group of estimates.

    Args:
        key: name in JSON.
        title: printed heading.
        estimates: in printing order.
    """

    key: str
    title: str
    estimates: tuple[Estimate, ...]

    def as_dict(self) -> dict[str, Any]:
        """Estimates by their keys, for JSON."""
        return {estimate.key: estimate.as_dict() for estimate in self.estimates}


@dataclass(frozen=True)
class LayerTable:
    """Similarity (linear CKA) of the layers of two models.

    Args:
        names: of the models.
        layers: names of the layers, of one model and of the other.
        values: a row a layer of the first model, a column a layer of the second; None where a layer
            is the same for all photos.
        photos: number of photos.
    """

    names: tuple[str, str]
    layers: tuple[tuple[str, ...], tuple[str, ...]]
    values: tuple[tuple[float | None, ...], ...]
    photos: int

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "models": list(self.names),
            "layers": [list(names) for names in self.layers],
            "values": [list(row) for row in self.values],
            "photos": self.photos,
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The evaluation of one model on one benchmark.

    Args:
        source: the list, pack or folder.
        protocol: as ``--protocol`` takes it.
        model: name of the model.
        model_id: its id.
        sections: the estimates.
        notes: caveats, one line each.
        counts: the scores; None for protocols without comparisons.
        threshold: the operating point of errors shown in the report; None without one.
        band: confidence band of the ROC; empty if not computed.
        reliability: of the calibrated probability; None if not computed.
        discards: error-versus-discard curves of FMR and FNMR by kind of degradation.
        distance: that was measured.
        movements: distance moved by kind of change, from its mildest strength to its strongest.
        layers: similarity of the model's layers to those of another; None if not computed.
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
    discards: tuple[tuple[str, DiscardCurve | None, DiscardCurve | None], ...] = ()
    distance: Distance = Distance.COSINE
    layers: LayerTable | None = None
    movements: tuple[tuple[str, tuple[float | None, ...]], ...] = ()

    def estimate(self, key: str) -> Estimate | None:
        """The estimate with a key; None if there is none."""
        for section in self.sections:
            for estimate in section.estimates:
                if estimate.key == key:
                    return estimate
        return None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "source": self.source,
            "protocol": self.protocol,
            "model": self.model,
            "model_id": self.model_id,
            "distance": self.distance.value,
            **{section.key: section.as_dict() for section in self.sections},
            **({"cka": self.layers.as_dict()} if self.layers is not None else {}),
            "notes": list(self.notes),
        }


def format_value(value: float | None, unit: str) -> str:
    """A value as text: rates in percent, small ones with significant digits.

    >>> format_value(0.99217, "rate"), format_value(2.5e-6, "rate"), format_value(None, "rate")
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


def rate_estimate(
    key: str,
    name: str,
    errors: int,
    trials: int,
    *,
    over_identities: Interval | None = None,
    detail: str = "",
    **extra: Any,
) -> Estimate:
    """The estimate of an error rate, with the bootstrap interval or else Wilson's.

    Wilson's assumes independent trials, but is valid for rates with few or no errors.

    Args:
        key, name: of the estimate.
        errors: number of errors.
        trials: number of comparisons.
        over_identities: bootstrap interval; used from 10 errors and 10 non-errors on.
        detail: printed remark; "ERRORS of TRIALS" by default.
        extra: further values for JSON.
    """
    if not trials:
        return Estimate(key, name, None, detail=detail or "no such comparison")
    resampled = over_identities is not None and min(errors, trials - errors) >= MIN_ERRORS
    return Estimate(
        key,
        name,
        errors / trials,
        interval=over_identities if resampled else wilson(errors, trials),
        method="identities" if resampled else "wilson",
        detail=detail or f"{errors:,} of {trials:,}",
        extra={"errors": errors, "comparisons": trials, **extra},
    )
