"""Documentation is tested: examples run, every command appears, generated pages are current."""

import doctest
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def modules_with_examples() -> list[str]:
    """The modules of the package whose docstrings hold examples."""
    paths = [path for path in (ROOT / "faceverify").rglob("*.py") if ">>> " in path.read_text()]
    parts = [path.relative_to(ROOT).with_suffix("").parts for path in sorted(paths)]
    return [".".join(part for part in one if part != "__init__") for one in parts]


def test_python_examples_of_the_readme_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    result = doctest.testfile(str(README), module_relative=False)
    assert result.attempted >= 4
    assert result.failed == 0


@pytest.mark.parametrize("module", modules_with_examples())
def test_docstring_examples_run(module: str, monkeypatch):
    monkeypatch.chdir(ROOT)
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if str(missing.name).startswith("faceverify"):
            raise
        pytest.skip(f"needs {missing.name}")
    result = doctest.testmod(imported)
    assert result.attempted
    assert result.failed == 0


def test_console_examples_of_the_readme_print_what_they_say():
    blocks = re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        status = 0
        for step in block.removeprefix("$ ").split("\n$ "):
            command, _, expected = step.partition("\n")
            if command == "echo $?":
                assert expected.strip() == str(status)
                continue
            words = shlex.split(command)
            assert words[0] == "faceverify"
            ran = subprocess.run(
                [sys.executable, "-m", *words], capture_output=True, text=True, cwd=ROOT
            )
            status = ran.returncode
            number = re.compile(r"\d+\.\d+")
            assert number.sub("N", ran.stdout.strip()) == number.sub("N", expected.strip())
            # decoders and engines of other versions differ in the last digits
            found, said = (map(float, number.findall(text)) for text in (ran.stdout, expected))
            assert list(found) == pytest.approx(list(said), abs=2e-3)


def test_generated_command_reference_is_current():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import build_cli_docs
    finally:
        sys.path.pop(0)
    assert build_cli_docs.TARGET.read_text(encoding="utf-8") == build_cli_docs.page(), (
        "run scripts/build_cli_docs.py"
    )


def test_links_of_the_documents_lead_somewhere():
    for document in (README, *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_example_command_of_the_readme_exists():
    import typer

    from faceverify.cli.app import build_app

    commands = typer.main.get_command(build_app()).commands
    named = set(re.findall(r"^(?:.*\| )?faceverify ([a-z]+)", README.read_text(), re.MULTILINE))
    assert {"verify", "embed", "detect", "align", "doctor", "weights"} <= named <= set(commands)
