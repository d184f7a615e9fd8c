"""Cold start: from the shell's prompt to a decision about two 1-megapixel photos, beside the peers.

Each command runs as a process of its own, in turn, several times; the median counts; the best, and
the processor time, say more on a busy machine. A peer is the command that it installs, or the short
script that its documentation suggests; it may live in another environment:
``python scripts/bench_verify.py --verifyface PYTHON --facenet PYTHON --face-recognition PYTHON``.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from PIL import Image
from rich.console import Console
from rich.table import Table

FACES = Path(__file__).parents[1] / "tests" / "faces"

FACENET = """
import sys, torch
from PIL import Image
from facenet_pytorch import MTCNN, InceptionResnetV1
mtcnn = MTCNN(image_size=160)
net = InceptionResnetV1(pretrained=None, classify=False).eval()
rows = []
for path in sys.argv[1:]:
    face = mtcnn(Image.open(path).convert("RGB"))
    with torch.no_grad():
        rows.append(net(face.unsqueeze(0))[0])
distance = 1 - torch.nn.functional.cosine_similarity(rows[0], rows[1], dim=0)
print(float(distance))
"""

FACE_RECOGNITION = """
import sys, face_recognition
rows = []
for path in sys.argv[1:]:
    image = face_recognition.load_image_file(path)
    rows.append(face_recognition.face_encodings(image)[0])
print(face_recognition.face_distance([rows[0]], rows[1])[0])
"""


def processor_time() -> float:
    """Seconds of all processors that finished child processes took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(commands: dict[str, list[str]], runs: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and processor times of each command, run in turn after one round to warm up."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # the first round compiles, for everybody
    for turn in range(runs + 1):
        for name, command in commands.items():
            start, used = time.perf_counter(), processor_time()
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
            if turn:
                times[name].append((time.perf_counter() - start, processor_time() - used))
            elif done.returncode not in (0, 1):
                raise SystemExit(f"{name}: exit status {done.returncode}\n{done.stderr}")
    return times


def main() -> None:
    """Time all commands in turn and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verifyface", help="a Python that has verifyface (1.1.1 is compared)")
    parser.add_argument("--facenet", help="a Python that has facenet-pytorch")
    parser.add_argument("--face-recognition", help="a Python that has face_recognition")
    parser.add_argument("--runs", type=int, default=7)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        photos = []
        for name in ("obama", "biden"):
            image = Image.open(FACES / f"{name}.jpg").convert("RGB")
            scale = (1e6 / (image.width * image.height)) ** 0.5
            size = (round(image.width * scale), round(image.height * scale))
            path = Path(folder, f"{name}.jpg")
            image.resize(size).save(path, quality=92)
            photos.append(str(path))
        ours = [str(Path(sys.executable).with_name("faceverify"))]
        commands = {
            "faceverify verify a.jpg b.jpg": [*ours, "verify", *photos],
            "faceverify --help": [*ours, "--help"],
            "faceverify --version": [*ours, "--version"],
        }
        if options.verifyface:
            compare = [options.verifyface, "-m", "verifyface", "compare"]
            commands["verifyface compare a.jpg b.jpg"] = [*compare, "--vault", folder, *photos]
        if options.facenet:
            commands["facenet-pytorch script"] = [options.facenet, "-c", FACENET, *photos]
        if options.face_recognition:
            python = options.face_recognition
            commands["face_recognition script"] = [python, "-c", FACE_RECOGNITION, *photos]
        times = measure(commands, options.runs)

    table = Table(title=f"cold start, two photos of 1 megapixel, {options.runs} runs")
    for column in ("command", "median s", "times ours", "best s", "best processor s"):
        table.add_column(column, justify="left" if column == "command" else "right")
    first = 0.0
    for name, taken in times.items():
        wall, used = zip(*taken, strict=True)
        first = first or median(wall)
        figures = (median(wall), median(wall) / first, min(wall), min(used))
        table.add_row(name, *(f"{one:.3f}" for one in figures))
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
