"""``faceverify embed --engine``: the same embeddings wherever they are made."""

import json
import os
import signal
from pathlib import Path

import pytest

RAY = pytest.param("ray", marks=pytest.mark.slow)


@pytest.mark.thorough
@pytest.mark.parametrize("engine", ["processes", RAY])
def test_every_engine_gives_the_same_lines(run, album, engine):
    expected, found = run("embed", album), run("embed", album, "--engine", engine)
    assert found.status == expected.status == 2
    assert found.objects == expected.objects
    assert found.err == expected.err


@pytest.mark.thorough
@pytest.mark.parametrize("engine", ["processes", RAY])
def test_a_run_goes_on_where_another_engine_stopped(run, album, tmp_path, engine):
    out = tmp_path / "out"
    first = run("embed", album / "a b.jpg", "--out", f"{out}/", "--json")
    assert first.objects[0]["done"] == 1
    second = run("embed", album, "--out", f"{out}/", "--engine", engine, "--json")
    assert second.objects[0]["skipped"] == 1
    assert second.objects[0]["done"] == 2
    assert second.objects[0]["refused"] == 2


def test_a_photo_on_standard_input_is_refused_elsewhere(run, small_faces):
    ran = run("embed", "-", "--engine", "processes", stdin=small_faces["obama"])
    assert ran.status == 2
    assert "--engine threads alone" in ran.err


@pytest.mark.thorough
@pytest.mark.parametrize("engine", ["threads", "processes"])
def test_photos_behind_urls(run, album, engine):
    pytest.importorskip("pyarrow")
    album.joinpath("x\udcff.jpg").unlink()  # such a store holds UTF-8 names alone
    url = f"file://{album}"
    ran = run("embed", url, "--engine", engine)
    assert ran.status == 2
    good = [line for line in ran.objects if line["error"] is None]
    assert f"{url}/a%20b.jpg" in [line["photo"] for line in good]
    one = run("embed", f"{url}/a%20b.jpg")
    assert one.status == 0
    assert json.dumps(one.objects[0]["embedding"]) == json.dumps(
        next(line["embedding"] for line in good if line["photo"] == f"{url}/a%20b.jpg")
    )
    nothing = run("embed", f"{url}/日本 語/none")
    assert nothing.status == 2


@pytest.mark.slow
def test_a_cluster_that_cannot_start_is_one_clear_line(start, album, tmp_path, monkeypatch):
    pytest.importorskip("ray")
    (tmp_path / ("deep" * 20)).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / ("deep" * 20)))  # sockets have short paths
    process = start("embed", album, "--engine", "ray")
    _, said = process.communicate(timeout=100)
    assert process.returncode == 2, said
    assert said.startswith(b"faceverify: Ray: ")
    assert b"see RAY_ADDRESS, and TMPDIR" in said
    assert said.count(b"\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("program", ["raylet", "gcs_server"])
def test_a_cluster_that_is_lost_on_the_way_is_one_clear_line(start, album, monkeypatch, program):
    pytest.importorskip("ray")
    monkeypatch.setenv("FACEVERIFY_WAIT", "15")
    process = start("embed", "-", "--engine", "ray")
    photo = f"{album / 'a b.jpg'}\n".encode()
    process.stdin.write(500 * photo)  # more than is sent ahead
    process.stdin.flush()
    assert process.stdout.readline()
    (number,) = (one for one in below(process.pid) if named(one) == program)
    os.kill(number, signal.SIGKILL)
    _, said = process.communicate(500 * photo, timeout=200)
    assert process.returncode == 2, said
    (line,) = (line for line in said.splitlines() if line.startswith(b"faceverify: "))
    assert line.startswith(b"faceverify: Ray: ")
    assert b"what was finished is kept" in line


def below(number: int) -> list[int]:
    """All processes that a process started, and those that they did."""
    found = []
    for path in Path(f"/proc/{number}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *below(child)]
    return found


def named(number: int) -> str:
    """Name of a process's program."""
    return Path(f"/proc/{number}/comm").read_text().strip()
