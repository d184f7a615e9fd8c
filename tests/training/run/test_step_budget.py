"""A rehearsal takes a tenth of the time, however slow the machine, and finds how slow it is."""

import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from generated_people import tiny_config, write_people  # noqa: E402

from faceverify.errors import TrainingError  # noqa: E402
from faceverify.training.config.schema import Validation  # noqa: E402
from faceverify.training.data.views import ONE_VIEW  # noqa: E402
from faceverify.training.distributed.processes import Processes  # noqa: E402
from faceverify.training.metrics_log import read_metrics  # noqa: E402
from faceverify.training.run.folder import RunFolder  # noqa: E402
from faceverify.training.run.step_budget import rehearsed_plan, seconds_of  # noqa: E402
from faceverify.training.run.train import contract_of, train_model  # noqa: E402
from faceverify.training.run.training_set import learning_set_of  # noqa: E402
from faceverify.training.train_state import build_parts  # noqa: E402

ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("people"))


def rehearse(people, *, seconds, an_image, a_crop, crops=100, **changes):
    """The plan of a run whose network sleeps for each image, and how many it was shown."""
    config = tiny_config(people, **changes)
    source = learning_set_of(
        config, contract_of(config.backbone, config.data), ALONE,
        views=ONE_VIEW, progress=lambda items, _label, _total: iter(items), warn=print,
    ).learned  # fmt: skip
    parts = build_parts(
        config, embedding_size=16, input_size=32, classes=source.people, processes=ALONE
    )
    shown = {"images": 0, "crops": 0}

    def sleep(kind, each, images):
        shown[kind] += len(images)
        time.sleep(each * len(images))

    parts.backbone.register_forward_pre_hook(lambda _, images: sleep("images", an_image, *images))
    plan = rehearsed_plan(
        seconds,
        parts,
        config,
        source,
        people=0,
        processes=ALONE,
        embed=lambda _, some: sleep("crops", a_crop, some),
        crops=np.zeros((crops, 32, 32, 3), np.uint8) if crops else None,
    )
    return plan, shown["images"], shown["crops"]


def test_steps_and_validations_that_take_longer_than_a_tenth_are_rehearsed_by_parts(people):
    """A step of 16 images takes 4.8 s, a validation of 100 crops 10 s: 30 s hold 4 and 1."""
    plan, images, crops = rehearse(
        people, seconds=30, an_image=0.3, a_crop=0.1, validation={"times": -1}
    )
    assert images * 0.3 <= 1.5
    assert crops * 0.1 <= 1.5
    assert plan.validations == 1
    assert 1 <= plan.steps <= 4


def test_where_there_is_time_whole_steps_are_rehearsed(people):
    plan, images, crops = rehearse(
        people, seconds=600, an_image=0.002, a_crop=0.0001, validation={"times": 4}
    )
    assert images >= 16 * 13
    assert crops >= 100
    assert plan.validations == 4
    assert 600 < plan.steps < 600 / (16 * 0.002)


def test_gradient_caching_counts_twice(people):
    """Its batches are embedded twice, and never held at once."""
    plan, images, _ = rehearse(
        people, seconds=20, an_image=0.2, a_crop=0, crops=0, compute={"gradient_cache": 4}
    )
    assert images == 2 * 4  # two images, twice, embedded twice
    assert plan.validations == 0
    assert 1 <= plan.steps <= 20 / (16 * 2 * 0.2)


@pytest.mark.parametrize(("total", "room"), [(1000, 0.1), (10, 0.1), (1000, 0.0), (1, 0.1)])
def test_as_many_as_there_is_room_for(total, room):
    counts = []

    def work(count):
        counts.append(count)
        time.sleep(0.001 * count)

    found = seconds_of(work, total, room)
    assert found >= 0.001 * total
    assert sum(counts) * 0.001 <= max(room, 0.01)
    assert counts[0] == min(2, total)
    assert max(counts) <= total


def test_minutes_become_steps_and_validations(people, tmp_path):
    run, said = RunFolder(tmp_path / "run"), []
    judged = {"times": -1, "held_out": 0.4}
    config = tiny_config(people, budget={"steps": None, "minutes": 0.1}, validation=judged)
    trained = train_model(config, run, say=said.append)
    kept = run.read_config()
    assert kept.budget.steps == trained.steps == trained.step
    assert kept.budget.minutes is None
    validations = sum("accuracy" in line for line in read_metrics(run.metrics))
    assert kept.validation.times == validations
    assert 1 <= validations <= 10
    assert any(line.startswith(f"{trained.steps:,} steps and {validations}") for line in said)


def test_minutes_that_hold_nothing_are_refused(people, tmp_path):
    config = tiny_config(people, budget={"steps": None, "minutes": 1e-4})
    with pytest.raises(TrainingError, match="too few minutes: 0 s are left"):
        train_model(config, RunFolder(tmp_path / "run"))


def test_a_run_of_steps_validates_by_itself(people, tmp_path):
    """Ten times, where it has as many steps."""
    assert Validation().number == 10
    run = RunFolder(tmp_path / "run")
    judged = {"times": Validation().times, "held_out": 0.4}
    train_model(tiny_config(people, budget={"steps": 2}, validation=judged), run)
    assert sum("accuracy" in line for line in read_metrics(run.metrics)) == 2
