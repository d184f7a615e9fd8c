"""When a run stops before its end: a signal, or a loss that leads nowhere."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from faceverify.errors import TrainingError

STOPPING = [
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
SAME_SIGNAL = 1.0  # seconds: torchrun passes on a Ctrl-C that the terminal sent already
SMOOTHING = 0.8  # of the running loss: half of it is of the last three looks
BLOWN_UP = 10.0  # times the first running loss; a margin that warms up may multiply it by 4


class StopRequest:
    """Whether a signal asked to stop; ``signal`` is its number, 0 while none did."""

    signal: int = 0


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Let SIGTERM, Ctrl-C and a closed terminal (SIGHUP) ask for a stop, inside the block.

    The loop looks at it after each step, saves and returns. A second signal, a second later or
    more, does what it did before. One that is ignored stays ignored: by a background job, or under
    nohup.
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
        if handler in (signal.SIG_IGN, None):  # None: none of Python's
            del kept[number]
        else:
            signal.signal(number, receive)
    try:
        yield request
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


class LossWatch:
    """Stops a run whose loss is no number, or grows without end.

    A loss may rise: with the margin, or at a high learning rate. Only one that is far above where
    it began is taken for lost.
    """

    def __init__(self) -> None:
        self._running: float | None = None
        self._first = 0.0

    def look(self, loss: float, step: int, *, learning_rate: float, warm_up: bool) -> None:
        """Take note of a loss.

        Args:
            loss: mean over all processes.
            step: its number, for the message.
            learning_rate: at that step, for the message.
            warm_up: whether the learning rate was still rising.

        Raises:
            TrainingError: the run leads nowhere; says what to change.
        """
        if not math.isfinite(loss):
            raise diverged(f"the loss is {loss} at step {step}", learning_rate, warm_up)
        if self._running is None:
            self._running = self._first = loss
        self._running = SMOOTHING * self._running + (1 - SMOOTHING) * loss
        if self._running > BLOWN_UP * max(self._first, 1.0):
            raise diverged(
                f"the loss rose to {self._running:.3g} at step {step}, from {self._first:.3g}",
                learning_rate,
                warm_up,
            )


def diverged(what: str, learning_rate: float, warm_up: bool) -> TrainingError:
    """The error of a run that leads nowhere."""
    cures = [f"a lower --learning-rate than {learning_rate:.2g}"]
    cures.append("a longer schedule.warm_up" if warm_up else "optimiser.clip_norm=1")
    cures.append("compute.precision=float32")
    return TrainingError(
        what,
        cure=f"go on from the last checkpoint with {', '.join(cures)}",
        code="training-diverged",
    )
