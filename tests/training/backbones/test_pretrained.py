"""First weights: every source gives back what was stored, and nothing that could run is run."""

import pickle
from collections import OrderedDict

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("onnx", reason="needs the train extra")

from safetensors.torch import save_file  # noqa: E402
from torch import nn  # noqa: E402

from faceverify.errors import ModelError, TrainingError  # noqa: E402
from faceverify.models.model_file import Provenance  # noqa: E402
from faceverify.training.backbones import build_backbone, contract_for  # noqa: E402
from faceverify.training.backbones.pretrained import initialise, read_weights  # noqa: E402
from faceverify.training.checkpoint.checkpoint import Progress, save_checkpoint  # noqa: E402
from faceverify.training.export.export import export_model  # noqa: E402

SIDE = 32


def make(name="mobilefacenet", seed=0, **options):
    torch.manual_seed(seed)
    net = build_backbone(name, embedding_size=16, size=SIDE, **options)
    with torch.no_grad():
        for value in net.state_dict().values():
            if value.is_floating_point():
                value.add_(0.01 * torch.rand_like(value))
    return net


def same(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    return mine.keys() == theirs.keys() and all(
        torch.equal(value, theirs[key])
        for key, value in mine.items()
        if not key.endswith("num_batches_tracked")
    )


@pytest.mark.thorough
@pytest.mark.parametrize(
    "name", ["mobilefacenet", pytest.param("iresnet18", marks=pytest.mark.slow)]
)
def test_a_model_file_gives_back_every_bit(tmp_path, name):
    net = make(name)
    contract = contract_for(name, embedding_size=16, size=SIDE)
    exported = export_model(
        net, tmp_path / "model.onnx", contract=contract, provenance=Provenance("mine", name)
    )
    other = make(name, seed=1)
    assert not same(net, other)
    weights = initialise(other, str(tmp_path / "model.onnx"))
    assert same(net, other)
    assert weights.contract == contract
    assert exported.model_id in weights.origin
    assert weights.origin.startswith(f"mine, {name}, licence unknown")


@pytest.mark.thorough
def test_a_run_is_its_model_file(tmp_path):
    net = make()
    export_model(
        net,
        tmp_path / "model.onnx",
        contract=contract_for("mobilefacenet", embedding_size=16, size=SIDE),
        provenance=Provenance("mine"),
    )
    other = make(seed=1)
    initialise(other, str(tmp_path))
    assert same(net, other)


def test_a_bundled_net_is_begun_with_by_its_name():
    net = build_backbone("resnet29", embedding_size=128, size=150)
    weights = initialise(net, "dlib-resnet29")
    assert "CC0-1.0" in weights.origin
    assert weights.contract == contract_for("resnet29")
    np.testing.assert_array_equal(net.fc.weight.detach(), weights.state["fc.weight"])
    with pytest.raises(TrainingError, match=r"default does not fit .* trained in \(sface, "):
        initialise(net, "default")


WRAPPED = {
    "plain": lambda state: state,
    "several processes": lambda state: {f"module.{key}": v for key, v in state.items()},
    "compiled": lambda state: {f"module._orig_mod.{key}": v for key, v in state.items()},
    "with more": lambda state: {"state_dict": state, "epoch": 3},
    "nested": lambda state: {"model": {f"backbone.{key}": v for key, v in state.items()}},
    "with a classifier": lambda state: {**state, "logits.weight": torch.zeros(2, 2)},
    "ordered": OrderedDict,
}


@pytest.mark.thorough(but=("plain", "compiled"))
@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED)
def test_a_torch_file(tmp_path, wrap):
    net, other = make(), make(seed=1)
    torch.save(wrap(net.state_dict()), tmp_path / "weights.pth")
    initialise(other, str(tmp_path / "weights.pth"))
    assert same(net, other)


def test_a_safetensors_file(tmp_path):
    net, other = make(), make(seed=1)
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    initialise(other, str(tmp_path / "weights.safetensors"))
    assert same(net, other)


@pytest.mark.parametrize("prefixes", [("backbone.",), ("backbone.", "average.")])
def test_a_checkpoint(tmp_path, prefixes):
    net, other = make(), make(seed=1)
    tensors = {"head.weight": torch.zeros(3)}
    for seed, prefix in enumerate(prefixes, start=len(prefixes)):
        state = (net if prefix == prefixes[-1] else make(seed=seed)).state_dict()
        tensors |= {f"{prefix}{key}": value for key, value in state.items()}
    place = save_checkpoint(tmp_path, Progress(step=3, steps=9), tensors)
    initialise(other, str(place))
    assert same(net, other)


def insightface_names(net):
    """The state dict as arcface_torch writes it; the way back of what is read."""
    inside = ("bn1", "conv1", "bn2", "prelu", "conv2", "bn3")
    found = {}
    for key, value in net.state_dict().items():
        part, *rest = key.split(".")
        if part == "stem":
            name = f"{('conv1', 'bn1', 'prelu')[int(rest[0])]}.{rest[1]}"
        elif part == "neck":
            kinds = {"norm": "bn2", "projection": "fc", "output_norm": "features"}
            name = f"{kinds[rest[0]]}.{rest[1]}"
        elif rest[1] == "branch":
            name = f"layer{part[-1]}.{rest[0]}.{inside[int(rest[2])]}.{rest[3]}"
        else:
            name = f"layer{part[-1]}.{rest[0]}.downsample.{rest[2]}.{rest[3]}"
        found[name] = value
    return found


@pytest.mark.thorough
def test_insightfaces_names(tmp_path):
    net, other = make("iresnet18"), make("iresnet18", seed=1)
    state = insightface_names(net)
    assert "layer1.0.prelu.weight" in state
    torch.save(state, tmp_path / "backbone.pth")
    initialise(other, str(tmp_path / "backbone.pth"))
    assert same(net, other)


@pytest.mark.thorough
def test_facenets_weights(tmp_path):
    facenet = pytest.importorskip("facenet_pytorch", reason="needs the train extra")
    torch.manual_seed(0)
    peer = facenet.InceptionResnetV1(classify=True, num_classes=3).eval()
    torch.save(peer.state_dict(), tmp_path / "vggface2.pt")
    name = "facenet:inception-resnet-v1"
    net = build_backbone(name, embedding_size=512, size=80).eval()
    initialise(net, str(tmp_path / "vggface2.pt"))
    peer.classify = False
    crops = torch.randn(2, 3, 80, 80)
    with torch.no_grad():
        rows = net(crops)
        torch.testing.assert_close(nn.functional.normalize(rows), peer(crops))
    assert (rows.norm(dim=1) - 1).abs().min() > 0.1  # raw: a head may look at its length


# --- what is refused ------------------------------------------------------------------------------


class Runs:
    def __reduce__(self):
        return (print, ("it ran",))


def test_code_in_a_pickle_does_not_run(tmp_path, capsys):
    for name, data in (
        ("torch.pt", None),
        ("plain.pth", pickle.dumps({"a": Runs()})),
    ):
        path = tmp_path / name
        torch.save({"a": Runs()}, path) if data is None else path.write_bytes(data)
        with pytest.raises(TrainingError, match="without running code") as caught:
            read_weights(str(path))
        assert caught.value.code == "training-checkpoint"
    assert "it ran" not in capsys.readouterr().out


def test_another_architecture_names_what_differs(tmp_path):
    torch.save(make("iresnet18").state_dict(), tmp_path / "weights.pt")
    net = make()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(TrainingError, match="tensors are missing, such as neck") as caught:
        initialise(net, str(tmp_path / "weights.pt"))
    assert caught.value.code == "training-checkpoint"
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_another_size_of_embedding_names_the_tensor(tmp_path):
    wide = build_backbone("mobilefacenet", embedding_size=24, size=SIDE)
    torch.save(wide.state_dict(), tmp_path / "weights.pt")
    net = make()
    before = net.stem[0][0].weight.clone()
    with pytest.raises(
        TrainingError, match=r"neck\.projection\.weight is .*24, 512.*not \(16, 512"
    ):
        initialise(net, str(tmp_path / "weights.pt"))
    assert torch.equal(net.stem[0][0].weight, before)


def test_weights_that_diverged(tmp_path):
    state = make().state_dict()
    state["stem.0.0.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "weights.pt")
    with pytest.raises(TrainingError, match=r"stem\.0\.0\.weight holds NaN"):
        initialise(make(), str(tmp_path / "weights.pt"))


def test_what_is_no_weights(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pt").write_text("text")
    (tmp_path / "text.safetensors").write_text("text")
    (tmp_path / "text.onnx").write_text("text")
    torch.save([1, 2], tmp_path / "list.pt")
    torch.save({"epoch": 3}, tmp_path / "epoch.pt")
    for name, error, says in (
        ("none.pt", TrainingError, "No such file"),
        ("none.safetensors", TrainingError, "No such file"),
        ("none.onnx", ModelError, "no"),
        ("no-such-model", ModelError, "no-such-model"),
        ("text.pt", TrainingError, "does not load"),
        ("text.safetensors", TrainingError, "not a safetensors file"),
        ("text.onnx", ModelError, "not an ONNX file"),
        ("list.pt", TrainingError, "no state dict but a list"),
        ("epoch.pt", TrainingError, "no state dict but a dict"),
        ("empty", TrainingError, "empty"),
    ):
        source = str(tmp_path / name) if name != "no-such-model" else name
        with pytest.raises(error, match=says) as caught:
            read_weights(source)
        assert "\n" not in str(caught.value)
