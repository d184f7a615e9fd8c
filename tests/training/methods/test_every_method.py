"""Laws of all methods of pre-training, on runs of milliseconds."""

import inspect
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch
from launched_processes import become_process, free_port
from tiny_runs import SIDE, SIZE, UNNAMED, config_of, learn, state_of
from torch import multiprocessing

from faceverify.errors import TrainingError
from faceverify.models.model_file import Provenance
from faceverify.training.backbones import contract_for
from faceverify.training.checkpoint.checkpoint import load_progress, stored_tensors
from faceverify.training.data.views import Views
from faceverify.training.distributed.processes import join_processes
from faceverify.training.export.export import export_model
from faceverify.training.methods import METHODS, method_options
from faceverify.training.methods.method import Method
from faceverify.training.methods.parts.teacher import Teacher
from faceverify.training.stopping import ALIKE

STEPS = 4
COMPARED = ("loss", "spread", "effective_rank")


@pytest.mark.parametrize("name", UNNAMED)
def test_it_is_documented_and_has_a_test_of_the_paper(name):
    assert "https://" in inspect.getdoc(inspect.getmodule(METHODS[name]))
    path = Path(__file__).with_name(f"test_{name}.py")
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert "written_out" in inspect.getsource(module)


@pytest.mark.thorough(but=("simclr", "moco", "dino", "swav", "instdisc", "distil", "simsiam"))
@pytest.mark.parametrize("name", UNNAMED)
def test_a_resumed_run_is_the_run_that_never_stopped(name, tmp_path):
    config = config_of(name)
    whole = state_of(config)
    lines = learn(whole, config, STEPS, folder=tmp_path)
    middle = tmp_path / "step-00000002"
    again = state_of(replace(config, seed=1))  # other first weights: all must come from the file
    again.restore(middle)
    rest = learn(again, config, STEPS, progress=load_progress(middle))
    assert [one["loss"] for one in rest] == [one["loss"] for one in lines[2:]]
    first, second = whole.tensors(), again.tensors()
    assert first.keys() == second.keys() == stored_tensors(middle).keys()
    assert all(torch.equal(first[key], second[key]) for key in first if key != "loss_sum")


@pytest.mark.parametrize("name", UNNAMED)
def test_the_teacher_gets_no_gradient_and_all_else_learns(name):
    config = config_of(name)
    state = state_of(config)
    learn(state, config, 1)
    teachers = [part for part in state.method.modules() if isinstance(part, Teacher)]
    for teacher in teachers:
        for parameter in teacher.parameters():
            assert parameter.grad is None
            assert not parameter.requires_grad
    taught = {id(one) for teacher in teachers for one in teacher.parameters()}
    for part in (state.backbone, state.method):
        for key, parameter in part.named_parameters():
            if id(parameter) not in taught:
                assert parameter.grad is not None, key
                assert parameter.grad.isfinite().all(), key


def slow_if_it_paints_or_sorts(name: str) -> object:
    """Those whose task no constant embedding solves: their sixty steps are seen less often."""
    safe = ("rotation", "jigsaw", "context", "inpaint", "autoencoder", "vae", "bigan", "mae", "cpc")
    return pytest.param(name, marks=pytest.mark.slow) if name in safe else name


@pytest.mark.thorough(but=("simclr", "moco", "supcon", "instdisc"))
@pytest.mark.parametrize("name", [slow_if_it_paints_or_sorts(name) for name in UNNAMED])
def test_it_learns_and_does_not_collapse(name):
    config = config_of(name, log={"steps": 10})
    state = state_of(config)
    lines = learn(state, config, 60)
    losses = [line["loss"] for line in lines]
    if name not in ("dino", "bigan"):  # of a teacher whose entropy rises; of a game of two sides
        assert losses[-1] < losses[1]  # the first ten steps are the warm-up
    for sign, (least, _) in ALIKE.items():
        assert lines[-1].get(sign, 9) > 1.3 * least, sign


@pytest.mark.thorough(but=("simclr", "mae", "cmc", "moco"))
@pytest.mark.parametrize("name", UNNAMED)
def test_it_is_exported_without_its_heads(name, tmp_path):
    config = config_of(name)
    state = state_of(config)
    learn(state, config, 1)
    contract = contract_for(config.backbone.name, embedding_size=SIZE, size=SIDE)
    about = Provenance(name, "tiny", name, "pictures", "none", "a test")
    made = export_model(
        state.final_backbone, tmp_path / "model.onnx", contract=contract, provenance=about
    )
    assert made.largest_cosine_difference < 1e-5


@pytest.mark.thorough(but=("simclr", "byol", "clip", "barlow"))
@pytest.mark.parametrize("name", [one for one in UNNAMED if METHODS[one].embeds_whole_views])
def test_a_gradient_cache_changes_nothing(name):
    plain, cached = config_of(name), config_of(name, compute={"gradient_cache": 5})
    found = [[line[key] for line in learn(state_of(one), one, 3) for key in COMPARED]
             for one in (plain, cached)]  # fmt: skip
    assert found[0] == pytest.approx(found[1], rel=1e-4)


@pytest.mark.parametrize("name", [one for one in UNNAMED if not METHODS[one].compares_images])
def test_a_batch_in_parts_changes_nothing(name):
    whole, parts = config_of(name), config_of(name, compute={"accumulate": 2})
    found = [[line["loss"] for line in learn(state_of(one), one, 3)] for one in (whole, parts)]
    assert found[0] == pytest.approx(found[1], rel=1e-4)


def as_one_of_two(rank: int, port: int, folder: Path, names: list[str]) -> None:
    """One process of two, forked: the losses of these methods."""
    become_process(rank, 2, port)
    torch.set_num_threads(1)
    with join_processes("cpu") as processes:
        found = {}
        for name in names:
            config = config_of(name)
            state = state_of(config, processes)
            lines = learn(state, config, 3, folder=folder / name, processes=processes)
            found[name] = [[line[key] for key in COMPARED] for line in lines], state.tensors()
    torch.save(found, folder / f"{rank}.pt")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # no thread of ours runs yet
@pytest.mark.parametrize(
    "names", [["moco"], pytest.param(UNNAMED, marks=pytest.mark.slow)], ids=["a queue", "all"]
)
def test_two_processes_are_one_and_one_goes_on(tmp_path, names):
    given = (free_port(), tmp_path, names)
    multiprocessing.start_processes(as_one_of_two, given, 2, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name in names:
        config = config_of(name)
        state = state_of(config)
        alone = [[line[key] for key in COMPARED] for line in learn(state, config, 3)]
        lines, tensors = first[name]
        for ours, wanted in zip(lines, alone, strict=True):
            assert ours == pytest.approx(wanted, rel=2e-4, abs=1e-5), name
        for key, value in state.tensors().items():
            if key != "loss_sum":
                torch.testing.assert_close(tensors[key], value, rtol=1e-3, atol=1e-4)
                torch.testing.assert_close(second[name][1][key], tensors[key], rtol=0, atol=0)
        again = state_of(replace(config, seed=1))
        again.restore(tmp_path / name / "step-00000003")
        for key, value in again.tensors().items():
            torch.testing.assert_close(value, tensors[key], rtol=0, atol=0)


@pytest.mark.parametrize("name", UNNAMED)
def test_an_option_out_of_range_is_one_line(name):
    for option, value in method_options(name).items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            with pytest.raises(TrainingError, match=f"method.{option} is -1") as refused:
                state_of(config_of(name, method={option: type(value)(-1)}))
            assert refused.value.code == "training-config"
    with pytest.raises(TrainingError, match=f"method {name} has no option 'temprature'"):
        state_of(config_of(name, method={"temprature": 1.0}))


class PulledTogether(Method):
    """mean |f(a) - f(b)|^2, and nothing that keeps photos apart."""

    views = Views(2)
    collapse = "nothing keeps its embeddings apart; use another method"

    def forward(self, embed, batch):
        rows = torch.cat(embed(batch.views))
        return (rows - 1).square().mean()


@pytest.mark.thorough
def test_a_collapse_stops_the_run_and_says_what_to_change(monkeypatch, tmp_path):
    monkeypatch.setitem(METHODS, "pulled-together", PulledTogether)
    config = config_of(
        "pulled-together",
        backbone={"name": "resnet18", "stem": "original", "width": 2, "neck": "pool"},
        optimiser={"name": "adamw", "learning_rate": 0.03},
        log={"steps": 10},
    )
    with pytest.raises(TrainingError, match=r"have collapsed: .*; nothing keeps .* another method"):
        learn(state_of(config), config, 600, folder=tmp_path)
    assert list(tmp_path.iterdir())  # checkpoints of earlier steps stay
