"""The interface of evaluation protocols: settings and embeddings in, a measurement out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.options import ProtocolOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faceverify.evaluation.protocols.label_embeddings import LabelEmbeddings
    from faceverify.evaluation.protocols.worst import Worst
    from faceverify.evaluation.results import Evaluation
    from faceverify.matching.operating_point import OperatingPoint


class Needs(Enum):
    """The kind of benchmark that a protocol needs."""

    PAIRS = "pairs of photos"
    IDENTITIES = "photos with identities"
    TEMPLATES = "templates of several photos each"
    LABELS = "photos with labels"


@dataclass(frozen=True)
class Settings:
    """Settings of an evaluation.

    Args:
        fmr: false match rate of the calibrated threshold to evaluate.
        threshold: a distance instead.
        reference: reference protocol to report too, "insightface" or "facenet"; None for neither.
        replicates: of the bootstrap over identities; 0 for Wilson's intervals alone.
        seed: of the bootstrap.
        report: whether to compute what the report shows: bands, probability, worst errors.
        options: of single protocols.
        labels: of photos, embedded from sentences, for protocol zero-shot; None for none.
    """

    fmr: float = 1e-3
    threshold: float | None = None
    reference: str | None = None
    replicates: int = 1000
    seed: int = 0
    report: bool = False
    options: ProtocolOptions = field(default_factory=ProtocolOptions)
    labels: LabelEmbeddings | None = None


@dataclass(frozen=True, eq=False)
class EmbeddedPhotos:
    """Embeddings of the P photos of a benchmark by one model.

    Args:
        embeddings: L2-normalised; rows of photos without an embedding are undefined, (P, D).
        enrolled: whether each photo has an embedding, (P,).
        model: name of the model.
        model_id: its id.
        point: its operating point; None without one.
        notes: caveats about photos and threshold, one line each.
    """

    embeddings: NDArray[np.float32]
    enrolled: NDArray[np.bool_]
    model: str
    model_id: str
    point: OperatingPoint | None = None
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> int:
        """Number of photos without an embedding (failures to enroll)."""
        return int(np.count_nonzero(~self.enrolled))


@dataclass(frozen=True, eq=False)
class Measurement:
    """The outcome of a protocol.

    Args:
        evaluation: the estimates.
        replicates: of estimates by their keys, (R,) each, for paired comparison with another model:
            replicate r of both has the same identities. None where the data do not support one.
        worst: the worst errors; None if not requested.
    """

    evaluation: Evaluation
    replicates: Mapping[str, NDArray[np.float64] | None] = field(default_factory=dict)
    worst: Worst | None = None


@dataclass(frozen=True)
class Protocol:
    """An evaluation protocol.

    Args:
        needs: the kind of benchmark.
        evaluate: from benchmark, embeddings and settings to the measurement.
        tolerant: whether it also evaluates models without a calibrated threshold.
        at_threshold: whether it makes decisions at a threshold at all.
    """

    needs: Needs
    evaluate: Callable[[Any, EmbeddedPhotos, Settings], Measurement]
    tolerant: bool = True
    at_threshold: bool = True
