"""Time an embedded gallery: enrolment in batches and one by one, opening, cold identification.

Targets: 20,000 ready embeddings a second, durable in batches; a cold search in 100,000 templates at
most 0.15 s over one in an empty gallery. Beside the single enrolments stands what the disk itself
can do: appends of 4 KB, each with fsync. ``--photo`` measures the whole command, ``faceverify
identify``, from the start of the process to its end.

Usage: ``python scripts/bench_gallery.py`` (about a minute), ``--key`` for an encrypted gallery too
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from faceverify.gallery.sqlite.store import SqliteStore
from faceverify.gallery.store import Enrolment

BATCH, SINGLES, COLD = 10_000, 300, 9
KEY = "5f" * 32  # a ready key, as a file or the environment holds it

# a process that opens a gallery and searches once; the empty one is the yardstick
SEARCH = """
import sys, numpy
from faceverify.gallery.open import open_store
with open_store(sys.argv[1], key=sys.argv[4] or None) as store:
    query = numpy.full((1, int(sys.argv[2])), int(sys.argv[2]) ** -0.5, "f4")
    store.search(query, 5, model=sys.argv[3])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="templates")
    parser.add_argument("--width", type=int, default=128, help="numbers of an embedding")
    parser.add_argument("--folder", type=Path, help="where galleries are made and removed again")
    parser.add_argument("--key", action="store_true", help="measure an encrypted gallery, too")
    parser.add_argument("--photo", type=Path, help="time `faceverify identify` on this photo")
    options = parser.parse_args()
    model = "0123456789abcdef"
    if options.photo:
        from faceverify.models.registry import load_model

        model = load_model("default").id
    table = Table("what", "figure", "beside it", "ratio", "target")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for key in [None, KEY] if options.key else [None]:
            add_rows(table, Path(folder), options, model, key)
    Console().print(f"{options.count:,} templates x {options.width}, one thread writes")
    Console().print(table)


def add_rows(
    table: Table, folder: Path, options: argparse.Namespace, model: str, key: str | None
) -> None:
    what = "encrypted: " if key else ""
    empty, full = folder / f"empty{what[:3]}", folder / f"full{what[:3]}"
    SqliteStore(str(empty), create=True, key=key).close()
    enrolments = people(options.count, options.width)
    with SqliteStore(str(full), create=True, key=key) as store:
        start, used = time.perf_counter(), time.process_time()
        for first in range(0, options.count, BATCH):
            store.add(enrolments[first : first + BATCH], model=model)
        rate = options.count / (time.perf_counter() - start)
        worked = options.count / (time.process_time() - used)
        table.add_row(
            f"{what}enrolled a second, batches of {BATCH:,}",
            f"{rate:,.0f}",
            f"a second of one processor: {worked:,.0f}",
            "",
            "20,000",
        )
        start = time.perf_counter()
        store.renew_search_files()
        table.add_row(f"{what}search file, s", f"{time.perf_counter() - start:.2f}")
        singles, syncs = alternating(store, model, options.width, folder / "appended")
        table.add_row(
            f"{what}enrolled a second, each durable",
            f"{singles:,.0f}",
            f"4 KB appends with fsync: {syncs:,.0f}",
            f"{singles / syncs:.2f}",
        )
    if not options.photo:
        command = [sys.executable, "-c", SEARCH]
        arguments = [str(options.width), model, key or ""]
        cold = [[*command, str(gallery), *arguments] for gallery in (empty, full)]
        add_cold(table, f"{what}cold open and search, s", cold)
        return
    identify = [sys.executable, "-m", "faceverify", "identify", str(options.photo)]
    identify += ["--threshold", "0.3"]  # a rate would depend on the size of the gallery
    cold = [[*identify, "--gallery", str(gallery)] for gallery in (empty, full)]
    add_cold(table, f"{what}cold faceverify identify, s", cold, key)


def add_cold(table: Table, what: str, commands: list[list[str]], key: str | None = None) -> None:
    """Start processes in turns; the first of the commands is the yardstick."""
    environment = {**os.environ, **({"FACEVERIFY_GALLERY_KEY": key} if key else {})}
    times: list[list[float]] = [[] for _ in commands]
    worked: list[list[float]] = [[] for _ in commands]
    for _ in range(COLD):
        for command, seconds, processor in zip(commands, times, worked, strict=True):
            start, used = time.perf_counter(), processor_time_of_children()
            done = subprocess.run(command, env=environment, capture_output=True, check=False)
            seconds.append(time.perf_counter() - start)
            processor.append(processor_time_of_children() - used)
            if done.returncode not in (0, 1):  # 1: nobody, which is an answer
                raise SystemExit(done.stderr.decode())
    for name, (empty, full) in (
        (what, (median(seconds) for seconds in times)),
        (f"{what}, of processors", (median(seconds) for seconds in worked)),
    ):
        row = (f"{full:.3f}", f"empty gallery: {empty:.3f}", f"{full - empty:+.3f} s")
        table.add_row(name, *row, "+0.15 s" if name == what else "")


def processor_time_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def alternating(store: SqliteStore, model: str, width: int, path: Path) -> tuple[float, float]:
    """Single enrolments a second, and appends with fsync a second, in turns."""
    enrolled, appended = [], []
    with open(path, "ab", buffering=0) as stream:
        for one in people(SINGLES, width, first=10**7):
            start = time.perf_counter()
            store.add([one], model=model)
            enrolled.append(time.perf_counter() - start)
            start = time.perf_counter()
            stream.write(bytes(4096))
            os.fsync(stream.fileno())
            appended.append(time.perf_counter() - start)
    return 1 / median(enrolled), 1 / median(appended)


def people(count: int, width: int, *, first: int = 0) -> list[Enrolment]:
    """Draw people with five templates each."""
    rows = np.random.default_rng(first).standard_normal((count, width), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [
        Enrolment(
            f"person {number // 5}",
            row,
            f"/photos/{number}.jpg",
            hashlib.sha256(b"%d" % number).digest(),
            0.9,
        )
        for number, row in enumerate(rows, first)
    ]


if __name__ == "__main__":
    main()
