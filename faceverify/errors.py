"""Everything that can go wrong for a user, and the exit status of each.

::

    FaceverifyError             2   wrong usage or unusable input
    ├── UsageError              2   options that contradict, a name that does not exist
    ├── ImageError              2   a photo that cannot be read
    ├── PairListError           2   a list of pairs that cannot be read
    ├── EmbeddingFileError      2   a file of embeddings that is damaged or foreign
    ├── ModelError              2   a model file that is missing, damaged or foreign
    ├── GalleryError            2   a gallery that is missing, damaged, locked or of another model
    ├── TrainingError           2   a training run that cannot start, or cannot go on
    ├── OutputError             2   a result that cannot be written
    ├── DownloadError           2   weights that cannot be fetched or do not match their hash
    └── NoDecisionError         3   the photos can be read, but decide nothing
        ├── NoFaceError         3   no face found
        ├── SeveralFacesError   3   several faces where one was asked for
        └── LowQualityError     3   a face below the wanted quality

An error that is none of these is a fault of this program: exit status 70. A signal gives 128 and
its number: 130 for Ctrl-C, 143 for SIGTERM, 129 for a terminal that was closed.

Every error carries a ``code``: a stable, machine-readable word that ``--json`` prints beside the
message. The message itself is one line: where, what was found, and the cure.
"""

from __future__ import annotations

from typing import ClassVar

SAME = 0
DIFFERENT = 1
UNUSABLE = 2
NO_DECISION = 3
INTERNAL_ERROR = 70
INTERRUPTED = 130


class FaceverifyError(Exception):
    """Base of every error that is the input's fault and not this program's.

    Args:
        message: where and what was found, in one line.
        cure: what the user can do about it; appended to the message.
        code: a more exact code than the class's own.
    """

    exit_status: ClassVar[int] = UNUSABLE
    code: str = "error"

    def __init__(self, message: str, *, cure: str = "", code: str | None = None) -> None:
        text = f"{message}; {cure}" if cure else message
        super().__init__(" ".join(text.split()))
        if code is not None:
            self.code = code

    def as_dict(self) -> dict[str, str]:
        """Code and message, for JSON."""
        return {"code": self.code, "message": str(self)}


class UsageError(FaceverifyError):
    """Options that contradict each other, or a name that does not exist."""

    code = "usage"


class ImageError(FaceverifyError):
    """A photo that cannot be read.

    Codes: ``image-missing``, ``image-unreadable``, ``image-empty``, ``image-truncated``,
    ``image-too-large``, ``image-not-an-image``, ``image-of-nobody``, ``image-changed``.
    """

    code = "image-unreadable"


class PairListError(FaceverifyError):
    """A list of pairs that cannot be read: names file, line and what was found."""

    code = "pair-list"


class EmbeddingFileError(FaceverifyError):
    """A file of embeddings that cannot be read, is damaged or foreign, or of another model."""

    code = "embedding-file"


class ModelError(FaceverifyError):
    """A model file that is missing, damaged, foreign, or whose output is not an embedding."""

    code = "model"


class GalleryError(FaceverifyError):
    """A gallery that is missing, damaged, foreign, locked, or of another model.

    Codes: ``gallery``, ``gallery-missing``, ``gallery-damaged``, ``gallery-locked``,
    ``gallery-newer``, ``gallery-foreign``, ``gallery-key``, ``gallery-model``,
    ``gallery-name``,
    ``gallery-unknown-name``, ``gallery-unknown-template``, ``gallery-no-codes``,
    ``gallery-unreachable``.
    """

    code = "gallery"


class TrainingError(FaceverifyError):
    """A training run that cannot start, or cannot go on: its data, configuration or checkpoint.

    Codes: ``training``, ``training-data``, ``training-config``, ``training-checkpoint``,
    ``training-device``, ``training-diverged``, ``training-processes``.
    """

    code = "training"


class OutputError(FaceverifyError):
    """A result that cannot be written."""

    code = "output"


class DownloadError(FaceverifyError):
    """Weights that cannot be fetched, or whose content does not match the pinned SHA-256."""

    code = "download"


class NoDecisionError(FaceverifyError):
    """The photos can be read, but nothing can be decided from them.

    Codes of enrolment besides: ``matches-another``, ``unlike-own``.
    """

    exit_status = NO_DECISION
    code = "no-decision"


class NoFaceError(NoDecisionError):
    """No face was found."""

    code = "no-face"


class SeveralFacesError(NoDecisionError):
    """Several faces where exactly one was asked for."""

    code = "several-faces"


class LowQualityError(NoDecisionError):
    """A face below the wanted quality."""

    code = "low-quality"
