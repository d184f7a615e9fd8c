"""What a command imports: its cold start is a feature."""

import json
import subprocess
import sys

from photographs import FACES
from photographs import OBAMA as A
from photographs import OBAMA2 as B

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
    commands = (
        ["verify", A, B, "--threshold", "0.2"],
        ["enroll", "barack", A, "--gallery", "gallery"],
        ["identify", B, "--gallery", "gallery"],
        ["verify", B, "--claim", "barack", "--gallery", "gallery"],
        ["embed", A, B],
        ["embed", A, "--out", "templates.npz"],
        ["detect", A, "--draw", "drawn"],
        ["align", str(FACES), "crops"],
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


def test_parquet_imports_pyarrow(tmp_path):
    command = ["embed", A, "--out", "templates.parquet"]
    ((name, status, found),) = imported(NEVER, command, cwd=tmp_path)
    # where pandas is installed, pyarrow loads it by itself
    assert (name, status, [one for one in found if one != "pandas"]) == ("embed", 0, ["pyarrow"])
