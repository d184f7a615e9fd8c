"""Learning rates over a run: pure functions from a step to a share of the highest rate.

A run that was stopped needs nothing but the number of its step to go on with the same rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from faceverify.training.config.fields import config_error

Schedule = Callable[[int, int], float]

SCHEDULES = ("cosine", "polynomial", "step", "constant")


def make_schedule(
    name: str,
    *,
    warm_up: float = 0.0,
    floor: float = 0.0,
    power: float = 2.0,
    milestones: Sequence[float] = (0.5, 0.75, 0.9),
    factor: float = 0.1,
) -> Schedule:
    """Choose a schedule; it is called with the step, from 0, and the number of steps.

    Args:
        name: one of ``SCHEDULES``.
        warm_up: share of the steps in which the rate first rises, in [0, 1).
        floor: what is left at the end, as a share of the highest rate; not of ``step``.
        power: of the polynomial: 1 a straight line, 2 the rule of the ArcFace line of work.
        milestones: shares of the steps at which ``step`` falls.
        factor: by which it falls at each.

    Raises:
        TrainingError: no such schedule.
    """
    falls: dict[str, Callable[[float], float]] = {
        "cosine": partial(cosine, floor=floor),
        "polynomial": partial(polynomial, power=power, floor=floor),
        "step": partial(stairs, milestones=tuple(milestones), factor=factor),
        "constant": constant,
    }
    if name not in falls:
        raise config_error(f"schedule.name is {name!r}, not one of {', '.join(SCHEDULES)}")
    # milestones are shares of the whole run, as they are written; what falls smoothly falls from
    # the end of the warm-up on
    return partial(
        rate, fall=falls[name], warm_up=warm_up, falls_from_warm_up=name in ("cosine", "polynomial")
    )


def rate(
    step: int,
    total: int,
    *,
    fall: Callable[[float], float],
    warm_up: float,
    falls_from_warm_up: bool = True,
) -> float:
    """Rise in a straight line, then fall.

    Args:
        step: from 0 to ``total`` - 1.
        total: steps of the run.
        fall: from progress in [0, 1) to a share of the highest rate.
        warm_up: share of the steps in which it rises; its first step is above 0 already.
        falls_from_warm_up: whether progress starts after the warm-up, and not with the run.
    """
    rising = round(warm_up * total)
    if step < rising:
        return (step + 1) / (rising + 1) * (1.0 if falls_from_warm_up else fall(0.0))
    start = rising if falls_from_warm_up else 0
    return fall((step - start) / max(total - start, 1))


def cosine(progress: float, *, floor: float) -> float:
    """Half a wave from 1 to the floor: https://arxiv.org/abs/1608.03983, eq. 5.

    Args:
        progress: in [0, 1].
        floor: in [0, 1].
    """
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2


def polynomial(progress: float, *, power: float, floor: float) -> float:
    """Fall to the floor as a power of what is left.

    Args:
        progress: in [0, 1].
        power: above 0.
        floor: in [0, 1].
    """
    return float(floor + (1 - floor) * (1 - progress) ** power)


def stairs(progress: float, *, milestones: Sequence[float], factor: float) -> float:
    """Fall by a factor at each milestone.

    Args:
        progress: in [0, 1].
        milestones: in [0, 1].
        factor: in (0, 1].
    """
    return float(factor ** sum(progress >= milestone for milestone in milestones))


def constant(progress: float) -> float:
    """Stay at the highest rate."""
    del progress
    return 1.0
