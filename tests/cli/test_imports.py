"""What a command imports: its cold start is a feature."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


HEAVY = ("torch", "torchvision", "facenet_pytorch", "onnx", "sklearn", "scipy", "pyarrow", "pandas")
FACES = Path(__file__).parents[1] / "faces"
A, B = (str(FACES / name) for name in ("obama.jpg", "obama2.jpg"))


def imported(*arguments, cwd, watched=HEAVY):
    """Run a command in a new process: its exit status, and which of the modules it imported."""
    program = (
        "import json, sys\n"
        "from faceverify.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as leaving:\n    status = leaving.code or 0\n"
        f"found = [name for name in {watched!r} if name in sys.modules]\n"
        "print(json.dumps([status, found]), file=sys.stderr)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=cwd, capture_output=True, timeout=30
    )
    return json.loads(ran.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", A, B, "--threshold", "0.2"],
        ["embed", A, B],
        ["embed", A, "--out", "templates.npz"],
        ["detect", A, "--draw", "drawn"],
        ["align", str(FACES), "crops"],
        ["doctor"],
    ],
    ids=lambda arguments: " ".join(arguments[:1] + arguments[2:3]),
)
def test_no_command_imports_what_it_does_not_need(arguments, tmp_path):
    assert imported(*arguments, cwd=tmp_path) == [0, []]


@pytest.mark.parametrize("command", ["", "verify", "embed", "detect", "align", "doctor"])
def test_help_imports_next_to_nothing(command, tmp_path):
    heavy = (*HEAVY, "numpy", "PIL", "onnxruntime")
    arguments = [*command.split(), "--help"]
    assert imported(*arguments, cwd=tmp_path, watched=heavy) == [0, []]


def test_parquet_imports_pyarrow(tmp_path):
    arguments = ["embed", A, "--out", "templates.parquet"]
    assert imported(*arguments, cwd=tmp_path) == [0, ["pyarrow"]]
