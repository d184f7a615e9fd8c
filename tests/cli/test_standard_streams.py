"""Standard streams that are full, closed or unreadable: one line, status 2, nothing lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from photographs import BIDEN, OBAMA

FULL = "/dev/full"
pytestmark = pytest.mark.skipif(not os.path.exists(FULL), reason="needs /dev/full")


def shell(command, **options):
    """Run ``faceverify COMMAND`` in a shell, which may close its streams."""
    words = f"{sys.executable} -m faceverify {command}"
    return subprocess.run(words, shell=True, capture_output=True, text=True, timeout=60, **options)


@pytest.mark.thorough(but=("weights list", "--version"))
@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "verify --help", "weights list", f"verify {OBAMA} {BIDEN}", "doctor"],
)
def test_a_full_output_is_one_line_and_no_internal_error(command):
    ran = shell(f"{command} > {FULL}")
    assert ran.returncode == 2
    assert ran.stderr.startswith("faceverify: standard output: cannot be written (No space left")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize("redirection", [">&-", ">&- <&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_output_is_refused_before_anything_is_done(tmp_path, small_faces, redirection):
    (tmp_path / "a.jpg").write_bytes(small_faces["obama"])
    ran = shell(f"enroll obama a.jpg --gallery g {redirection}", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    if "2>" not in redirection:
        assert ran.stderr.startswith("faceverify: standard output is closed; ")
        assert ran.stderr.count("\n") == 1
    assert not (tmp_path / "g").exists()


@pytest.mark.thorough
def test_what_is_enrolled_when_the_output_fails_stays_and_the_run_can_go_on(tmp_path, small_faces):
    for name, data in small_faces.items():
        (tmp_path / "people" / name).mkdir(parents=True)
        (tmp_path / "people" / name / "1.jpg").write_bytes(data)
    command = "enroll --tree people --gallery g --force"
    assert shell(f"{command} > {FULL}", cwd=tmp_path).returncode == 2
    first = shell("gallery list --gallery g", cwd=tmp_path).stdout.splitlines()
    assert 1 <= len(first) < 4
    again = shell(command, cwd=tmp_path)
    assert again.returncode == 0
    assert len(shell("gallery list --gallery g", cwd=tmp_path).stdout.splitlines()) == 4


@pytest.mark.thorough(but=("<&--it is closed-verify --pairs -", "<&--it is closed-detect -"))
@pytest.mark.parametrize(
    "command",
    [f"verify {OBAMA} -", "verify --pairs -", "verify --claims - --gallery g", "detect -"],
)
@pytest.mark.parametrize(
    ("redirection", "found"), [("<&-", "it is closed"), ("0> new", "Bad file descriptor")]
)
def test_an_input_that_cannot_be_read(enrolled_album, command, redirection, found):
    Path("g").symlink_to("gallery")
    ran = shell(f"{command} {redirection}")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"standard input: cannot be read ({found})" in ran.stderr
    assert ran.stderr.count("\n") == 1


@pytest.mark.thorough(but=("2> /dev/full",))
@pytest.mark.parametrize("redirection", ["2>&-", f"2> {FULL}"])
def test_messages_that_nobody_can_hear_change_nothing(tmp_path, small_faces, redirection):
    (tmp_path / "a.jpg").write_bytes(small_faces["obama"])
    ran = shell(f"enroll obama a.jpg nix.jpg --gallery g {redirection}", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "obama: a.jpg enrolled as template 1\n")
    assert shell(f"gallery list --gallery g {redirection}", cwd=tmp_path).stdout == "obama\t1\n"


def test_a_list_of_no_photos_is_said():
    ran = shell("detect -", input="\n\n")
    assert (ran.returncode, ran.stderr) == (2, "standard input: lists no photos\n")
