"""Schedules of a margin over the first steps of a run."""

from __future__ import annotations

STEEPNESS = 200.0


def warm_up(step: int, total: int, share: float) -> float:
    """Share of a margin that is in force: rises from 0 to 1 over the first share of the run.

    Args:
        step: from 0.
        total: steps of the run.
        share: of the steps; with 0 it is 1 throughout.
    """
    return min(1.0, step / (share * total)) if share > 0 else 1.0


def anneal(step: int, total: int, share: float, *, first: float, last: float) -> float:
    """SphereFace's lambda: falls from ``first`` about as 1 / step, to ``last`` at ``share``.

    As published it is 1000 / (1 + 0.12 step), but at least 5, which it reaches at step 1,658 of
    28,000; this has the same course, for runs of any length and for any last value.
    """
    past = warm_up(step, total, share)
    return last + (first - last) * (1 - past) / (1 + STEEPNESS * past)
