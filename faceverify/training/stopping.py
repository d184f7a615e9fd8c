"""Early end of a run: a signal, or a loss that diverges."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from faceverify.errors import TrainingError

STOPPING = [
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
SAME_SIGNAL = 1.0  # seconds: torchrun passes on a Ctrl-C that the terminal sent already
SMOOTHING = 0.8  # of the running loss: half of its weight is on the last three losses
# signs (matching/sphere.py) of which a value below the first number means that all embeddings are
# alike, if it lasts for the second, in steps; the last two, in nats, may begin next to nothing
ALIKE = {
    "spread": (0.02, 30),
    "effective_rank": (1.5, 30),
    "teacher_information": (0.005, 300),
    "divergence": (0.1, 300),
}
COLLAPSED_LINES = 3  # of the log, at least
DIVERGED = 10.0  # times the first running loss; a margin that warms up may multiply it by 4


class StopRequest:
    """Request to stop: ``signal`` is the number of the signal received, 0 without one."""

    signal: int = 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Make SIGTERM, Ctrl-C and SIGHUP (a closed terminal) request a stop, inside the block.

    The loop checks it after each step, saves and returns. A second signal, a second later or more,
    has its former effect. A signal that is ignored, as in a background job or under nohup, stays
    ignored.
    """
    request, when = StopRequest(), 0.0
    kept = {number: signal.getsignal(number) for number in STOPPING}

    def receive(number: int, _frame: FrameType | None) -> None:
        nonlocal when
        now = time.monotonic()
        if not request.signal:
            request.signal, when = number, now
        elif now - when > SAME_SIGNAL:
            signal.signal(number, kept[signal.Signals(number)])
            signal.raise_signal(number)

    for number, handler in list(kept.items()):
        if handler in (signal.SIG_IGN, None):  # None: a handler not set by Python
            del kept[number]
        else:
            signal.signal(number, receive)
    try:
        yield request
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


class LossWatch:
    """Divergence check: ends a run whose loss is not finite or far above its first value.

    A moderate rise is normal: with the margin, or at a high learning rate.
    """

    def __init__(self) -> None:
        self._running: float | None = None
        self._first = 0.0

    def check(self, loss: float, step: int, *, learning_rate: float, warm_up: bool) -> None:
        """Check the loss of a step.

        Args:
            loss: mean over all processes.
            step: its number, for the message.
            learning_rate: at that step, for the message.
            warm_up: whether the learning rate was still rising.

        Raises:
            TrainingError: the loss diverges; the message says what to change.
        """
        if not math.isfinite(loss):
            raise diverged(f"the loss is {loss} at step {step}", learning_rate, warm_up)
        if self._running is None:
            self._running = self._first = loss
        self._running = SMOOTHING * self._running + (1 - SMOOTHING) * loss
        if self._running > DIVERGED * max(self._first, 1.0):
            raise diverged(
                f"the loss rose to {self._running:.3g} at step {step}, from {self._first:.3g}",
                learning_rate,
                warm_up,
            )


class CollapseWatch:
    """Collapse check: ends a run whose embeddings have become the same for all images.

    Args:
        causes: of a collapse, and what to change; empty to check nothing.
    """

    def __init__(self, causes: str) -> None:
        self._causes = causes
        self._low: dict[str, list[int]] = {}  # steps of the lines in a row, by sign

    def check(self, signs: Mapping[str, float], step: int) -> None:
        """Check the signs of a step that is logged.

        Args:
            signs: by name, in every process the same.
            step: its number.

        Raises:
            TrainingError: one of them has been near its least value for some time; the message
                says what to change.
        """
        if not self._causes:
            return
        for name, (least, lasting) in ALIKE.items():
            if signs.get(name, math.inf) >= least:
                self._low[name] = []
                continue
            steps = self._low.setdefault(name, [])
            steps.append(step)
            if len(steps) >= COLLAPSED_LINES and step - steps[0] >= lasting:
                raise TrainingError(
                    f"the embeddings have collapsed: {name} is {signs[name]:.3g} at step {step}, "
                    f"and was below {least:g} since step {steps[0]}",
                    cure=self._causes,
                    code="training-collapsed",
                )


def diverged(what: str, learning_rate: float, warm_up: bool) -> TrainingError:
    """The error of a run that diverged, with what to change."""
    cures = [f"a lower --learning-rate than {learning_rate:.2g}"]
    cures.append("a longer schedule.warm_up" if warm_up else "optimiser.clip_norm=1")
    cures.append("compute.precision=float32")
    return TrainingError(
        what,
        cure=f"go on from the last checkpoint with {', '.join(cures)}",
        code="training-diverged",
    )
