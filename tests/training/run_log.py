"""What the log of a run says that does not depend on the clock."""

from faceverify.training.metrics_log import read_metrics
from faceverify.training.run.folder import RunFolder

EXACT = ("step", "epoch", "loss", "learning_rate", "gradient_norm")


def lines(run: RunFolder) -> list[tuple]:
    """One tuple of ``EXACT`` for each step that was logged."""
    return [tuple(one[key] for key in EXACT) for one in read_metrics(run.metrics) if "loss" in one]


def losses(run: RunFolder) -> list[float]:
    """The loss of each step that was logged."""
    return [one["loss"] for one in read_metrics(run.metrics) if "loss" in one]
