"""What looks like a URL is never taken for a path, and what is secret in it stays secret."""

import inspect
import json
import os
import re
import typing
from pathlib import Path

import pytest

from faceverify.cli.app import build_app
from faceverify.cli.commands import ADDRESSES, NO_PLACES, with_paths
from faceverify.embeddings.formats.output import open_output
from faceverify.errors import ImageError, UsageError
from faceverify.gallery.open import open_store
from faceverify.images.photo import open_photo
from faceverify.runtime.folders import make_folder

SECRET = "TopSecret"

NO_GALLERY = [
    f"postgresql+psycopg2://svc:{SECRET}@db.example/faces",
    f"mysql://svc:{SECRET}@db.example/faces",
    f"redis://:{SECRET}@db.example",
    "http://milvus.example:19530",
    f"Postgresql://svc:{SECRET}@db.example/faces",
    f"postgresql:/svc:{SECRET}@db.example/faces",
    f"postgresql:svc:{SECRET}@db.example/faces",
    f'"postgresql://svc:{SECRET}@db.example/faces"',
    f" postgresql://svc:{SECRET}@db.example/faces",
    f"jdbc:postgresql://svc:{SECRET}@db.example/faces",
    f"svc:{SECRET}@db.example/faces",
    f"//svc:{SECRET}@db.example/faces",
    f"svc:Top/{SECRET}@db.example/faces",
    f"host=db.example user=svc password={SECRET}",
    f"postgresql://svc:a@{SECRET}@127.0.0.1:1/faces",
    f"postgresql://svc:a/{SECRET}@127.0.0.1:1/faces",
    f"milvus://svc:a/{SECRET}@127.0.0.1:1/faces",
    f"milvus://svc:a#{SECRET}@127.0.0.1:1/faces",
    f"s3://key:{SECRET}@bucket/gallery",
    "file:///tmp/gallery",
]


@pytest.mark.parametrize("url", NO_GALLERY)
def test_a_gallery_at_an_unknown_address_is_refused(run, tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    for command in (["list"], ["copy", url, "b"], ["copy", "a", url], ["index"]):
        where = [] if command[0] == "copy" else ["--gallery", url]
        ran = run("gallery", *command, *where)
        assert ran.status == 2
        assert SECRET not in ran.out + ran.err
        assert len(ran.err.splitlines()) == 1
    assert os.listdir(tmp_path) == []


def test_enroll_makes_no_folder_of_an_address(run, tmp_path, monkeypatch, small_faces):
    monkeypatch.chdir(tmp_path)
    Path("o.jpg").write_bytes(small_faces["obama"])
    url = f"mysql://svc:{SECRET}@db.example/faces"
    assert run("enroll", "o", "o.jpg", "--gallery", url).status == 2
    monkeypatch.setenv("FACEVERIFY_GALLERY", url)
    assert run("identify", "o.jpg").status == 2
    monkeypatch.delenv("FACEVERIFY_GALLERY")
    monkeypatch.setenv("FACEVERIFY_HOME", "s3://bucket/home")
    assert run("enroll", "o", "o.jpg").status == 2
    assert os.listdir(tmp_path) == ["o.jpg"]


@pytest.mark.parametrize(
    ("url", "near"),
    [
        ("postgresql+psycopg2://h", "postgresql"), ("PostgreSQL://h", "postgresql"),
        ("pgsql://h", "postgresql"), ("postgressql://h", "postgresql"), ("mivlus://h", "milvus"),
        ("http://h:19530", "milvus"),
    ],
)  # fmt: skip
def test_the_nearest_scheme_is_named(run, url, near):
    assert f"did you mean {near}://" in run("gallery", "list", "--gallery", url).err


def test_folders_with_odd_names_are_galleries(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("./s3:/gallery", "./svc:x@host", f"{tmp_path}/user=bob/a:b@c", "12:30", "a b"):
        assert "no gallery there" in run("gallery", "list", "--gallery", name).err, name


def parameters():
    """Commands with each of their parameters that is a path, or a text that may be one."""
    groups = [build_app()]
    for group in groups:
        groups += [one.typer_instance for one in group.registered_groups]
        for command in group.registered_commands:
            signature = inspect.signature(command.callback, eval_str=True)
            for name, one in signature.parameters.items():
                kind = str(typing.get_args(one.annotation)[:1])
                if "Path" in kind or ("str" in kind and name not in ADDRESSES | NO_PLACES):
                    yield pytest.param(
                        command.callback,
                        name,
                        "Path" in kind,
                        id=f"{command.callback.__module__}-{name}",
                    )


@pytest.mark.parametrize(("command", "name", "is_path"), [*parameters()])
def test_no_parameter_takes_a_url_for_a_path(command, name, is_path):
    for url in ("s3://bucket/x", "GS://b", "http://h/x", "s3:bucket", "u@host:/x"):
        with pytest.raises(UsageError, match=r"^(-|[A-Z])"):
            command(**{name: Path(url) if is_path else url})
        with pytest.raises(UsageError):
            command(**{name: [Path("a"), Path(url)]})


def test_every_command_is_checked():
    assert len(list(parameters())) > 80
    names = {one.values[1] for one in parameters()}
    assert {
        "out",
        "destination",
        "draw",
        "audit",
        "report",
        "save",
        "into",
        "folder",
        "to",
    } <= names


def test_results_are_not_written_to_urls(run, tmp_path, monkeypatch, small_faces):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("photos/o.jpg").write_bytes(small_faces["obama"])
    for words in (
        ["embed", "photos", "--out", "s3://bucket/x.npz"],
        ["embed", "photos", "--out", "s3://bucket/x/"],
        ["align", "photos", "gs://bucket/crops"],
        ["detect", "photos", "--draw", "s3://bucket/drawn"],
        ["train", "photos", "--out", "s3://bucket/runs"],
        ["train", "photos", "--name", "s3://bucket/run"],
        ["identify", "photos", "--audit", "s3://bucket/log"],
        ["data", "convert", "photos", "hdfs://x", "--to", "folders"],
        ["evaluate", "photos", "--out", "file:///tmp/x"],
    ):
        ran = run(*words)
        assert (ran.status, ran.out, len(ran.err.splitlines())) == (2, "", 1), words
    assert sorted(os.listdir(tmp_path)) == ["photos"]
    assert os.listdir("photos") == ["o.jpg"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://host.example/a.jpg", "download it first"),
        (f"https://host.example/a.jpg?X-Amz-Signature={SECRET}", "download it first"),
        (f"ftp://joe:{SECRET}@host.example/a.jpg", "download it first"),
        ("S3://bucket/a.jpg", "did you mean s3://"),
        ("s3a://bucket/a.jpg", "did you mean s3://"),
        ("s3:/bucket/a.jpg", "did you mean s3://"),
        ("wasbs://c@host/a.jpg", "did you mean abfs"),
        ("data:image/jpeg;base64,/9j/4AAQ", "decode it"),
        ("ipfs://a.jpg", "s3://"),
        (f"s3://key:{SECRET}@bucket/a.jpg", "AWS_SECRET_ACCESS_KEY"),
        (f"s3://key:a/{SECRET}@bucket/a.jpg", "AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_photos_at_unknown_addresses_say_what_helps(url, said):
    with pytest.raises(ImageError, match=re.escape(said)) as caught:
        open_photo(url)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", [f"s3://key:a/{SECRET}@bucket/a.jpg", f"https://h/a.jpg?X-Amz-Signature={SECRET}"]
)
def test_secrets_in_the_addresses_of_photos_are_nowhere(run, tmp_path, monkeypatch, url):
    monkeypatch.chdir(tmp_path)
    Path("list.tsv").write_text(f"{url}\t{url}\n")
    for words in (
        ["detect", url, "--json"], ["embed", url, "--out", "e.npz"], ["verify", url, url],
        ["verify", "--pairs", "list.tsv", "--json"], ["enroll", "o", url, "--gallery", "g"],
    ):  # fmt: skip
        ran = run(*words)
        assert ran.status == 2, words
        stored = b"".join(path.read_bytes() for path in Path("g").rglob("*") if path.is_file())
        stored += b"".join(path.read_bytes() for path in Path().glob("*refused.jsonl"))
        assert SECRET not in ran.out + ran.err + stored.decode("latin-1"), words
    assert os.listdir(tmp_path)


def test_a_photo_with_the_name_of_an_address_is_read(run, tmp_path, monkeypatch, small_faces):
    monkeypatch.chdir(tmp_path)
    Path("s3:").mkdir()
    Path("s3:/o.jpg").write_bytes(small_faces["obama"])
    assert run("detect", "./s3:/o.jpg").status == 0
    assert run("detect", "./s3:").status == 0


def test_words_of_the_parser_show_no_password(run):
    ran = run("gallery", "list", f"postgresql://svc:{SECRET}@db/faces")
    assert (ran.status, SECRET in ran.err) == (2, False)
    assert "***@db/faces" in ran.err


def test_a_training_set_at_an_unknown_address(run):
    for url, said in ((f"s4://k:{SECRET}@bucket/a.tar", "Known"), ("s3n://b/a.tar", "mean s3://")):
        ran = run("data", "check", url)
        assert (ran.status, SECRET in ran.err, said in ran.err) == (2, False, True)


def test_the_library_makes_no_folder_of_an_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for make in (
        lambda: make_folder(Path("s3://bucket/x")),
        lambda: open_output("s3://bucket/x", "model"),
        lambda: open_store("s3://bucket/x", create=True),
    ):
        with pytest.raises(UsageError):
            make()
    assert os.listdir(tmp_path) == []


def test_the_log_of_what_was_decided_holds_no_password(tmp_path):
    from faceverify.gallery.audit import AuditLog

    log = tmp_path / "log"
    AuditLog(log).append("verify", photo=f"s3://key:{SECRET}@b/a.jpg", same=False)
    line = json.loads(log.read_text())
    assert (line["photo"], line["same"]) == ("s3://***@b/a.jpg", False)


def test_a_checked_command_passes_its_values_on(tmp_path):
    seen = []

    def command(out: Path, photos: list[str]) -> None:
        seen.append((out, photos))

    with_paths(command)(out=tmp_path / "s3:" / "x", photos=["s3://bucket"])
    assert seen == [(tmp_path / "s3:" / "x", ["s3://bucket"])]
