"""Photos at URLs; the local file system of pyarrow replaces stores that need a network."""

import pytest

from faceverify.errors import ImageError, without_secrets
from faceverify.images.object_store import (
    CREDENTIALS,
    is_folder,
    is_url,
    list_objects,
    read_object,
)
from faceverify.images.photo import open_photo

pytest.importorskip("pyarrow")


@pytest.fixture
def store(tmp_path):
    for name in ("b/2.jpg", "b/1.jpg", "a/c/x.png", "z.txt", ".hidden"):
        (tmp_path / "s" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "s" / name).write_bytes(name.encode())
    return f"file://{tmp_path}/s"


@pytest.mark.parametrize("name", ["s3://bucket/a.jpg", "gs://b/c", "file:///x"])
def test_urls_are_known(name):
    assert is_url(name)


@pytest.mark.parametrize("name", ["a.jpg", "/s3://", "http://host/a.jpg", "s3:/a", "s3://", "-"])
def test_what_is_no_url_is_a_path(name):
    assert not is_url(name)


def test_a_folder_is_listed_in_order(store):
    expected = [f"{store}/{name}" for name in ("z.txt", "a/c/x.png", "b/1.jpg", "b/2.jpg")]
    assert list(list_objects(store)) == list(list_objects(store + "/")) == expected
    assert is_folder(store)
    assert not is_folder(f"{store}/z.txt")
    assert read_object(f"{store}/b/1.jpg", 100) == b"b/1.jpg"
    assert read_object(f"{store}/b/1.jpg", 2) == b"b/"


def test_what_cannot_be_read_is_one_line(store):
    with pytest.raises(ImageError, match="no such photo") as caught:
        read_object(f"{store}/none.jpg", 1)
    assert caught.value.code == "image-missing"
    with pytest.raises(ImageError, match="cannot be read"):
        list(list_objects(f"{store}/none"))


def test_a_name_that_is_no_text_is_one_line(store, tmp_path):
    (tmp_path / "s" / "x\udcff.jpg").touch()
    with pytest.raises(ImageError, match="cannot be read"):
        list(list_objects(store))


def test_a_password_is_not_shown():
    with pytest.raises(ImageError) as caught:
        read_object("s3://key:secret@bucket/a.jpg?bogus=1", 1)
    assert "secret" not in str(caught.value)


def test_a_photo_is_opened_by_its_url(store, tmp_path, photos):
    path = tmp_path / "s" / "face.png"
    photos["obama"].save(path)
    by_url, by_path = open_photo(f"{store}/face.png"), open_photo(path)
    assert by_url.name == f"{store}/face.png"
    assert by_url.sha256 == by_path.sha256


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("s3://key:secret@bucket/a.jpg", True), ("s3://key:se/cret@bucket/a.jpg", True),
        ("abfs://:secret@account/a.jpg", True), ("hdfs://node:8020/a@2x.jpg", False),
        ("abfs://container@account.example/a.jpg", False), ("s3://bucket/a:b@2x.jpg", False),
    ],
)  # fmt: skip
def test_a_port_is_no_password(url, secret):
    assert bool(CREDENTIALS.match(url)) is secret
    assert (without_secrets(url) == url) is not secret
