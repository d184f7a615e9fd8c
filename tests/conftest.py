"""What several tests share."""

import gc
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# for child processes: workers are the parallelism, and byte code is compiled once
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["LIGHTLY_DID_VERSION_CHECK"] = "True"  # older ones ask a server as they are imported

import pytest
from hypothesis import settings
from loaded_nets import load_bundled_nets_once
from photographs import FACES
from PIL import Image

from faceverify.cli import main
from faceverify.faces.detection import Detector
from faceverify.models.registry import bundled_folder
from faceverify.runtime.file_lock import FileLock
from faceverify.runtime.malloc import use_huge_pages

load_bundled_nets_once()
use_huge_pages()  # for the nets that are not

# the same examples every time: a test that fails should fail for whoever runs it
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=50)
settings.load_profile("repeatable")

NEEDS = {  # packages of extras, by the folder or file of tests that imports them
    "training/": "torch",
    "gallery/milvus/": "pymilvus",
    "gallery/postgresql/": "psycopg",
    "cli/test_weights.py": "onnx",
    "models/install/test_convert.py": "onnx",
    "models/test_embedder.py": "onnx",
    "models/test_model_file.py": "onnx",
    "models/test_registry.py": "onnx",
}

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


class FileOfTests(pytest.Module):
    """A file of tests that is skipped, and no error, where a package of an extra is missing."""

    def collect(self):
        name = self.path.relative_to(Path(__file__).parent).as_posix()
        for start, package in NEEDS.items():
            if name.startswith(start):
                pytest.importorskip(package, reason=f"needs {package}, of an extra")
        return super().collect()


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items):
    """Of a thorough test, the cases that ``but`` names run by default."""
    for item in items:
        marker = item.get_closest_marker("thorough")
        if marker is not None and marker.kwargs and item.callspec.id in marker.kwargs["but"]:
            item.own_markers.remove(marker)


def pytest_collection_finish():
    """What was imported stays: the garbage collector need not go through it again and again."""
    gc.collect()
    gc.freeze()


def pytest_pycollect_makemodule(module_path, parent):
    return FileOfTests.from_parent(parent, path=module_path)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of face databases beside the project, which is no part of it."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs the face databases in {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A folder that the first test to ask for it fills, for all workers of pytest-xdist.

    ``once(name, fill)``: ``fill`` is called with the new folder.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # that of all workers

    def made(name, fill):
        folder, unfinished = base / name, base / f"{name}-unfinished"
        lock = FileLock(base / f"{name}.lock")
        assert lock.take(300)
        try:
            if not folder.exists():
                shutil.rmtree(unfinished, ignore_errors=True)  # of a worker that failed
                unfinished.mkdir()
                fill(unfinished)
                unfinished.rename(folder)
        finally:
            lock.give_back()
        return folder

    return made


@pytest.fixture(scope="session")
def photos() -> dict[str, Image.Image]:
    """The free photos, by name, as RGB images."""
    return {path.stem: Image.open(path).convert("RGB") for path in sorted(FACES.glob("*.jpg"))}


@pytest.fixture(scope="session")
def detector() -> Detector:
    """The bundled detector."""
    return Detector(bundled_folder())


@dataclass(frozen=True)
class Ran:
    """What a command left: exit status, and standard output and error as text."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict]:
        """Standard output as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture(autouse=True)
def signals_of_the_tests():
    """Put back what signals do: a command that runs in this process takes it for its own."""
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    handlers = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture(autouse=True)
def random_numbers_of_the_test():
    """Draw torch's the same way, whichever tests ran before."""
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def run(monkeypatch, capsysbinary):
    """Run a command as the shell would, but for the process; stdin is given as bytes."""

    def command(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["faceverify", *map(str, arguments)])
        stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin)))
        monkeypatch.setattr(sys, "stdin", stream)
        capsysbinary.readouterr()
        with monkeypatch.context() as patch:
            # a thread that is still at work on a busy machine must not end the tests with it
            patch.setattr(os, "_exit", sys.exit)
            with pytest.raises(SystemExit) as leaving:
                main()
        captured = capsysbinary.readouterr()
        out, err = (text.decode("utf-8", "surrogateescape") for text in captured)
        return Ran(leaving.value.code or 0, out, err)

    return command
