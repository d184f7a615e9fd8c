"""Time and memory of mining triplets, ours beside pytorch-metric-learning's, on one batch.

    python scripts/bench_mining.py                  # 1,800 images of 45 identities, as FaceNet's
    python scripts/bench_mining.py --size 600 --identities 150

Each rule runs in a process of its own, so that its peak of memory is its own. "beyond" is the time
beyond the distance matrix and its normalised embeddings: mining and loss; "step" is all of forward
and backward. pytorch-metric-learning makes a tensor of N^3 bytes, and a list as large: it is
measured where the tensor takes at most --most-memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

DIMENSIONS = 128
MARGIN = 0.2


def face_batch(size: int, identities: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of a half-trained net: identities stand out, and overlap."""
    torch.manual_seed(0)
    labels = torch.arange(size) % identities
    centres = torch.randn(identities, DIMENSIONS)
    return 0.7 * centres[labels] + torch.randn(size, DIMENSIONS), labels


def times(work, repeats):
    work()
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        taken.append(1e3 * (time.perf_counter() - began))
    return taken


def ours(rule, embeddings, labels, repeats):
    from faceverify.training.losses.distances import squared_distances
    from faceverify.training.losses.l2_normalize import l2_normalize
    from faceverify.training.losses.mining import mine
    from faceverify.training.losses.triplet import Triplet, mean_of_triplets

    squared = squared_distances(l2_normalize(embeddings))

    def beyond():
        mined = mine(squared, labels, rule, margin=MARGIN)
        return mean_of_triplets(squared, mined, MARGIN), mined.triplets

    head = Triplet(embedding_size=DIMENSIONS, classes=1, margin=MARGIN, mining=rule)
    rows = embeddings.clone().requires_grad_()
    loss, triplets = beyond()
    return {
        "matrix": times(lambda: squared_distances(l2_normalize(embeddings)), repeats),
        "beyond": times(beyond, repeats),
        "step": times(lambda: head(rows, labels).backward(), repeats),
        "loss": float(loss),
        "triplets": int(triplets),
    }


def theirs(rule, embeddings, labels, repeats):
    from pytorch_metric_learning.distances import LpDistance
    from pytorch_metric_learning.losses import TripletMarginLoss
    from pytorch_metric_learning.miners import BatchHardMiner, TripletMarginMiner

    distance = LpDistance(power=2)
    loss_of = TripletMarginLoss(margin=MARGIN, distance=distance)
    if rule == "batch-hard":
        miner = BatchHardMiner(distance=distance)
    else:
        kind = rule.replace("-", "")
        miner = TripletMarginMiner(margin=MARGIN, type_of_triplets=kind, distance=distance)
    rows = embeddings.clone().requires_grad_()

    def step():
        mined = miner(rows, labels)
        loss = loss_of(rows, labels, mined)
        loss.backward()
        return loss, mined

    loss, mined = step()
    return {"step": times(step, repeats), "loss": float(loss.detach()), "triplets": len(mined[0])}


def measure(options):
    """One rule in this process: its figures as JSON."""
    torch.set_num_threads(options.threads)
    embeddings, labels = face_batch(options.size, options.identities)
    F.normalize(embeddings) @ F.normalize(embeddings).T  # the first product loads a library
    work = ours if options.only[0] == "ours" else theirs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = work(options.only[1], embeddings, labels, options.repeats)
    found["megabytes"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps(found))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=1800)
    parser.add_argument("--identities", type=int, default=45)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--most-memory", type=float, default=2.0, help="GB of N^3 bytes")
    parser.add_argument("--only", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        measure(options)
        return
    cube = options.size**3 / 1e9
    print(
        f"{options.size} x {DIMENSIONS}, {options.identities} identities, {options.threads} threads"
    )
    print(f"milliseconds, least (median) of {options.repeats}; MB is the peak beyond the start")
    print(
        f"{'':28} {'matrix':>8} {'beyond':>16} {'step':>20} {'MB':>6} {'triplets':>11} {'loss':>9}"
    )
    for rule in ("semi-hard", "batch-hard", "hard", "all"):
        for who in ("ours", "theirs"):
            if who == "theirs" and rule != "batch-hard" and cube > options.most_memory:
                print(f"{rule:12} {who:15} a tensor of N^3: {cube:.1f} GB, and more")
                continue
            command = [sys.executable, *sys.argv, "--only", who, rule]
            answer = subprocess.run(command, check=True, capture_output=True, text=True)
            show(rule, who, json.loads(answer.stdout))


def show(rule, who, found):
    matrix = f"{min(found['matrix']):8.1f}" if "matrix" in found else " " * 8
    timed = [
        f"{min(found[key]):8.1f} ({statistics.median(found[key]):6.1f})"
        if key in found
        else " " * 17
        for key in ("beyond", "step")
    ]
    print(
        f"{rule:12} {who:15} {matrix} {timed[0]} {timed[1]} {found['megabytes']:8.0f} "
        f"{found['triplets']:11,} {found['loss']:9.5f}"
    )


if __name__ == "__main__":
    main()
