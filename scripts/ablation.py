"""Six losses and a fine-tuning run on one small set of people, beside plain loops: a table.

Every run is a process of its own with the same budget; what it reached is added to a JSON file at
once, so that the whole can be stopped and started again, and runs that are done are not done again.
The best checkpoint of a run is chosen on LFW View 1; View 2 is only measured.

    python scripts/ablation.py --data train112 --lfw lfw --protocols protocols --minutes 20
    python scripts/ablation.py ... --only arcface plain-arcface
    python scripts/ablation.py ... --at-once 2 --threads 1    # a loss, its plain loop: a core each

Minutes become steps by a rehearsal: the machine must be quiet in the first of each run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

LOSSES = ("softmax", "center", "sphereface", "cosface", "arcface", "triplet")
RUNS = (*(name for loss in LOSSES for name in (loss, f"plain-{loss}")), "finetune")
TIMES = 8  # validations of a run
FIGURES = ("accuracy", "auc", "tar")


def main() -> None:
    """Make the runs that are missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="aligned crops, a folder a person")
    parser.add_argument("--lfw", type=Path, required=True, help="the photos of LFW")
    parser.add_argument("--protocols", type=Path, required=True, help="LFW's pair lists")
    parser.add_argument("--minutes", type=float, default=20, help="of each run")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--only", nargs="+", choices=RUNS, default=RUNS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="that each run computes with")
    parser.add_argument("--at-once", type=int, default=1, help="runs, on processors of their own")
    parser.add_argument("--measure", metavar="RUN", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.measure:
        print(json.dumps(measured(asked, asked.measure)))
        return
    results = asked.out / "results.json"
    known = json.loads(results.read_text()) if results.exists() else {}
    writing, places = threading.Lock(), SimpleQueue[int]()
    for place in range(asked.at_once):
        places.put(place)

    def run(name: str) -> None:
        place = places.get()
        began = time.monotonic()
        on_processors(command(asked, name), place, asked.threads)
        taken = time.monotonic() - began
        ours = [sys.executable, __file__, *sys.argv[1:], "--measure", name]
        found = json.loads(on_processors(ours, place, asked.threads))
        places.put(place)
        conditions = {"minutes": round(taken / 60, 2), "budget": asked.minutes}
        with writing:
            known[name] = {**found, **conditions, "threads": asked.threads}
            aside = results.with_suffix(".part")
            aside.write_text(json.dumps(known, indent=1) + "\n")
            aside.replace(results)

    with ThreadPoolExecutor(asked.at_once) as pool:
        list(pool.map(run, [name for name in asked.only if name not in known]))
    print(table(known))


def on_processors(command: list[str], place: int, count: int) -> bytes:
    """Run a command on ``count`` processors of its own; what it printed."""
    allowed = sorted(os.sched_getaffinity(0))[place * count : (place + 1) * count]
    pinned = [*("taskset", "--cpu-list", ",".join(map(str, allowed))), *command]
    return subprocess.run(pinned, check=True, stdout=subprocess.PIPE).stdout


def command(asked: argparse.Namespace, name: str) -> list[str]:
    """The command of a run."""
    view1 = asked.protocols / "pairsDevTrain.txt"
    folder = asked.out / name
    if name.startswith("plain-"):
        script = Path(__file__).with_name("ablation_plain_loop.py")
        return [
            *(sys.executable, str(script), name.removeprefix("plain-"), "--data", str(asked.data)),
            *("--validate", str(view1), "--images", str(asked.lfw), "--out", str(folder)),
            *("--minutes", str(asked.minutes), "--seed", str(asked.seed)),
            *("--threads", str(asked.threads)),
        ]
    recipe = "finetune-default" if name == "finetune" else f"small-{name}"
    resume = (folder / "config.toml").exists()
    begin = ["--resume"] if resume else [
        *(str(asked.data), "--recipe", recipe, "--minutes", str(asked.minutes)),
        *("--validate", str(view1), "--images", str(asked.lfw), "--seed", str(asked.seed)),
        *("--set", f"compute.threads={asked.threads}", "--set", f"validation.times={TIMES}"),
    ]  # fmt: skip
    train = [sys.executable, "-m", "faceverify", "train", *begin]
    return [*train, "--name", name, "--out", str(asked.out)]


def measured(asked: argparse.Namespace, name: str) -> dict[str, object]:
    """Figures of a run's model file on View 2, and on the part of View 1 that chose nothing."""
    from faceverify.embeddings.cache import cache_folder
    from faceverify.models.model_file import load_model_file
    from faceverify.training.run.publish import embedded
    from faceverify.training.run.validation import pair_figures, set_of_list

    model = load_model_file(asked.out / name / "model.onnx")
    found: dict[str, object] = {"model_id": model.id}
    for view, file in (("view1", "pairsDevTest.txt"), ("view2", "pairs.txt")):
        judged = set_of_list(
            asked.protocols / file,
            model.contract,
            images=asked.lfw,
            cache=cache_folder() / "training",
        )
        found[view] = pair_figures(judged, embedded(model, judged).embeddings).as_dict()
    return found


def table(known: dict[str, Any]) -> str:
    """The runs, ours and plain side by side, as Markdown."""

    def cells(name: str) -> list[str]:
        view2 = known.get(name, {}).get("view2")
        if view2 is None:
            return ["", "", ""]
        return [f"{100 * view2[key]:.2f}" if view2.get(key) is not None else "" for key in FIGURES]

    head = ["run", "accuracy", "AUC", "TAR at 1e-2", "plain accuracy", "AUC", "TAR at 1e-2"]
    rows = [[name, *cells(name), *cells(f"plain-{name}")] for name in (*LOSSES, "finetune")]
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
