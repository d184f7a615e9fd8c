"""CONTRIBUTING.md is followed to the letter: a toy of each kind works in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
KINDS = re.findall(r"^## (A .*)$", PAGE, re.MULTILINE)
FILE = re.compile(
    r"^`(faceverify/[\w/]+\.py|tests/[\w/]+\.py)`.*?^```python\n(.*?)^```", re.M | re.S
)
EDIT = re.compile(r"^```diff\n(\S+)\n(.*?)^```", re.M | re.S)


def section(kind: str) -> str:
    return PAGE.split(f"## {kind}\n")[1].split("\n## ")[0]


def edited(text: str, edit: str) -> str:
    """A text after an edit: lines with + follow the line before them, lines with - go."""
    at = 0
    for line in edit.splitlines(keepends=True):
        sign, content = line[0], line[1:]
        if sign == "+":
            text = text[:at] + content + text[at:]
            at += len(content)
            continue
        found = text.find(content, at)
        assert found >= 0, f"no such line: {content!r}"
        at = found + (0 if sign == "-" else len(content))
        if sign == "-":
            text = text[:found] + text[found + len(content) :]
    return text


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """The project with a toy of each kind."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("faceverify", "tests"):  # with the byte code: it is not compiled anew
        shutil.copytree(ROOT / name, folder / name)
    for name in ("weights", "pyproject.toml"):
        (folder / name).symlink_to(ROOT / name)
    for kind in KINDS:
        text = section(kind)
        files, edits = FILE.findall(text), EDIT.findall(text)
        assert len(files) == 2, kind
        assert len(edits) == 1, kind
        for name, content in files:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            if name.startswith("faceverify") and not (path.parent / "__init__.py").exists():
                (path.parent / "__init__.py").write_text('"""A toy."""\n')
            assert not path.exists()
            path.write_text(content, encoding="utf-8")
        for name, edit in edits:
            path = folder / name
            path.write_text(edited(path.read_text(encoding="utf-8"), edit), encoding="utf-8")
    return folder


@pytest.mark.thorough
def test_a_toy_of_each_kind_works(copy):
    pytest.importorskip("torch")
    assert len(KINDS) == 6
    tests = [name for kind in KINDS for name, _ in FILE.findall(section(kind)) if "tests" in name]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout
