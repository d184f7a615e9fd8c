"""Robustness of a model: error rates for every kind and strength of degradation.

Decided are the comparisons of two photos that both have an embedding. A system is safe where its
FMR among them stays what its threshold promises; share decided and FNMR say what that costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from faceverify.evaluation.protocols.benchmark import Benchmark
from faceverify.evaluation.results import Estimate, rate_estimate
from faceverify.evaluation.robustness.faces import CLEAN, DegradedFaces
from faceverify.evaluation.robustness.rates import compare, error_estimates
from faceverify.matching.operating_point import OperatingPoint
from faceverify.matching.threshold import Calibration


@dataclass(frozen=True)
class CellRates:
    """Rates of one kind and strength.

    Args:
        kind, strength: of the degradation; ("clean", 0) for none.
        decided: share of photos with an embedding.
        fmr, fnmr: among decided comparisons, both photos degraded alike.
        clean_fmr, clean_fnmr: likewise, one photo degraded and the other as it is.
        failures: number of photos by error code.
    """

    kind: str
    strength: float
    decided: Estimate
    fmr: Estimate
    fnmr: Estimate
    clean_fmr: Estimate
    clean_fnmr: Estimate
    failures: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "kind": self.kind,
            "strength": self.strength,
            "decided": self.decided.as_dict(),
            "alike": {"fmr": self.fmr.as_dict(), "fnmr": self.fnmr.as_dict()},
            "against_clean": {"fmr": self.clean_fmr.as_dict(), "fnmr": self.clean_fnmr.as_dict()},
            "failures": self.failures,
        }


@dataclass(frozen=True)
class Robustness:
    """Robustness of one model on a set of photos.

    Args:
        source: the list, pack or folder.
        point: the operating point.
        photos, people: how many.
        cells: rates of each kind and strength, the clean photos first.
        notes: caveats, one line each.
    """

    source: str
    point: OperatingPoint
    photos: int
    people: int
    cells: tuple[CellRates, ...]
    notes: tuple[str, ...]


def measure_robustness(
    benchmark: Benchmark,
    faces: Sequence[DegradedFaces],
    point: OperatingPoint,
    *,
    calibration: Calibration = (),
    replicates: int = 1000,
) -> Robustness:
    """Rates of every set of degraded faces.

    Args:
        benchmark: the N photos, with identities.
        faces: sets of faces of these photos; the first are those of the clean photos.
        point: threshold in use, for good photos.
        calibration: calibrated points of the model, by which the threshold depends on quality.
        replicates: of the bootstrap over identities; 0 for Wilson's intervals.
    """
    clean = faces[0]
    assert clean.kind == CLEAN

    def rates(degraded: DegradedFaces) -> CellRates:
        failures: dict[str, int] = {}
        for code in filter(None, degraded.failure):
            failures[code] = failures.get(code, 0) + 1
        found = len(degraded.failure)
        decided = rate_estimate("decided", "decided", int(degraded.decided.sum()), found)
        both = []
        for other in (degraded, clean):
            made = compare(other, degraded)
            limits = made.limits(point, calibration)
            both.append(error_estimates(made, benchmark.identities, limits, replicates=replicates))
        (fmr, fnmr), (clean_fmr, clean_fnmr) = both
        return CellRates(
            degraded.kind, degraded.strength, decided, fmr, fnmr, clean_fmr, clean_fnmr,
            dict(sorted(failures.items())),
        )  # fmt: skip

    return Robustness(
        benchmark.source,
        point,
        len(benchmark.photos),
        len(set(benchmark.identities)),
        tuple(map(rates, faces)),
        benchmark.notes,
    )
