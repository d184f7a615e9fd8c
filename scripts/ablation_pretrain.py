"""Learning without names, each method beside lightly's loop, and what it gives afterwards: a table.

A cell is a method on one side: it learns for some minutes on one core with one thread, while the
other side does on the other core. Then both are judged, on their cores: k-NN identification of
photos held out, LFW View 2 with the checkpoint chosen on View 1, and View 2 again after some
minutes of ArcFace with names. Beside them an untrained backbone, that trained from scratch for as
long, and the cosine of raw pixels. Methods that lightly's loops lack run two at a time.

    python scripts/ablation_pretrain.py --data train112 --lfw lfw --protocols protocols
    python scripts/ablation_pretrain.py --only-table --write docs/pretraining.md

Each finished cell is a line of ``--results`` at once: a cell that fails is one with its error, and
the rest goes on. Started again, the command makes what is missing or has failed. Minutes become
steps by a rehearsal: the machine must be quiet. Needs ``pip install lightly``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from processor_name import processor

WITH_PEER = ("simclr", "moco", "byol", "simsiam", "swav", "dino", "barlow", "vicreg", "mae")
OURS, PLAIN = "faceverify", "lightly"
PIXELS, SCRATCH = "pixels", "scratch-"  # baselines; the name of a backbone and its neck follow
TIMES = 5  # validations of a run
HELD_OUT = 10  # every tenth photo of a person is not learned from
NEIGHBOURS = 5
BEGIN, END = "<!-- ablation_pretrain: begin -->", "<!-- ablation_pretrain: end -->"
Cell = tuple[str, str]  # method, side


def main() -> None:
    """Make the cells that are missing, then print the table."""
    asked = parsed()
    if asked.only_table:
        show(asked)
        return
    if asked.cell:
        print(json.dumps(made(asked, *asked.cell)))
        return
    for name in ("data", "lfw", "protocols"):
        if getattr(asked, name) is None:
            raise SystemExit(f"give --{name}")
    asked.out.mkdir(parents=True, exist_ok=True)
    copy_learned(asked.data, asked.out / "learned")
    children: set[subprocess.Popen[bytes]] = set()

    def stop(number: int, _frame: object) -> None:
        for child in list(children):
            os.killpg(child.pid, signal.SIGTERM)
        os._exit(128 + number)  # finished cells are in the file

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)
    done = {cell for cell, line in known(asked.results).items() if "error" not in line}
    writing = threading.Lock()

    def run(place: int, cell: Cell) -> None:
        line = in_a_process(asked, place, cell, children)
        with writing, asked.results.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        said = line.get(
            "error", f"View 2 {100 * line['view2']['accuracy']:.2f} %" if "view2" in line else ""
        )
        print(f"{' of '.join(reversed(cell))}: {said}", file=sys.stderr, flush=True)

    for pair in rounds([method for method in asked.methods if method], done):
        with ThreadPoolExecutor(len(pair)) as pool:
            list(pool.map(run, range(len(pair)), pair))
    show(asked)


def parsed() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, help="aligned crops, a folder a person")
    parser.add_argument("--lfw", type=Path, help="the photos of LFW")
    parser.add_argument("--protocols", type=Path, help="LFW's pair lists")
    parser.add_argument("--methods", nargs="+", default=every_method())
    parser.add_argument("--minutes", type=float, default=10, help="without names, of each cell")
    parser.add_argument("--fine-tune-minutes", type=float, default=5, help="with names, after it")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation-pretrain"))
    parser.add_argument(
        "--results", type=Path, default=Path(__file__).with_suffix(".jsonl"), help="a line a cell"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only-table", action="store_true", help="of the cells that are there")
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


def every_method() -> list[str]:
    """Methods without names: those with a peer first."""
    from faceverify.training.methods import METHODS

    unnamed = [name for name, method in METHODS.items() if not method.needs_labels]
    return [*WITH_PEER, *(name for name in unnamed if name not in WITH_PEER)]


def rounds(methods: Sequence[str], done: set[Cell]) -> list[list[Cell]]:
    """Cells that run at the same time: a method and its peer, or two of what has none."""
    baselines = {untrained_name(recipe_of(method)) for method in methods}
    alone = [(PIXELS, OURS), *((name, OURS) for name in sorted(baselines))]
    alone += [(method, OURS) for method in methods if method not in WITH_PEER]
    left = [cell for cell in alone if cell not in done]
    both = [[(method, OURS), (method, PLAIN)] for method in methods if method in WITH_PEER]
    paired = [pair for pair in both if not done.intersection(pair)]
    # a cell whose other one is there runs as one without a peer
    left += [cell for pair in both if pair not in paired for cell in pair if cell not in done]
    return paired + [left[at : at + 2] for at in range(0, len(left), 2)]


def recipe_of(name: str) -> dict[str, Any]:
    """Recipe of a method; ResNets differ in the neck alone: vae's may have no norm at its end."""
    from faceverify.training.config.files import read_recipe

    recipe: dict[str, Any] = dict(read_recipe(f"pretrain-{name}"))
    recipe.setdefault("backbone", {}).setdefault("name", "resnet18")
    if recipe["backbone"]["name"] == "resnet18":
        recipe["backbone"].setdefault("neck", "fc")
    return recipe


def untrained_name(recipe: dict[str, Any]) -> str:
    """The baseline of a recipe: its backbone without pre-training."""
    backbone = recipe["backbone"]
    neck = f"-{backbone['neck']}" if "neck" in backbone else ""  # a vit has none
    return f"{SCRATCH}{backbone['name']}{neck}"


def known(results: Path) -> dict[Cell, dict[str, Any]]:
    """The last line of each cell."""
    if not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines() if line]
    return {(line["method"], line["side"]): line for line in lines}


def copy_learned(data: Path, learned: Path) -> None:
    """The photos that are learned from, in a folder of their own."""
    if learned.exists():
        return
    aside = learned.with_suffix(".part")
    shutil.rmtree(aside, ignore_errors=True)
    for photo in split(data)[0]:
        target = aside / photo.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, target)
    aside.rename(learned)


def split(data: Path) -> tuple[list[Path], list[Path]]:
    """Photos learned from, and those held out: every tenth of a person."""
    kept, aside = [], []
    for person in sorted(one for one in data.iterdir() if one.is_dir()):
        for number, photo in enumerate(sorted(person.iterdir())):
            (aside if number % HELD_OUT == HELD_OUT - 1 else kept).append(photo)
    return kept, aside


def in_a_process(
    asked: argparse.Namespace, place: int, cell: Cell, children: set[subprocess.Popen[bytes]]
) -> dict[str, Any]:
    """The line of a cell, made on one core; one with its error where it fails."""
    began = time.monotonic()
    core = sorted(os.sched_getaffinity(0))[place % len(os.sched_getaffinity(0))]
    folder = folder_of(asked, cell)
    shutil.rmtree(folder, ignore_errors=True)  # of a cell that was stopped
    folder.mkdir(parents=True)
    settings = {
        "minutes": asked.minutes, "fine_tune_minutes": asked.fine_tune_minutes, "seed": asked.seed,
        "processor": processor(), "threads": 1,
    }  # fmt: skip
    line: dict[str, Any] = {"method": cell[0], "side": cell[1], **settings}
    command = ["taskset", "--cpu-list", str(core), sys.executable, *sys.argv, "--cell", *cell]
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    log = folder / "log.txt"
    with log.open("wb") as messages:
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=messages, start_new_session=True,
            env={**os.environ, **one_thread},
        )  # fmt: skip
        children.add(child)
        output, _ = child.communicate()
        children.discard(child)
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    if child.returncode:
        line["error"] = (last or [f"exit status {child.returncode}"])[0][-500:]
    else:
        line |= json.loads(output.splitlines()[-1])
    return {**line, "taken": round((time.monotonic() - began) / 60, 2)}


def folder_of(asked: argparse.Namespace, cell: Cell) -> Path:
    """Where a cell works."""
    folder: Path = asked.out / f"{cell[0]}-{cell[1]}".replace(":", "-")
    return folder.absolute()


def made(asked: argparse.Namespace, method: str, side: str) -> dict[str, Any]:
    """Figures of a cell, in this process."""
    from faceverify.models.model_file import load_model_file

    folder = folder_of(asked, (method, side))
    if method == PIXELS:
        return judged_pixels(asked)
    if method.startswith(SCRATCH):
        recipe = next(one for one in map(recipe_of, asked.methods) if untrained_name(one) == method)
        model = folder / "model.onnx"
        untrained(recipe["backbone"], model)
    elif side == OURS:
        recipe = recipe_of(method)
        sets = [f"backbone.{key}={value}" for key, value in recipe["backbone"].items()]
        started = ["pretrain", str(asked.out / "learned"), "--method", method]
        model = command(asked, folder, "pre", started, asked.minutes, sets)
    else:
        from ablation_lightly_loop import learned

        recipe = recipe_of(method)
        model = folder / "model.onnx"
        learned(asked, method, recipe, model)
    found: dict[str, Any] = {"backbone": recipe["backbone"], **judged(asked, model)}
    sets = [f"backbone.{key}={value}" for key, value in recipe["backbone"].items()]
    run = folder / "pre"
    named = ["train", str(asked.out / "learned"), "--recipe", "small-arcface"]
    if not method.startswith(SCRATCH):
        named += ["--init", str(run if run.exists() else model)]
    tuned = command(asked, folder, "tuned", named, asked.fine_tune_minutes, sets)
    found["tuned"] = of_pairs(asked, load_model_file(tuned))["view2"]
    found["model_id"] = load_model_file(model).id
    return found


def command(
    asked: argparse.Namespace,
    folder: Path,
    name: str,
    begin: list[str],
    minutes: float,
    sets: list[str],
) -> Path:
    """Run faceverify for some minutes; the model file."""
    view1 = asked.protocols / "pairsDevTrain.txt"
    sets = [
        *sets, "compute.threads=1", "data.workers=1", f"validation.times={TIMES}",
        f"validation.pairs={view1}", f"validation.images={asked.lfw}",
    ]  # fmt: skip
    words = [word for one in sets for word in ("--set", one)]
    subprocess.run(
        [
            *(sys.executable, "-m", "faceverify", *begin, "--name", name, "--out", str(folder)),
            *("--minutes", str(minutes), "--seed", str(asked.seed), *words),
        ],
        check=True,
        stdout=sys.stderr,
    )
    return folder / name / "model.onnx"


def untrained(backbone: dict[str, Any], path: Path) -> None:
    """A model file of random weights."""
    import torch

    from faceverify.models.model_file import Provenance
    from faceverify.training.backbones import build_backbone, contract_for
    from faceverify.training.export.export import export_model

    torch.manual_seed(0)
    options = {key: value for key, value in backbone.items() if key != "flip_average"}
    net = build_backbone(**options)
    contract = contract_for(options["name"], embedding_size=options["embedding_size"])
    export_model(
        net, path, contract=contract, provenance=Provenance("untrained", options["name"], "none")
    )


def judged(asked: argparse.Namespace, path: Path) -> dict[str, Any]:
    """Figures of a model file."""
    import numpy as np

    from faceverify.models.embedder import Embedder
    from faceverify.models.model_file import load_model_file

    model = load_model_file(path)
    embedder = Embedder(model)

    def embed(crops: Any) -> Any:
        starts = range(0, len(crops), 256)
        return np.concatenate([embedder.embed(crops[at : at + 256]) for at in starts])

    return {**of_pairs(asked, model), "knn": nearest(asked, embed)}


def of_pairs(asked: argparse.Namespace, model: Any) -> dict[str, Any]:
    """Figures of a model on LFW's pairs."""
    from faceverify.training.run.publish import embedded
    from faceverify.training.run.validation import pair_results

    return {
        view: pair_results(pairs, embedded(model, pairs).embeddings).as_dict()
        for view, pairs in lfw_views(asked, model.contract).items()
    }


def judged_pixels(asked: argparse.Namespace) -> dict[str, Any]:
    """Figures of the pixels themselves as embeddings."""
    import numpy as np

    from faceverify.training.backbones import contract_for
    from faceverify.training.run.validation import pair_results

    def rows(crops: Any) -> Any:
        flat = np.asarray(crops, np.float32).reshape(len(crops), -1)
        return flat / np.linalg.norm(flat, axis=1, keepdims=True).clip(1e-9)

    views = lfw_views(asked, contract_for("resnet18", embedding_size=128))
    found: dict[str, Any] = {
        view: pair_results(pairs, rows(pairs.crops)).as_dict() for view, pairs in views.items()
    }
    return found | {"knn": nearest(asked, rows)}


def lfw_views(asked: argparse.Namespace, contract: Any) -> dict[str, Any]:
    """The part of View 1 that chose nothing, and View 2."""
    from faceverify.embeddings.cache import cache_folder
    from faceverify.training.run.validation import set_of_list

    return {
        view: set_of_list(
            asked.protocols / file, contract, images=asked.lfw, cache=cache_folder() / "training"
        )
        for view, file in (("view1", "pairsDevTest.txt"), ("view2", "pairs.txt"))
    }


def nearest(asked: argparse.Namespace, embed: Any) -> float:
    """Share of the photos held out whose person the nearest five among the others name."""
    import numpy as np
    from PIL import Image
    from sklearn.neighbors import KNeighborsClassifier

    def crops_of(photos: list[Path]) -> Any:
        return np.stack([np.asarray(Image.open(photo).convert("RGB")) for photo in photos])

    kept, aside = split(asked.data)
    judge = KNeighborsClassifier(NEIGHBOURS, metric="cosine", weights="distance")
    judge.fit(embed(crops_of(kept)), [photo.parent.name for photo in kept])
    return float(judge.score(embed(crops_of(aside)), [photo.parent.name for photo in aside]))


def show(asked: argparse.Namespace) -> None:
    """Print the table, and write it where asked."""
    text = table(known(asked.results))
    print(text)
    if asked.write:
        whole = asked.write.read_text(encoding="utf-8")
        before, begin, rest = whole.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not (begin and end):
            raise SystemExit(f"{asked.write} has no lines {BEGIN} and {END}")
        asked.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def table(lines: dict[Cell, dict[str, Any]]) -> str:
    """The cells, ours and lightly's side by side, as Markdown."""

    def percent(value: float | None) -> str:
        return "" if value is None else f"{100 * value:.2f}"

    def cells(method: str, side: str) -> list[str]:
        line = lines.get((method, side))
        if line is None:
            return [""] * 4
        if "error" in line:
            return ["failed", "", "", ""]
        view2, tuned = line["view2"], line.get("tuned", {})
        return [
            percent(line["knn"]), percent(view2.get("accuracy")), percent(view2.get("auc")),
            percent(tuned.get("accuracy")),
        ]  # fmt: skip

    names = ["k-NN", "View 2", "AUC", "tuned"]
    head = ["method", *names, *(f"lightly: {name}" for name in names)]
    methods = dict.fromkeys(method for method, _ in lines)
    rows = [[name, *cells(name, OURS), *cells(name, PLAIN)] for name in methods]
    text = [head, ["---"] * len(head), *rows]
    conditions = {
        f"{line['processor']}, a core and a thread each; {line['minutes']:g} minutes without "
        f"names, {line['fine_tune_minutes']:g} with"
        for line in lines.values()
    }
    return "\n".join([*(f"| {' | '.join(line)} |" for line in text), "", *sorted(conditions)])


if __name__ == "__main__":
    main()
