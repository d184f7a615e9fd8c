"""Warm-up and annealing of a margin over the first steps of a run."""

from __future__ import annotations

STEEPNESS = 200.0


def warm_up(step: int, total: int, share: float) -> float:
    """Linear warm-up: a factor that rises from 0 to 1 over the first ``share`` of the run.

    Args:
        step: current step, from 0.
        total: steps of the run.
        share: share of the steps, in [0, 1]; at 0 the factor is 1 throughout.
    """
    return min(1.0, step / (share * total)) if share > 0 else 1.0


def anneal(step: int, total: int, share: float, *, first: float, last: float) -> float:
    """Annealing of SphereFace's lambda: falls about as 1 / step from ``first`` to ``last``.

    The published schedule is max(5, 1000 / (1 + 0.12 step)), which reaches 5 at step 1,658 of
    28,000; this is the same curve for a run of any length and any last value.

    Args:
        step: current step, from 0.
        total: steps of the run.
        share: share of the steps after which lambda is ``last``, in [0, 1].
        first, last: lambda at the first step and at the end.
    """
    past = warm_up(step, total, share)
    return last + (first - last) * (1 - past) / (1 + STEEPNESS * past)
