"""Several processes: one loss curve, one checkpoint, and a clear end when one of them dies."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from default_signals import with_signals
from generated_people import TINY, tiny_config, write_people
from launched_processes import become_process, free_port
from run_log import losses
from torch import multiprocessing

from faceverify.errors import FaceverifyError, TrainingError
from faceverify.training.checkpoint.checkpoint import latest, load_progress, stored_tensors
from faceverify.training.config.files import overridden, to_toml
from faceverify.training.distributed.processes import find_device, join_processes
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.held_out import open_and_hold_out
from faceverify.training.run.train import train_model

# No batch statistics in it: each process would have its own.
SAME_ALONE = {
    "backbone": {"name": "resnet29", "embedding_size": 128},
    "batches": {"size": 4},
    "optimiser": {"learning_rate": 0.001},
    "schedule": {"name": "constant", "warm_up": 0.0},
    "checkpoints": {"steps": 2},
    "budget": {"steps": 3},
    "validation": {"times": 0},
}


def start(processes: int, recipe: Path, out: Path, *more: str, port: int) -> subprocess.Popen:
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {
        **os.environ,
        "PYTHONPATH": paths,
        "OMP_NUM_THREADS": "1",
        "FACEVERIFY_CACHE": str(out / "cache"),
    }
    command = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *("--nproc-per-node", str(processes), "--master-port", str(port)),
        *("-m", "faceverify", "train", "--name", "run", "--out", str(out)),
        *(() if "--resume" in more else ("--recipe", str(recipe))),
        *more,
    ]
    return subprocess.Popen(
        with_signals(command),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def write_recipe(folder: Path, source: Path, **changes) -> Path:
    values = overridden(overridden(TINY, SAME_ALONE), {"data": {"source": str(source)}})
    recipe = folder / "recipe.toml"
    recipe.write_text(to_toml(overridden(values, changes)))
    return recipe


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> Path:
    return write_people(tmp_path_factory.mktemp("people"))


def as_torchrun_would(rank: int, world: int, port: int, people: Path, folder: Path) -> None:
    """One process of several, forked."""
    become_process(rank, world, port)
    said: list[str] = []
    train_model(tiny_config(people, **SAME_ALONE), RunFolder(folder / "run"), say=said.append)
    assert bool(said) == (rank == 0)  # only the first process speaks


def check_against_one(people: Path, folder: Path) -> None:
    """The losses are those of one process, and one process goes on with them."""
    longer = tiny_config(people, **overridden(SAME_ALONE, {"budget": {"steps": 4}}))
    alone, run = RunFolder(folder / "alone"), RunFolder(folder / "run")
    train_model(longer, alone)
    assert losses(run) == pytest.approx(losses(alone)[:3], rel=1e-4)
    # the centres were cut over the processes; one alone takes all of them
    assert stored_tensors(latest(run.checkpoints))["method.loss.softmax.centres"][0] == (6, 128)
    train_model(longer, run, resume=True)
    assert losses(run) == pytest.approx(losses(alone), rel=1e-4)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # no thread of ours runs yet
def test_two_processes_have_the_losses_of_one_and_one_goes_on(people, tmp_path):
    multiprocessing.start_processes(
        as_torchrun_would, (2, free_port(), people, tmp_path), 2, start_method="fork"
    )
    check_against_one(people, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [2, 4])
def test_torchrun_has_the_losses_of_one(people, tmp_path, processes):
    recipe = write_recipe(tmp_path, people)
    many = start(processes, recipe, tmp_path, port=free_port())
    out, errors = many.communicate(timeout=300)
    assert many.returncode == 0, errors
    assert len(out.splitlines()) == 1, out
    assert f"{processes} processes" in errors
    check_against_one(people, tmp_path)


@pytest.mark.slow
def test_kill_9_of_one_ends_all_with_a_clear_line_and_fewer_go_on(people, tmp_path):
    recipe = write_recipe(tmp_path, people, budget={"steps": 2000})
    many = start(3, recipe, tmp_path, "--batch-size", "12", port=free_port())
    run = RunFolder(tmp_path / "run")
    deadline = time.monotonic() + 200
    while not latest(run.checkpoints) and time.monotonic() < deadline:
        assert many.poll() is None, many.communicate()[1]
        time.sleep(0.2)
    children = Path(f"/proc/{many.pid}/task/{many.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)
    _, errors = many.communicate(timeout=120)
    assert many.returncode != 0
    assert "Signal 9 (SIGKILL)" in errors  # torchrun's report
    assert "another process of this run is gone" in errors
    assert "--resume" in errors
    reached = load_progress(latest(run.checkpoints)).step
    assert reached >= 2
    again = start(2, recipe, tmp_path, "--resume", "--steps", str(reached + 2), port=free_port())
    _, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    assert f"going on from step-{reached:08d}" in errors


@pytest.mark.slow
def test_sigterm_to_all_saves_once(people, tmp_path):
    recipe = write_recipe(tmp_path, people, budget={"steps": 2000})
    many = start(2, recipe, tmp_path, port=free_port())
    run = RunFolder(tmp_path / "run")
    deadline = time.monotonic() + 200
    while not latest(run.checkpoints) and time.monotonic() < deadline:
        time.sleep(0.2)
    many.send_signal(signal.SIGTERM)
    out, _ = many.communicate(timeout=120)
    assert "saved; go on with --name run --resume" in out
    assert len(losses(run)) == load_progress(latest(run.checkpoints)).step


def test_more_processes_than_there_is_work_for(people, monkeypatch):
    with pytest.raises(TrainingError, match="7 processes for 6 people; start at most 6") as refused:
        open_and_hold_out(
            str(people), least_images=1, held_out=0, seed=0, pairs_wanted=False, processes=7
        )
    assert refused.value.code == "training-processes"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(TrainingError, match="2 processes on this machine, 1 GPUs"):
        find_device("cuda", 1, 2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
def test_a_device_that_is_not_there_is_an_error_and_never_the_processor():
    with pytest.raises(TrainingError, match="--device cuda: ") as refused, join_processes("cuda"):
        raise AssertionError
    assert refused.value.code == "training-device"
    with join_processes("auto") as processes:
        assert processes.device.type in ("cpu", "mps")
        assert processes.first


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "environment: RANK is not set"),
        ({"RANK": "two"}, "environment: RANK is 'two', no whole number"),
        ({"RANK": "0"}, "environment: MASTER_PORT is not set"),
        ({"RANK": "0", "MASTER_PORT": "1"}, "environment: MASTER_ADDR is not set"),
        ({"RANK": "2", "MASTER_PORT": "1", "MASTER_ADDR": "x"}, "RANK is 2 of WORLD_SIZE 2"),
        ({"RANK": "0", "MASTER_PORT": "0", "MASTER_ADDR": "127.0.0.1"}, "do not meet at 127.0.0.1"),
        ({"RANK": "1", "MASTER_PORT": "9", "MASTER_ADDR": "127.0.0.1"}, "do not meet at 127.0.0.1"),
    ],
)
def test_processes_that_do_not_meet_are_one_line(monkeypatch, environment, said):
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"WORLD_SIZE": "2", "FACEVERIFY_WAIT": "1"} | environment).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(FaceverifyError, match=said) as error, join_processes("cpu"):
        raise AssertionError
    assert error.value.exit_status == 2
