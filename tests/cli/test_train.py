"""``faceverify train``: from a folder of people to a model that the other commands use."""

import json
import signal
import time
from pathlib import Path

import pytest
from generated_people import write_people
from photographs import FACES
from PIL import Image

from faceverify.models.model_file import load_model_file
from faceverify.training.run.folder import RunFolder

RECIPE = """
licence = "CC0-1.0"
[data]
size = 32
workers = 0
cache = "none"
[backbone]
name = "resnet18"
stem = "original"
width = 4
embedding_size = 16
[loss]
name = "arcface"
scale = 16.0
margin = 0.2
[batches]
size = 16
[compute]
device = "cpu"
precision = "float32"
threads = 1
[validation]
times = 2
held_out = 0.4
[log]
steps = 1
[budget]
steps = 4
"""


@pytest.fixture
def people(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path / "cache"))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return write_people(tmp_path / "people", people=10, images=16)


def test_from_people_to_a_model_that_verifies(run, people, tmp_path):
    options = ("--recipe", tmp_path / "recipe.toml", "--name", "mine", "--out", tmp_path / "runs")
    trained = run("train", people, *options, "--json")
    assert trained.status == 0, trained.err
    (found,) = trained.objects
    assert found["finished"]
    assert found["step"] == found["steps"] == 4
    assert set(found["figures"]) <= {"accuracy", "auc", "tar"}
    assert "4 of 10 people held out" in trained.err
    folder = tmp_path / "runs" / "mine"
    assert {"config.toml", "metrics.jsonl", "model.onnx", "report.html", "loss.svg"} <= {
        path.name for path in folder.iterdir()
    }
    model = load_model_file(folder / "model.onnx")
    assert model.provenance.licence == "CC0-1.0"
    assert "96 images of 6 people" in model.provenance.dataset
    assert [threshold.fmr for threshold in model.thresholds] == [0.01]
    assert "These pairs chose the checkpoint" in model.card
    pair = (FACES / "obama.jpg", FACES / "obama2.jpg")
    decided = run("verify", "--model", folder / "model.onnx", "--fmr", "0.01", *pair)
    assert decided.status in (0, 1), decided.err
    again = run("train", people, *options)
    assert again.status == 2
    assert "has begun; go on with --resume" in again.err
    # the configuration in the folder starts the same run again
    same = run(
        "train", "--recipe", folder / "config.toml", "--name", "same", "--out", tmp_path / "runs"
    )
    assert same.status == 0, same.err
    assert load_model_file(tmp_path / "runs/same/model.onnx").graph == model.graph


@pytest.mark.slow
def test_sigterm_saves_and_resume_goes_on_bit_for_bit(run, start, people, tmp_path):
    options = ("--recipe", str(tmp_path / "recipe.toml"), "--out", str(tmp_path / "runs"))
    process = start("train", str(people), *options, "--name", "cut", "--steps", "120")
    metrics = tmp_path / "runs" / "cut" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert b"saved; go on with --name cut --resume" in out
    step = len([one for one in lines(metrics) if "loss" in one])
    resume = ("--resume", "--name", "cut", "--out", tmp_path / "runs")
    finished = run("train", *resume)
    assert finished.status == 0, finished.err
    assert f"going on from step-{step:08d}" in finished.err
    whole = run("train", people, *options, "--name", "whole", "--steps", "120")
    assert whole.status == 0
    kept = ("step", "loss", "gradient_norm", "accuracy")
    found, expected = (
        [
            {key: one.get(key) for key in kept}
            for one in lines(tmp_path / "runs" / name / metrics.name)
        ]
        for name in ("cut", "whole")
    )
    assert found == expected


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["PEOPLE", "--epochs", "1", "--steps", "2"], "found budget.epochs and budget.steps"),
        (["PEOPLE", "--set", "los.name=arcface"], "unknown key los; did you mean loss?"),
        (["PEOPLE", "--loss", "arcfase"], "did you mean arcface?"),
        (["PEOPLE", "--backbone", "resnet81"], "did you mean resnet18"),
        (["PEOPLE", "--set", "loss.margins=1"], "has no option 'margins'"),
        (
            ["PEOPLE", "--loss", "triplet", "--set", "batches.sampler=shuffled"],
            "use --set batches.sampler=identities",
        ),
        (["PEOPLE", "--loss", "log-ratio"], "learns a value of each image, and "),
        (["PEOPLE", "--batch-size", "15", "--set", "compute.accumulate=2"], "no multiple of"),
        (["PEOPLE", "--validate", "nowhere.txt"], "nowhere.txt"),
        (["nowhere"], "nowhere: no such file or folder"),
        ([], "no data to learn from"),
        (["--resume"], "--resume: which run?"),
        (["--resume", "--name", "never"], "no run to resume"),
        (["PEOPLE", "--init", "no-such-model"], "no-such-model"),
        (["PEOPLE", "--device", "cud"], "did you mean cuda?"),
        (["PEOPLE", "--set", "data.column=age"], "loss arcface learns people, no values"),
        (
            ["PEOPLE", "--loss", "log-ratio", "--set", "data.column=age"],
            "which the data do not have",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(run, people, tmp_path, arguments, said):
    arguments = [str(people) if one == "PEOPLE" else one for one in arguments]
    recipe = [] if "--resume" in arguments else ["--recipe", tmp_path / "recipe.toml"]
    refused = run("train", *arguments, *recipe, "--out", tmp_path / "runs")
    assert refused.status == 2
    assert said in refused.err.splitlines()[-1]
    assert refused.out == ""
    assert not (tmp_path / "runs").exists()


def test_people_of_whom_nothing_can_be_learned(run, people, tmp_path):
    def refused(folder, *more):
        options = ("--recipe", tmp_path / "recipe.toml", "--out", tmp_path / "runs")
        found = run("train", folder, *options, *more)
        assert found.status == 2
        return found.err.splitlines()[-1]

    one = tmp_path / "one" / "person"
    one.mkdir(parents=True)
    assert "found no photos" in refused(one.parent)
    Image.new("RGB", (32, 32)).save(one / "1.png")
    assert "1 people to learn from, at least 2 are needed" in refused(one.parent)
    other = tmp_path / "one" / "other"
    other.mkdir()
    Image.new("RGB", (32, 32)).save(other / "1.png")
    pairs = ("--loss", "triplet")
    assert "no person has 2 images, which this loss compares" in refused(one.parent, *pairs)
    for person in (one, other):
        (person / "1.png").write_bytes(b"no picture")
    assert "1.png: text, not an image" in refused(one.parent)


@pytest.mark.thorough(but=("--loss",))
@pytest.mark.parametrize("flag", ["--loss", "--head"])
def test_a_loss_of_pairs_has_its_own_recipe_and_batches(run, people, tmp_path, flag):
    tiny = [
        "data.size=32", "data.cache=none", "backbone.width=4", "compute.threads=1", "log.steps=1",
        "backbone.embedding_size=16",
    ]  # fmt: skip
    settings = [word for one in tiny for word in ("--set", one)]
    ran = run(
        "train", people, flag, "triplet", "--steps", "2", "--device", "cpu", "--out", tmp_path,
        *settings,
    )  # fmt: skip
    assert ran.status == 0, ran.err
    kept = RunFolder(tmp_path / "small-triplet").read_config()
    assert (kept.loss.name, kept.optimiser.name) == ("triplet", "adamw")
    # two of the ten people are held out; eight images of each of the others
    assert (kept.batches.sampler, kept.batches.images_per_identity) == ("identities", 8)
    assert kept.batches.size == 64
    assert "batches of 64 images: 8 people, 8 images each" in ran.err


@pytest.mark.thorough
def test_another_loss_than_the_recipes(run, people, tmp_path):
    options = ("--recipe", tmp_path / "recipe.toml", "--out", tmp_path / "runs")
    ran = run("train", people, *options, "--loss", "npair", "--steps", "1")
    assert ran.status == 0, ran.err
    kept = RunFolder(tmp_path / "runs" / "recipe").read_config().batches
    # the recipe's 16 images, two of each person: of the six people that are not held out
    assert (kept.sampler, kept.images_per_identity, kept.size) == ("identities", 2, 12)


def test_recipes_are_listed(run):
    listed = run("train", "--recipes")
    assert "finetune-default" in listed.out
    assert len(run("train", "--recipes", "--json").objects) >= 10


def test_a_command_in_a_file_is_never_run(run, people, tmp_path):
    """Whoever gives away a recipe, or a run to go on with, must not run what he likes."""
    ran = tmp_path / "ran"
    for source in (f"pipe:touch {ran}", f"{{p,x}}ipe:touch {ran}", f"gs://a::pipe:touch {ran}"):
        recipe = tmp_path / "given.toml"
        recipe.write_text(RECIPE.replace("[data]", f'[data]\nsource = "{source}"'))
        found = run("train", "--recipe", recipe, "--name", "mine", "--out", tmp_path / "runs")
        assert found.status == 2
        assert "data.source is a command in a file" in found.err
        assert found.err.count("\n") == 1
        assert not ran.exists()
    typed = run("train", f"pipe:touch {ran}", "--recipe", recipe, "--name", "mine",
                "--out", tmp_path / "runs", "--set", "validation.times=0")  # fmt: skip
    assert typed.status == 2
    assert "cannot be read" in typed.err
    assert ran.exists()
