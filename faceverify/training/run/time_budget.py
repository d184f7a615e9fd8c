"""Time budget of a run, turned into numbers of steps and validations: these can be repeated."""

from __future__ import annotations

from dataclasses import dataclass, replace

from faceverify.training.config.fields import config_error
from faceverify.training.config.optimisation import Budget
from faceverify.training.config.schema import AUTOMATIC, Config, Validation

VALIDATING, ASKED = 0.2, 0.5  # largest share of validations: by default; with a set number
IMPRINTING = 0.1  # largest share of initial class centres


@dataclass(frozen=True)
class Duration:
    """How long something takes, as far as it is known.

    Args:
        least: seconds, by what was seen.
        likely: seconds.
    """

    least: float
    likely: float

    def times(self, factor: float) -> Duration:
        """As many of it, one after the other."""
        return Duration(self.least * factor, self.likely * factor)


@dataclass(frozen=True)
class Plan:
    """Steps and validations of a run with a time budget.

    Args:
        steps: optimiser steps.
        validations: their number; the last one follows the last step.
        first_weights: whether the initial weights are validated, too.
        imprint: images of each person in the mean that its class centre begins at.
    """

    steps: int
    validations: int
    first_weights: bool
    imprint: int

    def in_words(self, wanted: Validation) -> str:
        """Steps and validations, and how many of these were wanted; one line."""
        text = f"{self.steps:,} step{'s' * (self.steps > 1)}"
        if self.validations:
            text += f" and {self.validations} validation{'s' * (self.validations > 1)}"
        if 0 < self.validations < wanted.number:
            share = largest_share(wanted)
            text += f", not {wanted.number}: they take {100 * share:.0f} % of the time at most"
        return text

    def written_into(self, config: Config) -> Config:
        """The configuration with these numbers instead of minutes."""
        return replace(
            config,
            budget=Budget(steps=self.steps),
            validation=replace(config.validation, times=self.validations),
            backbone=replace(config.backbone, imprint=self.imprint),
        )


def plan_within(
    seconds: float,
    *,
    step: Duration,
    validation: Duration,
    wanted: Validation,
    first_weights: bool = False,
    imprint: int = 0,
    image_of_each: float = 0.0,
) -> Plan:
    """Divide a time budget into steps and validations.

    Validations take a fifth of it at most, or half of it where their number is configured; the one
    at the end is always made. Initial class centres take a tenth at most.

    Args:
        seconds: to be divided.
        step, validation: one of them.
        wanted: how many validations are.
        first_weights: whether the run begins with weights worth validating.
        imprint: images of each person that class centres are to begin at.
        image_of_each: seconds for one of them.

    Raises:
        TrainingError: there is no time for one step and one validation, whatever is not known.
    """
    number = wanted.number
    least = step.least + (validation.least if number else 0)
    if seconds < least:
        raise config_error(
            f"too few minutes: {max(seconds, 0):.2g} s are left after all preparation, and one step"
            f"{' and one validation take' if number else ' takes'} {least:.2g} s at least",
            "give more --minutes",
        )
    validations, left = 0, seconds
    if number:
        one, both = validation.likely, step.likely + validation.likely
        most = max(int(min(largest_share(wanted) * seconds / one, number + first_weights)), 1)
        first_weights = first_weights and most > 1 and seconds >= both + one
        left -= first_weights * one
        validations = max(min(most - first_weights, int(left / both)), 1)
        left -= validations * one
    if image_of_each:
        room = max(min(IMPRINTING * left, left - step.likely), 0)
        imprint = min(imprint, int(room / image_of_each))
        left -= imprint * image_of_each
    steps = max(int(left / step.likely), 1)
    return Plan(steps, min(validations, steps), first_weights and validations > 0, imprint)


def largest_share(wanted: Validation) -> float:
    """Largest share of the time that validations may take, in [0, 1]."""
    return VALIDATING if wanted.times == AUTOMATIC else ASKED
