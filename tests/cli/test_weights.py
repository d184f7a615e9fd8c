import io
import json
import re
import sys
import zipfile
from dataclasses import replace

import pytest
from http_server import Behaviour, serving
from small_nets import sface_like, small_contract, small_model, small_net

from faceverify.cli import main
from faceverify.models import catalogue
from faceverify.models.catalogue import CATALOGUE, Download, Kind
from faceverify.models.install import download
from faceverify.models.model_file import load_model_file


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_HOME", str(tmp_path / "home"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tmp_path / "home" / "weights"


@pytest.fixture
def run(monkeypatch, capfd):
    """Run ``faceverify weights ARGUMENTS``; return exit status, stdout and stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["faceverify", "weights", *map(str, arguments)])
        with pytest.raises(SystemExit) as done:
            main()
        return done.value.code, *capfd.readouterr()

    return call


def sha256(data):
    import hashlib

    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def pack(monkeypatch):
    """A pack like InsightFace's on a server of our own; named "tiny" in the catalogue."""
    net, stream = small_net(side=112), io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("det_10g.onnx", b"not this one")
        archive.writestr("net.onnx", net)
    data = stream.getvalue()
    with serving(data, "tiny.zip") as server:
        entry = Download(
            name="tiny",
            url=server.url,
            sha256=sha256(data),
            size=len(data),
            licence="non-commercial research only",
            kind=Kind.INSIGHTFACE,
            architecture="small",
            head="ArcFace",
            dataset="noise",
            member="net.onnx",
            member_sha256=sha256(net),
        )
        monkeypatch.setitem(CATALOGUE, "tiny", entry)
        yield server


def test_list_marks_the_default_and_goes_on_past_damage(run, home):
    home.mkdir(parents=True)
    small_model().save(home / "mine.onnx")
    status, out, err = run("list")
    assert (status, err) == (0, "")
    first, second, third = out.splitlines()
    assert first.startswith("  dlib-resnet29  ")
    assert first.endswith("  128  CC0-1.0")
    assert second.startswith("* sface  ")
    assert second.endswith("  128  Apache-2.0")
    assert third.startswith("  mine ")
    (home / "broken.onnx").write_bytes(b"text")
    status, out, err = run("list", "--json")
    values = [json.loads(line) for line in out.splitlines()]
    assert status == 2
    assert [value["name"] for value in values] == ["dlib-resnet29", "sface", "broken", "mine"]
    assert [value["default"] for value in values] == [False, True, False, False]
    assert values[2]["error"] == "broken: text, not an ONNX file"
    assert values[3]["id"] == small_model().id
    assert err == ""


def test_list_what_can_be_downloaded(run, home):
    home.mkdir(parents=True)
    small_model().save(home / "buffalo_s.onnx")
    status, out, _ = run("list", "--available", "--json")
    values = {value["name"]: value for value in map(json.loads, out.splitlines())}
    assert status == 0
    assert values.keys() == CATALOGUE.keys()
    assert [name for name, value in values.items() if value["installed"]] == ["buffalo_s"]
    assert "non-commercial research only" in values["buffalo_l"]["licence"]
    assert len(run("list", "--available")[1].splitlines()) == len(CATALOGUE)


def test_show(run, home):
    home.mkdir(parents=True)
    model = small_model("mine")
    model.save(home / "mine.onnx")
    status, out, err = run("show", "mine")
    assert (status, err) == (0, "")
    for piece in (
        model.id,
        str(home / "mine.onnx"),
        "CC0-1.0",
        "16 x 16 RGB, (x - 127.5) / 128",
        "(38.29, 51.7)",
        "64 numbers, that of the mirrored crop added",
        "tests: \u5c0f \u00e9",
    ):
        assert piece in out
    assert out.splitlines()[-1].split() == [
        *("0.001", "0.3000", "0.0200", "0.0008", "to", "0.0012", "100,000", "1,000", "made", "up")
    ]
    value = json.loads(run("show", home / "mine.onnx", "--json")[1])
    assert value["contract"] == small_contract().as_dict()
    assert value["thresholds"][0]["impostors"] == 100_000
    assert value["thresholds"][0]["interval"] == [0.0008, 0.0012]
    assert value["provenance"]["source"] == model.provenance.source
    assert value["scores"] == {}


def test_show_the_default(run):
    status, out, _ = run("show", "--json")
    assert status == 0
    assert json.loads(out)["name"] == "sface"


def test_show_says_the_licence_and_what_it_was_trained_on(run):
    status, out, _ = run("show", "sface")
    assert status == 0
    lines = dict(line.split(maxsplit=1) for line in out.splitlines() if line.count(" ") > 1)
    assert lines["licence"] == "Apache-2.0"
    assert lines["dataset"].startswith("not published for this file; its paper: CASIA-WebFace")


def test_show_without_thresholds_or_licence(run, home):
    home.mkdir(parents=True)
    model = small_model("mine").with_thresholds([])
    replace(model, provenance=replace(model.provenance, licence="unknown")).save(home / "m.onnx")
    _, out, _ = run("show", "m")
    assert "not calibrated" in out
    assert "unknown: find out what you may do with it" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "none"], "no such model (installed: dlib-resnet29, sface)"),
        (["show", "buffalo_l"], "`faceverify weights pull buffalo_l` downloads it"),
        (["pull", "none"], "nothing of that name to download"),
        (["pull", "buffalo_l", "--offline"], "--offline forbids to download it"),
        (["pull", "buffalo_l", "--name", "default"], "bundled model"),
        (["pull", "buffalo_l", "--url", "file:///x"], "not an http or https address"),
        (["import", "/none.onnx"], "cannot be read"),
        (["import", "/none.onnx", "--to", "/none/none"], "neither a folder nor an .onnx file"),
        (["import", "/none.onnx", "--name", "a b"], "no name for a model"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_get_one_line(run, arguments, says):
    status, out, err = run(*arguments, "--quiet")
    assert (status, out) == (2, "")
    assert err.startswith("faceverify: ")
    assert err.count("\n") == 1
    assert says in err


def test_import_and_use_by_name(run, home, tmp_path):
    (tmp_path / "net.onnx").write_bytes(small_net(side=112))
    command = ("import", tmp_path / "net.onnx", "--name", "mine", "--colour", "BGR", "--no-flip")
    status, out, err = run(*command)
    assert status == 0
    assert err.splitlines() == [
        "net.onnx: assumed: input (x - 127.5) / 127.5, which it does not do itself (else: --mean, "
        "--scale); output embeddings, 64 numbers; crops aligned as ArcFace has it"
    ]
    assert run(*command, "--quiet")[2] == ""
    model = load_model_file(home / "mine.onnx")
    assert out.splitlines() == [
        f"mine {model.id} installed as {home / 'mine.onnx'}",
        "licence: unknown: find out what you may do with it before you use it",
    ]
    assert (model.contract.colour_order, model.contract.flip_average) == ("BGR", False)
    status, out, _ = run(*command, "--json")
    assert status == 0
    assert json.loads(out)["written"] is False
    assert "is there already" in run(*command)[1]
    status, _, err = run("import", tmp_path / "net.onnx", "--name", "mine")
    assert status == 2
    assert "--force replaces it" in err
    licence = ("--licence", "MIT", "--force")
    status, out, _ = run("import", tmp_path / "net.onnx", "--name", "mine", *licence)
    assert (status, out.splitlines()[-1]) == (0, "licence: MIT")
    assert "RGB" in run("show", "mine")[1]


def test_import_of_a_net_that_does_not_say_enough(run, home, tmp_path):
    (tmp_path / "net.onnx").write_bytes(small_net(side=112, logits="first"))
    command = ("import", tmp_path / "net.onnx", "--name", "mine")
    status, out, err = run(*command)
    assert (status, out, err.count("\n")) == (2, "", 1)
    for part in (
        "logits (100 numbers)",
        "embeddings (64 numbers)",
        "--output logits or embeddings",
    ):
        assert part in err
    assert not home.exists() or not list(home.iterdir())
    stated = ("--output", "embeddings", "--mean", "1,2,3", "--scale", "128", "--colour", "RGB")
    status, out, err = run(*command, *stated)
    assert status == 0
    assert err.splitlines()[0] == (
        "net.onnx: assumed: output embeddings, 64 numbers; crops aligned as ArcFace has it"
    )
    contract = load_model_file(home / "mine.onnx").contract
    assert (contract.mean, contract.scale) == ((1.0, 2.0, 3.0), (128.0, 128.0, 128.0))
    assert (contract.colour_order, contract.embedding_size) == ("RGB", 64)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--mean", "127.5"], "--mean and --scale belong together"),
        (["--scale", "128"], "--mean and --scale belong together"),
        (["--mean", "0", "--scale", "0"], "no scale is 0"),
        (["--mean", "1,2", "--scale", "1"], "neither a number nor three"),
        (["--mean", "nan", "--scale", "1"], "neither a number nor three"),
        (["--mean", "0", "--scale", "1,2,x"], "neither a number nor three"),
        (["--output", "logits"], "--output logits: it returns embeddings (3, 64)"),
    ],
)
def test_import_with_options_that_make_no_sense(run, home, tmp_path, options, says):
    (tmp_path / "net.onnx").write_bytes(small_net(side=112))
    status, out, err = run("import", tmp_path / "net.onnx", *options)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err


@pytest.mark.parametrize("options", [["--colour", "BGR"], ["--mean", "0", "--scale", "1"]])
def test_import_of_a_model_file_takes_no_statements(run, tmp_path, options):
    small_model().save(tmp_path / "net.onnx")
    status, _, err = run("import", tmp_path / "net.onnx", *options)
    assert status == 2
    assert "a model file, whose input and output are known" in err


def test_import_prepares_and_says_so(run, home, tmp_path):
    net = sface_like(side=112)
    (tmp_path / "net.onnx").write_bytes(net.SerializeToString())
    status, _, err = run("import", tmp_path / "net.onnx", "--name", "mine")
    assert status == 0
    assumed, prepared = err.splitlines()
    assert "input pixels of 0 to 255, which it normalises itself" in assumed
    assert re.fullmatch(r"mine: prepared for the engine; embeddings differ by \de-0[67]", prepared)
    assert "graph  " in run("show", "mine")[1]
    assert json.loads(run("show", "mine", "--json")[1])["prepared"] is True
    assert json.loads(run("show", "--json")[1])["prepared"] is False


def test_import_to_elsewhere(run, home, tmp_path):
    small_model().save(tmp_path / "net.onnx")
    assert run("import", tmp_path / "net.onnx", "--to", f"{tmp_path}/new/")[0] == 0
    assert load_model_file(tmp_path / "new" / "net.onnx").id == small_model().id
    assert not home.exists()


def test_pull(run, home, pack):
    status, out, err = run("pull", "tiny", "--verbose")
    assert status == 0
    model = load_model_file(home / "tiny.onnx")
    assert out.splitlines() == [
        f"tiny {model.id} installed as {home / 'tiny.onnx'}",
        "licence: non-commercial research only",
    ]
    assert err.splitlines()[0] == "tiny: licence: non-commercial research only"
    assert pack.url in err.splitlines()[1]
    assert "\x1b" not in err
    assert sha256(model.graph) == CATALOGUE["tiny"].member_sha256
    assert model.provenance.head == "ArcFace"
    assert CATALOGUE["tiny"].sha256 in model.provenance.source
    assert [path.name for path in home.iterdir()] == ["tiny.onnx"]

    for more in ([], ["--offline"], ["--quiet", "--json"]):
        status, out, err = run("pull", "tiny", *more)
        assert status == 0
        assert "already" in out or json.loads(out)["written"] is False
    assert err == ""
    assert len(pack.asked) == 1


def test_pull_after_calibration_keeps_the_thresholds(run, home, pack):
    run("pull", "tiny")
    model = load_model_file(home / "tiny.onnx").with_thresholds(small_model().thresholds)
    model.save(home / "tiny.onnx")
    assert "already" in run("pull", "tiny")[1]
    assert load_model_file(home / "tiny.onnx").thresholds == small_model().thresholds


def test_pull_over_another_or_a_damaged_model(run, home, pack):
    home.mkdir(parents=True)
    small_model().save(home / "tiny.onnx")
    status, _, err = run("pull", "tiny", "-q")
    assert status == 2
    assert "another file of that name is there; --force" in err
    assert run("pull", "tiny", "--name", "other")[0] == 0
    assert load_model_file(home / "other.onnx").provenance.name == "other"
    assert run("pull", "tiny", "--force")[0] == 0
    good = (home / "tiny.onnx").read_bytes()
    (home / "tiny.onnx").write_bytes(good.replace(b"Relu", b"Selu", 1))
    assert run("pull", "tiny")[0] == 2
    assert run("pull", "tiny", "--force")[0] == 0
    assert (home / "tiny.onnx").read_bytes() == good


def test_pull_goes_on_where_it_stopped(run, home, pack, monkeypatch):
    monkeypatch.setattr(download, "time", type("Time", (), {"sleep": lambda _: None}))
    pack.script = [Behaviour(cut=1_000), Behaviour(status=404)]
    status, out, err = run("pull", "tiny", "-q")
    assert (status, out) == (2, "")
    assert "404" in err
    part = home / "downloads" / "tiny.zip.part"
    assert part.stat().st_size == 1_000
    assert run("pull", "tiny")[0] == 0
    assert pack.ranges == [None, "bytes=1000-", "bytes=1000-"]
    assert not part.parent.exists()


def test_pull_wrong_bytes(run, home, pack):
    wrong = bytes(len(pack.content))
    pack.script = [Behaviour(content=wrong)]
    status, out, err = run("pull", "tiny", "-q")
    assert (status, out) == (2, "")
    assert sha256(wrong) in err
    assert CATALOGUE["tiny"].sha256 in err
    assert not list(home.rglob("*.*"))


def test_pull_from_a_mirror(run, home, pack, monkeypatch):
    entry = replace(CATALOGUE["tiny"], url="https://no-such-host.invalid/tiny.zip")
    monkeypatch.setitem(catalogue.CATALOGUE, "tiny", entry)
    mirror = pack.url.removesuffix("tiny.zip") + "mirror/"
    assert run("pull", "tiny", "--url", mirror)[0] == 0
    assert pack.asked[0]["line"].startswith("GET /mirror/tiny.zip ")


def test_a_copied_download_is_used_offline(run, home, pack):
    (home / "downloads").mkdir(parents=True)
    (home / "downloads" / "tiny.zip").write_bytes(pack.content)
    assert run("pull", "tiny", "--offline")[0] == 0
    assert pack.asked == []


def test_help_shows_examples(run):
    for command in ("list", "show", "import", "pull"):
        status, out, _ = run(command, "--help")
        assert status == 0
        assert "Example" in out
        assert "--json" in out
