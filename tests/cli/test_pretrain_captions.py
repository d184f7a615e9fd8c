"""``pretrain --method clip`` and ``evaluate --protocol zero-shot``: photos and words."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageDraw

COLOURS = {"red": (225, 45, 40), "green": (40, 190, 70), "blue": (50, 70, 225), "white": (245,) * 3}
PLACES = ("left", "right")
SMALL = (
    "data.size=32", "data.workers=0", "backbone.width=8", "backbone.embedding_size=16",
    "compute.device=cpu", "compute.precision=float32", "compute.threads=1", "log.steps=20",
    "validation.times=3", "method.width=32", "method.depth=1", "method.vocabulary=300",
    "optimiser.learning_rate=0.01", "method.temperature=0.1",
)  # fmt: skip
PROMPTS = "\n".join(
    f"{colour} {place}: a {colour} shape on the {place}\n{colour} {place}: {colour}, {place}"
    for colour in COLOURS for place in PLACES
)  # fmt: skip


def drawn(folder, count, seed):
    """Pictures of a shape of some colour on one side, a folder a kind; returns their captions."""
    random = np.random.default_rng(seed)
    rows = ["photo,caption"]
    for index in range(count):
        colour, place = list(COLOURS)[index % 4], PLACES[index // 4 % 2]
        image = Image.new("RGB", (32, 32), tuple(map(int, random.integers(30, 110, 3))))
        x, y, side = (int(random.integers(*span)) for span in ((1, 6), (2, 16), (8, 12)))
        x += 14 * (place == "right")
        kind = random.choice(["rectangle", "ellipse"])
        draw = getattr(ImageDraw.Draw(image), kind)
        draw((x, y, x + side, y + side), fill=COLOURS[colour])
        path = folder / f"{colour} {place}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
        rows.append(f'{path.relative_to(folder)},"a {colour} {kind}, on the {place}"')
    return "\n".join(rows)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pictures to learn from with their captions, and others to judge by."""
    folder = tmp_path_factory.mktemp("words")
    (folder / "learned").mkdir()
    (folder / "learned" / "captions.csv").write_text(drawn(folder / "learned", 320, 0))
    drawn(folder / "others", 80, 1)
    (folder / "prompts.txt").write_text(PROMPTS)
    return folder


@pytest.fixture
def here(place, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_CACHE", str(place / "cache"))
    monkeypatch.chdir(place)
    return place


def small(*options):
    return [*(word for one in SMALL for word in ("--set", one)), "--batch-size", 32, *options]


@pytest.fixture
def model(run, here):
    """The model of a short run."""
    if not (here / "runs" / "words" / "model.onnx").exists():
        ran = run(
            "pretrain", "learned/captions.csv", "--method", "clip", "--name", "words",
            *small("--steps", 80), "--json",
        )  # fmt: skip
        assert ran.status == 0, ran.err
        assert "320 photos, 16 different captions" in ran.err
        assert "at which most photos held out find their caption" in ran.err
    return "runs/words/model.onnx"


def judged(run, model, *options, source="others", prompts="prompts.txt"):
    return run(
        "evaluate", source, "--protocol", "zero-shot", "--prompts", prompts, "--model", model,
        "--aligned", "arcface-112", *options,
    )  # fmt: skip


@pytest.mark.thorough
def test_what_it_never_saw_is_told_apart_by_sentences_it_never_read(run, model, here):
    ran = judged(run, model, "--json", "--out", "report")
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    assert found["zero_shot"]["accuracy"]["value"] > 0.8  # chance: 0.125, without sides: 0.5
    assert found["zero_shot"]["labels"]["value"] == 8
    assert found["confusion"]["red left"]["photos"] == 10
    assert found["notes"] == []
    assert "red left" in (here / "report" / "report.html").read_text()
    printed = judged(run, model)
    assert "Zero-shot classification" in printed.out
    lines = list(map(json.loads, (here / "runs/words/metrics.jsonl").read_text().splitlines()))
    kept = max(line.get("caption_accuracy", 0) for line in lines)
    assert kept > 0.4  # chance: 0.0625, as captions tell kinds of shapes, too
    assert {"temperature", "matched"} <= lines[0].keys()


@pytest.mark.thorough
def test_a_table_of_labels_and_a_compared_model(run, model, here):
    photos = sorted((here / "others").rglob("*.png"))
    rows = [f"{photo},{photo.parent.name},p{index % 9}" for index, photo in enumerate(photos)]
    (here / "labels.csv").write_text("\n".join(["photo,label,person", *rows]))
    ran = judged(run, model, "--compare", model, "--json", source="labels.csv")
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    assert found["zero_shot"]["people"]["value"] == 9
    assert found["differences"][0]["accuracy"]["value"] == 0


@pytest.mark.thorough
def test_torch_is_not_imported(model, here):
    code = (
        "import sys; from faceverify.cli import main\n"
        "try: main()\n"
        "except SystemExit: print([one for one in ('torch', 'onnx', 'huggingface_hub', 'sklearn') "
        "if one in sys.modules], file=sys.stderr)"
    )
    options = [
        "evaluate", "others", "--protocol", "zero-shot", "--prompts", "prompts.txt", "--no-cache",
    ]  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", code, *options, "--model", model, "--aligned", "arcface-112"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Zero-shot" in ran.stdout
    assert ran.stderr.strip().splitlines()[-1] == "[]"


def test_the_text_model_must_be_there_and_of_this_model(run, model, here):
    ran = judged(run, "default")
    assert ran.status == 2
    assert "no such text model" in ran.err
    (here / "mixed").mkdir()
    shutil.copy(here / "runs/words/text.onnx", here / "mixed/text.onnx")
    ran = run("weights", "show", "default", "--json")
    shutil.copy(ran.objects[0]["path"], here / "mixed/model.onnx")
    ran = judged(run, "mixed/model.onnx")
    assert ran.status == 2
    assert "keep a model and its text.onnx in one folder" in ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--protocol", "zero-shot"], "--protocol zero-shot and --prompts FILE go together"),
        (["--prompts", "prompts.txt"], "--protocol zero-shot and --prompts FILE go together"),
        (
            ["--protocol", "zero-shot", "--prompts", "prompts.txt", "--group", "x"],
            "takes no --group",
        ),
        (["--protocol", "zero-shot", "--prompts", "few.txt"], "has no sentence for 'blue left'"),
        (["--protocol", "zero-shot", "--prompts", "long.txt"], "tokens, more than 64"),
        (["--protocol", "zero-shot", "--prompts", "none.txt"], "none.txt: cannot be read"),
    ],
)
def test_options_that_do_not_fit_are_one_line(run, model, here, options, said):
    (here / "few.txt").write_text("red left: one\nred right: two\n")
    (here / "long.txt").write_text(PROMPTS + "\nred left: " + "xyz " * 70)
    ran = run("evaluate", "others", "--model", model, *options)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        ("learned", (), "photos with captions, and"),
        ("learned/captions.csv", ("--set", "average.decay=0.9"), "averages the backbone alone"),
        ("learned/captions.csv", ("--batch-size", 512), "288 photos do not fill a batch"),
        ("learned/captions.csv", ("--set", "method.context=4"), "tokens, more than 4"),
        ("learned", ("--align",), "cut them out with `faceverify align`"),
        ("bare.csv", (), "none of a caption"),
        ("alike.csv", (), "have one caption"),
    ],
)
def test_what_it_cannot_learn_from_is_one_line(run, here, source, options, said):
    photos = sorted((here / "learned").rglob("*.png"))[:40]
    (here / "bare.csv").write_text("\n".join(["photo", *map(str, photos)]))
    rows = [f"{photo},a face" for photo in photos]
    (here / "alike.csv").write_text("\n".join(["photo,caption", *rows]))
    ran = run("pretrain", source, "--method", "clip", *small("--steps", 2), "--name", "x", *options)
    assert ran.status == 2
    assert said in ran.err.splitlines()[-1]
    assert not (here / "runs" / "x").exists()


def test_captions_are_not_joined_with_names(run, here):
    ran = run("train", "learned", "--loss", "softmax", "--with", "clip")
    assert ran.status == 2
    assert "method clip learns from captions, and a loss of people from names" in ran.err


def test_a_table_is_refused_by_a_method_without_captions(run, here):
    ran = run("pretrain", "learned/captions.csv", "--method", "simclr")
    assert ran.status == 2
    assert "name a folder of photos" in ran.err
