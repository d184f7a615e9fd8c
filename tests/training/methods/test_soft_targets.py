"""Soft targets: the paper written out, whatever the loss; where the teacher's people come from."""

import math
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from generated_people import tiny_config, write_people
from launched_processes import become_process, free_port
from slow_views import cosine, rows
from tiny_runs import SIDE, SIZE, config_of, learn, state_of, teacher
from torch import multiprocessing, nn

from faceverify.errors import FaceverifyError
from faceverify.models.embedder import Embedder
from faceverify.models.model_file import Provenance, load_model_file
from faceverify.runtime.progress import no_progress
from faceverify.training.backbones import contract_for
from faceverify.training.checkpoint.checkpoint import load_progress
from faceverify.training.data.loading.source import Stills
from faceverify.training.data.views import Batch
from faceverify.training.distributed.processes import join_processes
from faceverify.training.export.export import export_model
from faceverify.training.losses import build_loss
from faceverify.training.methods import METHODS
from faceverify.training.methods.parts.teacher_model import ENGINES
from faceverify.training.methods.soft_targets import SoftTargets
from faceverify.training.metrics_log import read_metrics
from faceverify.training.run.folder import RunFolder
from faceverify.training.run.train import train_model

PEOPLE = torch.tensor([0, 1, 0, 2, 1])


def crops():
    return np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)


def images():
    return torch.from_numpy((crops().transpose(0, 3, 1, 2) - 127.5) / 127.5).float()


def stills():
    return Stills(PEOPLE.numpy(), lambda at: [(images()[at], PEOPLE[at])])


def cache():
    """A folder that is empty."""
    return Path(mkdtemp())


def taught(loss="normface", options=None, **own):
    torch.manual_seed(0)
    made = build_loss(loss, embedding_size=5, classes=3, **(options or {}))
    torch.nn.init.normal_(made.softmax.centres)
    contract = contract_for("resnet18", embedding_size=5, size=SIDE)
    method = SoftTargets(contract=contract, loss=made, teacher=teacher(), **own)
    method.prepare(stills(), cache(), no_progress)
    return method


def softened(logits, heat):
    parts = [math.exp(one / heat) for one in logits]
    return [part / sum(parts) for part in parts]


def written_out(logits, scale, heat):
    """T^2 times the mean over images of sum_j p_j log(p_j / q_j), q of the student's logits."""
    embeddings = Embedder(load_model_file(Path(teacher()))).embed(crops())
    means = [
        np.mean([row for row, person in zip(embeddings, PEOPLE, strict=True) if person == one], 0)
        for one in range(3)
    ]
    total = 0.0
    for row, own in zip(embeddings, logits, strict=True):
        p = softened([scale * cosine(row, mean) for mean in means], heat)
        q = softened(own, heat)
        total += sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    return heat**2 * total / len(embeddings)


@pytest.mark.parametrize(
    ("loss", "options", "own", "scale"),
    [
        ("normface", {"scale": 9.0}, {}, 9.0),
        ("arcface", {"scale": 9.0}, {"temperature": 2.0, "weight": 0.5}, 9.0),
        ("softmax", {}, {}, 16.0),
        ("sphereface", {}, {"scale": 3.0}, 3.0),
    ],
)
def test_the_equation_written_out(loss, options, own, scale):
    method, student = taught(loss, options, **own), rows(5, 5, seed=3).float()
    centres = method.engine.centres.detach()
    bias = torch.zeros(3) if method.engine.bias is None else method.engine.bias.detach()
    logits = []
    for row in student:
        products = [float(row @ centre) for centre in centres]
        if loss != "softmax":  # unit centres
            lengths = [1.0 if loss == "sphereface" else float(row.norm())] * 3
            factor = 1.0 if loss == "sphereface" else scale
            products = [
                factor * product / float(centre.norm()) / length
                for product, centre, length in zip(products, centres, lengths, strict=True)
            ]
        logits.append([product + float(b) for product, b in zip(products, bias, strict=True)])
    batch = Batch([images()], PEOPLE, np.arange(5))
    heat, weight = own.get("temperature", 4.0), own.get("weight", 1.0)
    wanted = method.loss(student, PEOPLE).item() + weight * written_out(logits, scale, heat)
    assert method(lambda _: [student], batch).item() == pytest.approx(wanted, rel=1e-4)


def test_a_student_that_is_the_teacher_pays_for_the_labels_alone():
    method = taught("normface", {"scale": 9.0})
    embeddings = method._teacher.embed(images())
    student = build_loss("normface", embedding_size=SIZE, classes=3, scale=9.0)
    with torch.no_grad():
        student.softmax.centres.copy_(method.means)
    contract = contract_for("resnet18", embedding_size=SIZE, size=SIDE)
    twin = SoftTargets(contract=contract, loss=student, teacher=teacher())
    twin.prepare(stills(), cache(), no_progress)
    found = twin(lambda _: [embeddings], Batch([images()], PEOPLE, np.arange(5)))
    assert found.item() == pytest.approx(student(embeddings, PEOPLE).item(), rel=1e-4)


def test_some_images_of_each_person_are_looked_at():
    asked = []

    def at(positions):
        asked.extend(positions.tolist())
        return [(images()[positions], PEOPLE[positions])]

    taught(of_a_person=1).prepare(Stills(PEOPLE.numpy(), at), cache(), no_progress)
    assert PEOPLE[asked].tolist() == [0, 1, 2]


def tiny(**changes):
    """A tiny run of a softmax with a teacher."""
    config = config_of("soft-targets", method={"teacher": teacher()})
    loss = replace(config.loss, name="softmax", options={})
    return replace(config, loss=loss, **changes)


def begun(config, *processes):
    """Its state before the first step, with means that a run would have looked up."""
    state = state_of(config, *processes)
    means = torch.randn(state.method.means.shape, generator=torch.Generator().manual_seed(1))
    state.method.means.copy_(torch.nn.functional.normalize(means, dim=1))
    return state


def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path):
    config = tiny()
    whole = begun(config)
    lines = learn(whole, config, 4, folder=tmp_path)
    again = state_of(replace(config, seed=1))
    middle = tmp_path / "step-00000002"
    again.restore(middle)
    assert torch.equal(again.method.means, whole.method.means)
    rest = learn(again, config, 4, progress=load_progress(middle))
    assert [one["loss"] for one in rest] == [one["loss"] for one in lines[2:]]


def as_one_of_two(rank: int, port: int, folder: Path) -> None:
    """One process of two, forked."""
    become_process(rank, 2, port)
    torch.set_num_threads(1)
    with join_processes("cpu") as processes:
        config = tiny()
        found = [line["loss"] for line in learn(begun(config, processes), config, 3,
                                                processes=processes)]  # fmt: skip
        torch.manual_seed(0)
        method = taught()
    torch.save((found, method.means), folder / f"{rank}.pt")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # no thread of ours runs yet
def test_two_processes_are_one(tmp_path):
    teacher()
    config = tiny()
    multiprocessing.start_processes(as_one_of_two, (free_port(), tmp_path), 2, start_method="fork")
    alone = [line["loss"] for line in learn(begun(config), config, 3)]
    for rank in range(2):
        found, means = torch.load(tmp_path / f"{rank}.pt")
        assert found == pytest.approx([] if rank else alone, rel=2e-4)  # the first one logs
        torch.testing.assert_close(means, taught().means)


@pytest.fixture(scope="module")
def run_of_a_teacher(tmp_path_factory):
    """The folder of a finished run, and the people that it learned."""
    folder = tmp_path_factory.mktemp("teacher")
    people = write_people(folder / "people")
    train_model(tiny_config(people), RunFolder(folder / "run"))
    return folder / "run", people


@pytest.mark.thorough
def test_a_run_teaches_the_next_one(run_of_a_teacher, tmp_path):
    old, people = run_of_a_teacher
    method = {"name": "soft-targets", "teacher": str(old), "temperature": 2.0}
    config = tiny_config(people, method=method, joined={"name": "simclr"})
    run = RunFolder(tmp_path / "run")
    trained = train_model(config, run)
    model = load_model_file(trained.model)
    assert model.provenance.head == "arcface + soft-targets + simclr"
    assert model.provenance.source.startswith("faceverify train")
    assert run.read_config().method == config.method


def taught_by_each(run_of_a_teacher, folder, method, **changes):
    """Losses of a run whose teacher each engine runs."""
    old, people = run_of_a_teacher
    losses = []
    for engine in ENGINES:
        given = {"teacher": str(old), "engine": engine, **method}
        run = RunFolder(folder / engine)
        train_model(tiny_config(people, method=given, budget={"steps": 2}, **changes), run)
        losses.append([line["loss"] for line in read_metrics(run.metrics) if "loss" in line])
    return losses


@pytest.mark.thorough(but=("photos",))
@pytest.mark.parametrize(
    "method",
    [{"name": "soft-targets"}, {"name": "distil"}, {"name": "distil", "shown": "views"}],
    ids=["soft targets", "photos", "views"],
)
def test_torch_runs_a_teacher_as_onnx_runtime_does(run_of_a_teacher, tmp_path, method):
    first, second = taught_by_each(run_of_a_teacher, tmp_path, method)
    assert first == pytest.approx(second, rel=1e-4)
    assert first != second  # two computations


@pytest.mark.thorough
def test_torch_runs_a_teacher_in_float32_and_leaves_the_first_weights_alone(
    run_of_a_teacher, tmp_path
):
    """Beside a student in bfloat16, with a layer between embeddings of two lengths."""
    first, second = taught_by_each(
        run_of_a_teacher, tmp_path, {"name": "distil", "shown": "views"},
        backbone={"embedding_size": 12}, compute={"precision": "bfloat16"},
    )  # fmt: skip
    assert first == pytest.approx(second, rel=1e-4)


@pytest.mark.thorough
def test_torch_runs_no_net_that_is_not_ours(run_of_a_teacher, tmp_path):
    _, people = run_of_a_teacher
    path = tmp_path / "other.onnx"
    export_model(
        nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 16)), path,
        contract=contract_for("resnet18", embedding_size=16, size=32),
        provenance=Provenance("other", "linear"),
    )  # fmt: skip
    method = {"name": "soft-targets", "teacher": str(path), "engine": "torch"}
    with pytest.raises(FaceverifyError, match=r"other.onnx is no backbone of faceverify's"):
        train_model(tiny_config(people, method=method), RunFolder(tmp_path / "run"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": {"engine": "tensorrt"}}, "'tensorrt', not one of onnxruntime, torch"),
        ({"method": {"teacher": ""}}, "method soft-targets learns from a model; give --teacher"),
        ({"method": {"teacher": "nobody"}}, "'nobody': no such model"),
        ({"method": {"temperature": 0.0}}, "method.temperature is 0.0, not above 0"),
        ({"loss": {"name": "triplet"}}, "of classes, and this loss has none; use a loss over"),
        ({"data": {"source": "pipe:true"}}, "looks at images of each person .*is a stream"),
    ],
)
def test_what_cannot_be_taught_is_one_line(run_of_a_teacher, tmp_path, changes, words):
    old, people = run_of_a_teacher
    method = {"name": "soft-targets", "teacher": str(old), **changes.get("method", {})}
    changes = {"data": {}, **changes, "method": method}
    if "loss" in changes:
        changes["loss"] |= {"scale": None, "margin": None}
    config = tiny_config(changes["data"].get("source", people), **{**changes, "data": {}})
    if "loss" in changes:
        config = replace(config, loss=replace(config.loss, options={}))
    with pytest.raises(FaceverifyError, match=words) as found:
        train_model(config, RunFolder(tmp_path / "run"))
    assert len(str(found.value).splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_pretrain_does_not_list_it():
    assert METHODS["soft-targets"].learns_by_loss
