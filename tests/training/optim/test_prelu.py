"""The PReLU of few sweeps is torch's, in value and gradients."""

import copy

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import nn  # noqa: E402

from faceverify.training.export.onnx_graph import graph_of  # noqa: E402
from faceverify.training.optim import prelu  # noqa: E402
from faceverify.training.optim.cpu import use_cpu_layers  # noqa: E402
from faceverify.training.optim.prelu import ChannelPReLU, FewSweeps, use_few_sweeps  # noqa: E402


def gradients(layer, x, slope):
    y = layer(x)
    return y, *torch.autograd.grad(y, (x, layer.weight), slope)


@given(
    count=st.integers(1, 4),
    channels=st.integers(1, 5),
    side=st.integers(1, 6),
    layout=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    of_gradient=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    at_once=st.sampled_from([1, 7, 40, 10_000]),
)
@settings(max_examples=60)
def test_it_is_torchs(count, channels, side, layout, of_gradient, at_once):
    torch.manual_seed(count + 7 * side)
    x = torch.randn(count, channels, side, side, dtype=torch.float64)
    x[0, 0, 0, 0] = 0  # its slope counts there
    x = x.to(memory_format=layout).requires_grad_()
    slope = torch.randn_like(x).to(memory_format=of_gradient)
    layer = nn.PReLU(channels).double()
    nn.init.normal_(layer.weight)  # some fall
    wanted = gradients(layer, x, slope)
    whole = prelu.AT_ONCE
    prelu.AT_ONCE = at_once
    try:
        own = copy.deepcopy(layer)
        use_few_sweeps(nn.Sequential(own))
        assert type(own) is ChannelPReLU
        for found, one in zip(gradients(own, x, slope), wanted, strict=True):
            torch.testing.assert_close(found, one)
    finally:
        prelu.AT_ONCE = whole


def test_one_slope_for_all_channels_and_rows_are_torchs(monkeypatch):
    monkeypatch.setattr(FewSweeps, "apply", None)  # a call fails
    shared, rows = ChannelPReLU(), ChannelPReLU(3)
    assert shared(-torch.ones(2, 3, 4, 4)).eq(-0.25).all()
    assert rows(-torch.ones(2, 3)).eq(-0.25).all()


def test_under_autocast_the_slopes_stay_float32():
    layer = ChannelPReLU(4)
    x = torch.randn(2, 4, 5, 5).to(torch.bfloat16, memory_format=torch.channels_last)
    x.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    of_x, of_slopes = torch.autograd.grad(y, (x, layer.weight), torch.ones_like(y))
    assert (y.dtype, of_x.dtype, of_slopes.dtype) == (torch.bfloat16,) * 2 + (torch.float32,)
    wanted = x.detach().float().clamp(max=0).sum(dim=(0, 2, 3))
    torch.testing.assert_close(of_slopes, wanted, rtol=0.02, atol=0.02)


def test_a_backbone_on_a_cpu_has_it_and_is_exported_as_ever():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.Flatten(), nn.Linear(144, 2)).eval()
    crops = torch.randn(2, 3, 8, 8)
    wanted, file = net(crops), graph_of(net, size=8)
    use_cpu_layers(net, torch.device("cpu"))
    assert type(net[1]) is ChannelPReLU
    assert graph_of(net, size=8) == file
    assert net(crops).equal(wanted)
