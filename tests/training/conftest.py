"""Fixtures of the training tests."""

import signal

import pytest

from faceverify.training.stopping import STOPPING


@pytest.fixture
def signals():
    """Handlers of Python itself, whatever the tests inherited; they are put back."""
    kept = {number: signal.getsignal(number) for number in STOPPING}
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)
