"""A run from a stream of shards: learns, goes on in the middle of it, refuses what it cannot."""

import shlex
import signal

import pytest
from generated_people import tiny_config, write_people
from launched_processes import become_process, free_port
from run_log import lines
from torch import multiprocessing

from faceverify.errors import TrainingError
from faceverify.models.model_file import load_model_file
from faceverify.training.checkpoint.checkpoint import latest, load_progress
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.writers.convert import convert
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """48 images of 6 people in four shards."""
    folder = tmp_path_factory.mktemp("streamed")
    people = write_people(folder / "people")
    convert(open_face_set(people), folder / "shards", "webdataset", shard_size=12)
    return folder / "shards"


def piped(shards, *, before=""):
    return f"pipe:{before}cat {shlex.quote(str(shards))}/{{000000..000003}}.tar"


@pytest.mark.thorough
def test_a_streamed_run_that_goes_on_is_the_run_that_never_stopped(shards, tmp_path):
    config = tiny_config(piped(shards), checkpoints={"steps": 5}, budget={"steps": 8})
    whole, parted = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parted")
    said = []
    trained = train_model(config, whole, say=said.append)
    assert any("48 images of 6 people" in line for line in said)
    provenance = load_model_file(trained.model).provenance
    assert provenance.dataset == "4 shards: 48 images of 6 people"  # and not the command
    train_model(config, parted)
    last = latest(parted.checkpoints)
    for path in last.iterdir():  # as kill -9 in the middle of the run would have left it
        path.unlink()
    last.rmdir()
    assert load_progress(latest(parted.checkpoints)).batch == 2  # of the second epoch
    train_model(parted.read_config(), parted, resume=True)
    assert lines(parted) == lines(whole)
    losses = [line[2] for line in lines(whole)]
    assert len(set(losses)) == 8


@pytest.mark.thorough
def test_a_stream_is_counted_once(shards, tmp_path):
    counted = tmp_path / "counted"
    source = piped(shards, before=f"echo x >> {shlex.quote(str(counted))}; ")
    run = RunFolder(tmp_path / "run")
    train_model(tiny_config(source, budget={"steps": 2}), run)
    kept = run.read_config().data
    assert (kept.stream_images, kept.stream_people) == (48, 6)
    before = len(counted.read_text())
    again = RunFolder(tmp_path / "again")
    train_model(tiny_config(source, data={"stream_images": 48, "stream_people": 6},
                            budget={"steps": 2}), again)  # fmt: skip
    assert len(counted.read_text()) - before < before
    assert lines(again) == lines(run)


def test_what_a_stream_has_none_of_is_said_and_left_out(shards, tmp_path):
    said = []
    config = tiny_config(piped(shards), validation={"times": -1}, budget={"steps": 1})
    run = RunFolder(tmp_path / "run")
    assert train_model(config, run, say=said.append).model.is_file()
    assert any(line.startswith("nobody can be held out of a stream: ") for line in said)
    assert run.read_config().validation.times == 0


REFUSED = {
    "a pair sampler": ({"batches": {"sampler": "identities"}}, "it has its own order"),
    "held out": ({"validation": {"times": 1}}, "nobody can be held out"),
    "a loss of pairs": ({"loss": {"name": "triplet"}}, "a stream does not bring together"),
    "few images": ({"data": {"least_images": 2}}, "data.least_images wants all labels"),
    "a column": ({"data": {"column": "age"}}, "data.column wants all labels"),
    "too small a number of people": (
        {"data": {"stream_images": 48, "stream_people": 5}},
        "label 5, where data.stream_people is 5",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_stream_cannot_do(shards, tmp_path, case):
    changes, message = REFUSED[case]
    with pytest.raises(TrainingError, match=message):
        train_model(tiny_config(piped(shards), **changes), RunFolder(tmp_path / "run"))


def test_numbers_of_a_stream_are_no_numbers_of_a_folder(shards, tmp_path):
    config = tiny_config(shards.parent / "people", data={"stream_people": 6})
    with pytest.raises(TrainingError, match="is no stream"):
        train_model(config, RunFolder(tmp_path / "run"))


def as_one_of_two(rank, port, source, folder):
    become_process(rank, 2, port)
    signal.alarm(100)
    train_model(tiny_config(source, budget={"steps": 4}), RunFolder(folder / "run"))


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # no thread of ours runs yet
def test_two_processes_share_the_shards(shards, tmp_path):
    multiprocessing.start_processes(
        as_one_of_two, (free_port(), piped(shards), tmp_path), 2, start_method="fork"
    )
    run = RunFolder(tmp_path / "run")
    assert len(lines(run)) == 4
    assert run.read_config().data.stream_people == 6
