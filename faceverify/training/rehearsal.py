"""How many steps fit into some minutes: a few are run and timed, and forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import nn

from faceverify.training.checkpoint import Position
from faceverify.training.config import Config
from faceverify.training.distributed import Processes
from faceverify.training.loop import Figures, train
from faceverify.training.metrics_log import MetricsLog
from faceverify.training.parts import Parts
from faceverify.training.settings import config_error
from faceverify.training.source import Source
from faceverify.training.stopping import StopRequest

FIRST, TIMED = 2, 12  # steps: the first ones find memory, choose kernels and compile
SHARE = 0.05  # of the time that may be rehearsed
SPARE = 0.97  # share of the time that is planned with


def steps_within(
    seconds: float,
    parts: Parts,
    config: Config,
    source: Source,
    *,
    processes: Processes,
    validate: Callable[[nn.Module], Figures] | None,
) -> int:
    """Find how many steps, and the validations among them, fit.

    Args:
        seconds: there are; what the rehearsal takes is taken off.
        parts: are used up: build them anew.
        config: of the run.
        source: gives batches.
        processes: this one and the others.
        validate: measures a backbone; None to never do it.

    Raises:
        TrainingError: not a single step fits.
    """
    began = time.perf_counter()

    def steps(position: Position, end: int) -> tuple[Position, float]:
        start = time.perf_counter()
        with MetricsLog(None) as log:
            reached = train(
                parts,
                config,
                Position(position.step, end, position.epoch, position.batch),
                source,
                processes=processes,
                log=log,
                save=lambda _position, _figures: None,
                validate=None,
                stop=StopRequest(),
            )
        return reached, time.perf_counter() - start

    position, first = steps(Position(), FIRST)
    first = processes.agree(first)  # all processes must rehearse as many
    count = min(max(round(SHARE * seconds / first * FIRST), 1), TIMED)
    _, taken = steps(position, FIRST + count)
    step = taken / count
    measured = 0.0
    if validate is not None and processes.first:
        start = time.perf_counter()
        validate(parts.verified)
        measured = time.perf_counter() - start
    validations = config.validation.times + bool(parts.origin)  # before the first step, too
    left = seconds - (time.perf_counter() - began) - validations * measured
    fit = round(-processes.agree(-int(SPARE * left / step)))  # of all processes, the least
    if fit < 1:
        raise config_error(
            f"{seconds / 60:.3g} minutes are too few: {FIRST + count} steps and "
            f"{config.validation.times} validations take {(seconds - left) / 60:.2g}",
            "give more --minutes, or fewer validation.times",
        )
    return fit
