"""Measure a model on LFW with the commands that the documentation shows, and write the table.

Usage: ``python scripts/evaluation_figures.py --data ../shared/data`` prints the table;
``--write docs/evaluation.md`` puts it between the markers there. The first run embeds 7,701 photos
(two to three minutes on two cores); each command is run twice, and the second, out of the cache, is
the one that is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from faceverify.evaluation.results import format_value

BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"
PAIRS, LFW = "protocols/pairs.txt", "lfw"
PER_FMR = tuple(f"tar_at_1e-{decade}" for decade in range(1, 7))


def main() -> None:
    """Print the table, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="holds lfw/ and protocols/")
    parser.add_argument("--model", default="default")
    parser.add_argument("--write", type=Path, help="a page with the two markers")
    options = parser.parse_args()
    pairs, pairs_seconds = measured(options.data, options.model, "10fold")
    every, every_seconds = measured(options.data, options.model, "all")
    text = table(pairs, every, pairs_seconds, every_seconds)
    if options.write is None:
        print(text)
        return
    page = options.write.read_text()
    before, found, rest = page.partition(BEGIN)
    _, found_end, after = rest.partition(END)
    if not found or not found_end:
        sys.exit(f"{options.write}: no {BEGIN} ... {END}")
    options.write.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def command(model: str, protocol: str) -> list[str]:
    """The command as the page shows it, run in the folder of the data."""
    words = ["faceverify", "evaluate", PAIRS, "--images", LFW]
    words += [] if protocol == "10fold" else ["--protocol", protocol]
    return words + ([] if model == "default" else ["--model", model])


def measured(data: Path, model: str, protocol: str) -> tuple[dict[str, Any], float]:
    """Figures of one command, and the seconds of its second run."""
    model = str(Path(model).resolve()) if Path(model).is_file() else model
    words = [sys.executable, "-m", *command(model, protocol), "--json"]
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        out = subprocess.run(
            words, cwd=data, env=with_package(), stdout=subprocess.PIPE, check=True
        ).stdout
        seconds = time.perf_counter() - start
    found: dict[str, Any] = json.loads(out)
    return found, seconds


def with_package() -> dict[str, str]:
    """The environment, with this checkout's package."""
    root = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


def table(
    pairs: dict[str, Any], every: dict[str, Any], pairs_seconds: float, every_seconds: float
) -> str:
    """Both evaluations side by side, in Markdown."""
    accuracy = pairs["folds"]["accuracy"]
    lines = [
        f"Model `{pairs['model']}` (`{pairs['model_id']}`), LFW (deep-funneled), 95 % intervals in "
        "brackets:",
        "",
        f"| | View 2: {pairs['data']['genuine']['value'] + pairs['data']['impostor']['value']:,} "
        f"pairs | all against all: {every['data']['impostor']['value']:,} impostor pairs |",
        "|---|---|---|",
        f"| accuracy, 10 folds | {cell(accuracy)}, SE {100 * accuracy['standard_error']:.3f} | |",
    ]
    for section, key, name in (
        ("curve", "auc", "AUC"),
        ("curve", "eer", "EER"),
        *(("curve", key, f"TAR at FAR {key[7:]}") for key in PER_FMR),
        ("fixed", "fmr", "FMR at the model's threshold for 1e-3"),
        ("fixed", "fnmr", "FNMR there"),
        ("data", "failure_to_enroll", "failure to enroll"),
    ):
        unit = "number" if key == "auc" else "rate"
        cells = [cell(one.get(section, {}).get(key), unit) for one in (pairs, every)]
        lines.append(f"| {name} | {cells[0]} | {cells[1]} |")
    lines.append(f"| seconds, from the cache | {pairs_seconds:.1f} | {every_seconds:.1f} |")
    return "\n".join(lines)


def cell(figure: dict[str, Any] | None, unit: str = "rate") -> str:
    """A value and its interval."""
    if figure is None or figure["value"] is None:
        return "n/a"
    text = format_value(figure["value"], unit)
    if "interval" in figure:
        low, high = (format_value(bound, unit).removesuffix(" %") for bound in figure["interval"])
        text += f" [{low}, {high}]"
    return text


if __name__ == "__main__":
    main()
