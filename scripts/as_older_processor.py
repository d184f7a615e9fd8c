"""Run Python as a processor without AVX-512 would compute: as_older_processor.py -m pytest tests.

Each library chooses its arithmetic by the processor; these variables hold it to AVX2, which x86
servers and laptops have had since 2013. ONNX Runtime has no such variable: it computes as always.
"""

import os
import re
import sys
from collections.abc import Sequence

import numpy as np

NEWER = re.compile("AVX512|AVX10|X86_V[4-9]")  # numpy's names, which change with its releases
OLDER = {
    "ATEN_CPU_CAPABILITY": "avx2",  # torch's own kernels
    "ONEDNN_MAX_CPU_ISA": "AVX2",  # its convolutions
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",  # its matrix products, on Intel's processors
    # numpy's; those of Haswell end in SIGSEGV when OpenBLAS 0.3.34 (numpy 2.5) is told to use them
    # on a processor with AVX-512, though not on one that has nothing newer
    "OPENBLAS_CORETYPE": "Sandybridge",
    "AS_OLDER_PROCESSOR": "1",  # a machine may have set one of the others for itself
}


def newer_features() -> list[str]:
    """What numpy uses of this processor that one of 2013 lacks."""
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    return [name for name in found if NEWER.match(name)]


def main(arguments: Sequence[str]) -> None:
    newer = newer_features()
    if not newer:
        print("This processor has nothing that an older one lacks: the ordinary run is this one.")
        return
    os.environ |= OLDER | {"NPY_DISABLE_CPU_FEATURES": " ".join(newer)}
    print("Without", *newer, flush=True)
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
