"""Signals that ask for a stop, and losses that diverge."""

import signal

import pytest

from faceverify.errors import TrainingError
from faceverify.training.stopping import CollapseWatch, LossWatch, stop_on_signals


def test_a_second_signal_does_what_it_did_before(monkeypatch, signals):
    clock = iter((10.0, 10.5, 12.0))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    with stop_on_signals() as request:
        signal.raise_signal(signal.SIGINT)
        assert request.signal == signal.SIGINT
        signal.raise_signal(signal.SIGINT)  # torchrun's, of the same key
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_signal_that_is_ignored_stays_ignored(signals):
    ignored = (signal.SIGINT, signal.SIGHUP)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    with stop_on_signals() as request:
        for number in ignored:
            signal.raise_signal(number)
        assert request.signal == 0
        signal.raise_signal(signal.SIGTERM)
        assert request.signal == signal.SIGTERM
    assert all(signal.getsignal(number) is signal.SIG_IGN for number in ignored)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_loss_that_grows_without_end_stops():
    watch = LossWatch()
    for step in range(50):
        watch.check(5.0 + step % 3, step, learning_rate=0.1, warm_up=False)
    watch.check(100.0, 50, learning_rate=0.1, warm_up=True)
    with pytest.raises(TrainingError, match="the loss rose to"):
        watch.check(1000.0, 51, learning_rate=0.1, warm_up=True)
    with pytest.raises(TrainingError, match="loss is nan at step 3"):
        LossWatch().check(float("nan"), 3, learning_rate=0.1, warm_up=True)


def test_a_margin_that_warms_up_is_no_divergence():
    watch = LossWatch()
    for step in range(100):
        watch.check(9.0 + 0.3 * step, step, learning_rate=0.1, warm_up=False)


def test_embeddings_that_stay_alike_stop_the_run_with_a_cure():
    watch = CollapseWatch("try another")
    for step in range(0, 200, 20):  # once is no collapse
        watch.check({"spread": 0.5 if step % 40 else 0.001, "effective_rank": 9.0}, step)
    watch.check({"spread": 0.5, "effective_rank": 1.2}, 200)
    watch.check({"spread": 0.5, "effective_rank": 1.2}, 220)
    with pytest.raises(TrainingError, match=r"effective_rank is 1.2 at step 240, .* step 200; try"
                       ) as found:  # fmt: skip
        watch.check({"spread": 0.5, "effective_rank": 1.2}, 240)
    assert found.value.code == "training-collapsed"


def test_a_teacher_may_tell_little_at_first_and_some_methods_are_not_watched():
    watch = CollapseWatch("try another")
    for step in range(0, 300, 10):
        watch.check({"spread": 0.5, "teacher_information": 1e-4}, step)
    with pytest.raises(TrainingError, match="teacher_information"):
        watch.check({"spread": 0.5, "teacher_information": 1e-4}, 300)
    for step in range(0, 600, 10):
        CollapseWatch("").check({"spread": 0.0}, step)
        watch.check({}, step)  # a supervised run
