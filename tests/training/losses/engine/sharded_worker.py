"""One of several processes that train all losses.

``steps`` is also what the test runs in one process, to compare.
"""

from pathlib import Path

import torch
from centre_losses import BATCH, ENGINES, SIZE
from every_case import CASES, build_case
from torch import distributed as dist
from torch import nn

from faceverify.errors import TrainingError
from faceverify.training.distributed.collectives import (
    average_gradients,
    process_count,
    process_index,
    shards_of,
)
from faceverify.training.losses import build_loss


def steps(case, engine, rows, labels, **more):
    """Three steps of a loss on a backbone, as the training loop does them.

    Returns:
        losses, and what is learned: of the loss by the names of its state_dict.
    """
    criterion = build_case(case, engine=engine, **more)
    torch.manual_seed(1)
    backbone = nn.Linear(SIZE, SIZE).double()
    with torch.no_grad():
        backbone.weight.mul_(0.1).add_(torch.eye(SIZE))  # so that all branches are still met
    wrapped = nn.parallel.DistributedDataParallel(backbone) if process_count() > 1 else backbone
    optimiser = torch.optim.SGD([*backbone.parameters(), *criterion.parameters()], lr=0.1)
    share = BATCH // process_count()
    mine = slice(process_index() * share, (process_index() + 1) * share)
    losses = []
    for step in range(3):
        criterion.begin_step(step, 3)
        optimiser.zero_grad()
        loss = criterion(wrapped(rows[mine]), labels[mine])
        loss.backward()
        optimiser.step()
        criterion.finish_step()
        losses.append(loss.item())
    return losses, backbone.state_dict(), criterion.state_dict(), shards_of(criterion)


def train_all(rank: int, count: int, folder: Path) -> None:
    """Write what this process has after three steps of each loss, found-RANK.pt in the folder."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=count
    )
    found = {}
    for case in CASES:
        rows, labels = torch.load(folder / f"{case}.pt")
        for engine in ENGINES:
            found[case, engine] = steps(case, engine, rows, labels)
        found[case, "sampled"] = steps(case, "chunked", rows, labels, sample=0.999)
    rows, labels = torch.load(folder / "arcface.pt")
    for engine in ENGINES:  # as many classes as processes: each has one
        found["one each", engine] = steps("arcface", engine, rows, labels % count, classes=count)
    parameter = nn.Parameter(torch.zeros(3))
    parameter.grad = torch.full((3,), float(rank))
    average_gradients([parameter, nn.Parameter(torch.zeros(1))])
    found["average"] = parameter.grad.tolist()
    try:
        build_loss("arcface", embedding_size=2, classes=count - 1 or 2)
    except TrainingError as error:
        found["too few"] = str(error)
    torch.save(found, folder / f"found-{rank}.pt")
    dist.destroy_process_group()
