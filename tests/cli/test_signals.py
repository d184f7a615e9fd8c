"""Signals: each ends every command tidily, and one that was ignored at the start stays ignored."""

import errno
import fcntl
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from default_signals import with_signals
from http_server import Behaviour, serving
from PIL import Image

from faceverify.cli.exit import Ending

SECONDS = 60  # until a command that should wait for something does: imports on a busy machine
INTERRUPTED, TERMINATED, HUNG_UP = b"interrupted", b"terminated", b"hung up"

# What each command does while the signal comes: PIPE is a file that it opens and that never ends,
# - standard input, of which it has read something and waits for more, and people and squares are
# folders whose last photo it waits to open.
SOME = {
    "verify, the second photo": "verify obama.jpg PIPE.jpg",
    "verify --pairs -": "verify --pairs -",
    "embed, in files": "embed obama.jpg PIPE.jpg --out shards",
    "embed, in processes": "embed obama.jpg PIPE.jpg --engine processes --workers 1"
    " --out embeddings.npz",
    "gallery": "gallery list --key-file PIPE",
}
OTHERS = {
    "verify, the first photo": "verify PIPE.jpg obama.jpg",
    "verify, a photo on stdin": "verify obama.jpg -",
    "verify --pairs": "verify --pairs PIPE",
    "verify --claim": "verify PIPE.jpg --claim joe",
    "verify --claims -": "verify --claims -",
    "enroll NAME -": "enroll ann -",
    "enroll --csv -": "enroll --csv -",
    "enroll --csv -, in processes": "enroll --csv - --engine processes",
    "enroll --tree": "enroll --tree people --face prominent",
    "identify -": "identify -",
    "identify": "identify PIPE.jpg",
    "embed -": "embed -",
    "embed -, in processes": "embed - --engine processes",
    "embed, in a file": "embed people --out embeddings.jsonl",
    "embed, on Ray": "embed people --engine ray",
    "detect -": "detect -",
    "detect": "detect people --draw drawn",
    "align": "align people crops --report crops.jsonl",
    "evaluate, a list": "evaluate PIPE --images people",
    "evaluate, photos": "evaluate people --out report",
    "calibrate": "calibrate --images people --fmr 0.1 --save calibrated.onnx",
    "train, its data": "train squares --steps 1 --set data.size=32",
    "train, its recipe": "train squares --recipe PIPE.toml",
    "gallery show": "gallery show joe --key-file PIPE",
    "gallery remove": "gallery remove joe --key-file PIPE",
    "gallery import": "gallery import exported --gallery another --key-file PIPE",
    "gallery rebuild": "gallery rebuild --model PIPE.onnx",
    "gallery audit verify": "gallery audit verify PIPE",
    "data inspect": "data inspect PIPE",
    "data convert": "data convert people converted --to recordio",
    "data check": "data check people --sample 0",
    "weights show": "weights show PIPE.onnx",
    "weights import": "weights import PIPE.onnx --to imported.onnx",
}
WAITING = [pytest.param(line, id=name) for name, line in SOME.items()]
WAITING += [pytest.param(line, id=name, marks=pytest.mark.slow) for name, line in OTHERS.items()]


@pytest.fixture
def place(enrolled_album, monkeypatch) -> Path:
    """A working folder with photos, a gallery, and folders of people."""
    for person, photo in (("ann", "obama"), ("ann", "obama2"), ("joe", "biden")):
        for folder in ("people", "squares"):
            (enrolled_album / folder / person).mkdir(parents=True, exist_ok=True)
        shutil.copy(f"{photo}.jpg", enrolled_album / "people" / person)
        with Image.open(f"{photo}.jpg") as image:
            image.resize((32, 32)).save(enrolled_album / "squares" / person / f"{photo}.png")
    monkeypatch.setenv("FACEVERIFY_CACHE", str(enrolled_album / "cache"))
    monkeypatch.setenv("FACEVERIFY_HOME", str(enrolled_album / "home"))
    return enrolled_album


class Waiting:
    """A command that waits: for more of a file, or of its standard input."""

    def __init__(self, start, line: str, place: Path, **options: object) -> None:
        words = line.split()
        pipes = [word for word in words if word.startswith("PIPE")]
        for pipe in pipes:
            os.mkfifo(place / pipe)
        folders = [] if pipes else [word for word in words if word in ("people", "squares")]
        self._held, self._asked = None, threading.Event()
        self._told_before = signal.getsignal(signal.SIGIO)
        for folder in folders:
            self._held = self._leased(place / folder / "joe" / "zzz.jpg")
        self.process = start(*words, start_new_session=True, **options)
        if pipes:
            self._held = self._opened(pipes[0])
        elif folders:
            self._until(self._asked.is_set)
        else:
            self._fed(b"obama.jpg" if "--" in line or line.endswith(" -") else b"")
        self._until(self._sleeps)

    def _leased(self, photo: Path) -> int:
        """A photo under a lease: whoever opens it waits until we close it, which we are told."""
        signal.signal(signal.SIGIO, lambda *_: self._asked.set())
        photo.write_bytes(b"")
        held = os.open(photo, os.O_RDWR)
        fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        return held

    def _sleeps(self) -> bool:
        """Whether it waits in the kernel.

        A signal that comes between Python's last look and a call that blocks is seen after it.
        """
        status = Path(f"/proc/{self.process.pid}/stat").read_text()
        return status.rpartition(") ")[2].startswith("S")

    def _until(self, done: Callable[[], bool]) -> None:
        """Wait for something that the command does."""
        deadline = time.monotonic() + SECONDS
        while not done():
            assert self.process.poll() is None, self.process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _opened(self, pipe: str) -> int:
        """Open the other end, once the command has opened its own."""
        held: list[int] = []

        def opened() -> bool:
            try:
                held.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
            except OSError as error:
                if error.errno != errno.ENXIO:  # nobody reads it yet
                    raise
            return bool(held)

        self._until(opened)
        return held[0]

    def _fed(self, start: bytes) -> None:
        """Give it the beginning of its input, and wait until it has taken that."""
        stream = self.process.stdin
        stream.write(start)
        stream.flush()
        nothing = struct.pack("i", 0)
        self._until(lambda: fcntl.ioctl(stream, termios.FIONREAD, b"\0" * 4) == nothing)

    def end(self) -> bytes:
        """Wait for its end, and that of all it started; return what was said on standard error."""
        try:
            return self.process.communicate(timeout=20)[1]
        finally:
            if self._held is not None:
                os.close(self._held)
            signal.signal(signal.SIGIO, self._told_before)


@pytest.mark.thorough(
    but=(
        "SIGTERM-verify --pairs -",
        "SIGINT-verify, the second photo",
        "SIGTERM-gallery",
        "SIGINT-gallery",
    )
)
@pytest.mark.parametrize("line", WAITING)
@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGTERM, 143, TERMINATED), (signal.SIGINT, 130, INTERRUPTED)],
    ids=["SIGTERM", "SIGINT"],
)
def test_a_command_that_waits_ends_tidily(start, place, line, number, status, word):
    before = sorted(place.rglob("*"))
    waiting = Waiting(start, line, place)
    waiting.process.send_signal(number)
    said = waiting.end()
    assert waiting.process.returncode == status, said
    assert said.splitlines()[-1] == b"faceverify: " + word
    assert b"Traceback" not in said
    assert said.count(b"faceverify: ") == 1
    left = [path.name for path in place.rglob("*") if path not in before]
    assert [name for name in left if name.endswith((".part", ".tmp"))] == []
    assert not {"embeddings.jsonl", "embeddings.npz", "crops.jsonl", "calibrated.onnx"} & {*left}
    assert processes_of(waiting.process.pid) == []


def processes_of(session: int) -> list[str]:
    """Command lines of the processes of a session that is led by a process that has ended."""
    deadline = time.monotonic() + 5
    while True:
        found = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text().rpartition(") ")[2].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    found.append(status.with_name("cmdline").read_text().replace("\0", " "))
            except OSError:  # it has ended meanwhile
                continue
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


@pytest.mark.thorough
def test_a_terminal_that_is_closed_ends_it_too(start, place):
    waiting = Waiting(start, "embed obama.jpg PIPE.jpg --out embeddings.npz", place)
    waiting.process.stderr.close()  # as the terminal's end is
    waiting.process.send_signal(signal.SIGHUP)
    assert waiting.process.wait(20) == 129
    assert not list(place.rglob("*.part"))


@pytest.mark.thorough(but=("SIGINT",))
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_what_is_ignored_at_the_start_stays_ignored(start, place, name):
    waiting = Waiting(start, "verify --pairs - --json", place, ignored=[name])
    waiting.process.send_signal(getattr(signal, name))
    waiting.process.stdin.write(b"\tobama2.jpg\n")
    waiting.process.stdin.flush()
    assert json.loads(waiting.process.stdout.readline())["same"] is True
    waiting.process.send_signal(signal.SIGTERM)
    assert waiting.end() == b"faceverify: terminated\n"
    assert waiting.process.returncode == 143


@pytest.mark.thorough(but=("ignored",))
@pytest.mark.parametrize("how", ["ignored", "blocked"])
def test_sigterm_always_ends_a_command(start, place, how):
    waiting = Waiting(start, "verify --pairs -", place, **{how: ["SIGTERM"]})
    waiting.process.send_signal(signal.SIGTERM)
    assert waiting.end() == b"faceverify: terminated\n"
    assert waiting.process.returncode == 143


def test_the_second_of_two_signals_does_not_disturb_the_tidying_up(monkeypatch):
    """``timeout`` sends its signal to the command, and to the command's group after that."""
    clock = iter((10.0, 10.5, 12.0))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    ending = Ending()
    with pytest.raises(KeyboardInterrupt):
        ending.receive(signal.SIGTERM, None)
    ending.receive(signal.SIGTERM, None)
    with pytest.raises(KeyboardInterrupt):
        ending.receive(signal.SIGTERM, None)
    assert ending.status == 143


def test_ctrl_c_while_the_commands_are_imported():
    code = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "typer":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
sys.argv = ["faceverify", "--help"]
from faceverify.cli import main
main()
"""
    command = with_signals([sys.executable, "-c", code])
    done = subprocess.run(command, capture_output=True, timeout=SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"faceverify: interrupted\n")


@pytest.mark.thorough(but=("0.1",))
@pytest.mark.parametrize("pause", [0.05, 0.1, 0.15, 0.2])
def test_ctrl_c_while_worker_processes_start(start, place, pause):
    """The terminal sends it to the workers too, whose imports would fail with a traceback."""
    options = ("--engine", "processes", "--workers", "2")
    process = start("embed", "obama.jpg", "biden.jpg", *options, start_new_session=True)
    deadline = time.monotonic() + SECONDS
    while not any("--multiprocessing-fork" in line for line in processes_now(process.pid)):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(pause)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) == 130
    assert process.stderr.read() == b"faceverify: interrupted\n"


def processes_now(parent: int) -> list[str]:
    """Command lines of a process's children."""
    found = []
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        try:
            for child in children.read_text().split():
                found.append(Path(f"/proc/{child}/cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_a_download_that_stalls(start, place):
    with serving(b"x" * 1000, "buffalo_s.zip") as server:
        server.script += [Behaviour(sized=False, stall=30)]
        process = start("weights", "pull", "buffalo_s", "--url", server.url, "--quiet")
        deadline = time.monotonic() + SECONDS
        while not server.asked:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20)[1] == b"faceverify: terminated\n"
        assert process.returncode == 143


def test_a_gallery_that_another_process_writes_into(start, place):
    with (place / "gallery" / "lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start("gallery", "rename", "joe", "joseph")
        time.sleep(1.5)
        assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert process.stderr.read() == b"faceverify: terminated\n"
