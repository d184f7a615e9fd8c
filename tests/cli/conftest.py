"""Commands as processes of their own, and photos to run commands on."""

import io
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from default_signals import with_signals
from photographs import FACES
from PIL import Image

from faceverify.embeddings.extractor import TemplateExtractor
from faceverify.gallery.open import open_store
from faceverify.recognition.enroll import Enroller, NamedPhoto


@pytest.fixture
def start():
    """Start a command as a process of its own; it is ended with the test.

    Signals are at their defaults in it, but for those named to be ignored or blocked.
    """
    processes = []

    def command(*arguments: object, ignored=(), blocked=(), **options: object) -> subprocess.Popen:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        words = [sys.executable, "-m", "faceverify", *map(os.fspath, arguments)]
        process = subprocess.Popen(
            with_signals(words, ignored=ignored, blocked=blocked), **(pipes | options)
        )
        processes.append(process)
        return process

    yield command
    for process in processes:
        if process.returncode is None:  # and so its number is still its own
            with suppress(ProcessLookupError):  # where it leads a session, what it started, too
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()


@pytest.fixture(scope="session")
def small_faces(tmp_path_factory) -> dict[str, bytes]:
    """The photos of tests/faces, shrunk to be quick, as JPEG: by their names without suffix."""
    shrunk = {}
    for path in sorted(FACES.glob("*.jpg")):
        with Image.open(path) as image:
            image.thumbnail((420, 420))
            stream = io.BytesIO()
            image.save(stream, "JPEG", quality=92)
        shrunk[path.stem] = stream.getvalue()
    return shrunk


@pytest.fixture
def album(tmp_path, small_faces) -> Path:
    """A tree of photos: three good ones with difficult names, one torn, one without a face."""
    folder = tmp_path / "album"
    (folder / "日本 語").mkdir(parents=True)
    (folder / "a b.jpg").write_bytes(small_faces["obama"])
    (folder / "日本 語" / "é.jpg").write_bytes(small_faces["biden"])
    (folder / "x\udcff.jpg").write_bytes(small_faces["obama2"])
    (folder / "torn.jpg").write_bytes(small_faces["obama"][:2000])
    Image.new("RGB", (100, 100), "navy").save(folder / "wall.png")
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture(scope="session")
def enrolled_album_once(tmp_path_factory, small_faces) -> Path:
    """A folder of photos, and a gallery: barack with two templates, joe with one."""
    folder = tmp_path_factory.mktemp("enrolled")
    for name, data in small_faces.items():
        (folder / f"{name}.jpg").write_bytes(data)
    Image.new("RGB", (100, 100), "navy").save(folder / "wall.png")
    (folder / "torn.jpg").write_bytes(small_faces["obama"][:2000])
    couple = Image.new("RGB", (840, 560))
    for left, name in ((0, "obama3"), (420, "biden")):
        couple.paste(Image.open(folder / f"{name}.jpg"), (left, 0))
    couple.save(folder / "couple.jpg", quality=92)
    wanted = [("barack", "obama"), ("barack", "obama2"), ("joe", "biden")]
    with open_store(str(folder / "gallery"), create=True) as store:
        enroller = Enroller(TemplateExtractor.load(), store, None)
        photos = [NamedPhoto(name, str(folder / f"{photo}.jpg")) for name, photo in wanted]
        assert [one.status for one in enroller.enrol(photos)] == ["enrolled"] * 3
    return folder


@pytest.fixture
def enrolled_album(enrolled_album_once, tmp_path, monkeypatch) -> Path:
    """A copy of it as the working folder, its gallery named by the environment."""
    folder = tmp_path / "album"
    shutil.copytree(enrolled_album_once, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("FACEVERIFY_GALLERY", "gallery")
    for name in ("FACEVERIFY_GALLERY_KEY", "FACEVERIFY_AUDIT"):
        monkeypatch.delenv(name, raising=False)
    return folder
