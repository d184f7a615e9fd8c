"""Which precision a run computes in, and what it says of one that its processor emulates."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from faceverify.training.optim.precision import chosen_precision, emulates_bfloat16  # noqa: E402

CPU = torch.device("cpu")
ON_X86 = platform.machine() in ("x86_64", "AMD64")
RUN = """
import sys
from pathlib import Path

import torch
from generated_people import tiny_config, write_people

from faceverify.training.run.train import train_model
from faceverify.training.optim.precision import chosen_precision
from faceverify.training.run.folder import RunFolder

folder = Path(sys.argv[1])
changes = {"compute": {"precision": "bfloat16"}, "budget": {"steps": 1}}
config = tiny_config(write_people(folder / "people"), **changes)
train_model(config, RunFolder(folder / "run"), say=print)
print(chosen_precision("auto", torch.device("cpu")))
"""


@pytest.mark.skipif(not ON_X86 or not Path("/proc/cpuinfo").exists(), reason="x86 and Linux")
@pytest.mark.skipif("ONEDNN_MAX_CPU_ISA" in os.environ, reason="acts as another processor")
def test_a_processor_emulates_what_it_has_no_instructions_for():
    flags = set(Path("/proc/cpuinfo").read_text().split())
    assert emulates_bfloat16(CPU) == (not flags & {"amx_tile", "avx512_bf16"})
    assert chosen_precision("auto", CPU) == ("bfloat16" if "amx_tile" in flags else "float32")


@pytest.mark.slow
@pytest.mark.skipif(not ON_X86, reason="oneDNN's names of processors are of x86")
def test_a_run_in_emulated_bfloat16_says_so_and_goes_on(tmp_path):
    here = Path(__file__)
    paths = [str(here.parents[1]), str(here.parents[3]), os.environ.get("PYTHONPATH", "")]
    older = {"ONEDNN_MAX_CPU_ISA": "AVX2", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, tmp_path],
        env=os.environ | older,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("bfloat16 is emulated") == 1
    assert done.stdout.splitlines()[-1] == "float32"
    assert (tmp_path / "run" / "model.onnx").exists()
