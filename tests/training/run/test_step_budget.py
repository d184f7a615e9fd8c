"""A rehearsal takes a tenth of the time, however slow the machine, and finds how slow it is."""

import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from generated_people import tiny_config, write_people  # noqa: E402

from faceverify.errors import TrainingError  # noqa: E402
from faceverify.runtime.progress import no_progress  # noqa: E402
from faceverify.training.config.schema import Validation  # noqa: E402
from faceverify.training.data.views import ONE_VIEW  # noqa: E402
from faceverify.training.distributed.processes import Processes  # noqa: E402
from faceverify.training.metrics_log import read_metrics  # noqa: E402
from faceverify.training.run.contract import contract_of  # noqa: E402
from faceverify.training.run.folder import RunFolder  # noqa: E402
from faceverify.training.run.step_budget import measured_plan, time_of  # noqa: E402
from faceverify.training.run.train import train_model  # noqa: E402
from faceverify.training.run.training_set import open_training_set  # noqa: E402
from faceverify.training.train_state import build_train_state  # noqa: E402

ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("people"))


def rehearse(people, *, seconds, an_image, a_crop, crops=100, **changes):
    """The plan of a run whose network sleeps for each image, and how many it was shown."""
    config = tiny_config(people, **changes)
    source = open_training_set(
        config, contract_of(config.backbone, config.data), ALONE,
        views=ONE_VIEW, show_progress=no_progress, warn=print, say=print,
    ).source  # fmt: skip
    state = build_train_state(
        config,
        contract=contract_of(config.backbone, config.data),
        classes=source.num_identities,
        images=source.images,
        processes=ALONE,
    )
    shown = {"images": 0, "crops": 0}

    def sleep(kind, each, images):
        shown[kind] += len(images)
        time.sleep(each * len(images))

    state.backbone.register_forward_pre_hook(lambda _, images: sleep("images", an_image, *images))
    plan = measured_plan(
        seconds,
        state,
        config,
        source,
        people=0,
        processes=ALONE,
        embed=lambda _, some: sleep("crops", a_crop, some),
        crops=np.zeros((crops, 32, 32, 3), np.uint8) if crops else None,
        first_weights=False,
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


@pytest.mark.thorough
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


@pytest.mark.parametrize(("batch", "room"), [(1000, 0.3), (10, 0.1), (1000, 0.0), (1, 0.1)])
def test_as_much_of_a_batch_as_there_is_room_for(batch, room):
    counts = []

    def work(count):
        counts.append(count)
        time.sleep(0.001 * count)

    found = time_of(work, batch, room)
    assert found.likely >= 0.001 * batch
    assert 0.001 * counts[-1] <= found.least <= found.likely
    assert sum(counts) * 0.001 <= max(room, 0.001 * (2 + max(batch / 8, 2)))
    assert counts[0] == min(2, batch)
    assert max(counts) <= batch
    assert batch < 1000 or max(counts) >= 125


def test_minutes_become_steps_and_validations(people, tmp_path):
    run, said = RunFolder(tmp_path / "run"), []
    judged = {"times": -1, "held_out": 0.4}
    config = tiny_config(people, budget={"steps": None, "minutes": 0.03}, validation=judged)
    trained = train_model(config, run, say=said.append)
    kept = run.read_config()
    assert kept.budget.steps == trained.steps == trained.step
    assert kept.budget.minutes is None
    validations = sum("accuracy" in line for line in read_metrics(run.metrics))
    assert kept.validation.times == validations
    assert 1 <= validations <= 10
    assert any(line.startswith(f"{trained.steps:,} step") for line in said)


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
