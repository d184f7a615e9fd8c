"""What cannot be pre-trained: one line, exit status 2, before any work, and nothing left behind."""

import shutil
import tarfile
from pathlib import Path

import pytest
from generated_people import write_people

SETTINGS = (
    "data.size=32", "data.workers=0", "data.cache=none", "compute.device=cpu",
    "compute.precision=float32", "compute.threads=1", "validation.times=1",
)  # fmt: skip
SMALL = [word for one in SETTINGS for word in ("--set", one)]
NARROW = ("--set", "backbone.width=4")
SIMCLR = ("--method", "simclr", "--batch-size", 8, *NARROW)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with photos, and with much that is none."""
    folder = tmp_path_factory.mktemp("place")
    photos = write_people(folder / "photos", people=5, images=8)
    first = photos / "person00" / "0.png"
    for name in ("empty", "one", "text", "flat"):
        (folder / name).mkdir()
    shutil.copy(first, folder / "one")
    for number in range(12):
        (folder / "text" / f"{number}.jpg").write_text("no photo")
        shutil.copy(photos / "person01" / f"{number % 8}.png", folder / "flat" / f"{number}.png")
    (folder / "gone.txt").write_text("photos/gone.png\n")
    (folder / "empty.txt").write_text("# nothing\n")
    probe = write_people(folder / "probe", people=2, images=3)
    for path in probe.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b" ")
    shutil.copy(first, probe / "person01" / "copy.png")
    with tarfile.open(folder / "shards.tar", "w") as archive:
        for number, path in enumerate(sorted(photos.rglob("*.png"))):
            archive.add(path, f"{number:04d}.png")
    return folder


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(place)
    yield place
    shutil.rmtree(place / "runs", ignore_errors=True)


REFUSED = {
    "no photos": (("empty", *SIMCLR), "empty: found no photo"),
    "no folder": (("nowhere", *SIMCLR), "nowhere: no such file or folder"),
    "one photo": (("one", *SIMCLR), "found 1 photo, nothing to compare it with"),
    "no photo among the files": (("text", *SIMCLR), "text, not an image"),
    "a list of nothing": (("empty.txt", *SIMCLR), "names no photo; give one path a line"),
    "a list of what is gone": (("gone.txt", *SIMCLR), "gone.txt:1: no such photo"),
    "a batch of one": (
        ("photos", "--method", "simclr", "--batch-size", 1), "batches.size is 1, not at least 2",
    ),
    "a batch too small for the method": (
        ("photos", "--method", "vicreg", "--batch-size", 2, *NARROW), "vicreg needs at least 4",
    ),
    "a batch larger than the photos": (
        ("photos", "--method", "simclr", "--batch-size", 64, *NARROW), "do not fill a batch of 64",
    ),
    "a batch norm with one image": (
        ("photos", "--method", "moco", "--batch-size", 4, "--set", "method.queue=8",
         "--set", "compute.gradient_cache=1", *NARROW),
        "some images are embedded one at a time",
    ),
    "a batch norm with one image left over": (
        ("photos", "--method", "moco", "--batch-size", 7, "--set", "method.queue=8",
         "--set", "compute.gradient_cache=3", *NARROW),
        "some images are embedded one at a time",
    ),
    "a queue longer than the data": (
        ("photos", "--method", "moco", "--batch-size", 8, *NARROW),
        "method.queue is 4096, not in 1 to the number of photos, 35",
    ),
    "more prototypes than photos": (
        ("photos", "--method", "swav", "--batch-size", 8, *NARROW),
        "method.prototypes is 300, not at most the number of photos, 35",
    ),
    "a column of names": (
        ("photos", *SIMCLR, "--set", "data.column=age"), "data.column is about people",
    ),
    "a sampler of people": (
        ("photos", *SIMCLR, "--set", "batches.sampler=identities"), "batches.sampler is about peop",
    ),
    "a loss of people": (
        ("photos", *SIMCLR, "--set", "loss.margin=0.4"),
        "loss.margin: a method of pre-training has no loss of people",
    ),
    "two methods": (
        ("photos", *SIMCLR, "--set", "joined.name=byol"), "and this run has no loss",
    ),
    "a method that learns names": (
        ("photos", "--method", "soft-targets"), "learns people's names; use `faceverify train`",
    ),
    "a backbone without patches": (
        ("photos", "--method", "mae", "--backbone", "resnet18", "--batch-size", 8),
        "method mae masks patches, and this backbone has none; use --backbone vit",
    ),
    "a teacher of another alignment": (
        ("photos", "--method", "distil", "--teacher", "sface", "--batch-size", 8,
         "--set", "data.alignment=facenet-160"),
        "the teacher sface sees crops of another alignment than the student",
    ),
    "multi-crop with a gradient cache": (
        ("photos", "--method", "dino", "--batch-size", 8, "--set", "compute.gradient_cache=4"),
        "method dino has views of several sizes, parts of them",
    ),
    "a probe with photos of the training set": (
        ("photos", *SIMCLR, "--probe", "probe"), "shares photos with the training set: ",
    ),
    "the training set as a probe": (
        ("photos", *SIMCLR, "--probe", "photos"), "is the training set itself",
    ),
    "a stream that ends with an error": (("pipe:false", *SIMCLR), "the command ended with exit"),
    "a stream shorter than a batch": (
        ("pipe:cat shards.tar", "--method", "simclr", "--batch-size", 64, *NARROW),
        "40 photos do not fill a batch of 64",
    ),
    "tracks in a stream": (
        ("pipe:cat shards.tar", *SIMCLR, "--positives", "tracks"),
        "is a stream, which has no folders",
    ),
    "tracks in shards": (
        ("shards.tar", *SIMCLR, "--positives", "tracks"), "has no folders that could be tracks",
    ),
    "tracks without folders": (
        ("flat", "--method", "simclr", "--batch-size", 4, *NARROW, "--positives", "tracks"),
        "no folder in it has two photos",
    ),
    "tracks for a method of one view": (
        ("photos", "--method", "distil", "--batch-size", 8, "--positives", "tracks"),
        "method distil has no second view",
    ),
    "too few photos to be cut out": (
        ("photos", "--method", "simclr", "--batch-size", 64, *NARROW, "--align"),
        "40 photos do not fill a batch of 64",
    ),
    "photos in a list to be cut out": (
        ("gone.txt", *SIMCLR, "--align"), "--align cuts faces out of a folder of photos",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_it_is_one_line_before_the_work(run, here, case):
    arguments, words = REFUSED[case]
    ran = run("pretrain", *arguments, *SMALL, "--steps", 2, "--name", "refused")
    assert ran.status == 2, ran.err
    assert words in ran.err.splitlines()[-1]
    assert ran.err.count("faceverify: ") == 1
    assert ran.out == ""
    assert "step " not in ran.err
    assert not Path("runs").exists()


@pytest.mark.thorough
def test_a_stream_is_resumed_by_who_names_it_again(run, here):
    stream = "pipe:cat shards.tar"
    options = (*SIMCLR, *SMALL, "--set", "checkpoints.steps=1", "--name", "streamed")
    assert run("pretrain", stream, *options, "--steps", 2, "--quiet").status == 0
    resumed = ("--resume", "--name", "streamed", "--steps", 3)
    alone = run("pretrain", *resumed)
    assert alone.status == 2
    assert "data.source is a command in a file" in alone.err
    short = run("pretrain", "pipe:head -c 20000 shards.tar", *resumed)
    assert short.status == 2
    assert short.err.count("faceverify: ") == 1
    assert "head -c 20000" in short.err.splitlines()[-1]
    again = run("pretrain", stream, *resumed, "--json")
    assert again.status == 0, again.err
    assert again.objects[0]["step"] == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--weight", "0.5"), "--weight: of which method?; give --with METHOD as well"),
        (("--temperature", "2"), "--temperature: of which teacher?; give --teacher MODEL as well"),
        (("--with", "mae"), "method mae embeds parts of images"),
        (("--with", "simcrl"), "unknown method 'simcrl'; did you mean simclr?"),
        (("--with", "simclr", "--weight", "0"), "joined.weight is 0, not above 0"),
        (("--teacher", "nobody"), "'nobody': no such model"),
        (
            ("--teacher", "sface", "--loss", "triplet", "--set", "batches.images_per_identity=4"),
            "of classes, and this loss has none",
        ),
        (("--teacher", "sface", "--set", "data.alignment=facenet-160"), "of another alignment"),
        (("--set", "compute.accumulate=8"), "some images are embedded one at a time"),
        (("--set", "views.positives=tracks"), "method supervised has no second view"),
    ],
)
def test_what_cannot_be_joined_or_taught_is_one_line(run, here, options, words):
    ran = run("train", "photos", "--batch-size", 8, "--steps", 2, *NARROW, *SMALL, *options)
    assert ran.status == 2, ran.err
    assert words in ran.err.splitlines()[-1]
    assert ran.err.count("faceverify: ") == 1
    assert not Path("runs").exists()
