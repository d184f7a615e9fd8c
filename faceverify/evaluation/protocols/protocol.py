"""What an evaluation protocol is: what it needs, and from a task's embeddings to figures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from faceverify.evaluation.intervals.bootstrap import Replicates
    from faceverify.evaluation.protocols.worst import Worst
    from faceverify.evaluation.results import Evaluation
    from faceverify.matching.operating_point import OperatingPoint


class Needs(Enum):
    """What a protocol is about."""

    PAIRS = "pairs of photos"
    PEOPLE = "photos of people"
    TEMPLATES = "templates of several photos each"


@dataclass(frozen=True)
class Settings:
    """How to measure.

    Args:
        fmr: the false match rate whose threshold, of the model's own, is measured.
        threshold: a distance instead.
        compat: "insightface" or "facenet", to print their figures too; None for neither.
        replicates: of the bootstrap over identities; 0 leaves it out.
        seed: of its draws.
        report: whether plots will be drawn: works out bands, the probability and the worst pairs.
    """

    fmr: float = 1e-3
    threshold: float | None = None
    compat: str | None = None
    replicates: int = 1000
    seed: int = 0
    report: bool = False


@dataclass(frozen=True, eq=False)
class EmbeddedPhotos:
    """The P photos of a task, embedded by one model.

    Args:
        embeddings: of length 1; the row of a photo without one means nothing, (P, D).
        enrolled: which photos have one, (P,).
        model: its name.
        model_id: its id.
        point: its threshold; None where it has none.
        notes: what is known of the photos and the threshold, one line each.
    """

    embeddings: NDArray[np.float32]
    enrolled: NDArray[np.bool_]
    model: str
    model_id: str
    point: OperatingPoint | None = None
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> int:
        """How many photos have no embedding."""
        return int(np.count_nonzero(~self.enrolled))


@dataclass(frozen=True, eq=False)
class Measurement:
    """What came of it.

    Args:
        evaluation: the figures.
        replicates: behind their intervals, to be compared with another model's; None without any.
        worst: the pairs that the model gets most wrong; None where nobody asked.
    """

    evaluation: Evaluation
    replicates: Replicates | None = None
    worst: Worst | None = None


@dataclass(frozen=True)
class Protocol:
    """One way to evaluate.

    Args:
        needs: what its tasks are about.
        evaluate: from a task, its photos and the settings to figures.
        tolerant: whether it says something of a model that lacks the threshold asked for.
    """

    needs: Needs
    evaluate: Callable[[Any, EmbeddedPhotos, Settings], Measurement]
    tolerant: bool = True
