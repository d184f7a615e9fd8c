"""Backbones: published sizes, torchvision and the bundled model as oracles, stages, frames."""

import sys

import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("torchvision", reason="needs the train extra")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torchvision import models  # noqa: E402

from faceverify.errors import TrainingError, UsageError  # noqa: E402
from faceverify.faces.alignment import (  # noqa: E402
    REFERENCE_POINTS,
    BoxCrop,
    FivePoints,
)
from faceverify.models.model_file import load_model_file  # noqa: E402
from faceverify.models.registry import bundled_folder  # noqa: E402
from faceverify.runtime.onnx_session import open_session  # noqa: E402
from faceverify.training.backbones import (  # noqa: E402
    BACKBONES,
    build_backbone,
    contract_for,
)
from faceverify.training.backbones.iresnet import Unit  # noqa: E402
from faceverify.training.backbones.necks import ToSide  # noqa: E402
from faceverify.training.backbones.pretrained import initialise  # noqa: E402
from faceverify.training.optim.freezing import freeze, stage_names, train_mode  # noqa: E402

SMALL = "mobilefacenet"


def weights_in(net):
    return sum(parameter.numel() for parameter in net.parameters())


def lived_in(net, seed=0):
    """The net with norms and slopes as training leaves them, none like another."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(0, 0.1, generator=generator)
                module.running_var.uniform_(0.5, 1.5, generator=generator)
                module.weight.uniform_(0.5, 1.5, generator=generator)
                module.bias.normal_(0, 0.1, generator=generator)
            if isinstance(module, nn.PReLU):
                module.weight.uniform_(-0.3, 0.6, generator=generator)
    return net.eval()


# --- what they are --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "size", "millions"),
    [  # as published with 512 numbers; MobileFaceNet with 128
        ("iresnet18", 512, 24.02),
        ("iresnet34", 512, 34.14),
        ("iresnet50", 512, 43.59),
        ("iresnet100", 512, 65.15),
        ("mobilefacenet", 128, 1.0),
    ],
)
def test_as_many_weights_as_published(name, size, millions):
    with torch.device("meta"):
        net = build_backbone(name, embedding_size=size)
    assert weights_in(net) / 1e6 == pytest.approx(millions, abs=0.01)


def test_a_mobilefacenet_of_another_width():
    net = build_backbone(SMALL, embedding_size=8, width=0.75)
    channels = {module.out_channels for module in net.modules() if isinstance(module, nn.Conv2d)}
    assert channels == {48, 96, 192, 384, 512}  # three fourths; the last convolution keeps its own
    same, paper = (
        build_backbone(SMALL, embedding_size=8, width=1.0),
        build_backbone(SMALL, embedding_size=8),
    )
    assert [each.shape for each in same.parameters()] == [each.shape for each in paper.parameters()]
    for width in (0.0, -1.0, 4.1):
        with pytest.raises(TrainingError, match=r"backbone.width is .*, not in 0 to 4"):
            build_backbone(SMALL, embedding_size=8, width=width)


@pytest.mark.parametrize("name", [*(n for n in BACKBONES if "00" not in n), "timm:resnet10t"])
def test_crops_become_embeddings(name):
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    if name.startswith("facenet:"):
        pytest.importorskip("facenet_pytorch")
    contract = contract_for(name, embedding_size=None if name == "resnet29" else 96)
    with torch.device("meta"):
        net = build_backbone(name, embedding_size=contract.embedding_size, size=contract.width)
    crops = torch.zeros(2, 3, contract.height, contract.width, device="meta")
    assert net.eval()(crops).shape == (2, contract.embedding_size)


@pytest.mark.parametrize("name", ["resnet18", "iresnet18", SMALL, "mobilenet"])
@pytest.mark.parametrize("size", [97, 128])
def test_other_sizes_of_crops(name, size):
    with torch.device("meta"):
        net = build_backbone(name, embedding_size=32, size=size)
    assert net.eval()(torch.zeros(2, 3, size, size, device="meta")).shape == (2, 32)


@pytest.mark.parametrize("stem", ["face", "original"])
@pytest.mark.parametrize("neck", ["fc", "pool"])
def test_stems_and_necks(stem, neck):
    net = build_backbone(
        "resnet18", embedding_size=16, size=64, width=16, stem=stem, neck=neck, dropout=0.3
    )
    embeddings = net(torch.randn(4, 3, 64, 64))
    assert embeddings.shape == (4, 16)
    assert net.stage4(torch.zeros(2, 64, 8, 8)).shape[1] == 128
    (dropout,) = (module for module in net.modules() if isinstance(module, nn.Dropout))
    assert dropout.p == 0.3
    if neck == "fc":  # a norm ends it: every number of an embedding has mean 0 in a batch
        torch.testing.assert_close(embeddings.mean(0), torch.zeros(16), atol=1e-5, rtol=0)
    side = net.stage1(net.stem(torch.zeros(2, 3, 64, 64))).shape[-1]
    assert side == {"face": 32, "original": 16}[stem]


@pytest.mark.parametrize("side", [1, 3, 4, 7, 9])
def test_maps_of_other_sizes_are_interpolated(side):
    maps = torch.randn(2, 3, side, side + 1, dtype=torch.float64)
    wanted = functional.interpolate(maps, (4, 4), mode="bilinear")
    torch.testing.assert_close(ToSide(4)(maps), wanted)
    own = maps.new_zeros(1, 2, 4, 4)
    assert ToSide(4)(own) is own


@pytest.mark.thorough(but=("mobilefacenet",))
@pytest.mark.parametrize("name", ["resnet18", "iresnet18", SMALL])
def test_crops_that_the_net_was_not_made_for(name):
    net = build_backbone(name, embedding_size=8, size=64).eval()
    with torch.no_grad():
        for size in (24, 112):
            assert net(torch.randn(2, 3, size, size)).isfinite().all()
        one = torch.randn(1, 512, 1, 1) if name != SMALL else torch.randn(1, 128, 1, 1)
        # a map of one position is like the same thing everywhere
        torch.testing.assert_close(net.from_maps(one), net.from_maps(one.expand(-1, -1, 4, 4)))


@pytest.mark.thorough(but=("18",))
@pytest.mark.parametrize("depth", [18, 50])
def test_the_original_resnet_is_torchvisions(depth):
    torch.manual_seed(depth)
    peer = lived_in(getattr(models, f"resnet{depth}")(num_classes=24))
    net = build_backbone(
        f"resnet{depth}", embedding_size=24, size=64, stem="original", neck="pool"
    ).eval()
    names = {"conv1": "stem.0", "bn1": "stem.1", "fc": "neck.projection"}
    names |= {f"layer{index}": f"stage{index}" for index in range(1, 5)}
    state = {}
    for key, value in peer.state_dict().items():
        first, _, rest = key.partition(".")
        state[f"{names[first]}.{rest}"] = value
    net.load_state_dict(state)
    crops = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(net(crops), peer(crops))


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 6, 2), (5, 5, 1)])
def test_the_residual_unit_as_the_paper_says(inputs, outputs, stride):
    torch.manual_seed(0)
    unit = lived_in(Unit(inputs, outputs, stride)).double()
    x = torch.randn(3, inputs, 8, 8, dtype=torch.float64)
    first, conv1, second, slope, conv2, third = unit.branch

    def norm(layer, values):
        mean, variance, gain, shift = (
            part[:, None, None]
            for part in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
        )
        return gain * (values - mean) / (variance + 1e-5).sqrt() + shift

    y = functional.conv2d(norm(first, x), conv1.weight, padding=1)
    y = norm(second, y)
    y = torch.where(y > 0, y, y * slope.weight[:, None, None])
    y = norm(third, functional.conv2d(y, conv2.weight, stride=stride, padding=1))
    shortcut = x
    if stride == 2:
        conv, shortcut_norm = unit.shortcut
        shortcut = norm(shortcut_norm, functional.conv2d(x, conv.weight, stride=2))
    torch.testing.assert_close(unit(x), y + shortcut)


def test_the_bundled_net_is_the_bundled_file():
    path = bundled_folder() / "dlib-resnet29.onnx"
    model = load_model_file(path)
    assert contract_for("resnet29") == model.contract
    net = build_backbone("resnet29", embedding_size=128, size=150).eval()
    initialise(net, str(path))
    crops = torch.randn(2, 3, 150, 150)
    (expected,) = open_session(model.graph).run(None, {"crops": crops.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(net(crops), torch.from_numpy(expected), atol=1e-5, rtol=1e-4)


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("iresnet51", {}, "no backbone 'iresnet51'; did you mean iresnet50"),
        ("transformer-xl", {}, "known: resnet18,"),
        ("iresnet50", {"stem": "face"}, "unknown key backbone.stem: iresnet50 has no such option"),
        ("resnet18", {"stem": "wide"}, "backbone.stem is 'wide', not one of face, original"),
        ("resnet18", {"neck": "E"}, "backbone.neck is 'E'"),
        ("iresnet18", {"dropout": 1.0}, "backbone.dropout is 1.0"),
        (SMALL, {"dropout": "much"}, "backbone.dropout is 'much'"),
        (SMALL, {"dropout": True}, "backbone.dropout is True"),
        ("resnet29", {"size": 112}, "size 112: its weights are made for 150"),
        ("resnet29", {"size": 150, "embedding_size": 512}, "embedding_size 512"),
        ("facenet:inception-resnet-v1", {"size": 64}, "at least 75"),
    ],
)
def test_backbones_that_are_refused(name, options, says):
    with pytest.raises(TrainingError, match=says) as caught:
        build_backbone(name, **{"embedding_size": 128, **options})
    assert caught.value.code == "training-config"


def test_networks_of_timm_that_are_refused():
    pytest.importorskip("timm")
    for name, options, says in (
        ("timm:resnet1O", {}, "no network 'resnet1O'; did you mean resnet1"),
        ("timm:hf_hub:someone/something", {}, "no network"),
        ("timm:resnet10t", {"colour": 1}, "cannot be built for 112 pixels with {'colour': 1}"),
        ("timm:resnet10t", {"dropout": -1}, "backbone.dropout is -1"),
        ("timm:resnet10t", {"pretrained": True}, "nothing is downloaded; start from --init"),
    ):
        with pytest.raises(TrainingError, match=says):
            build_backbone(name, embedding_size=64, **options)


def test_what_is_not_installed_is_named(monkeypatch):
    for package, name in (("timm", "timm:vit"), ("facenet_pytorch", "facenet:inception-resnet-v1")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(TrainingError, match="pip install"):
            build_backbone(name, embedding_size=512, size=112)


# --- contracts and frames -------------------------------------------------------------------------


def test_a_contract_is_that_of_the_crops():
    contract = contract_for("iresnet50", embedding_size=256)
    assert (contract.width, contract.height, contract.embedding_size) == (112, 112, 256)
    assert (contract.mean, contract.scale, contract.flip_average) == ((127.5,) * 3,) * 2 + (True,)
    assert contract.alignment == FivePoints(REFERENCE_POINTS["arcface-112"].points)
    assert contract_for("facenet:inception-resnet-v1").scale == (128.0,) * 3
    assert contract_for(SMALL, alignment="facenet-160", size=160).alignment == BoxCrop(14 / 160)
    larger = contract_for("resnet18", size=224).alignment
    assert larger.points[0] == pytest.approx((2 * 38.2946, 2 * 51.6963))
    with pytest.raises(UsageError, match="no alignment"):
        contract_for(SMALL, alignment="arcface-113")
    with pytest.raises(TrainingError, match="no backbone"):
        contract_for("mobilnet")


@pytest.mark.parametrize("name", [one for one in BACKBONES if one[-2:] not in ("34", "50", "00")])
def test_maps_lead_to_the_embeddings(name):
    size = {"resnet29": 150, "facenet:inception-resnet-v1": 80}.get(name, 32)
    net = lived_in(build_backbone(name, embedding_size=128, size=size))
    if not hasattr(net, "maps"):
        assert name.startswith("facenet:")  # facenet-pytorch's own
        return
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        features = net.maps(images)
        assert features.dim() == 4
        torch.testing.assert_close(net.from_maps(features), net(images))


# --- stages ---------------------------------------------------------------------------------------


def small(size=32):
    return build_backbone(SMALL, embedding_size=16, size=size)


def test_stages_are_the_parts_in_order():
    assert stage_names(small()) == ("stem", "stage1", "stage2", "stage3", "neck")
    with torch.device("meta"):
        net = build_backbone("resnet29", embedding_size=128, size=150)
    assert stage_names(net)[:2] == ("stem", "block00")
    assert stage_names(net)[-1] == "fc"


def test_blocks_of_timm_are_stages():
    pytest.importorskip("timm")
    with torch.device("meta"):
        net = build_backbone("timm:convnext_atto", embedding_size=16)
    assert stage_names(net) == ("stem", *(f"stages.{index}" for index in range(4)), "head")


def test_frozen_stages_do_not_move():
    net = small()
    frozen = freeze(net, ["stem", "stage1", "stage2.0"])
    assert frozen == ("stem", "stage1", "stage2.0")
    before = {key: value.clone() for key, value in net.state_dict().items()}
    optimiser = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    train_mode(net, frozen)
    net(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimiser.step()
    still, moved = set(), set()
    for key, value in net.state_dict().items():
        (still if torch.equal(value, before[key]) else moved).add(key)
    assert all(key.startswith(frozen) for key in still)
    assert not any(key.startswith(frozen) for key in moved)
    assert any("running_mean" in key for key in still)
    assert any("running_mean" in key for key in moved)


def test_dropout_of_what_is_frozen_is_off():
    net = build_backbone("resnet18", embedding_size=8, size=32, width=8, dropout=0.5)
    assert freeze(net, ["neck.dropout", "stem"]) == ("neck.dropout", "stem")
    train_mode(net, ("neck.dropout",))
    assert not net.neck.dropout.training
    assert net.neck.norm.training


def test_freezing_the_body_leaves_the_neck():
    net = small()
    assert freeze(net, ["body", "stem"]) == ("stem", "stage1", "stage2", "stage3")
    learns = {name.partition(".")[0] for name, p in net.named_parameters() if p.requires_grad}
    assert learns == {"neck"}


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["stage9"], "no stage 'stage9' to freeze; did you mean stage"),
        (["nose"], "known: stem, stage1"),
        ([""], "no stage ''"),
        (["body", "neck"], "nothing that could learn"),
    ],
)
def test_freezing_that_is_refused(names, says):
    with pytest.raises(TrainingError, match=says):
        freeze(small(), names)


def test_images_may_be_channels_last():
    net = lived_in(build_backbone("resnet18", embedding_size=8, size=32, width=16))
    crops = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = net(crops)
        found = net.to(memory_format=torch.channels_last)(
            crops.to(memory_format=torch.channels_last)
        )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
