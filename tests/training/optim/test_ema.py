"""The moving average of weights, against its recurrence."""

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")

from torch import nn  # noqa: E402

from faceverify.training.optim.ema import WeightAverage  # noqa: E402


def make_net(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def step(net):
    with torch.no_grad():
        for value in net.state_dict().values():
            value.add_(1 if value.dtype == torch.int64 else torch.randn_like(value))


def test_the_recurrence():
    net = make_net()
    average = WeightAverage(net, decay=0.5)
    expected = {key: value.clone() for key, value in net.state_dict().items()}
    for count in range(12):
        step(net)
        average.update(net)
        decay = min(0.5, (1 + count) / (10 + count))
        for key, value in net.state_dict().items():
            whole = value.dtype == torch.int64
            expected[key] = value.clone() if whole else decay * expected[key] + (1 - decay) * value
    for key, value in average.module.state_dict().items():
        torch.testing.assert_close(value, expected[key], msg=key)


@pytest.mark.parametrize("decay", [0.0, 0.8])
def test_a_share_of_the_first_weights_stays(decay):
    net = make_net()
    first = {key: value.clone() for key, value in net.state_dict().items()}
    trained = WeightAverage(net, decay=decay)
    kept = WeightAverage(net, decay=decay, initial=0.75)
    for _ in range(30):
        step(net)
        trained.update(net)
        kept.update(net)
    for key, value in kept.module.state_dict().items():
        alone = trained.module.state_dict()[key]
        mixed = alone if alone.dtype == torch.int64 else 0.75 * first[key] + 0.25 * alone
        torch.testing.assert_close(value, mixed, msg=key)


def test_no_decay_is_the_net_itself():
    net = make_net()
    average = WeightAverage(net, decay=0.0)
    step(net)
    average.update(net)
    for one, other in zip(
        net.state_dict().values(), average.module.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other)


def test_the_average_stands_apart():
    net = make_net()
    average = WeightAverage(net, decay=0.9)
    assert not average.module.training
    assert not any(parameter.requires_grad for parameter in average.module.parameters())
    before = average.module[0].weight.clone()
    step(net)
    torch.testing.assert_close(average.module[0].weight, before)
    assert net.training


@pytest.mark.parametrize("in_place", [False, True])
def test_it_goes_on_from_its_state(in_place):
    net = make_net()
    whole = WeightAverage(net, decay=0.9)
    for _ in range(5):
        step(net)
        whole.update(net)
    other = WeightAverage(make_net(1), decay=0.9)
    saved = {key: value.clone() for key, value in whole.state_dict().items()}
    if in_place:  # as a checkpoint is read
        for key, value in other.state_dict().items():
            value.copy_(saved[key])
    else:
        other.load_state_dict(saved)
    step(net)
    whole.update(net)
    other.update(net)
    assert int(other.updates) == 6
    for one, two in zip(whole.state_dict().values(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
