"""What makes steps fast computes what torch computes."""

import copy
import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from generated_people import tiny_config, write_people  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from faceverify.training.backbones import build_backbone  # noqa: E402
from faceverify.training.distributed.wrappers import plain_module  # noqa: E402
from faceverify.training.export.onnx_graph import graph_of  # noqa: E402
from faceverify.training.optim import small_maps  # noqa: E402
from faceverify.training.optim.cpu import tuned_process, use_cpu_layers  # noqa: E402
from faceverify.training.optim.small_maps import (  # noqa: E402
    LARGEST,
    LARGEST_AT_HALF_SPEED,
    MatrixConvolution,
    SmallMapConv2d,
    use_for_small_maps,
)
from faceverify.training.optim.winograd import WinogradConvolution  # noqa: E402
from faceverify.training.run.folder import RunFolder  # noqa: E402
from faceverify.training.run.train import train_model  # noqa: E402

LAYOUTS = [torch.contiguous_format, torch.channels_last]


WAYS = [MatrixConvolution, WinogradConvolution]


@pytest.mark.parametrize("way", WAYS)
@given(
    count=st.integers(1, 3),
    channels=st.integers(1, 4),
    outputs=st.integers(1, 4),
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    layout=st.sampled_from(LAYOUTS),
)
@settings(max_examples=40)
def test_the_product_is_the_convolution(way, count, channels, outputs, height, width, layout):
    torch.manual_seed(count + 5 * height)
    x = torch.randn(count, channels, height, width, dtype=torch.float64)
    x = x.to(memory_format=layout).requires_grad_()
    weight = torch.randn(outputs, channels, 3, 3, dtype=torch.float64)
    weight = weight.to(memory_format=layout).requires_grad_()
    found, expected = way.apply(x, weight), functional.conv2d(x, weight, padding=1)
    torch.testing.assert_close(found, expected)
    gradient = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(found, (x, weight), gradient),
        torch.autograd.grad(expected, (x, weight), gradient),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("way", WAYS)
def test_its_gradient(way):
    x = torch.randn(2, 2, 3, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(way.apply, (x, weight))


def test_in_float32_it_is_the_convolution_to_the_last_digits():
    torch.manual_seed(0)
    x, weight = torch.randn(4, 64, 4, 4), torch.randn(32, 64, 3, 3)
    exact = functional.conv2d(x.double(), weight.double(), padding=1)
    scale = float(exact.abs().max())
    apart = [
        float((y.double() - exact).abs().max()) / scale
        for y in (WinogradConvolution.apply(x, weight), functional.conv2d(x, weight, padding=1))
    ]
    assert apart[0] < 2e-6
    assert apart[0] < 10 * apart[1]


def both():
    torch.manual_seed(0)
    plain = build_backbone("resnet18", embedding_size=8, size=64, width=8, stem="original")
    quick = copy.deepcopy(plain)
    use_for_small_maps(quick)
    return plain, quick


def test_a_backbone_computes_the_same(monkeypatch):
    used = []
    apply = WinogradConvolution.apply
    monkeypatch.setattr(WinogradConvolution, "apply", lambda *a: used.append(1) or apply(*a))
    plain, quick = (net.double() for net in both())
    crops = torch.randn(8, 3, 64, 64, dtype=torch.float64)
    outputs = [net(crops) for net in (plain, quick)]
    assert len(used) == 6  # the last two stages: 4 x 4 and 2 x 2
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    for (name, one), other in zip(plain.named_parameters(), quick.parameters(), strict=True):
        if one.requires_grad:
            torch.testing.assert_close(one.grad, other.grad, msg=name)


def test_names_and_parameters_stay():
    plain = build_backbone("resnet18", embedding_size=8, size=32, width=8)
    before = dict(plain.named_parameters())
    use_for_small_maps(plain)
    after = dict(plain.named_parameters())
    assert list(before) == list(after)
    assert all(before[name] is after[name] for name in before)
    exchanged = [module for module in plain.modules() if isinstance(module, SmallMapConv2d)]
    assert len(exchanged) == 13  # 3 x 3 with stride 1, the stem's included
    assert not any(isinstance(m, SmallMapConv2d) for m in copy.deepcopy(both()[0]).modules())


@pytest.mark.parametrize(
    "other",
    [
        nn.Conv2d(4, 4, 3, 2, 1, bias=False),
        nn.Conv2d(4, 4, 3, 1, 0, bias=False),
        nn.Conv2d(4, 4, 1, bias=False),
        nn.Conv2d(4, 4, 3, 1, 1, groups=4, bias=False),
        nn.Conv2d(4, 4, 3, 1, 1),
        nn.Conv2d(4, 4, 3, 1, 1, bias=False, padding_mode="circular"),
    ],
)
def test_other_convolutions_are_left_alone(other):
    net = nn.Sequential(other)
    use_for_small_maps(net)
    assert net[0] is other


@pytest.mark.parametrize(
    ("half_speed", "largest"), [(False, LARGEST), (True, LARGEST_AT_HALF_SPEED)]
)
def test_large_maps_and_use_are_torchs(monkeypatch, half_speed, largest):
    monkeypatch.setattr(small_maps, "products_at_half_speed", lambda: half_speed)
    monkeypatch.setattr(WinogradConvolution, "apply", None)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1, bias=False))
    use_for_small_maps(net)
    net(torch.zeros(1, 3, largest + 1, 2))
    net.eval()(torch.zeros(1, 3, 2, 2))
    net.train()
    with pytest.raises(TypeError):
        net(torch.zeros(1, 3, largest, largest))


@pytest.mark.parametrize(
    ("capability", "maker", "expected"),
    [
        ("AVX512", "AuthenticAMD", True),
        ("AVX512", "GenuineIntel", False),
        ("AVX2", "AuthenticAMD", False),
    ],
)
def test_which_processors_multiply_at_half_speed(
    monkeypatch, tmp_path, capability, maker, expected
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(small_maps, "CPU_INFO", tmp_path / "cpuinfo")
    small_maps.CPU_INFO.write_text(f"processor\t: 0\nvendor_id\t: {maker}\n")
    assert small_maps.products_at_half_speed.__wrapped__() == expected


def test_autocast_reaches_it(monkeypatch):
    monkeypatch.setattr(WinogradConvolution, "apply", None)  # no longer exact enough
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 1, 1, bias=False))
    use_for_small_maps(net)
    x = torch.randn(2, 3, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        y = net(x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert net[0].weight.grad.dtype == torch.float32
    torch.testing.assert_close(y.float(), net.eval()(x), atol=0.05, rtol=0.05)


def test_it_exports_as_the_plain_one():
    plain, quick = both()
    assert graph_of(quick, size=64) == graph_of(plain, size=64)


@pytest.mark.slow
def test_wrappers_come_off():
    net = nn.Linear(2, 2)
    assert plain_module(net) is net
    assert plain_module(nn.DataParallel(torch.compile(net))) is net


def test_other_devices_are_left_alone():
    plain, _ = both()
    use_cpu_layers(plain, torch.device("meta"))
    assert not any(isinstance(module, SmallMapConv2d) for module in plain.modules())


def flushes() -> bool:
    return sys.float_info.min / 2 == 0 and not (torch.tensor(1e-45) * 1).item()


def test_a_process_is_as_it_was_after_a_run(tmp_path):
    assert not flushes()
    with tuned_process(torch.device("cpu")):
        assert flushes()
        with tuned_process(torch.device("cpu")):
            assert flushes()
        assert flushes()
    with tuned_process(torch.device("meta")):
        assert not flushes()
    with pytest.raises(KeyboardInterrupt), tuned_process(torch.device("cpu")):
        raise KeyboardInterrupt
    assert not flushes()
    train_model(tiny_config(write_people(tmp_path / "people")), RunFolder(tmp_path / "run"))
    assert not flushes()
