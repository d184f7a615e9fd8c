"""A run whose backbone begins as a wider one with fewer channels."""

import shlex
import shutil

import numpy as np
import pytest
import torch
from generated_people import tiny_config, write_people
from launched_processes import become_process, free_port
from torch import multiprocessing
from torch.nn.functional import cosine_similarity

from faceverify.errors import TrainingError
from faceverify.models.embedder import Embedder
from faceverify.models.model_file import load_model_file
from faceverify.training.backbones import build_backbone
from faceverify.training.checkpoint.checkpoint import checkpoints, latest, read_part
from faceverify.training.config.files import read_recipe
from faceverify.training.data.loading.source import Stills
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.writers.convert import convert
from faceverify.training.distributed.processes import join_processes
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.follow_weights import following_weights, teacher_to_narrow
from faceverify.training.run.narrowed_start import narrowing_of
from faceverify.training.run.train import train_model

WIDE = {"name": "mobilenet", "width": 0.5, "stem": None, "embedding_size": 16}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("photos") / "all")


@pytest.fixture(scope="module")
def wide(photos, tmp_path_factory):
    run = RunFolder(tmp_path_factory.mktemp("runs") / "wide")
    train_model(tiny_config(photos, backbone=WIDE, budget={"steps": 1}), run)
    return run


def config_of(photos, wide, **changes):
    given = {
        "backbone": WIDE | {"width": 0.25, "init": str(wide.path)},
        "method": {"name": "distil", "teacher": str(wide.path)},
        "optimiser": {"learning_rate": 1e-12},
        "budget": {"steps": 1},
    }
    return tiny_config(photos, **{**given, **changes})


def begun(config, run):
    """Embeddings of some pictures by the model of a run that learns nothing, and its words."""
    said = []
    trained = train_model(config, run, say=said.append)
    return embedded(trained.model), said


def embedded(model):
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (4, 1, 1, 3), np.uint8).repeat(32, axis=1).repeat(32, axis=2)
    return torch.from_numpy(Embedder(load_model_file(model)).embed(crops))


def test_it_begins_near_the_wider_one(photos, wide, tmp_path):
    found, said = begun(config_of(photos, wide), RunFolder(tmp_path / "run"))
    assert any(line.startswith("begins with fewer channels as wide") for line in said)
    theirs = embedded(wide.path / "model.onnx")
    config = config_of(photos, wide, backbone=WIDE | {"width": 0.25})
    random, said = begun(config, RunFolder(tmp_path / "random"))
    assert not any(line.startswith("begins with") for line in said)
    near, far = (1 - cosine_similarity(one, theirs).mean() for one in (found, random))
    assert near < 0.2 * far
    about = load_model_file(tmp_path / "run" / "model.onnx").provenance
    assert "wide, mobilenet" in about.source


@pytest.mark.thorough
def test_all_that_is_copied_of_the_backbone_begins_there_too(photos, wide, tmp_path):
    config = config_of(
        photos, wide, method={"name": "moco", "queue": 16}, average={"decay": 0.9},
        checkpoints={"steps": 1},
    )  # fmt: skip
    run = RunFolder(tmp_path / "run")
    train_model(config, run)
    parts = {name: read_part(latest(run.checkpoints), name) for name in ("backbone", "average")}
    taught = read_part(latest(run.checkpoints), "method")
    for name, value in parts["backbone"].items():
        assert value.allclose(parts["average"][name], atol=1e-9), name
        (copy,) = (one for key, one in taught.items() if key.endswith(f"backbone.{name}"))
        assert value.allclose(copy, atol=1e-9), name


@pytest.mark.thorough
def test_it_goes_on_as_if_it_had_never_stopped(photos, wide, tmp_path):
    config = config_of(
        photos, wide, optimiser={"learning_rate": 0.01}, budget={"steps": 3},
        checkpoints={"steps": 1, "keep": 9},
    )  # fmt: skip
    whole, parted = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parted")
    train_model(config, whole)
    shutil.copytree(whole.path, parted.path)
    for made in checkpoints(parted.checkpoints)[1:]:
        shutil.rmtree(made)
    said = []
    train_model(parted.read_config(), parted, resume=True, say=said.append)
    assert not any(line.startswith("begins with") for line in said)
    parts = [read_part(latest(one.checkpoints), "backbone") for one in (whole, parted)]
    assert are_equal(*parts)


def narrowed_by_noise(config, seed):
    """Weights of a backbone that is fitted on noise of its own."""

    def at(positions):
        generator = torch.Generator().manual_seed(seed)
        yield 2 * torch.rand(len(positions), 3, 32, 32, generator=generator) - 1, positions

    narrowing = narrowing_of(config.backbone, Stills(np.zeros(8, np.int64), at))
    return narrowing(build_backbone("mobilenet", embedding_size=16, size=32, width=0.25))


def as_one_of_two(rank, port, config, folder):
    become_process(rank, 2, port)
    torch.set_num_threads(1)
    with join_processes("cpu"):
        torch.save(narrowed_by_noise(config, rank), folder / f"{rank}.pt")


def are_equal(weights, others):
    return all(torch.equal(value, others[name]) for name, value in weights.items())


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # no thread of ours runs yet
def test_every_process_begins_as_the_first(photos, wide, tmp_path):
    config = config_of(photos, wide)
    given = (free_port(), config, tmp_path)
    multiprocessing.start_processes(as_one_of_two, given, 2, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert are_equal(first, second)
    assert are_equal(first, narrowed_by_noise(config, 0))
    assert not are_equal(first, narrowed_by_noise(config, 1))


def test_a_stream_has_no_photos_to_fit_it_on(photos, wide, tmp_path):
    convert(open_face_set(photos), tmp_path / "shards", "webdataset", shard_size=48)
    source = f"pipe:cat {shlex.quote(str(tmp_path / 'shards'))}/{{000000..000000}}.tar"
    config = config_of(source, wide)
    with pytest.raises(TrainingError, match=r"mobilenet is to begin as .* and a stream has none"):
        train_model(config, RunFolder(tmp_path / "run"))
    assert not latest(RunFolder(tmp_path / "run").checkpoints)


def test_other_weights_and_wider_backbones_do_not_fit(photos, wide, tmp_path):
    for backbone in (WIDE | {"width": 0.75}, WIDE | {"name": "mobilefacenet"}):
        config = config_of(photos, wide, backbone=backbone | {"init": str(wide.path)})
        with pytest.raises(TrainingError, match="does not fit this backbone"):
            train_model(config, RunFolder(tmp_path / "run"))


def test_a_narrower_backbone_of_a_recipe_stays(wide):
    own = {"name": "mobilenet", "width": 0.25, "embedding_size": 16, "init": str(wide.path)}
    assert following_weights({"backbone": own}, {})["backbone"] == own
    found = following_weights(
        {"backbone": {"name": "resnet18", "stem": "original", "init": str(wide.path)}},
        {"backbone": {"init": str(wide.path), "width": 0.25}},
    )
    assert found["backbone"] == own


@pytest.mark.thorough
def test_a_student_begins_as_a_teacher_that_it_can_begin_as(wide):
    values = read_recipe("pretrain-distil")
    assert teacher_to_narrow({}, values) == "sface"
    given = {"method": {"teacher": str(wide.path)}}
    assert teacher_to_narrow(given, values) is None  # its crops have 32 pixels
    assert teacher_to_narrow(given | {"data": {"size": 32}}, values) == str(wide.path)
    assert teacher_to_narrow({"method": {"teacher": "dlib-resnet29"}}, values) is None
    assert teacher_to_narrow({"backbone": {"name": "mobilefacenet"}}, values) is None
    assert teacher_to_narrow({"backbone": {"init": "sface"}}, values) is None
    assert teacher_to_narrow({"data": {"size": 64}}, values) is None
    assert teacher_to_narrow({"data": {"alignment": "facenet-160", "size": 112}}, values) is None
    assert (
        teacher_to_narrow({"data": {"alignment": "arcface-112", "workers": None}}, values)
        == "sface"
    )
