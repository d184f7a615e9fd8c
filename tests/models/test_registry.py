import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_nets import small_model

from faceverify.errors import ModelError, UsageError
from faceverify.models import registry
from faceverify.models.registry import (
    Installed,
    bundled_folder,
    find_model,
    installed,
    load_model,
    name_for_user,
    read_manifest,
    scores_of,
    user_folder,
)

MANIFEST = """
default = "one"

[models.one]
file = "one-file.onnx"
sha256 = "{hash}"
bytes = 5
licence = "CC0-1.0"
id = "0123456789abcdef"
source_package = "package"
source_version = "1.0"

[models.one.scores]
lfw = 0.99

[models.two]
file = "two.onnx"
sha256 = "{hash}"
licence = "MIT"

[nets.finder]
file = "finder.onnx"
sha256 = "{hash}"
licence = "MIT"
""".format(hash="0" * 64)


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    """A package of its own, with a manifest in the folder that a wheel has."""
    folder = tmp_path / "site-packages" / "faceverify" / "weights"
    folder.mkdir(parents=True)
    (folder / "manifest.toml").write_text(MANIFEST)
    (folder / "one-file.onnx").write_bytes(b"model")
    monkeypatch.setattr(registry, "__file__", str(folder.parent / "models" / "registry.py"))
    return folder


@pytest.fixture(autouse=True)
def user(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_HOME", str(tmp_path / "home"))
    folder = tmp_path / "home" / "weights"
    folder.mkdir(parents=True)
    return folder


def test_the_folder_of_a_wheel_goes_before_the_one_beside_the_package(bundled):
    beside = bundled.parents[1] / "weights"
    beside.mkdir()
    (beside / "manifest.toml").write_text(MANIFEST)
    assert bundled_folder() == bundled
    (bundled / "manifest.toml").unlink()
    assert bundled_folder() == beside


def test_the_user_folder(monkeypatch, tmp_path):
    assert user_folder() == tmp_path / "home" / "weights"
    monkeypatch.delenv("FACEVERIFY_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert user_folder() == tmp_path / "data" / "faceverify" / "weights"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert user_folder() == tmp_path / ".local" / "share" / "faceverify" / "weights"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert user_folder() == tmp_path / ".local" / "share" / "faceverify" / "weights"


def test_no_home_at_all(monkeypatch):
    monkeypatch.delenv("FACEVERIFY_HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    with pytest.raises(UsageError, match="set FACEVERIFY_HOME"):
        user_folder()


def test_names(bundled, user):
    (user / "mine.onnx").write_bytes(b"")
    assert find_model("default") == find_model("one") == bundled / "one-file.onnx"
    assert find_model("two") == bundled / "two.onnx"
    assert find_model("mine") == user / "mine.onnx"


def test_what_is_installed(bundled, user):
    for name in ("b", "a", "one", "default", " odd name", "not-a-model.txt"):
        (user / (name if "." in name else f"{name}.onnx")).write_bytes(b"")
    assert installed() == [
        Installed("one", bundled / "one-file.onnx", bundled=True, default=True),
        Installed("two", bundled / "two.onnx", bundled=True, default=False),
        Installed("a", user / "a.onnx", bundled=False, default=False),
        Installed("b", user / "b.onnx", bundled=False, default=False),
    ]


def test_nothing_of_the_users_can_stand_in_for_a_bundled_model(bundled, user):
    for name in ("default", "one"):
        (user / f"{name}.onnx").write_bytes(b"another")
        assert find_model(name) == bundled / "one-file.onnx"
        with pytest.raises(UsageError, match="bundled"):
            name_for_user(name)


@pytest.mark.parametrize("name", ["", "-x", "a b", "x.onnx", "../x", "x" * 101, "\u00e9", "a\n"])
def test_names_that_no_model_may_have(name, bundled):
    with pytest.raises(UsageError):
        name_for_user(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "two\n", "x" * 5000, "\0", "none"])
def test_unknown_names_say_what_is_there(bundled, user, name):
    (user / "mine.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"no such model \(installed: one, two, mine\)") as caught:
        find_model(name)
    assert caught.value.code == "model-missing"


def test_cures(bundled, monkeypatch, tmp_path):
    with pytest.raises(ModelError, match="`faceverify weights pull buffalo_l` downloads it"):
        find_model("buffalo_l")
    with pytest.raises(ModelError, match="weights list --available"):
        find_model("none")
    monkeypatch.chdir(tmp_path)
    Path("plain").write_bytes(b"")
    with pytest.raises(ModelError, match=r"a file here is meant by \./plain"):
        find_model("plain")


def test_paths(bundled, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for path in (Path("x.onnx"), Path("y.ONNX"), Path("folder", "plain")):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        assert find_model(str(path)) == path
    for missing in ("one.onnx", "./one", str(tmp_path / "none")):
        with pytest.raises(ModelError, match="no such model file"):
            find_model(missing)
    with pytest.raises(ModelError, match="a folder, not a model file"):
        find_model("./folder")


def test_no_manifest_at_all(bundled, user):
    (bundled / "manifest.toml").unlink()
    with pytest.raises(ModelError, match="no default model"):
        find_model("default")
    (user / "mine.onnx").write_bytes(b"")
    assert find_model("mine") == user / "mine.onnx"
    assert [model.name for model in installed()] == ["mine"]


def test_a_manifest(bundled):
    manifest = read_manifest(bundled)
    assert manifest.default == "one"
    one = manifest.models["one"]
    assert (one.file, one.bytes, one.licence, one.id) == (
        "one-file.onnx",
        5,
        "CC0-1.0",
        "0123456789abcdef",
    )
    assert one.source == {"package": "package", "version": "1.0"}
    assert scores_of(bundled / "one-file.onnx") == one.scores == {"lfw": 0.99}
    assert scores_of(bundled / "two.onnx") == scores_of(bundled.parent / "one-file.onnx") == {}
    assert set(manifest.nets) == {"finder"}
    assert manifest.nets["finder"].bytes is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("default =", "Invalid value"),
        ("", "default is None"),
        ('default = "none"', "default is 'none'"),
        ("default = []", "default is"),
        ('default = "a"\nmodels = 1', "models is 1"),
        ('default = "a"\n[models]\na = 1', "models is"),
        (MANIFEST.replace('licence = "MIT"', ""), "licence is None"),
        (MANIFEST.replace("0" * 64, "0" * 63), "sha256"),
        (MANIFEST.replace('"two.onnx"', '"../two.onnx"'), "not a name in this folder"),
        (MANIFEST.replace('"two.onnx"', '"/etc/passwd"'), "not a name in this folder"),
        (MANIFEST.replace('"two.onnx"', "2"), "file is 2"),
        ("a = " + "[" * 10_000, ""),
        ("\0", ""),
    ],
)
def test_damaged_manifests(bundled, text, says):
    (bundled / "manifest.toml").write_text(text)
    with pytest.raises(ModelError) as caught:
        find_model("default")
    assert says in str(caught.value)
    assert "install faceverify again" in str(caught.value)


def test_a_manifest_that_is_no_text(bundled):
    (bundled / "manifest.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError):
        installed()


def test_the_bundled_weights_are_what_their_manifest_says():
    folder = bundled_folder()
    manifest = read_manifest(folder)
    for entry in [*manifest.models.values(), *manifest.nets.values()]:
        data = (folder / entry.file).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry.sha256, entry.bytes)
    for name, entry in manifest.models.items():
        model = load_model(name)
        assert (model.id, model.provenance.licence) == (entry.id, entry.licence)


def test_a_model_that_was_saved_is_found_and_read(user):
    model = small_model("mine")
    model.save(user / "mine.onnx")
    assert load_model("mine") == model


def test_looking_for_a_model_imports_little():
    """Finding and reading a model is in the way of every verification."""
    program = (
        "import sys; from faceverify.models.registry import find_model; find_model('default');"
        "print(*({'torch', 'onnx', 'urllib.request', 'http.client', 'rich', 'sklearn'}"
        " & set(sys.modules)))"
    )
    environment = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert done.stdout.strip() == ""
