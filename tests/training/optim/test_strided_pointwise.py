"""1 x 1 convolutions with a stride compute what torch's do, and corrupt no memory."""

import copy
import ctypes.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from launched_processes import free_port  # noqa: E402
from torch import nn  # noqa: E402

from faceverify.training.backbones import build_backbone  # noqa: E402
from faceverify.training.export.onnx_graph import graph_of  # noqa: E402
from faceverify.training.optim.cpu import use_cpu_layers  # noqa: E402
from faceverify.training.optim.strided_pointwise import SAFE_CHANNELS, SubsampledConv2d  # noqa: E402

CPU = torch.device("cpu")
HEAP_CHECK = {
    "LD_PRELOAD": "libc_malloc_debug.so.0",
    "GLIBC_TUNABLES": "glibc.malloc.check=3",
    "OMP_NUM_THREADS": "1",
}
OLDER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
TRAINING = """
import json, os, sys
from pathlib import Path

from torch import multiprocessing

from faceverify.training.run.train import train_model
from faceverify.training.run.folder import RunFolder
from generated_people import tiny_config, write_people


def train(rank, world, port, name, changes):
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
    os.environ |= {one: str(value) for one, value in numbers.items()}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    train_model(tiny_config(people, **changes), RunFolder(folder / name))


folder, processes, port = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
people = write_people(folder / "people")
for number, changes in enumerate(json.loads(sys.argv[4])):
    given = (processes, port, str(number), changes)
    if processes == 1:
        train(0, *given)
    else:
        multiprocessing.start_processes(train, given, processes, start_method="fork")
print("trained")
"""


def trained_under_heap_check(folder, changes, *, environment, processes=1, port=0):
    """Train tiny nets in a process that is ended where memory is corrupted."""
    if ctypes.util.find_library("c_malloc_debug") is None:
        pytest.skip("needs libc_malloc_debug.so.0, of glibc 2.34 or newer")
    here = Path(__file__)
    paths = [str(here.parents[1]), str(here.parents[3]), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-c", TRAINING, folder, str(processes), str(port)]
    done = subprocess.run(
        [*command, json.dumps(changes)],
        env=os.environ | HEAP_CHECK | environment | {"PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("trained\n", 0), done.stderr[-2000:]


@pytest.mark.slow  # the layer itself is checked above
def test_training_a_narrow_net_corrupts_no_memory(tmp_path):
    """Width 4: four channels come to a 1 x 1 convolution of stride 2."""
    trained_under_heap_check(tmp_path, [{}], environment=OLDER)


LARGE = {"data": {"size": 112}, "budget": {"steps": 2}, "batches": {"size": 4}}
NARROW = [
    *({"backbone": {"stem": "face", "width": width}, **LARGE} for width in (1, 3, 8, 13)),
    {"backbone": {"name": "timm:resnet18", "channels": [4, 8, 16, 32]}, **LARGE},
    {"compute": {"gradient_cache": 8}},
]


@pytest.mark.slow
@pytest.mark.parametrize("environment", [OLDER, {}], ids=["avx2", "this processor"])
def test_training_any_narrow_net_corrupts_no_memory(tmp_path, environment):
    """Maps of 112 x 112 reach the fault in AVX-512's convolutions, too."""
    pytest.importorskip("timm")
    trained_under_heap_check(tmp_path, NARROW, environment=environment)


@pytest.mark.slow
def test_nor_do_two_processes(tmp_path):
    trained_under_heap_check(tmp_path, [{}], environment=OLDER, processes=2, port=free_port())


def convolutions():
    """Of torch's, and one that standardises its weights first."""
    std_conv = pytest.importorskip("timm.layers").StdConv2d
    return nn.Conv2d(4, 8, 1, 2), nn.Conv2d(1, 2, 1, (1, 3)), std_conv(SAFE_CHANNELS - 1, 8, 1, 2)


@pytest.mark.parametrize("side", [7, 8])
def test_the_convolution_stays_what_it_was(side):
    for convolution in convolutions():
        plain = convolution.double()
        safe = nn.Sequential(copy.deepcopy(plain))
        use_cpu_layers(safe, CPU)
        assert isinstance(safe[0], SubsampledConv2d)
        x = torch.randn(2, plain.in_channels, side, side, dtype=torch.float64)
        x = x.to(memory_format=torch.channels_last).requires_grad_()
        found, expected = safe(x), plain(x)
        torch.testing.assert_close(found, expected)
        gradients = [
            torch.autograd.grad(y.sin().sum(), (x, *net.parameters()))
            for y, net in ((found, safe), (expected, plain))
        ]
        torch.testing.assert_close(*gradients)
        assert safe[0].stride == plain.stride


def test_no_stride_reaches_the_convolution_where_gradients_follow(monkeypatch):
    strides = []
    conv2d = nn.functional.conv2d
    monkeypatch.setattr(
        nn.functional, "conv2d", lambda *a: strides.append(tuple(a[3])) or conv2d(*a)
    )
    net = nn.Sequential(nn.Conv2d(4, 8, 1, 2))
    use_cpu_layers(net, CPU)
    net(torch.zeros(1, 4, 8, 8))
    with torch.no_grad():
        net(torch.zeros(1, 4, 8, 8))
    assert strides == [(1, 1), (2, 2)]


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(SAFE_CHANNELS, 4, 1, 2),
        nn.Conv2d(4, 4, 1),
        nn.Conv2d(4, 4, 3, 2),
        nn.Conv2d(4, 4, 1, 2, groups=2),
    ],
)
def test_safe_ones_are_left_alone(other):
    net = nn.Sequential(other)
    use_cpu_layers(net, CPU)
    assert not isinstance(net[0], SubsampledConv2d)


def test_other_devices_are_left_alone():
    net = nn.Sequential(nn.Conv2d(4, 8, 1, 2))
    use_cpu_layers(net, torch.device("meta"))
    assert type(net[0]) is nn.Conv2d


def test_it_exports_as_the_plain_one_and_keeps_its_names():
    plain = build_backbone("resnet18", embedding_size=8, size=32, width=4)
    safe = copy.deepcopy(plain)
    use_cpu_layers(safe, CPU)
    assert list(safe.state_dict()) == list(plain.state_dict())
    assert sum(isinstance(one, SubsampledConv2d) for one in safe.modules()) == 3
    assert graph_of(safe, size=32) == graph_of(plain, size=32)
