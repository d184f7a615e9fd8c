"""Minutes divided between steps and validations: a budget of numbers, which can be repeated."""

from __future__ import annotations

from dataclasses import dataclass, replace

from faceverify.training.config.fields import config_error
from faceverify.training.config.schema import AUTOMATIC, Budget, Config, Validation

VALIDATING, ASKED = 0.2, 0.5  # largest shares of validations: by default, and where asked for
IMPRINTING = 0.1  # largest share of the first class centres


@dataclass(frozen=True)
class Plan:
    """What a run does in its time.

    Args:
        steps: of the optimiser.
        validations: among them, the last one after the last step.
        first_weights: whether those that the run begins with are validated, too.
        imprint: images of a person that class centres begin at.
    """

    steps: int
    validations: int
    first_weights: bool
    imprint: int

    def in_words(self, wanted: Validation) -> str:
        """Steps and validations, and how many of these were wanted; one line."""
        text = f"{self.steps:,} steps"
        if self.validations:
            text += f" and {self.validations} validations"
        if 0 < self.validations < wanted.number:
            share = largest_share(wanted)
            text += f", not {wanted.number}: they take {100 * share:.0f} % of the time at most"
        return text

    def written_into(self, config: Config) -> Config:
        """The configuration with this plan instead of minutes."""
        return replace(
            config,
            budget=Budget(steps=self.steps),
            validation=replace(config.validation, times=self.validations),
            backbone=replace(config.backbone, imprint=self.imprint),
        )


def plan_within(
    seconds: float,
    *,
    step: float,
    validation: float,
    wanted: Validation,
    first_weights: bool = False,
    imprint: int = 0,
    image_of_each: float = 0.0,
) -> Plan:
    """Divide the time between steps and validations.

    Validations take a fifth of it at most, or half of it where their number is asked for; the one
    at the end is always made. The first class centres take a tenth at most.

    Args:
        seconds: to be divided.
        step, validation: seconds of one.
        wanted: how many validations are.
        first_weights: whether the run begins with weights worth validating.
        imprint: images of each person that class centres are to begin at.
        image_of_each: seconds for one of them.

    Raises:
        TrainingError: there is no time for one step and one validation.
    """
    least = step + (validation if wanted.number else 0)
    if seconds < least:
        raise config_error(
            f"too few minutes: {max(seconds, 0):.2g} s are left after all preparation, and one step"
            f"{' and one validation take' if wanted.number else ' takes'} {least:.2g} s",
            "give more --minutes",
        )
    validations, left = 0, seconds
    if wanted.number:
        share = largest_share(wanted) * seconds
        most = max(int(min(share / validation, wanted.number + first_weights)), 1)
        first_weights = first_weights and most > 1 and seconds >= least + validation
        left -= first_weights * validation
        validations = min(most - first_weights, int(left / least))
        left -= validations * validation
    if image_of_each:
        imprint = min(imprint, int(min(IMPRINTING * left, left - step) / image_of_each))
        left -= imprint * image_of_each
    steps = max(int(left / step), 1)
    return Plan(steps, min(validations, steps), first_weights and validations > 0, imprint)


def largest_share(wanted: Validation) -> float:
    """The largest share of the time that validations may take."""
    return VALIDATING if wanted.times == AUTOMATIC else ASKED
