"""Errors of the user's input, with their exit statuses.

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
        ├── SeveralFacesError   3   several faces where one is required
        └── LowQualityError     3   a face below the required quality

Any other exception is a fault of this program: exit status 70. A signal gives 128 plus its number:
130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal.

Every error carries a ``code``: a stable, machine-readable word that ``--json`` prints beside the
message. ``CODES`` lists them all. The message itself is one line: where, what was found, and the
cure.
"""

from __future__ import annotations

import re
from typing import ClassVar

SAME = 0
DIFFERENT = 1
UNUSABLE = 2
NO_DECISION = 3
INTERNAL_ERROR = 70
INTERRUPTED = 130

CODES = {
    # wrong usage or unusable input: exit status 2
    "usage": "options that contradict, or a name that does not exist",
    "library-missing": "a library that is not installed, and the extra that brings it",
    "image-missing": "no such photo or folder, or no photos in it",
    "image-unreadable": "a photo that cannot be opened, or is damaged",
    "image-empty": "a photo of no bytes",
    "image-truncated": "a photo that is cut short",
    "image-too-large": "a photo of more bytes or pixels than are decoded",
    "image-not-an-image": "a file that is no image",
    "image-format": "a photo in a format that is not read here",
    "image-of-nobody": "a photo that lies in no person's folder",
    "image-tree": "a folder of people whose folders hold folders: one too high",
    "image-changed": "another photo now than the one that was enrolled",
    "pair-list": "a list of pairs, a pack or a table that cannot be read",
    "prompts": "sentences for labels that cannot be read, or that lack a label of the photos",
    "pack-refused": "a verification pack that holds what could run code",
    "embedding-file": "a file of embeddings that is damaged, foreign or incomplete",
    "model": "a model file that is damaged or foreign, or a net that cannot be run",
    "model-missing": "no such model",
    "model-mismatch": "embeddings of another model than the one in use",
    "model-not-calibrated": "a model without a threshold for the rate that was asked for",
    "model-second-file": "an ONNX file whose weights are in a second file that cannot be taken in",
    "model-fmr-unreachable": "a model that keeps none of the false match rates asked for",
    "model-output": "a model whose output is no embedding",
    "gallery": "a gallery that cannot do this",
    "gallery-missing": "no gallery there",
    "gallery-damaged": "a gallery that is damaged, or was changed from outside",
    "gallery-locked": "another process keeps the gallery for itself",
    "gallery-newer": "a gallery of a newer version of faceverify",
    "gallery-foreign": "a file or a database of another program",
    "gallery-key": "a key that is missing, unreadable or the wrong one",
    "gallery-model": "embeddings of another model than those enrolled",
    "gallery-name": "a name that nobody can be enrolled under",
    "gallery-unknown-name": "nobody is enrolled under this name",
    "gallery-unknown-template": "the person has no template of this number",
    "gallery-no-codes": "a gallery without binary templates",
    "gallery-unreachable": "a server that cannot be reached, or lets nobody in",
    "training": "a run that cannot start or go on",
    "training-data": "a training set that cannot be learned from",
    "training-config": "a setting that is unknown, out of its range or at odds with another",
    "training-checkpoint": "a checkpoint that is missing, damaged or of another run",
    "training-device": "a device that is not there",
    "training-diverged": "a loss or weights that are no numbers, or grow without end",
    "training-collapsed": "embeddings that have become the same for all images",
    "training-processes": "a number of processes that the work cannot be shared by",
    "output": "a result that cannot be written",
    "output-collision": "a result that would take the place of another file",
    "download": "weights that cannot be fetched",
    "download-refused": "a server that refuses a download",
    "download-size": "a download of another size than the pinned one",
    "download-hash": "a download whose SHA-256 is not the pinned one",
    "download-offline": "a download that --offline forbids",
    "download-disk-full": "no room for a download",
    "worker-lost": "a worker process that ended in the middle of its work",
    "ray": "a Ray cluster that cannot be reached, or failed",
    # no decision: exit status 3
    "no-face": "no face in the photo",
    "several-faces": "several faces where one was asked for",
    "low-quality": "a face of too low a quality",
    "matches-another": "a face that is enrolled under another name",
    "unlike-own": "a face unlike all that its person is enrolled with",
}


_SECRETS = re.compile(
    # of a URL, up to the last @, as a password may hold one; what its query calls a secret
    r"(?P<user>:/+)[^/@:\s]*:(?!\d{1,5}/)\S*(?=@)"
    r"|(?P<field>(?:\bpassword|(?<=[?&])(?:[\w-]*(?:secret|token|signature|key|credential)|sig))=)"
    r"[^\s&;,)'\"]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """A text without the passwords of URLs and connection parameters in it.

    >>> without_secrets("postgresql://svc:p@ss@db/faces?password=x&gallery=a")
    'postgresql://***@db/faces?password=***&gallery=a'
    >>> without_secrets("hdfs://node:8020/a@2x.jpg")
    'hdfs://node:8020/a@2x.jpg'
    """
    if "=" not in text and "@" not in text:
        return text
    return _SECRETS.sub(lambda found: (found["user"] or found["field"]) + "***", text)


class FaceverifyError(Exception):
    """Base class of errors caused by input.

    Args:
        message: where and what was found, in one line; passwords of URLs in it become ***.
        cure: what the user can do; appended to the message.
        code: a more specific code than that of the class.
    """

    exit_status: ClassVar[int] = UNUSABLE
    code: str

    def __init__(self, message: str, *, cure: str = "", code: str | None = None) -> None:
        text = f"{message}; {cure}" if cure else message
        super().__init__(without_secrets(" ".join(text.split())))
        if code is not None:
            self.code = code

    def as_dict(self) -> dict[str, str]:
        """Code and message, for JSON."""
        return {"code": self.code, "message": str(self)}


class UsageError(FaceverifyError):
    """Options that contradict each other, or a name that does not exist."""

    code = "usage"


class ImageError(FaceverifyError):
    """A photo that cannot be read."""

    code = "image-unreadable"


class PairListError(FaceverifyError):
    """A list of pairs that cannot be read; names file, line and what was found."""

    code = "pair-list"


class EmbeddingFileError(FaceverifyError):
    """A file of embeddings that cannot be read, is damaged or foreign, or of another model."""

    code = "embedding-file"


class ModelError(FaceverifyError):
    """A model file that is missing, damaged, foreign, or whose output is not an embedding."""

    code = "model"


class GalleryError(FaceverifyError):
    """A gallery that is missing, damaged, foreign, locked, or of another model."""

    code = "gallery"


class TrainingError(FaceverifyError):
    """A training run that cannot start, or cannot go on: its data, configuration or checkpoint."""

    code = "training"


class OutputError(FaceverifyError):
    """A result that cannot be written."""

    code = "output"


class DownloadError(FaceverifyError):
    """Weights that cannot be fetched, or whose content does not match the pinned SHA-256."""

    code = "download"


class NoDecisionError(FaceverifyError):
    """The photos can be read, but nothing can be decided from them."""

    exit_status = NO_DECISION


class NoFaceError(NoDecisionError):
    """No face was found."""

    code = "no-face"


class SeveralFacesError(NoDecisionError):
    """Several faces where one is required."""

    code = "several-faces"


class LowQualityError(NoDecisionError):
    """A face below the required quality."""

    code = "low-quality"
