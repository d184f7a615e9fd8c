"""``faceverify verify`` as a script meets it: results on stdout, errors in a line, exit status."""

import json
import os
import signal
import subprocess
import sys

import pytest
from photographs import BIDEN, OBAMA, OBAMA2
from PIL import Image


@pytest.mark.parametrize(("other", "status"), [(OBAMA2, 0), (BIDEN, 1)], ids=["same", "other"])
def test_two_photos(run, other, status):
    ran = run("verify", OBAMA, other, "--json")
    assert ran.status == status
    assert ran.err == ""
    (decision,) = ran.objects
    assert decision["same"] is (status == 0)
    assert decision["same"] is (decision["distance"] <= decision["threshold"])
    assert (decision["a"], decision["b"], decision["error"]) == (OBAMA, other, None)
    assert (decision["fmr"], decision["model"]) == (1e-3, "sface")


def test_text_names_distance_threshold_rate_and_model(run):
    ran = run("verify", OBAMA, BIDEN)
    assert ran.out.startswith("different people: distance 0.")
    for part in ("above the threshold 0.", "false match rate 0.001", "sface"):
        assert part in ran.out
    assert ran.out.count("\n") == 1


def test_threshold_and_rate_decide(run):
    assert run("verify", OBAMA, BIDEN, "--threshold", "2").status == 0
    assert run("verify", OBAMA, OBAMA2, "--threshold", "0").status == 1
    strict = run("verify", OBAMA, OBAMA2, "--fmr", "1e-6", "--json").objects[0]
    assert strict["threshold"] < 0.4


def test_standard_input_is_a_photo(run):
    with open(OBAMA2, "rb") as stream:
        ran = run("verify", OBAMA, "-", "--json", stdin=stream.read())
    assert ran.status == 0
    assert ran.objects[0]["b"] == "standard input"


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """Photos that are none, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("bad")
    with open(OBAMA, "rb") as stream:
        good = stream.read()
    files = {
        "empty.jpg": b"",
        "torn.jpg": good[: len(good) // 3],
        "text.jpg": b"hello, I am no photo\n" * 50,
        "zeros.png": bytes(5000),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / "folder").mkdir()
    Image.new("RGB", (1, 1)).save(folder / "one.png")
    Image.new("RGB", (300, 300), "pink").save(folder / "wall.png")
    Image.new("1", (13_400, 13_400)).save(
        folder / "bomb.png"
    )  # over twice the limit: Pillow refuses
    return folder


@pytest.mark.thorough(
    but=(
        "missing.jpg-2-image-missing",
        "wall.png-3-no-face",
        "text.jpg-2-image-not-an-image",
        "torn.jpg-2-image-truncated",
    )
)
@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("missing.jpg", 2, "image-missing"),
        ("empty.jpg", 2, "image-empty"),
        ("torn.jpg", 2, "image-truncated"),
        ("text.jpg", 2, "image-not-an-image"),
        ("zeros.png", 2, "image-not-an-image"),
        ("folder", 2, "image-not-an-image"),
        ("bomb.png", 2, "image-too-large"),
        ("one.png", 3, "no-face"),
        ("wall.png", 3, "no-face"),
    ],
)
def test_bad_photos(run, bad, name, status, code):
    for photos in ([OBAMA, bad / name], [bad / name, OBAMA]):
        plain = run("verify", *photos)
        assert plain.status == status
        assert plain.out == ""
        assert plain.err.count("\n") == 1
        assert plain.err.startswith(f"faceverify: {bad / name}:")
        ran = run("verify", *photos, "--json")
        assert ran.status == status
        (decision,) = ran.objects
        assert decision["error"]["code"] == code
        assert decision["same"] is decision["distance"] is None


def test_two_noises_are_no_decision(run, tmp_path):
    Image.effect_noise((400, 400), 100).save(tmp_path / "noise.png")
    ran = run("verify", tmp_path / "noise.png", tmp_path / "noise.png")
    assert ran.status == 3


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"],
        ["verify", OBAMA],
        ["verify", OBAMA, BIDEN, OBAMA2],
        ["verify", OBAMA, BIDEN, "--pairs", "-"],
        ["verify", OBAMA, BIDEN, "--threshold", "3"],
        ["verify", OBAMA, BIDEN, "--fmr", "0.5"],
        ["verify", OBAMA, BIDEN, "--face", "all"],
        ["verify", OBAMA, BIDEN, "--face", "nose"],
        ["verify", OBAMA, BIDEN, "--model", "no-such-model"],
        ["verify", OBAMA, BIDEN, "--model", OBAMA],
        ["verify", OBAMA, BIDEN, "--aligned", "x"],
        ["verify", "--no-such-option"],
        ["no-such-command"],
        ["verify", "--pairs", "missing.tsv"],
    ],
)
def test_wrong_usage_is_status_2_and_no_traceback(run, arguments):
    ran = run(*arguments)
    assert ran.status == 2
    assert ran.out == ""
    assert ran.err
    assert "Traceback" not in ran.err


def test_quality_below_the_wanted_decides_nothing(run, tmp_path):
    with Image.open(OBAMA) as image:
        image.resize((45, 56)).resize((910, 1137)).save(tmp_path / "blurred.png")
    ran = run("verify", OBAMA, tmp_path / "blurred.png", "--min-quality", "0.5", "--json")
    assert ran.status == 3
    assert ran.objects[0]["error"]["code"] == "low-quality"


# --- many pairs


def test_pairs_in_order_with_errors_in_place(run, bad):
    lines = [
        f"{OBAMA}\t{OBAMA2}\tfold 1",
        f"{OBAMA}\t{bad / 'torn.jpg'}\tfold 1",
        OBAMA,
        f"{bad / 'wall.png'}\t{OBAMA}\tfold 2",
        "",
        f"{OBAMA}\t{BIDEN}\tfold 2",
    ]
    stdin = ("\ufeff" + "\r\n".join(lines)).encode()
    ran = run("verify", "--pairs", "-", "--json", stdin=stdin)
    assert ran.status == 2  # the torn photo and the line that is no pair
    assert [item["same"] for item in ran.objects] == [True, None, None, None, False]
    codes = [item["error"] and item["error"]["code"] for item in ran.objects]
    assert codes == [None, "image-truncated", "pair-list", "no-face", None]
    assert [item.get("columns") for item in ran.objects][0::4] == [["fold 1"], ["fold 2"]]
    assert "standard input:3: found 1 column(s)" in ran.err


@pytest.mark.parametrize(
    "text",
    [
        "# made on Monday\n{a}\t{b}\n{a}\t{c}\n",
        "first,second,same\n{a},{b},1\n{a},{c},0\n",
        "{a} {b} 1\n{a} {c} 0\n",
        "1 {a} {b}\n0 {a} {c}\n",
        "Pairs of Monday\n{a}\t{b}\n{a}\t{c}\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_every_good_line_of_any_list_is_decided(run, tmp_path, text, encoding):
    listing = tmp_path / "list"
    listing.write_bytes(text.format(a=OBAMA, b=OBAMA2, c=BIDEN).encode(encoding))
    ran = run("verify", "--pairs", listing, "--json")
    assert [item["same"] for item in ran.objects][-2:] == [True, False]
    if "Pairs" in text:
        assert ran.status == 2
        assert ran.err == f"{listing}:1: found 1 column(s), expected two photos\n"
    else:
        assert (ran.status, ran.err, len(ran.objects)) == (0, "", 2)


@pytest.mark.parametrize("option", ["--pairs", "--claims"])
@pytest.mark.parametrize("text", [b"", b"# none yet\n"])
def test_a_list_of_nothing_is_no_success(run, enrolled_album, option, text):
    ran = run("verify", option, "-", stdin=text)
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "standard input: found no pairs" in ran.err


def test_pairs_as_text_carry_their_columns(run, tmp_path):
    listing = tmp_path / "pairs.csv"
    listing.write_text(f'a,b,note\n{OBAMA},{OBAMA2},"x, y"\n{OBAMA},{BIDEN},z\n')
    ran = run("verify", "--pairs", listing)
    assert ran.status == 0  # every pair was decided
    first, second = (line.split("\t") for line in ran.out.splitlines())
    assert first[:4] == [OBAMA, OBAMA2, "x, y", "same"]
    assert second[:4] == [OBAMA, BIDEN, "z", "different"]
    assert 0 < float(first[4]) < float(second[4]) < 2
    named = run("verify", "--pairs", listing, "--json").objects
    assert [item["note"] for item in named] == ["x, y", "z"]


def test_pairs_as_json_lines(run):
    lines = [{"a": OBAMA, "b": OBAMA2, "id": 7}, {"a": OBAMA}, ["x", "y"]]
    stdin = "\n".join(map(json.dumps, lines)).encode()
    ran = run("verify", "--pairs", "-", "--json", stdin=stdin)
    assert ran.status == 2
    assert [item["same"] for item in ran.objects] == [True, None, None]
    assert ran.objects[0]["id"] == 7


def test_only_no_decisions_are_status_3(run, bad):
    ran = run("verify", "--pairs", "-", stdin=f"{OBAMA}\t{bad / 'wall.png'}\n".encode())
    assert ran.status == 3
    assert ran.out.rstrip("\n").split("\t")[2] == "no-face"


@pytest.mark.thorough
def test_difficult_names(run, tmp_path):
    with open(OBAMA, "rb") as stream:
        data = stream.read()
    names = ["with space.jpg", "日本語.jpg", "é ñ.jpg", "bytes\udcff.jpg"]
    for name in names:
        (tmp_path / name).write_bytes(data)
    listing = "".join(f"{tmp_path / name}\t{OBAMA2}\n" for name in names)
    ran = run("verify", "--pairs", "-", "--json", stdin=listing.encode("utf-8", "surrogateescape"))
    assert ran.status == 0
    assert [item["a"] for item in ran.objects] == [str(tmp_path / name) for name in names]
    text = run("verify", "--pairs", "-", stdin=listing.encode("utf-8", "surrogateescape"))
    assert text.status == 0
    assert "bytes\udcff.jpg" in text.out


@pytest.mark.thorough
def test_an_answer_comes_before_the_next_question(start):
    process = start("verify", "--pairs", "-", "--json")
    for other, same in ((OBAMA2, True), (BIDEN, False)):
        process.stdin.write(f"{OBAMA}\t{other}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["same"] is same
    process.stdin.close()
    assert process.wait(10) == 0


def test_interrupt_is_130_and_one_line(start):
    process = start("verify", "--pairs", "-")
    process.stdin.write(f"{OBAMA}\t{OBAMA2}\n".encode())
    process.stdin.flush()
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert process.stderr.read().decode().strip() == "faceverify: interrupted"


@pytest.mark.thorough
def test_closed_output_ends_quietly(start):
    process = start("verify", "--pairs", "-")
    process.stdout.close()
    for _ in range(3):
        process.stdin.write(f"{OBAMA}\t{OBAMA2}\n".encode())
    process.stdin.close()
    assert process.wait(20) == 141
    assert process.stderr.read() == b""


def test_an_internal_fault_is_none_of_the_answers():
    code = (
        "import sys; sys.argv = ['faceverify', 'verify', 'a', 'b']\n"
        "import faceverify.cli, faceverify.recognition.verify as v\n"
        "v.Verifier.verify = lambda *a: 1 / 0\n"
        "faceverify.cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 70
    assert "internal error: ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr
