import hashlib
import random
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from onnx import TensorProto
from small_nets import sface_like, small_model, small_net

from faceverify.errors import FaceverifyError, ModelError, UsageError
from faceverify.faces.alignment import REFERENCE_POINTS, BoxCrop
from faceverify.models.catalogue import CATALOGUE, Kind
from faceverify.models.install import convert
from faceverify.models.install.convert import import_facenet
from faceverify.models.install.insightface import arcface_alignment, import_insightface
from faceverify.models.install.install import (
    already,
    import_model,
    install,
    name_from,
    pull_model,
    source_of,
    target_for,
)
from faceverify.models.install.outputs import cosines
from faceverify.models.install.preprocessing import Preprocessing
from faceverify.models.model_file import Provenance, load_model_file
from faceverify.runtime.onnx_session import open_session

WHO = Provenance("somebody", licence="MIT")


@pytest.fixture
def onnx_file(tmp_path):
    """Write a small net; return its path."""

    def write(**options):
        path = tmp_path / "net.onnx"
        path.write_bytes(small_net(**{"side": 112, **options}))
        return path

    return write


# --- ONNX files -----------------------------------------------------------------------------------


def test_an_arcface_net_becomes_a_model_file(onnx_file, tmp_path):
    path = onnx_file()
    model = import_insightface(path, provenance=WHO)
    contract = model.contract
    assert (contract.width, contract.height, contract.embedding_size) == (112, 112, 64)
    assert (contract.colour_order, contract.mean[0], contract.scale[2]) == ("RGB", 127.5, 127.5)
    assert contract.alignment.points == REFERENCE_POINTS["arcface-112"].points
    assert contract.flip_average
    assert model.provenance == WHO
    assert model.thresholds == ()
    assert model.graph == path.read_bytes()
    model.save(tmp_path / "model.onnx")
    assert load_model_file(tmp_path / "model.onnx", "somebody") == model


def test_what_the_caller_decides(onnx_file):
    bgr = Preprocessing(colour_order="BGR", mean=(1.0, 2.0, 3.0), scale=(4.0, 5.0, 6.0))
    model = import_insightface(onnx_file(), provenance=WHO, stated=bgr, flip_average=False)
    assert model.contract.colour_order == "BGR"
    assert (model.contract.mean, model.contract.scale) == ((1.0, 2.0, 3.0), (4.0, 5.0, 6.0))
    assert not model.contract.flip_average
    with pytest.raises(UsageError, match="RGB or BGR"):
        Preprocessing(colour_order="GBR")
    with pytest.raises(UsageError, match="give both, or neither"):
        Preprocessing(mean=(0.0, 0.0, 0.0))


SUB, MUL, DIV, ADD = ("Sub", 127.5), ("Mul", 1 / 127.5), ("Div", 127.5), ("Add", -127.5)


@pytest.mark.parametrize(
    ("before", "itself"),
    [
        ([], False),
        ([SUB, MUL], True),
        ([SUB, DIV], True),
        ([ADD, MUL], True),
        ([MUL, ("Sub", 1)], True),
        ([("Identity", None), SUB, ("Identity", None), MUL], True),
        ([SUB], True),  # it takes pixels of 0 to 255, and the layers behind scale them
        ([MUL], False),
        ([("Identity", None)], False),
        ([("Max", -9.0), SUB, MUL], True),  # whatever comes first
    ],
    ids=lambda value: (
        "-".join(operator for operator, _ in value) if isinstance(value, list) else ""
    ),
)
def test_whether_the_graph_normalises_its_input_itself(tmp_path, before, itself):
    (tmp_path / "net.onnx").write_bytes(small_net(side=112, before=before))
    contract = import_insightface(tmp_path / "net.onnx", provenance=WHO).contract
    assert contract.mean == ((0.0 if itself else 127.5),) * 3
    assert contract.scale == ((1.0 if itself else 127.5),) * 3


def test_both_ways_to_normalise_give_the_same_embedding(onnx_file):
    from faceverify.models.embedder import Embedder

    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    outside, inside = (
        Embedder(import_insightface(onnx_file(before=before), provenance=WHO)).embed(crops)
        for before in ([], [SUB, MUL])
    )
    np.testing.assert_allclose(outside, inside, atol=1e-5)


@pytest.mark.parametrize(
    ("side", "eye"),
    [
        (112, (38.2946, 51.6963)),
        (224, (76.5892, 103.3926)),
        (128, (46.2946, 51.6963)),
        (256, (92.5892, 103.3926)),
        (56, (19.1473, 25.84815)),
        (896, (306.3568, 413.5704)),
    ],
)
def test_the_template_for_other_sizes(side, eye):
    assert arcface_alignment(side).points[0] == pytest.approx(eye)


def test_a_side_that_is_left_open_is_112(onnx_file):
    assert import_insightface(onnx_file(side="S"), provenance=WHO).contract.width == 112


def test_nets_that_are_taken(onnx_file):
    for options in ({"batch": 1}, {"second_output": True}, {"size": 512}):
        assert import_insightface(onnx_file(**options), provenance=WHO)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"channels": 1}, "N x 3 x S x S"),
        ({"side": 4096}, "N x 3 x S x S"),
        ({"size": 3}, "no embeddings"),
        ({"nan": True}, "NaN"),
        ({"mixes_the_batch": True}, "depends on the others"),
        ({"dtype": TensorProto.DOUBLE}, "engine cannot load it"),
    ],
)
def test_nets_that_are_refused(onnx_file, options, says):
    with pytest.raises(ModelError, match=says):
        import_insightface(onnx_file(**options), provenance=WHO)


def test_what_is_no_net(tmp_path):
    path = tmp_path / "net.onnx"
    for data in (b"", b"text", small_net()[:2000]):
        path.write_bytes(data)
        with pytest.raises(ModelError, match="not an ONNX file"):
            import_insightface(path, provenance=WHO)
    for missing in (tmp_path / "none", tmp_path, tmp_path / "\0"):
        with pytest.raises(ModelError, match="cannot be read"):
            import_insightface(missing, provenance=WHO)


def mutate(rng: random.Random, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4])):
        at = rng.randrange(len(out))
        match rng.randrange(3):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                del out[at : at + rng.choice([1, 2, 8])]
            case 2:
                out[at:at] = rng.choice([b"\x80", b"\xff" * 9 + b"\x01", b"\x00", b"\xff"])
    return bytes(out)


def import_damaged(path, cases, seed):
    rng, data = random.Random(seed), small_net()
    taken = 0
    for _ in range(cases):
        path.write_bytes(mutate(rng, data))
        try:
            import_insightface(path, provenance=WHO)
            taken += 1
        except FaceverifyError as error:
            assert "\n" not in str(error)  # noqa: PT017
    assert 0 < taken < cases


def test_damaged_nets(tmp_path):
    import_damaged(tmp_path / "net.onnx", 100, seed=0)


@pytest.mark.slow
def test_many_damaged_nets(tmp_path):
    import_damaged(tmp_path / "net.onnx", 10_000, seed=1)


# --- facenet-pytorch ------------------------------------------------------------------------------


def test_without_torch_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(convert, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"torch.*pip install 'faceverify\[train\]'"):
        import_facenet(tmp_path / "x.pt", provenance=WHO)
    with pytest.raises(UsageError, match=r"pip install 'faceverify\[train\]'"):
        pull_model("vggface2", tmp_path / "vggface2.onnx", offline=True)


@pytest.fixture(scope="module")
def facenet():
    """The net with random weights, as facenet-pytorch saves it."""
    torch = pytest.importorskip("torch", reason="needs the train extra")
    module = pytest.importorskip("facenet_pytorch", reason="needs the train extra")
    torch.manual_seed(0)
    net = module.InceptionResnetV1(classify=True, num_classes=5)
    for layer in net.modules():  # what training leaves there, so that folding them is tested
        if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
            layer.running_mean.normal_(std=0.1)
            layer.running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.mark.slow
@pytest.mark.parametrize("legacy", [True, False])
def test_a_facenet_state_dict_becomes_a_model_file(facenet, tmp_path, legacy):
    import torch

    path = tmp_path / "weights.pt"
    torch.save(facenet.state_dict(), path, _use_new_zipfile_serialization=not legacy)
    model = import_model(path, name="mine")
    contract = model.contract
    assert (contract.width, contract.embedding_size, contract.colour_order) == (160, 512, "RGB")
    assert (contract.mean, contract.scale) == ((127.5,) * 3, (128.0,) * 3)
    assert contract.alignment == BoxCrop(14 / 160)
    assert model.thresholds == ()
    crops = np.random.default_rng(2).uniform(-1, 1, (7, 3, 160, 160)).astype(np.float32)
    facenet.classify = False
    with torch.no_grad():
        expected = facenet(torch.from_numpy(crops)).numpy()
    found = open_session(model.graph).run(None, {"crops": crops})[0]
    assert found.shape == (7, 512)
    assert np.min(cosines(found, expected)) > 1 - 1e-6


@pytest.mark.thorough
def test_an_export_that_is_not_the_net_is_refused(facenet, tmp_path, monkeypatch):
    import torch

    torch.save(facenet.state_dict(), tmp_path / "weights.pt")
    monkeypatch.setattr(convert, "exported", lambda *_: small_net(side=160, size=512))
    with pytest.raises(ModelError, match=r"from torch's, more than 0\.0001"):
        import_facenet(tmp_path / "weights.pt", provenance=WHO)


@pytest.mark.thorough
def test_a_torch_that_cannot_export_says_so(facenet, tmp_path, monkeypatch):
    import torch

    torch.save(facenet.state_dict(), tmp_path / "weights.pt")
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: 1 / 0)
    with pytest.raises(ModelError, match=r"cannot export.*ZeroDivisionError.*onnxscript"):
        import_facenet(tmp_path / "weights.pt", provenance=WHO)


@pytest.mark.thorough
def test_state_dicts_that_are_refused(facenet, tmp_path):
    import torch

    state = facenet.state_dict()
    first, *_ = state
    nan = state[first].clone()
    nan.view(-1)[0] = float("nan")
    for bad, says in [
        ({}, "tensors are missing"),
        ([1], "it holds a list"),
        ({**state, first: state[first][:1]}, "not \\("),
        ({**state, first: 3}, "is None"),
        ({**state, first: nan}, "NaN"),
        (facenet, "without running code"),
    ]:
        torch.save(bad, tmp_path / "weights.pt")
        with pytest.raises(ModelError, match=says):
            import_facenet(tmp_path / "weights.pt", provenance=WHO)
    for data in (b"", b"text", b"\x80\x02]q\x00.", (tmp_path / "weights.pt").read_bytes()[:999]):
        (tmp_path / "weights.pt").write_bytes(data)
        with pytest.raises(ModelError):
            import_facenet(tmp_path / "weights.pt", provenance=WHO)


# --- whatever it is -------------------------------------------------------------------------------


def test_the_content_tells_what_a_file_is(onnx_file, tmp_path):
    path = onnx_file()
    model = import_model(path, licence="MIT")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert model.provenance == Provenance("net", licence="MIT", source=f"net.onnx sha256:{digest}")
    assert import_model(path).provenance.licence == "unknown"
    model.save(tmp_path / "model.onnx")
    again = import_model(tmp_path / "model.onnx")
    assert (again.id, again.provenance) == (model.id, model.provenance)
    renamed = import_model(tmp_path / "model.onnx", name="other", licence="CC0")
    assert renamed.provenance == replace(model.provenance, name="other", licence="CC0")


def test_a_whole_pack_is_not_a_net(tmp_path):
    with zipfile.ZipFile(tmp_path / "buffalo_l.zip", "w") as pack:
        pack.writestr("det_10g.onnx", b"")
        pack.writestr("w600k_r50.onnx", b"")
    with pytest.raises(ModelError, match=r"an archive of det_10g\.onnx, w600k_r50\.onnx; unpack"):
        import_model(tmp_path / "buffalo_l.zip")


def test_texts_that_cannot_be_stored(onnx_file):
    for text in ("two\nlines", "\x1b[31m", "\udcff"):
        with pytest.raises(UsageError, match="cannot be stored"):
            import_model(onnx_file(), licence=text)
        with pytest.raises(UsageError, match="cannot be stored"):
            import_model(onnx_file(), name=text)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("w600k_r50.onnx", "w600k_r50"),
        ("20180402-114759-vggface2.pt", "20180402-114759-vggface2"),
        ("my net (1).onnx", "my-net-1"),
        ("\u5c0f.onnx", "model"),
    ],
)
def test_names_from_files(tmp_path, file, name):
    assert name_from(tmp_path / file) == name


def test_installing_twice_and_over_another(tmp_path):
    target = tmp_path / "small.onnx"
    model = small_model()
    assert install(model, target).written
    assert not install(model, target).written
    other = small_model(seed=1)
    with pytest.raises(UsageError, match="--force replaces it"):
        install(other, target)
    assert load_model_file(target).id == model.id
    assert install(other, target, force=True).written
    assert load_model_file(target).id == other.id


def test_what_was_pulled_is_known_again_after_it_was_prepared(tmp_path):
    net, target = tmp_path / "net.onnx", tmp_path / "tiny.onnx"
    net.write_bytes(sface_like(side=112).SerializeToString())
    entry = next(one for one in CATALOGUE.values() if one.member)
    provenance = Provenance("tiny", source=source_of(entry))
    model = import_insightface(net, provenance=provenance)
    assert model.prepared_from
    model.save(target)
    assert already(entry, target).id == model.id
    replace(model, graph=small_net(side=112)).save(target)  # not what was made of the pinned net
    assert already(entry, target) is None
    replace(model, provenance=WHO).save(target)
    assert already(entry, target) is None


def test_where_a_model_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_HOME", str(tmp_path / "home"))
    assert target_for("a") == tmp_path / "home" / "weights" / "a.onnx"
    assert target_for("a", str(tmp_path)) == tmp_path / "a.onnx"
    assert target_for("a", f"{tmp_path}/new/") == tmp_path / "new" / "a.onnx"
    assert (tmp_path / "new").is_dir()
    assert target_for("a", f"{tmp_path}/b.onnx") == tmp_path / "b.onnx"
    for to in (f"{tmp_path}/none", f"{tmp_path}/new/b.onnx/"):
        (tmp_path / "new" / "b.onnx").write_bytes(b"")
        with pytest.raises(UsageError):
            target_for("a", to)
    with pytest.raises(UsageError, match="bundled"):
        target_for("default")


def test_the_catalogue_has_an_importer_for_everything():
    assert {entry.kind for entry in CATALOGUE.values()} == {Kind.INSIGHTFACE, Kind.FACENET}
