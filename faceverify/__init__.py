"""Face verification for the command line and for Python.

>>> from faceverify import Verifier
>>> verifier = Verifier.load()
>>> verifier.verify("tests/faces/obama.jpg", "tests/faces/obama2.jpg").same
True
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faceverify.version import __version__

if TYPE_CHECKING:
    from faceverify.embeddings.extractor import Template, TemplateExtractor
    from faceverify.faces.options import FaceOptions
    from faceverify.matching.decision import Decision
    from faceverify.recognition.verify import Verifier

__all__ = ["Decision", "FaceOptions", "Template", "TemplateExtractor", "Verifier", "__version__"]

_HOME = {
    "Decision": "faceverify.matching.decision",
    "FaceOptions": "faceverify.faces.options",
    "Template": "faceverify.embeddings.extractor",
    "TemplateExtractor": "faceverify.embeddings.extractor",
    "Verifier": "faceverify.recognition.verify",
}


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: importing the package costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'faceverify' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
