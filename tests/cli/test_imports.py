"""What a command imports: its cold start is a feature."""

import json
import shutil
import subprocess
import sys

import pytest
from photographs import OBAMA as A
from photographs import OBAMA2 as B

from faceverify.cli.app import COMMANDS, GROUPS

NEVER = (
    "torch", "torchvision", "facenet_pytorch", "onnx", "sklearn", "scipy", "pyarrow", "pandas",
    "faiss", "psycopg", "pymilvus", "ray", "cryptography",
)  # fmt: skip
LATER = (*NEVER, "numpy", "PIL", "onnxruntime", "rich.progress")

PROBE = """
import json, sys
from faceverify.cli import main
watched, *commands = map(json.loads, sys.argv[1:])
for command in commands:
    sys.argv[1:] = command
    try:
        main()
    except SystemExit as leaving:
        status = leaving.code or 0
    found = [name for name in watched if name in sys.modules]
    print(json.dumps([command[0], status, found]), file=sys.stderr)
"""


def imported(watched, *commands, cwd):
    """Run commands, one after the other, in a new process.

    Each one's first word, exit status, and the modules imported by then: once the first that
    imports something is mended, the next one shows.
    """
    arguments = [json.dumps(item) for item in (watched, *commands)]
    ran = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], cwd=cwd, capture_output=True, timeout=60
    )
    return [json.loads(line) for line in ran.stderr.splitlines() if line.startswith(b'["')]


def test_no_command_imports_what_it_does_not_need(tmp_path):
    (tmp_path / "photos").mkdir()
    shutil.copy(A, tmp_path / "photos")
    commands = (
        ["verify", A, B, "--threshold", "0.6"],
        ["enroll", "barack", A, "--gallery", "gallery"],
        ["identify", B, "--gallery", "gallery"],
        ["verify", B, "--claim", "barack", "--gallery", "gallery"],
        ["embed", A, B],
        ["embed", A, "--out", "templates.npz"],
        ["detect", A, "--draw", "drawn"],
        ["align", "photos", "crops"],
        ["doctor"],
    )
    found = imported(NEVER, *commands, cwd=tmp_path)
    assert found == [[command[0], 0, []] for command in commands]


def test_help_imports_next_to_nothing(tmp_path):
    commands = [["--help"], ["--version"]]
    names = ("verify", "enroll", "identify", "embed", "detect", "align", "doctor")
    commands += [[name, "--help"] for name in names]
    found = imported(LATER, *commands, cwd=tmp_path)
    assert found == [[command[0], 0, []] for command in commands]


# Packages of others that a command may import, and the most modules that it may import in all. Too
# little of one? Measure what the new ones cost (python -X importtime) before raising it.
PARSER = {"typer", "click", "annotated_doc", "shellingham", "typing_extensions"}
DRAWING = {"rich", "markdown_it", "mdurl", "pygments", "attr"}  # attr: rich asks for it
ENGINE = {"numpy", "PIL", "onnxruntime"}

COUNT = """
import json, sys
before = set(sys.modules)
from faceverify.cli import main
try:
    main()
finally:
    print(json.dumps(sorted(set(sys.modules) - before)), file=sys.stderr)
"""


def modules_of(*command):
    """The modules that a command imports, in a new process."""
    ran = subprocess.run([sys.executable, "-c", COUNT, *command], capture_output=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("command", "allowed", "most"),
    [
        (["verify", A, B, "--threshold", "0.6"], PARSER | ENGINE, 350),
        (["--help"], PARSER | DRAWING, 400),
        (["verify", "--help"], PARSER | DRAWING, 350),
        (["--version"], PARSER, 220),
    ],
    ids=["verify", "help", "verify-help", "version"],
)
def test_no_new_release_brings_imports_unseen(command, allowed, most):
    modules = modules_of(*command)
    packages = {name.split(".")[0] for name in modules}
    assert packages - set(sys.stdlib_module_names) - {"faceverify"} <= allowed
    assert packages & {"asyncio", "ssl", "email", "http", "xml", "multiprocessing"} == set()
    assert "importlib.metadata" not in modules
    assert len(modules) <= most, sorted(modules)
    others = {*COMMANDS, *GROUPS} - {command[0]} if command[0] in COMMANDS else set()
    assert {name for name in others if f"faceverify.cli.{name}" in modules} == set()


@pytest.mark.thorough
def test_parquet_imports_pyarrow(tmp_path):
    command = ["embed", A, "--out", "templates.parquet"]
    ((name, status, found),) = imported(NEVER, command, cwd=tmp_path)
    # where pandas is installed, pyarrow loads it by itself
    assert (name, status, [one for one in found if one != "pandas"]) == ("embed", 0, ["pyarrow"])
