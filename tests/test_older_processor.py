"""``make test-portable`` computes as it says: every library is held to AVX2."""

import os

import numpy as np
import pytest

VARIABLES = (
    "ATEN_CPU_CAPABILITY",
    "MKL_ENABLE_INSTRUCTIONS",
    "NPY_DISABLE_CPU_FEATURES",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
)

pytestmark = pytest.mark.skipif(
    "AS_OLDER_PROCESSOR" not in os.environ, reason="only for make test-portable"
)


def test_numpy_uses_nothing_newer():
    assert set(os.environ) >= set(VARIABLES)
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    assert not [name for name in found if "512" in name or name == "X86_V4"]


def test_torch_uses_nothing_newer(capfd):
    torch = pytest.importorskip("torch", reason="needs the train extra")
    assert torch.backends.cpu.get_cpu_capability() == "AVX2"
    images, weights = torch.rand(2, 16, 12, 12), torch.rand(16, 16, 3, 3)
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        torch.nn.functional.conv2d(images, weights)
    told = capfd.readouterr().out
    assert "avx2" in told
    assert "avx512" not in told
