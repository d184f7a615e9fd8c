"""Minutes hold what they are said to hold, and validations give way before steps do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="needs the train extra")

from faceverify.errors import TrainingError
from faceverify.training.config.schema import VALIDATIONS, Validation
from faceverify.training.run.time_budget import Plan, plan_within

BY_ITSELF = Validation()
times = st.one_of(st.just(-1), st.integers(0, 100))
some_time = st.floats(0.01, 1e4)


def time_of(plan: Plan, step: float, validation: float, image_of_each: float) -> float:
    validations = plan.validations + plan.first_weights
    return plan.steps * step + validations * validation + plan.imprint * image_of_each


@given(
    seconds=some_time,
    step=some_time,
    validation=some_time,
    number=times,
    first_weights=st.booleans(),
    image_of_each=st.one_of(st.just(0.0), some_time),
)
def test_a_plan_fits_and_is_refused_only_where_none_would(
    seconds, step, validation, number, first_weights, image_of_each
):
    wanted = Validation(times=number)
    given = {"step": step, "validation": validation, "wanted": wanted, "imprint": 16}
    given |= {"first_weights": first_weights, "image_of_each": image_of_each}
    least = step + (validation if number else 0)
    if seconds < least:
        with pytest.raises(TrainingError, match="too few minutes"):
            plan_within(seconds, **given)
        return
    plan = plan_within(seconds, **given)
    assert time_of(plan, step, validation, image_of_each) <= seconds * (1 + 1e-9)
    assert min(wanted.number, 1) <= plan.validations <= min(wanted.number, plan.steps)
    assert plan.steps >= 1
    assert not plan.first_weights or (first_weights and number)
    if plan.validations > 1:
        share = (plan.validations + plan.first_weights) * validation / seconds
        assert share <= (0.2 if number == -1 else 0.5) * (1 + 1e-9)
    # not much is left over
    spare = seconds - time_of(plan, step, validation, image_of_each)
    assert spare < step + validation


def test_what_was_not_asked_for_gives_way():
    """The issue's machine: 100 s, a step of 27 s, a validation of 10 s."""
    plan = plan_within(100, step=27, validation=10, wanted=BY_ITSELF, first_weights=True)
    assert plan == Plan(steps=2, validations=1, first_weights=True, imprint=0)
    assert plan.in_words(BY_ITSELF) == (
        "2 steps and 1 validations, not 10: they take 20 % of the time at most"
    )


def test_what_was_asked_for_stays_as_long_as_it_leaves_half_of_the_time():
    def validations(number):
        wanted = Validation(times=number)
        return plan_within(1000, step=1, validation=10, wanted=wanted).validations

    assert [validations(number) for number in (-1, 50, 51, 0)] == [VALIDATIONS, 50, 50, 0]


def test_where_there_is_time_nothing_gives_way():
    plan = plan_within(
        1200, step=1, validation=7, wanted=BY_ITSELF, first_weights=True, imprint=16,
        image_of_each=1.0,
    )  # fmt: skip
    assert plan == Plan(1200 - 11 * 7 - 16, VALIDATIONS, True, 16)
    assert plan.in_words(BY_ITSELF) == "1,107 steps and 10 validations"


def test_class_centres_take_a_tenth_at_most():
    plan = plan_within(
        200, step=1, validation=0, wanted=Validation(times=0), imprint=16, image_of_each=9
    )
    assert (plan.imprint, plan.steps) == (2, 182)
