"""How long another program may take to answer: a server, a cluster, other processes of a run."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

from faceverify.errors import UsageError

Result = TypeVar("Result")

VARIABLE = "FACEVERIFY_WAIT"  # seconds
WAITING = "waiting"  # name of a thread that may never come back


def seconds_to_wait(usual: float) -> float:
    """Seconds to wait for another program: those of ``FACEVERIFY_WAIT``, or else the usual ones.

    Raises:
        UsageError: the variable is no positive number.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return usual
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"{VARIABLE}={text}: no number of seconds", cure="such as 60")
    return seconds


def within(seconds: float, function: Callable[[], Result]) -> Result:
    """The result of a function that may block outside of Python, where no signal reaches it.

    Raises:
        TimeoutError: it takes longer; its thread is left to itself.
    """
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True, name=WAITING).start()
    try:
        return future.result(timeout=seconds)
    except FutureTimeoutError:  # another class than TimeoutError before Python 3.11
        raise TimeoutError(f"no answer within {seconds:g} s") from None
