"""Centres shared by processes: losses, and weights after some steps, are those of one process."""

from functools import partial

import pytest
import torch
from centre_losses import CLASSES, batch_of
from every_case import CASES, build_case
from sharded_worker import ENGINES, steps, train_all
from torch import multiprocessing

from faceverify.training.distributed.collectives import shards_of

# no thread of ours runs yet
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def found(request, once):
    """What each of several processes has after training, by case and engine."""
    ranks = range(request.param)
    folder = once(f"{request.param}-processes", partial(train, len(ranks)))
    return [torch.load(folder / f"found-{rank}.pt", weights_only=False) for rank in ranks]


def train(processes, folder):
    for case in CASES:
        torch.save(batch_of(build_case(case)), folder / f"{case}.pt")
    given = (processes, folder)
    multiprocessing.start_processes(train_all, given, processes, start_method="fork")


@pytest.mark.thorough
@pytest.mark.parametrize("engine", [*ENGINES, "sampled"])
@pytest.mark.parametrize("case", CASES)
def test_many_processes_are_one(found, case, engine):
    alone = steps(case, "dense", *batch_of(build_case(case)))
    losses, backbone, state, shards = alone
    assert losses[0] != losses[2]
    parts = [one[case, engine] for one in found]
    for part in parts:
        assert part[0] == pytest.approx(losses, abs=1e-10)
        for name, tensor in backbone.items():
            torch.testing.assert_close(part[1][name], tensor, rtol=1e-10, atol=1e-10)
    for name, tensor in state.items():
        if name == "softmax.draw":
            continue
        if name in shards:
            assert [part[3][name].start for part in parts[1:]] == [
                p[3][name].stop for p in parts[:-1]
            ]
            whole = torch.cat([part[2][name] for part in parts])
        else:
            whole = parts[-1][2][name]
        torch.testing.assert_close(whole, tensor, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_class_for_each_process_is_enough(found, engine):
    rows, labels = batch_of(build_case("arcface"))
    losses, backbone, *_ = steps("arcface", "dense", rows, labels % len(found), classes=len(found))
    for one in found:
        assert one["one each", engine][0] == pytest.approx(losses, abs=1e-10)
        torch.testing.assert_close(one["one each", engine][1], backbone, rtol=1e-10, atol=1e-10)


def test_gradients_of_what_all_hold_are_averaged(found):
    assert all(one["average"] == [(len(found) - 1) / 2] * 3 for one in found)


def test_more_processes_than_identities_are_refused(found):
    if len(found) > 2:
        assert all("identities cannot be shared by" in one["too few"] for one in found)


def test_shards_name_entries_of_the_state():
    for case in CASES:
        loss = build_case(case)
        for name, shard in shards_of(loss).items():
            assert len(loss.state_dict()[name]) == shard.stop - shard.start == CLASSES
        cut = {
            name
            for name, one in loss.state_dict().items()
            if len(one.shape) and len(one) == CLASSES
        }
        assert set(shards_of(loss)) == cut
