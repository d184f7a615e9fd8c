"""No command writes a file, or opens a connection, that was not asked for."""

import ast
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image

import faceverify
from faceverify.cli.app import build_app
from faceverify.models.registry import find_model

OURS = (".cache/faceverify/", ".local/share/faceverify/")  # in the home folder
CLOSED = "postgresql://127.0.0.1:1/faces"  # nothing listens there
TRAIN = "--steps 1 --batch-size 4 --set data.size=32 --set compute.precision=float32 --out runs"

# Command lines, and what they may make in the working folder.
IN_PLACES = {  # where the engine of the nets is imported
    "verify obama.jpg obama2.jpg": "",
    "doctor": "",
    "embed people --engine processes --workers 1 --out embeddings.npz": "embeddings.npz",
}
OTHERS = {
    "verify obama2.jpg --claim barack --audit audit.jsonl": "audit.jsonl",
    "verify --pairs pairs.csv": "",
    "enroll --tree people --face prominent --gallery another": "another",
    "enroll ann obama.jpg --gallery milvus:///FOLDER/lite.db": "lite.db",
    "identify couple.jpg --face all": "",
    "embed people --out embeddings.parquet": "embeddings.parquet",
    "embed people --engine ray --out shards": "shards",
    "detect couple.jpg --draw drawn": "drawn",
    "align people crops --report crops.jsonl": "crops crops.jsonl",
    "evaluate people --out report": "report",
    "calibrate --images people --fmr 0.1 --dry-run": "",
    f"train squares {TRAIN}": "runs",
    f"train squares --backbone timm:resnet10t --set log.tensorboard=true {TRAIN}": "runs",
    f"pretrain squares --method simclr {TRAIN}": "runs",
    "data inspect squares": "",
    "data convert squares converted --to webdataset": "converted",
    "data split squares split --identities 1": "split",
    "data check squares --embed": "",
    "weights list": "",
    "weights show": "",
    "weights import MODEL --name mine --to mine.onnx": "mine.onnx",
    "weights pull buffalo_s --offline": "",
    "gallery list": "",
    "gallery show joe": "",
    "gallery stats": "",
    "gallery remove joe": "",
    "gallery rename joe joseph": "",
    "gallery verify": "",
    "gallery compact": "",
    "gallery rebuild --model MODEL": "",
    "gallery export exported ; gallery import exported --gallery imported": "exported imported",
    "gallery copy gallery another": "another",
    "gallery fit-codes --bits 128": "",
    "gallery dedupe": "",
    "gallery cluster people --into clustered": "clustered",
    f"gallery index --gallery {CLOSED}": "",
    f"gallery roles --gallery {CLOSED}": "",
    "gallery audit verify audit.jsonl": "",
}
ALL = IN_PLACES | OTHERS
# Here they find nothing to do; they have imported and opened all they need by then.
UNUSABLE = (
    "calibrate",
    "weights pull",
    "gallery rebuild",
    "gallery fit-codes",
    "gallery index",
    "gallery roles",
)


@pytest.fixture
def place(enrolled_album, tmp_path, monkeypatch) -> Iterator[Path]:
    """A working folder with photos and a gallery; the folders of the user and of /tmp are empty."""
    for person, photo in (("ann", "obama"), ("ann", "obama2"), ("joe", "biden")):
        for folder in ("people", "squares"):
            (enrolled_album / folder / person).mkdir(parents=True, exist_ok=True)
        shutil.copy(f"{photo}.jpg", enrolled_album / "people" / person)
        with Image.open(f"{photo}.jpg") as image:
            for index in range(4):
                to = enrolled_album / "squares" / person / f"{photo}-{index}.png"
                image.rotate(index).resize((32, 32)).save(to)
    (enrolled_album / "pairs.csv").write_text("obama.jpg,biden.jpg\n")
    (enrolled_album / "audit.jsonl").touch()
    for name in os.environ:
        if re.match("XDG|FACEVERIFY_(?!GALLERY)|ORT|RAY|HF_|DO_NOT_TRACK|DISABLE_TELEMETRY", name):
            monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as short:  # there Ray puts sockets, whose paths are limited
        monkeypatch.setenv("TMPDIR", short)
        yield enrolled_album


def run_commands(line: str, place: Path, *watcher: str) -> None:
    """Run commands, one after the other, each under a program that watches it."""
    for one in line.split(" ; "):
        one = one.replace("MODEL", str(find_model("default"))).replace("/FOLDER", str(place))
        words = one.split()
        command = [*watcher, sys.executable, "-m", "faceverify", *words]
        done = subprocess.run(command, cwd=place, capture_output=True, timeout=300)
        assert done.returncode in ((2,) if one.startswith(UNUSABLE) else (0, 1)), done.stderr


def check_files(place: Path, before: set[str], made: str) -> None:
    """Assert that nothing was made but what was asked for, and what we keep for the user."""
    home, tmp = place.parent / "home", Path(os.environ["TMPDIR"])
    found = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    assert [name for name in found if not name.startswith(OURS)] == []
    found = [str(path.relative_to(tmp)) for path in tmp.rglob("*") if path.is_file()]
    assert [name for name in found if not name.startswith("ray/")] == []  # the logs that Ray keeps
    assert {path.name for path in place.iterdir()} - before <= {*made.split()}


@pytest.mark.parametrize(("line", "made"), IN_PLACES.items(), ids=IN_PLACES)
def test_only_files_that_were_asked_for(place, line, made):
    before = {path.name for path in place.iterdir()}
    run_commands(line, place)
    check_files(place, before, made)


@pytest.mark.slow
@pytest.mark.parametrize(("line", "made"), ALL.items(), ids=ALL)
def test_only_connections_that_were_asked_for(place, line, made):
    """To no address at all; or, where a server was named or Ray was chosen, to this machine's."""
    trace = place.parent / "trace"
    watcher = ("strace", "-f", "-qq", "-e", "trace=network", "-s", "256", "-o", str(trace))
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    if subprocess.run([*watcher, "true"], capture_output=True).returncode:
        pytest.skip("needs leave to trace processes (ptrace)")
    before = {path.name for path in place.iterdir()}
    run_commands(line, place, *watcher)
    check_files(place, before, made)
    found = connections(trace.read_text(errors="replace"))
    if CLOSED in line or "ray" in line.split() or "milvus" in line:  # milvus-lite serves itself
        found = [one for one in found if not of_this_machine(one)]
    assert found == []


def connections(trace: str) -> list[str]:
    """Addresses of other hosts, or of this one, that were connected or sent to by IP.

    A datagram socket that is connected sends nothing yet: so Ray learns the machine's own address.
    """
    found = []
    datagrams: set[tuple[str, str]] = set()
    for process, call in whole_calls(trace):
        if opened := re.match(r"socket\((\w+), (\w+).*= (\d+)$", call):
            is_datagram = opened[1].startswith("AF_INET") and opened[2] == "SOCK_DGRAM"
            (datagrams.add if is_datagram else datagrams.discard)((process, opened[3]))
        used = re.match(r"(connect|sendto|sendmsg|sendmmsg)\((\d+), (.*)", call)
        if used is None or "AF_UNIX" in call or "AF_NETLINK" in call:
            continue
        is_datagram = (process, used[2]) in datagrams
        if used[1] == "connect" and is_datagram:
            continue
        address = re.search(r'(?:inet_addr\(|inet_pton\(AF_INET6, )"([^"]+)"', used[3])
        if address:
            found.append(address[1])
        elif is_datagram:
            found.append(call)
    return found


def whole_calls(trace: str) -> Iterator[tuple[str, str]]:
    """Process and system call, those put together that others ran into."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        process, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[process] = call.removesuffix("<unfinished ...>")
            continue
        if call.startswith("<... "):
            call = begun.pop(process, "") + call.partition(" resumed>")[2]
        yield process, call


def of_this_machine(address: str) -> bool:
    """Whether it is one of this machine's own."""
    address = address.removeprefix("::ffff:")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as tried:
        try:
            tried.bind((address, 0))
        except OSError:
            return False
    return True


def test_every_command_is_among_them():
    def names(command, path=()):
        children = getattr(command, "commands", None)
        if children is None:
            return {" ".join(path)}
        return set().union(*(names(child, (*path, name)) for name, child in children.items()))

    lines = [one for line in ALL for one in line.split(" ; ")]
    every = names(typer.main.get_command(build_app()))
    assert {name for name in every if not any(line.startswith(name) for line in lines)} == set()


@pytest.mark.thorough(but=('onnxruntime-os.environ["ORT_DISABLE_TELEMETRY"] = "1"',))
@pytest.mark.parametrize(
    ("library", "switch"),
    [
        ("onnxruntime", 'os.environ["ORT_DISABLE_TELEMETRY"] = "1"'),
        ("ray", 'os.environ["RAY_USAGE_STATS_ENABLED"] = "0"'),
        ("timm", 'os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"'),
    ],
)
def test_a_library_that_would_report_is_imported_where_that_is_switched_off(library, switch):
    (importing,) = [
        source
        for path in Path(faceverify.__file__).parent.rglob("*.py")
        if library in imported(ast.parse(source := path.read_text("utf-8")))
    ]
    assert importing.index(switch) < importing.index(f"    import {library}\n")


def imported(tree: ast.AST) -> set[str]:
    """Packages that a module imports, those for types alone left out."""
    found = set()
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
        waiting += ast.iter_child_nodes(node)
    return found
