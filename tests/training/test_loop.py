"""The loop: it learns, stops with a reason, and goes on bit for bit as if never stopped."""

import json
import signal
from pathlib import Path

import pytest
import torch
from generated_people import tiny_config, write_people
from run_log import lines

from faceverify.errors import TrainingError
from faceverify.training.checkpoint.checkpoint import (
    Progress,
    best,
    checkpoints,
    latest,
    load_progress,
    mark_best,
    read_part,
    stored_tensors,
)
from faceverify.training.config.schema import Config
from faceverify.training.loop import evenly_spaced, seed_of_step
from faceverify.training.metrics_log import read_metrics
from faceverify.training.run.finish import nothing_gained
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model
from faceverify.training.stopping import StopRequest


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


def weights_of(run: RunFolder) -> dict[str, torch.Tensor]:
    """All tensors of the last checkpoint."""
    last = latest(run.checkpoints)
    found = {}
    for part in sorted({name.partition(".")[0] for name in stored_tensors(last)} - {"loss_sum"}):
        found |= {f"{part}.{k}": v for k, v in read_part(last, part).items()}
    return found


CASES = {
    "averaged": {
        "average": {"decay": 0.9},
        "augmentation": {"crop": 0.8, "colour": 0.8, "occlusion": 0.5},
        "backbone": {"dropout": 0.3},
    },
    "accumulated": {
        "compute": {"accumulate": 2},
        "optimiser": {"name": "adamw", "learning_rate": 1e-3},
        "log": {"steps": 4},
    },
    "sampled": {"loss": {"sample": 0.9, "warm_up": 0.5}, "schedule": {"name": "polynomial"}},
    "triplet": {
        "loss": {"name": "triplet"},
        "batches": {"sampler": "identities", "images_per_identity": 4},
        "compute": {"gradient_cache": 6},
        "backbone": {"dropout": 0.2},
    },
    "center": {"loss": {"name": "center", "weight": 0.1}, "compute": {"precision": "bfloat16"}},
    "magnet": {
        "loss": {"name": "magnet"},
        "batches": {"sampler": "identities", "images_per_identity": 4},
    },
}

QUICK = ("averaged", "triplet")


PARTED = {"checkpoints": {"steps": 5}, "budget": {"steps": 8}}  # in the middle of an epoch


def goes_on_exactly(config: Config, folder: Path) -> RunFolder:
    """Train twice, once stopped after step 5; returns the run that never was."""
    whole, parted = RunFolder(folder / "whole"), RunFolder(folder / "parted")
    train_model(config, whole)
    train_model(config, parted)
    last = latest(parted.checkpoints)
    assert load_progress(last).step == 8
    for path in last.iterdir():  # as kill -9 in the middle of the run would have left it
        path.unlink()
    last.rmdir()
    assert load_progress(latest(parted.checkpoints)).batch in (1, 2)
    train_model(parted.read_config(), parted, resume=True)
    assert lines(parted) == lines(whole)
    first, second = weights_of(whole), weights_of(parted)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    return whole


@pytest.mark.thorough(but=("averaged",))
@pytest.mark.parametrize(
    "case", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in CASES]
)
def test_a_run_that_goes_on_is_the_run_that_never_stopped(people, tmp_path, case):
    goes_on_exactly(tiny_config(people, **CASES[case], **PARTED), tmp_path)


@pytest.mark.thorough
def test_it_goes_on_exactly_with_a_share_of_the_weights_it_began_with(people, tmp_path):
    first = train_model(tiny_config(people, budget={"steps": 1}), RunFolder(tmp_path / "first"))
    start = {"backbone": {"init": str(first.model)}, "average": {"decay": 0.5, "initial": 0.75}}
    whole = goes_on_exactly(tiny_config(people, **start, **PARTED), tmp_path)
    kept = tiny_config(people, **start | {"average": {"initial": 0.75}}, budget={"steps": 3})
    train_model(kept, run := RunFolder(tmp_path / "kept"))
    began = read_part(latest(RunFolder(tmp_path / "first").checkpoints), "backbone")
    trained, mixed = (read_part(latest(run.checkpoints), one) for one in ("backbone", "average"))
    name = next(iter(trained))
    assert not torch.equal(trained[name], began[name])
    torch.testing.assert_close(mixed[name], 0.75 * began[name] + 0.25 * trained[name])
    assert not torch.equal(read_part(latest(whole.checkpoints), "average")[name], mixed[name])


def test_the_loss_falls(people, tmp_path):
    config = tiny_config(people, budget={"epochs": 8}, log={"steps": 8})
    train_model(config, RunFolder(tmp_path / "run"))
    losses = [line[2] for line in lines(RunFolder(tmp_path / "run"))]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.thorough
def test_a_signal_finishes_the_step_saves_and_the_run_goes_on(people, tmp_path, signals):
    config = tiny_config(people, budget={"steps": 20})
    run, whole = RunFolder(tmp_path / "run"), RunFolder(tmp_path / "whole")

    def stop_after_a_while(items, _label, _total):
        raise AssertionError  # there is nothing to show: no cache

    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
    started = False

    def say(line):
        nonlocal started
        if "images of" in line and not started:
            started = True
            signal.setitimer(signal.ITIMER_REAL, 0.05)

    trained = train_model(config, run, say=say, show_progress=stop_after_a_while)
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert trained.stopped_by == signal.SIGTERM
    assert 0 < trained.step < 20
    assert trained.model is None
    assert load_progress(latest(run.checkpoints)).step == trained.step
    finished = train_model(run.read_config(), run, resume=True)
    assert finished.model.is_file()
    train_model(config, whole)
    assert lines(run) == lines(whole)


def test_a_loss_that_leads_nowhere_stops_and_the_last_checkpoint_stays_good(people, tmp_path):
    run = RunFolder(tmp_path / "run")
    wild = {"learning_rate": 1e30, "clip_norm": 0.0}
    config = tiny_config(
        people,
        loss={"name": "softmax"},
        optimiser=wild,
        schedule={"name": "step", "warm_up": 0.0, "milestones": [0.5], "factor": 1.0},
        checkpoints={"steps": 1},
    )
    with pytest.raises(TrainingError) as stopped:
        train_model(config, run)
    assert stopped.value.code == "training-diverged"
    assert "--learning-rate than 1e+30" in str(stopped.value)
    assert "compute.precision=float32" in str(stopped.value)
    good = latest(run.checkpoints)
    if good is not None:
        assert all(torch.isfinite(one).all() for one in read_part(good, "backbone").values())


def test_parts_of_a_batch_give_its_gradient(people, tmp_path):
    """Without batch statistics the parts add up to the whole: a vision transformer has none."""
    losses = {}
    for parts in (1, 4):
        run = RunFolder(tmp_path / str(parts))
        config = tiny_config(
            people,
            backbone={
                "name": "vit",
                "patch": 8,
                "width": 16,
                "depth": 1,
                "heads": 2,
                "embedding_size": 16,
            },
            batches={"size": 4},
            compute={"accumulate": parts},
            optimiser={"learning_rate": 0.01},
            budget={"steps": 2},
        )
        train_model(config, run)
        losses[parts] = [line[2] for line in lines(run)]
    assert losses[4] == pytest.approx(losses[1], rel=1e-4)


def test_steps_are_drawn_for_each_by_itself():
    seeds = {seed_of_step(s, step, rank) for s in (0, 1) for step in range(99) for rank in range(4)}
    assert len(seeds) == 2 * 99 * 4
    assert evenly_spaced(10, 4) == {2, 5, 8, 10}
    assert evenly_spaced(3, 10) == {1, 2, 3}
    assert evenly_spaced(5, 0) == set()


def test_what_cannot_go_on_is_said_before_it_begins(people, tmp_path):
    run = RunFolder(tmp_path / "run")
    with pytest.raises(TrainingError, match="no run to resume"):
        run.read_config()
    config = tiny_config(people)
    train_model(config, run)
    with pytest.raises(TrainingError, match="has begun; go on with --resume"):
        train_model(config, run)
    other = tiny_config(people, backbone={"embedding_size": 8}, budget={"steps": 9})
    with pytest.raises(TrainingError, match="of another backbone or loss"):
        train_model(other, run, resume=True)


@pytest.mark.slow
def test_lines_of_steps_that_come_again_are_dropped(people, tmp_path):
    run = RunFolder(tmp_path / "run")
    train_model(tiny_config(people, checkpoints={"steps": 2, "keep": 5}), run)
    whole = lines(run)
    for path in checkpoints(run.checkpoints)[1:]:
        for one in path.iterdir():
            one.unlink()
        path.rmdir()
    with run.metrics.open("a") as stream:
        stream.write('{"step": 7, "lo')  # a line that was never finished
    train_model(run.read_config(), run, resume=True)
    assert lines(run) == whole
    assert all(json.loads(line) for line in run.metrics.read_text().splitlines())


def test_the_position_is_that_of_the_data(people, tmp_path):
    run = RunFolder(tmp_path / "run")
    train_model(tiny_config(people, budget={"steps": 5}), run)
    found = load_progress(latest(run.checkpoints))
    assert found == Progress(5, 5, 1, 2, 80, found.seconds)
    assert found.seconds > 0
    assert StopRequest().signal == 0


@pytest.mark.thorough
def test_weights_that_were_better_before_are_told(people, tmp_path):
    judged = {"validation": {"times": 1, "held_out": 0.4}}
    first = train_model(tiny_config(people, **judged), RunFolder(tmp_path / "first"))
    run = RunFolder(tmp_path / "second")
    said = []
    start = {"backbone": {"init": str(first.model)}, "optimiser": {"learning_rate": 1e-9}}
    train_model(tiny_config(people, **judged, **start), run, say=said.append)
    assert [one["step"] for one in read_metrics(run.metrics) if "accuracy" in one] == [0, 6]
    assert not any("nothing was gained" in line for line in said)
    last = latest(run.checkpoints)
    mark_best(run.checkpoints, last, 0.9)  # such people are told apart by any weights
    assert nothing_gained(read_metrics(run.metrics), best(run.checkpoints), named=True) == [
        "the weights it began with verified 100.00 %, its best ones 90.00 %: on these pairs "
        "nothing was gained"
    ]
    mark_best(run.checkpoints, last, 1.0)
    assert nothing_gained(read_metrics(run.metrics), best(run.checkpoints), named=True) == []
