"""What ``doctor`` looks at. A check that fails is a problem in the result, never an exception."""

from __future__ import annotations

import hashlib
import platform
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import faceverify
from faceverify.errors import FaceverifyError
from faceverify.models.manifest import Entry, read_manifest
from faceverify.models.model_file import load_model_file
from faceverify.models.registry import bundled_folder, installed, load_model
from faceverify.runtime.onnx_session import import_engine
from faceverify.runtime.parallel import default_workers

NEEDED = ("numpy", "Pillow", "onnx", "onnxruntime", "scikit-learn", "typer", "rich")
OPTIONAL = ("torch", "torchvision", "facenet-pytorch", "pyarrow")
SIDE = 250  # of the synthetic photo, in pixels: LFW's
FACES = 8  # crops embedded in the self-test


@dataclass(frozen=True)
class Weights:
    """A file of weights and its state: sha256 is what was found, problem is None for a good one."""

    name: str
    file: str
    bundled: bool
    sha256: str | None
    licence: str
    problem: str | None


@dataclass(frozen=True)
class SelfTest:
    """A run of the nets, in seconds; None where it did not come so far.

    Attributes:
        load: of detector and model.
        detect: of one photo of 250 x 250 pixels.
        embed: of one face, mirrored crop included.
    """

    load: float | None = None
    detect: float | None = None
    embed: float | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Checkup:
    """All that was found; versions are None for what is not installed."""

    versions: dict[str, str | None]
    optional: dict[str, str | None]
    platform: str
    providers: list[str]
    processors: int
    weights: list[Weights]
    self_test: SelfTest
    problems: list[str]

    @classmethod
    def of_this_machine(cls) -> Checkup:
        """Run all checks."""
        problems = []
        versions = {
            "python": platform.python_version(),
            "faceverify": faceverify.__version__,
            **{name: version_of(name) for name in NEEDED},
        }
        problems += [
            f"{name} is not installed; pip install faceverify brings it"
            for name, version in versions.items()
            if version is None
        ]
        try:
            weights = list(check_weights())
        except FaceverifyError as error:
            weights = []
            problems.append(str(error))
        problems += [item.problem for item in weights if item.problem is not None]
        self_test = run_nets()
        if self_test.problem is not None and self_test.problem not in problems:
            problems.append(self_test.problem)
        return cls(
            versions=versions,
            optional={name: version_of(name) for name in OPTIONAL},
            platform=platform.platform(),
            providers=engine_providers(),
            processors=default_workers(),
            weights=weights,
            self_test=self_test,
            problems=problems,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"ok": not self.problems, **asdict(self)}


def version_of(package: str) -> str | None:
    """Look a package's version up without importing it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def engine_providers() -> list[str]:
    """Name what ONNX Runtime can run on here; nothing where it cannot be imported."""
    try:
        return list(import_engine().get_available_providers())
    except Exception:  # the self-test tells why
        return []


def check_weights() -> Iterator[Weights]:
    """Compare the bundled files with the manifest, and read the user's own.

    Raises:
        ModelError: the manifest is missing or damaged.
    """
    folder = bundled_folder()
    manifest = read_manifest(folder)
    for name, entry in (manifest.models | manifest.nets).items():
        yield check_bundled(name, folder / entry.file, entry)
    for model in installed():
        if not model.bundled:
            yield check_own(model.name, model.path)


def check_bundled(name: str, path: Path, entry: Entry) -> Weights:
    """Compare a file with what the manifest says of it."""
    cure = "install faceverify again, or run `make weights` in a checkout"
    sha256, problem = None, None
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        problem = f"{path}: cannot be read ({error.strerror}); {cure}"
    else:
        if sha256 != entry.sha256:
            problem = f"{path}: SHA-256 is {sha256}, the manifest says {entry.sha256}; {cure}"
    return Weights(name, str(path), True, sha256, entry.licence, problem)


def check_own(name: str, path: Path) -> Weights:
    """Read a model of the user's; there is no hash to compare it with."""
    try:
        model = load_model_file(path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except (FaceverifyError, OSError) as error:
        return Weights(name, str(path), False, None, "", str(error))
    return Weights(name, str(path), False, sha256, model.provenance.licence, None)


def run_nets() -> SelfTest:
    """Load detector and default model, show them a synthetic photo, and time it."""
    load = detect = embed = None
    try:
        import numpy as np
        from PIL import Image

        from faceverify.faces.detection import Detector
        from faceverify.models.embedder import Embedder

        start = time.perf_counter()
        detector = Detector(bundled_folder())
        embedder = Embedder(load_model("default"))
        load = time.perf_counter() - start

        noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
        start = time.perf_counter()
        detector.detect(Image.fromarray(noise))
        detect = time.perf_counter() - start

        contract = embedder.model.contract
        crops = np.resize(noise, (FACES, contract.height, contract.width, 3))
        start = time.perf_counter()
        rows = embedder.embed(crops)
        embed = (time.perf_counter() - start) / FACES
        lengths = np.linalg.norm(rows, axis=1)
        if rows.shape != (FACES, contract.embedding_size) or np.abs(lengths - 1).max() > 1e-4:
            raise ValueError(f"embeddings of shape {rows.shape} and lengths {lengths}")
    except FaceverifyError as error:
        return SelfTest(load, detect, embed, f"self-test: {error}")
    except Exception as error:  # a broken engine can raise anything; telling is what we are for
        return SelfTest(load, detect, embed, f"self-test: {type(error).__name__}: {error}")
    return SelfTest(load, detect, embed)
