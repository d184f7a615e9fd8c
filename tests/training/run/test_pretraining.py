"""Runs without names: from photos to a model file; what chooses it; what is refused."""

import json
import shutil
import tarfile

import numpy as np
import pytest
import torch
from generated_people import TINY, tiny_config, write_people
from PIL import Image

from faceverify.errors import TrainingError
from faceverify.models.model_file import load_model_file
from faceverify.training.checkpoint.checkpoint import (
    Progress,
    best,
    checkpoints,
    latest,
    read_part,
)
from faceverify.training.metrics_log import read_metrics
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.held_out import held_out_of
from faceverify.training.run.selection import deciding
from faceverify.training.run.train import train_model

VARIED = {"least_area": 0.4, "colour": 0.5, "crop": 0.0}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photos at several depths, and some beside the folders."""
    folder = write_people(tmp_path_factory.mktemp("photos") / "all", people=6, images=8)
    shutil.copy(folder / "person00" / "0.png", folder / "alone.png")
    (folder / "person01").rename(folder / "person00" / "deeper")
    return folder


def config_of(photos, **changes):
    given = {
        "method": {"name": "simclr"},
        "augmentation": VARIED,
        "validation": {"times": 2},
        "budget": {"steps": 4},
    }
    return tiny_config(photos, **{**given, **changes})


@pytest.mark.thorough
def test_photos_without_names_become_a_model(photos, tmp_path):
    run, said = RunFolder(tmp_path / "run"), []
    trained = train_model(config_of(photos), run, say=said.append)
    assert said[:2] == ["6 of 49 photos held out to look at",
                        "43 photos; resnet18 and simclr on cpu (1 threads)"]  # fmt: skip
    assert "--probe FOLDER" in said[2]
    about = load_model_file(trained.model).provenance
    assert (about.head, about.dataset) == ("simclr", "all: 43 photos, without names")
    assert about.source.startswith("faceverify pretrain, step-0000000")
    assert trained.results == {}
    metrics = read_metrics(run.metrics)
    learned = [line for line in metrics if "loss" in line]
    judged = [line for line in metrics if "loss" not in line]
    assert all(0 < line["spread"] <= 1 <= line["effective_rank"] for line in learned)
    assert [set(line) for line in judged] == [
        {"step", "spread", "effective_rank", "alignment", "uniformity"}
    ] * 2
    assert best(run.checkpoints)[1] == max(line["effective_rank"] for line in judged)
    for name in ("spread", "effective_rank", "alignment", "uniformity"):
        assert (run.path / f"{name}.svg").is_file()
    card = load_model_file(trained.model).card
    assert "Method: simclr" in card


def test_it_goes_on_as_if_it_had_never_stopped(photos, tmp_path):
    config = config_of(photos, checkpoints={"steps": 1, "keep": 9})
    whole, parted = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parted")
    train_model(config, whole)
    shutil.copytree(whole.path, parted.path)
    for made in checkpoints(parted.checkpoints)[1:]:
        shutil.rmtree(made)
    (parted.checkpoints / "best.json").unlink(missing_ok=True)
    train_model(parted.read_config(), parted, resume=True)

    def without_clock(run):
        return [{key: one for key, one in line.items() if not key.startswith(("images", "sec"))}
                for line in read_metrics(run.metrics)]  # fmt: skip

    assert without_clock(parted) == without_clock(whole)
    assert load_model_file(parted.model).id == load_model_file(whole.model).id


@pytest.mark.thorough
def test_a_probe_chooses_the_checkpoint(photos, tmp_path):
    probe = write_people(tmp_path / "probe", people=4, images=6)
    for index, path in enumerate(sorted(probe.rglob("*.png"))):  # others than those learned from
        path.write_bytes(path.read_bytes() + bytes([index]))
    run = RunFolder(tmp_path / "run")
    trained = train_model(
        config_of(photos, validation={"times": 3, "probe": str(probe)}, budget={"steps": 6}), run
    )
    judged = [line for line in read_metrics(run.metrics) if "loss" not in line]
    # a method may end below random weights: they are judged, too
    assert [line["step"] for line in judged] == [0, 2, 4, 6]
    assert all({"nearest", "accuracy", "spread", "alignment"} <= set(line) for line in judged)
    assert best(run.checkpoints)[1] == max(line["accuracy"] for line in judged[1:])
    assert set(trained.results) >= {"accuracy"}
    assert (run.path / "nearest.svg").is_file()


def test_a_run_that_loses_what_random_weights_know_says_so(photos, tmp_path):
    """Its weights decay to nothing: all people are one."""
    probe = write_people(tmp_path / "probe", people=4, images=6)
    for index, path in enumerate(sorted(probe.rglob("*.png"))):  # others than those learned from
        path.write_bytes(path.read_bytes() + bytes([index]))
    said = []
    train_model(
        config_of(
            photos,
            validation={"times": 1, "probe": str(probe)},
            optimiser={"name": "sgd", "learning_rate": 1.0, "weight_decay": 1.0, "clip_norm": 1e-9},
            schedule={"warm_up": 0.0},
            budget={"steps": 1},
        ),
        RunFolder(tmp_path / "run"),
        say=said.append,
    )
    (note,) = [line for line in said if "the weights it began with" in line]
    assert note.endswith(
        "nothing was gained; without names some methods need many more steps than others"
    )


@pytest.mark.thorough(but=("body",))
@pytest.mark.parametrize("kept", ["whole", "body"])
def test_train_goes_on_from_it(photos, tmp_path, kept):
    pre = RunFolder(tmp_path / "pre")
    train_model(config_of(photos, validation={"times": 0}), pre)
    people = write_people(tmp_path / "people")
    run = RunFolder(tmp_path / "run")
    start = {"init": str(pre.path), "kept": kept}
    held_out = {"times": 1, "held_out": 0.4}
    config = tiny_config(
        people, seed=5, backbone=start, budget={"steps": 1}, optimiser={"learning_rate": 1e-12},
        validation=held_out,
    )  # fmt: skip
    train_model(config, run)
    baseline = read_metrics(run.metrics)[0]["step"] == 0  # first weights that are worth judging
    assert baseline == (kept == "whole")
    first, second = (read_part(latest(one.checkpoints), "backbone") for one in (pre, run))
    for name, value in first.items():
        if name.startswith("neck.") and kept == "body":
            assert name != "neck.projection.weight" or (second[name] - value).abs().mean() > 0.01
        elif value.is_floating_point() and "running" not in name:
            torch.testing.assert_close(second[name], value)
    assert not any("projector" in name for name in second)
    assert "simclr" not in load_model_file(run.model).provenance.head
    assert "model " in load_model_file(run.model).provenance.source


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batches": {"size": 64}}, "43 photos do not fill a batch of 64: .* use --batch-size 42"),
        ({"compute": {"accumulate": 2}}, "compute.accumulate splits a batch, whose images method"),
        (
            {"method": {"name": "dino"}, "compute": {"gradient_cache": 4}},
            "method dino has views of several sizes",
        ),
        (
            {"method": {"name": "barlow"}, "batches": {"size": 2}},
            "batches.size is 2, and method barlow needs at least 4",
        ),
        (
            {"method": {"name": "moco"}},
            "method.queue is 4096, not in 1 to the number of photos, 43",
        ),
        ({"data": {"column": "age"}}, "data.column is about people, and method simclr learns"),
        ({"batches": {"sampler": "identities"}}, "batches.sampler is about people"),
        ({"data": {"source": ""}}, "no photos to learn from"),
        ({"method": {"name": "mae"}}, "masks patches, and this backbone has none"),
        (
            {"method": {"name": "context"}, "backbone": {"name": "vit", "patch": 16, "stem": None}},
            "method context has tiles of 6 pixels, and this backbone does not embed them; use --ba",
        ),
        ({"method": {"name": "inpaint", "masked": 1.0}}, r"method.masked is 1.0, not above 0 and"),
        ({"method": {"name": "densecl"}}, "queue is 4096, not in 1 to the number of photos, 43"),
        (
            {"method": {"name": "densecl", "queue": 8}},
            "at 32 pixels that of this backbone has one; use --set backbone.stem=face",
        ),
        (
            {"method": {"name": "densecl", "queue": 8}, "backbone": {"name": "lab:resnet18"}},
            "compares places of a feature map, and this backbone gives none; use --backbone",
        ),
        (
            {"method": {"name": "densecl"}, "compute": {"gradient_cache": 4}},
            "method densecl has views of several sizes, parts of them or their feature maps",
        ),
        ({"method": {"name": "cmc"}}, "an encoder of luminance .* use --backbone lab:resnet18"),
        (
            {"method": {"name": "cmc"}, "augmentation": {"grey": 1.0}},
            "augmentation.grey is 1: every view is grey, and method cmc learns from colour",
        ),
        ({"method": {"name": "cpc"}}, "method.last is 3, not in .* to below the 1 rows of patches"),
        (
            {
                "method": {"name": "cpc", "patch": 8, "stride": 4},
                "backbone": {"name": "vit", "patch": 16, "stem": None},
            },
            "method cpc has patches of 8 pixels, and this backbone does not embed them",
        ),
        (
            {"method": {"name": "instdisc"}, "data": {"source": "pipe:cat nowhere/0.tar"}},
            "method instdisc remembers each photo by its place in the set, and .* is a stream",
        ),
        ({"method": {"name": "distil"}}, "method distil learns from a model; give --teacher"),
        ({"method": {"name": "simclr", "temperature": 0.0}}, "method.temperature is 0.0, not"),
        ({"method": {"name": "simclr", "temperature": "hot"}}, "of simclr is 'hot', not a number"),
        (
            {"augmentation": {"least_area": 0.5, "most_area": 0.4}},
            "augmentation.least_area is 0.5, above augmentation.most_area, 0.4",
        ),
    ],
)  # fmt: skip
def test_what_a_method_cannot_use_is_one_line_before_the_work(photos, tmp_path, changes, words):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(TrainingError, match=words) as found:
        train_model(config_of(photos, **changes), run)
    assert len(str(found.value).splitlines()) == 1
    assert not run.path.exists()


def grey_copies(photos, folder, every=1):
    """Copies of photos, of which each so many is grey."""
    folder.mkdir(parents=True)
    for number, path in enumerate(sorted(photos.rglob("*.png"))):
        with Image.open(path) as image:
            (image if number % every else image.convert("L")).save(folder / f"{number:02d}.png")
    return folder


@pytest.mark.thorough
def test_grey_photos_are_refused_where_colour_is_learned_from(photos, tmp_path):
    given = {
        "method": {"name": "cmc"},
        "backbone": TINY["backbone"] | {"name": "lab:resnet18"},
        "budget": {"steps": 1},
    }
    grey = grey_copies(photos, tmp_path / "grey")
    run = RunFolder(tmp_path / "run")
    with pytest.raises(TrainingError, match="the 49 photos looked at are grey, and method cmc"):
        train_model(config_of(grey, **given), run)
    people = tmp_path / "people"
    for person in "ab":
        grey_copies(photos, people / person)
    joined = tiny_config(people, joined={"name": "cmc"}, backbone=given["backbone"])
    with pytest.raises(TrainingError, match="looked at are grey, and method cmc learns"):
        train_model(joined, run)
    assert not run.path.exists()
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for path in sorted(grey.iterdir()):
            archive.add(path, path.name)
    with pytest.raises(TrainingError, match=r"0\.tar: the 49 photos looked at are grey"):
        train_model(config_of(f"pipe:cat {tmp_path}/0.tar", **given), run)
    said = []
    some = grey_copies(photos, tmp_path / "some", every=7)
    trained = train_model(config_of(some, **given), run, say=said.append)
    assert "7 of 49 photos looked at are grey: method cmc learns nothing of such" in said
    assert trained.model.is_file()


def test_the_memory_bank_is_as_long_as_what_is_learned_from(photos, tmp_path):
    run = RunFolder(tmp_path / "run")
    train_model(config_of(photos, method={"name": "instdisc", "noise": 64}), run)
    stored = read_part(latest(run.checkpoints), "method")
    assert stored["bank.rows"].shape == (43, 16)
    assert stored["log_partition"] != 0


def test_one_photo_is_refused(photos, tmp_path):
    (tmp_path / "one").mkdir()
    shutil.copy(photos / "alone.png", tmp_path / "one")
    with pytest.raises(TrainingError, match="found 1 photo, nothing to compare it with"):
        train_model(config_of(tmp_path / "one"), RunFolder(tmp_path / "run"))


def test_small_views_need_a_backbone_for_any_size(photos, tmp_path):
    patches = {"name": "vit", "patch": 32, "stem": None, "width": 24}
    config = config_of(photos, method={"name": "dino"}, backbone=patches)
    with pytest.raises(TrainingError, match=r"views of 16 pixels .* or --set views\.local=0"):
        train_model(config, RunFolder(tmp_path / "run"))


def test_a_probe_that_shares_photos_is_refused(photos, tmp_path):
    probe = write_people(tmp_path / "probe", people=2, images=3)
    for path in probe.rglob("*.png"):
        path.write_bytes(path.read_bytes() + b"x")
    shutil.copy(photos / "person03" / "2.png", probe / "person01" / "copy.png")
    config = config_of(photos, validation={"times": 2, "probe": str(probe)})
    with pytest.raises(TrainingError, match=r"shares photos .*copy\.png is .*person03.*2\.png"):
        train_model(config, RunFolder(tmp_path / "run"))
    config = config_of(photos, validation={"times": 2, "probe": f"{photos}/."})
    with pytest.raises(TrainingError, match="is the training set itself"):
        train_model(config, RunFolder(tmp_path / "run"))


def test_how_many_photos_are_held_out():
    assert [len(held_out_of(count, 0.1, 0)) for count in (2, 15, 16, 100, 1000, 9000)] == [
        0, 2, 2, 12, 100, 256]  # fmt: skip
    assert len(held_out_of(500, 0.0, 0)) == 0
    assert np.array_equal(held_out_of(500, 0.1, 3), held_out_of(500, 0.1, 3))


def test_the_rank_chooses_in_the_second_half(photos, tmp_path):
    """That of random weights is higher than any later one, and so not asked for."""
    early, late = Progress(step=4, steps=10), Progress(step=5, steps=10)
    assert deciding({"effective_rank": 90.0}, early) is None
    assert deciding({"effective_rank": 20.0}, late) == 20.0
    assert deciding({"effective_rank": 20.0, "accuracy": 0.7}, early) == 0.7
    assert deciding({}, late) is None
    found = {"caption_accuracy": 0.4, "effective_rank": 20.0}
    assert deciding(found, early) == deciding(found, late) == 0.4
    assert deciding({**found, "accuracy": 0.7}, late) == 0.7
    run = RunFolder(tmp_path / "run")
    train_model(config_of(photos, validation={"times": 4}, checkpoints={"keep": 1}), run)
    judged = [line for line in read_metrics(run.metrics) if "loss" not in line]
    assert [line["step"] for line in judged] == [1, 2, 3, 4]
    top = max(judged[1:], key=lambda line: (line["effective_rank"], line["step"]))
    assert best(run.checkpoints)[0].name == f"step-{top['step']:08d}"
    assert json.loads((run.checkpoints / "best.json").read_text())["figure"] == pytest.approx(
        top["effective_rank"]
    )


@pytest.mark.thorough
def test_photos_that_cannot_be_read_are_left_out(photos, tmp_path):
    broken = shutil.copytree(photos, tmp_path / "broken")
    files = sorted(broken.rglob("*.png"))
    aside = held_out_of(len(files), 0.1, 0)
    learned = np.setdiff1d(np.arange(len(files)), aside)
    for index in (aside[0], learned[0]):
        files[index].write_bytes(files[index].read_bytes()[:100])
    said = []
    trained = train_model(config_of(broken), RunFolder(tmp_path / "run"), say=said.append)
    assert trained.model.is_file()
    left = [line for line in said if line.startswith("left out: ")]
    assert {str(files[index]) in line for line in left for index in (aside[0], learned[0])} == {
        True, False}  # fmt: skip
    assert len(left) == 2


def test_a_probe_of_nobody_to_tell_apart_is_refused(photos, tmp_path):
    for people, images in ((1, 4), (3, 1)):
        probe = write_people(tmp_path / f"{people}", people=people, images=images)
        config = config_of(photos, validation={"times": 1, "probe": str(probe)})
        words = f"found {people} people, and at most {images} photos of one; name a folder of two"
        with pytest.raises(TrainingError, match=words):
            train_model(config, RunFolder(tmp_path / "run"))


def test_a_stream_of_shards_needs_no_labels(photos, tmp_path):
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for number, path in enumerate(sorted(photos.rglob("*.png"))):
            archive.add(path, f"{number:04d}.png")
    source = f"pipe:cat {tmp_path}/0.tar"
    run, said = RunFolder(tmp_path / "run"), []
    trained = train_model(config_of(source), run, say=said.append)
    assert trained.model.is_file()
    assert said[0].startswith("no photo can be held out of a stream")
    assert said[1] == "49 photos; resnet18 and simclr on cpu (1 threads)"
    learned = read_metrics(run.metrics)
    assert [line["step"] for line in learned] == [1, 2, 3, 4]
    assert all(line["spread"] > 0.1 for line in learned)
    assert run.read_config().data.stream_images == 49
    with pytest.raises(TrainingError, match="49 photos do not fill a batch of 64"):
        train_model(config_of(source, batches={"size": 64}), RunFolder(tmp_path / "other"))
