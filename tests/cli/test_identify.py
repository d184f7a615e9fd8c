"""``faceverify identify``: exit statuses, JSON lines in order, pipes, several faces."""

import json
from pathlib import Path

import pytest

from faceverify.gallery.open import open_store


def without(name: str) -> None:
    """Take a person out of the gallery."""
    with open_store("gallery") as store:
        store.remove(name)


def test_somebody(run, enrolled_album):
    ran = run("identify", "obama3.jpg")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.startswith("barack: distance 0.2")
    for part in ("at most the threshold 0.6597", "3 templates", "FPIR 0.01", "then joe 0.8"):
        assert part in ran.out
    (told,) = run("identify", "obama3.jpg", "--json").objects
    assert (told["photo"], told["identified"]) == ("obama3.jpg", "barack")
    assert [one["name"] for one in told["candidates"]] == ["barack", "joe"]


def test_nobody(run, enrolled_album):
    without("barack")
    ran = run("identify", "obama3.jpg")
    assert ran.status == 1
    assert ran.out.startswith("nobody: nearest joe 0.8")
    ran = run("identify", "obama3.jpg", "--json")
    assert (ran.status, ran.objects[0]["identified"]) == (1, None)


def test_threshold_fpir_top_and_fusion(run, enrolled_album):
    assert run("identify", "obama3.jpg", "--threshold", "0").status == 1
    (told,) = run("identify", "obama3.jpg", "--threshold", "2", "--json").objects
    assert [one["match"] for one in told["candidates"]] == [True, True]
    assert (told["fpir"], told["fmr"], told["threshold"]) == (None, None, 2.0)
    strict = run("identify", "obama3.jpg", "--fpir", "1e-5", "--json").objects[0]
    assert strict["threshold"] < 0.5
    (told,) = run("identify", "obama3.jpg", "--top", "1", "--fusion", "mean", "--json").objects
    assert [one["name"] for one in told["candidates"]] == ["barack"]
    ran = run("identify", "obama3.jpg", "--fpir", "1e-9")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "--fpir 3e-06 or more" in ran.err


def test_a_search_by_codes(run, enrolled_album):
    ran = run("identify", "obama3.jpg", "--search", "codes")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "has no binary templates; faceverify gallery fit-codes makes them" in ran.err
    assert run("gallery", "fit-codes", "--bits", "128", "--method", "random").status == 0
    exact = run("identify", "obama3.jpg", "--json").objects
    assert run("identify", "obama3.jpg", "--search", "codes", "--json").objects == exact
    ran = run("identify", "obama3.jpg", "--search", "codes", "--gallery", "milvus:///x.db")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "--search codes: only galleries in folders have it" in ran.err


@pytest.mark.parametrize(
    ("photo", "status", "code"),
    [("wall.png", 3, "no-face"), ("torn.jpg", 2, "image-truncated"), ("x", 2, "image-missing")],
)
def test_one_photo_that_decides_nothing(run, enrolled_album, photo, status, code):
    plain = run("identify", photo)
    assert (plain.status, plain.out, plain.err.count("\n")) == (status, "", 1)
    assert plain.err.startswith(f"faceverify: {photo}: ")
    ran = run("identify", photo, "--json")
    assert ran.status == status
    (told,) = ran.objects
    assert (told["photo"], told["identified"], told["error"]["code"]) == (photo, None, code)


def test_many_photos(run, enrolled_album):
    ran = run("identify", "obama3.jpg", "biden.jpg")
    assert ran.status == 0
    assert [line.split(":")[:2] for line in ran.out.splitlines()] == [
        ["obama3.jpg", " barack"],
        ["biden.jpg", " joe"],
    ]
    without("joe")
    assert run("identify", "obama3.jpg", "biden.jpg").status == 0  # each is decided
    ran = run("identify", "biden.jpg", "wall.png", "obama3.jpg", "--json")
    assert ran.status == 3
    assert [one["identified"] for one in ran.objects] == [None, None, "barack"]
    ran = run("identify", ".", "--json")
    assert ran.status == 2  # one is torn
    assert [one["photo"] for one in ran.objects] == sorted(one["photo"] for one in ran.objects)


def test_every_face_of_a_photo(run, enrolled_album):
    ran = run("identify", "couple.jpg", "--face", "all", "--json")
    assert ran.status == 0
    assert [one["face"] for one in ran.objects] == [0, 1]
    assert {one["identified"] for one in ran.objects} == {"barack", "joe"}
    without("joe")
    ran = run("identify", "couple.jpg", "--face", "all")
    assert ran.status == 0  # somebody is identified
    assert sorted(line.split(": ")[1] for line in ran.out.splitlines()) == ["barack", "nobody"]
    assert [line.split(":")[0] for line in ran.out.splitlines()] == ["face 1", "face 2"]


def test_standard_input(run, enrolled_album, small_faces):
    ran = run("identify", "-", "--json", stdin=small_faces["obama3"])
    assert (ran.status, ran.objects[0]["identified"]) == (0, "barack")
    without("barack")
    assert run("identify", "-", stdin=small_faces["obama3"]).status == 1
    ran = run("identify", "-", "--json", stdin=b"obama3.jpg\n")
    assert ran.status == 0  # a list, and all of it is decided


@pytest.mark.thorough
def test_a_coprocess_gets_each_answer_at_once(start, enrolled_album):
    process = start("identify", "-", "--json")
    for photo, person in (("obama3.jpg", "barack"), ("biden.jpg", "joe"), ("obama.jpg", "barack")):
        process.stdin.write(f"{photo}\n".encode())
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert (answer["photo"], answer["identified"]) == (photo, person)
    process.stdin.close()
    assert process.wait(20) == 0


@pytest.mark.thorough
def test_a_coprocess_sees_who_is_enrolled_meanwhile(start, run, enrolled_album):
    without("joe")
    process = start("identify", "-", "--json")
    answers = []
    for _ in range(2):
        process.stdin.write(b"biden.jpg\n")
        process.stdin.flush()
        answers.append(json.loads(process.stdout.readline())["identified"])
        run("enroll", "joe", "biden.jpg")
    assert answers == [None, "joe"]


def test_the_audit_log_holds_every_decision(run, enrolled_album, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_AUDIT", "audit.jsonl")
    run("identify", "obama3.jpg", "wall.png")
    (line,) = map(json.loads, Path("audit.jsonl").read_text().splitlines())
    assert (line["event"], line["identified"], line["photo"]) == (
        "identify",
        "barack",
        "obama3.jpg",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["obama3.jpg", "--fpir", "0"],
        ["obama3.jpg", "--top", "0"],
        ["obama3.jpg", "--fusion", "median"],
        ["obama3.jpg", "--gallery", "missing"],
        ["obama3.jpg", "--model", "missing"],
    ],
)
def test_wrong_usage(run, enrolled_album, arguments):
    ran = run("identify", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert not Path("missing").exists()
