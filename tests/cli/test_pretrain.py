"""``faceverify pretrain``: from photos without names to a model that the other commands use."""

import json
from pathlib import Path

import pytest
from generated_people import write_people

SMALL = (
    "data.size=32", "data.workers=0", "data.cache=none", "backbone.width=4", "compute.device=cpu",
    "compute.precision=float32", "compute.threads=1", "log.steps=2", "validation.times=1",
)  # fmt: skip


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return write_people(tmp_path / "photos", people=5, images=8)


def small(*options):
    return [*(word for one in SMALL for word in ("--set", one)), "--batch-size", 16, *options]


def test_from_photos_to_a_model_that_people_go_on_from(run, photos, tmp_path):
    ran = run("pretrain", photos, "--method", "byol", *small("--steps", 4), "--json")
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    assert found["finished"]
    assert Path(found["run"]) == Path("runs/pretrain-byol")
    assert "step 4/4" in ran.err
    assert "spread 0." in ran.err
    assert "rank " in ran.err
    again = run("pretrain", photos, "--method", "byol", *small("--steps", 4))
    assert again.status == 2
    assert "a run with this name has begun; go on with --resume" in again.err
    longer = run("pretrain", "--resume", "--name", "pretrain-byol", "--steps", 6, "--json")
    assert longer.status == 0, longer.err
    assert longer.objects[0]["step"] == 6
    after = run(
        "train", photos, "--init", "runs/pretrain-byol", "--name", "after", "--steps", 2,
        "--batch-size", 16, "--set", "compute.device=cpu", "--set", "data.workers=0",
        "--set", "validation.times=0", "--json",
    )  # fmt: skip
    assert after.status == 0, after.err
    recipe = Path("runs/after/config.toml").read_text()
    assert "margin = 0.3" in recipe  # small-arcface's
    assert "initial = 0.0" in recipe  # nothing of the first weights is kept
    assert 'kept = "body"' in recipe
    assert "the last stage begins at random, the others as in pretrain-byol, resnet18" in after.err
    own = tmp_path / "own.toml"  # a recipe that says so keeps all
    own.write_text(
        '[backbone]\nkept = "whole"\n[budget]\nsteps = 1\n[validation]\ntimes = 0\n'
        '[compute]\ndevice = "cpu"\n[data]\nworkers = 0\n[batches]\nsize = 16\n'
    )
    whole = run("train", photos, "--init", "runs/pretrain-byol", "--recipe", own, "--name", "whole")
    assert whole.status == 0, whole.err
    assert 'kept = "whole"' in Path("runs/whole/config.toml").read_text()
    embedded = run(
        "embed", photos / "person00" / "0.png", "--model", "runs/after/model.onnx",
        "--aligned", "arcface-112", "--json",
    )  # fmt: skip
    assert embedded.status == 0, embedded.err


def test_a_list_and_a_probe(run, photos, tmp_path):
    listed = tmp_path / "list.txt"
    names = sorted(path.relative_to(tmp_path) for path in photos.rglob("*.png"))
    listed.write_text("\n".join(map(str, names)))
    probe = write_people(tmp_path / "probe", people=3, images=4)
    for path in probe.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b" ")
    ran = run(
        "pretrain", "list.txt", "--method", "vicreg", "--probe", "probe", "--name", "pre",
        *small("--steps", 2), "--json",
    )  # fmt: skip
    assert ran.status == 0, ran.err
    assert "accuracy" in ran.objects[0]["figures"]
    log = Path("runs/pre/metrics.jsonl").read_text()
    assert any("nearest" in json.loads(line) for line in log.splitlines())


@pytest.mark.parametrize("options", [
    ("--recipe", "pretrain-simclr"),
    ("--recipe", "pretrain-simclr", "--loss", "arcface"),
    ("--set", "method.name=byol"),
])  # fmt: skip
def test_train_is_for_people(run, photos, options):
    ran = run("train", "photos", *options)
    assert ran.status == 2
    assert "is a method of pre-training" in ran.err
    assert "use `faceverify pretrain`" in ran.err


def test_the_methods_are_listed(run):
    found = run("pretrain", "--methods", "--json").objects
    names = [one["method"] for one in found]
    assert names[0] == "simclr"
    assert "supervised" not in names
    assert all("https://" in one["about"] or one["method"] in ("moco", "distil") for one in found)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "which method?; give --method NAME; --methods lists them"),
        (("--method", "simcrl"), "unknown method 'simcrl'; did you mean simclr?"),
        (("--method", "supervised"), "learns people's names; use `faceverify train`"),
        (("--recipe", "small-arcface"), "no method of pre-training in it"),
        (("--resume",), "--resume: which run?; give its --name"),
        (("--resume", "--name", "gone"), "no run to resume"),
        (("--method", "distil", "--backbone", "resnet18", "--teacher", "nobody"), "nobody"),
        (("--method", "simclr", "--teacher", "sface"), "simclr has no option 'teacher'"),
        (("--method", "simclr", "--probe", "nowhere"), "nowhere"),
    ],
)
def test_a_mistake_is_one_line(run, photos, options, words):
    ran = run("pretrain", "photos", *options, *([] if "--resume" in options else small()))
    assert ran.status == 2
    assert words in ran.err.splitlines()[-1]
    assert ran.err.count("faceverify: ") == 1
    assert not Path("runs").exists()
