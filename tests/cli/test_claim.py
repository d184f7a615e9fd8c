"""``faceverify verify --claim`` and ``--claims``: photos against enrolled names."""

import json
from pathlib import Path

import pytest

from faceverify.gallery.open import open_store


@pytest.mark.parametrize(("name", "status"), [("barack", 0), ("joe", 1)])
def test_a_claim(run, enrolled_album, name, status):
    ran = run("verify", "obama3.jpg", "--claim", name, "--json")
    assert (ran.status, ran.err) == (status, "")
    (told,) = ran.objects
    assert (told["photo"], told["claim"], told["same"]) == ("obama3.jpg", name, status == 0)
    assert told["templates"] == (2 if name == "barack" else 1)
    assert told["same"] is (told["distance"] <= told["threshold"])
    assert (told["fmr"], told["model"], told["error"]) == (1e-3, "sface", None)
    text = run("verify", "obama3.jpg", "--claim", name)
    assert text.status == status
    assert text.out.startswith(("same person: distance 0.2", "different people: distance 0.8"))


def test_an_unknown_name_is_unusable_input(run, enrolled_album):
    plain = run("verify", "obama3.jpg", "--claim", "Barak")
    assert (plain.status, plain.out) == (2, "")
    assert plain.err == "faceverify: nobody is enrolled as 'Barak'; did you mean 'barack'?\n"
    ran = run("verify", "obama3.jpg", "--claim", "Barak", "--json")
    assert ran.status == 2
    (told,) = ran.objects
    assert (told["claim"], told["same"], told["distance"]) == ("Barak", None, None)
    assert told["error"]["code"] == "gallery-unknown-name"


@pytest.mark.parametrize(
    ("photo", "status", "code"),
    [("wall.png", 3, "no-face"), ("torn.jpg", 2, "image-truncated"), ("x", 2, "image-missing")],
)
def test_photos_that_decide_nothing(run, enrolled_album, photo, status, code):
    assert run("verify", photo, "--claim", "joe").status == status
    ran = run("verify", photo, "--claim", "joe", "--json")
    assert ran.status == status
    assert ran.objects[0]["error"]["code"] == code


def test_threshold_rate_and_fusion(run, enrolled_album):
    assert run("verify", "obama3.jpg", "--claim", "joe", "--threshold", "2").status == 0
    assert run("verify", "obama3.jpg", "--claim", "barack", "--threshold", "0").status == 1
    distances = [
        run("verify", "obama3.jpg", "--claim", "barack", "--fusion", fusion, "--json").objects[0]
        for fusion in ("max", "mean")
    ]
    assert distances[0]["distance"] != distances[1]["distance"]
    assert distances[0]["threshold"] > distances[1]["threshold"]  # a mean is near to everybody


def test_standard_input_is_the_photo(run, enrolled_album, small_faces):
    ran = run("verify", "-", "--claim", "barack", stdin=small_faces["obama3"])
    assert ran.status == 0


@pytest.mark.parametrize(
    "text",
    [
        "photo,name,door\nobama3.jpg,barack,7\nbiden.jpg,barack,8\nbiden.jpg,nobody,9\n",
        "obama3.jpg\tbarack\t7\nbiden.jpg\tbarack\t8\nbiden.jpg\tnobody\t9\n",
        '{"photo": "obama3.jpg", "name": "barack", "door": 7}\n'
        '{"name": "barack", "photo": "biden.jpg", "door": 8}\n'
        '{"name": "nobody", "photo": "biden.jpg", "door": 9}\n',
    ],
)
def test_many_claims(run, enrolled_album, text):
    ran = run("verify", "--claims", "-", "--json", stdin=text.encode())
    assert ran.status == 2
    assert [one["same"] for one in ran.objects] == [True, False, None]
    assert [one["claim"] for one in ran.objects] == ["barack", "barack", "nobody"]
    if "\t" not in text:
        assert [str(one["door"]) for one in ran.objects] == ["7", "8", "9"]
    Path("claims").write_text("\n".join(text.splitlines()[:-1]))
    ran = run("verify", "--claims", "claims")
    assert (ran.status, ran.err) == (0, "")
    assert [line.split("\t")[-2] for line in ran.out.splitlines()] == ["same", "different"]


def test_a_line_that_is_no_claim_is_named(run, enrolled_album):
    ran = run("verify", "--claims", "-", "--json", stdin=b"obama3.jpg,barack\nobama3.jpg\n")
    assert ran.status == 2
    assert [one["same"] for one in ran.objects] == [True, None]
    assert "expected photo and name" in ran.objects[1]["error"]["message"]


@pytest.mark.thorough
def test_a_coprocess_gets_its_answer_at_once(start, enrolled_album):
    process = start("verify", "--claims", "-", "--json")
    for name, same in (("barack", True), ("joe", False)):
        process.stdin.write(f"obama3.jpg\t{name}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["same"] is same
    process.stdin.close()
    assert process.wait(20) == 0


def test_the_audit_log(run, enrolled_album):
    run("verify", "obama3.jpg", "--claim", "joe", "--audit", "audit.jsonl")
    (line,) = map(json.loads, Path("audit.jsonl").read_text().splitlines())
    assert (line["event"], line["claim"], line["same"]) == ("verify", "joe", False)


def test_a_gallery_of_another_model_is_an_error_that_names_both(run, enrolled_album):
    with open_store("gallery") as store:
        (model,) = store.stats().models
        store.replace_model(model, store.of("joe"), model="feedfacefeedface")
    for command in (["verify", "--claim", "joe"], ["identify"], ["enroll", "joe"]):
        ran = run(*command, "biden.jpg")
        assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert "feedfacefeedface" in ran.err
        assert model in ran.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["--claim", "joe"],
        ["biden.jpg", "obama.jpg", "--claim", "joe"],
        ["biden.jpg", "--claim", "joe", "--claims", "-"],
        ["biden.jpg", "--claims", "-"],
        ["--claims", "-", "--pairs", "-"],
        ["--claims", "missing.tsv"],
        ["biden.jpg", "--claim", "joe", "--face", "all"],
        ["biden.jpg", "--claim", "joe", "--fmr", "2e-3"],
        ["biden.jpg", "--claim", "joe", "--gallery", "missing"],
        ["biden.jpg", "--claim", ""],
    ],
)
def test_wrong_usage(run, enrolled_album, arguments):
    ran = run("verify", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert "Traceback" not in ran.err
