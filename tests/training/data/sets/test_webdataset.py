"""WebDataset shards: at any place and as a stream; an error instead of wrong data."""

import gzip
import io
import itertools
import os
import shutil
import tarfile
import threading

import numpy as np
import pytest
import torch
from face_files import people_folder
from http_server import Behaviour, serving
from PIL import Image

from faceverify.errors import ImageError, TrainingError
from faceverify.training.config.augmentation import Augmentation
from faceverify.training.data.loading.stream_loader import stream_batches
from faceverify.training.data.sets.open import open_face_set
from faceverify.training.data.sets.shard_stream import (
    ShardStream,
    expand_urls,
    open_stream,
    stream_images,
)
from faceverify.training.data.transforms import Transform
from faceverify.training.data.writers.convert import convert


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("people")
    people_folder(folder, {"ann": 5, "bob": 4, "eve": 7})
    rows = [f"{path.relative_to(folder)},{n}" for n, path in enumerate(folder.glob("*/*.jpg"))]
    (folder / "labels.csv").write_text("path,age\n" + "\n".join(rows) + "\n")
    return open_face_set(folder)


@pytest.fixture(scope="module")
def shards(people, tmp_path_factory):
    """Four shards of four images, in a folder with a name that is a pattern to the writer."""
    folder = tmp_path_factory.mktemp("shards") / "100%d faces"
    convert(people, folder, "webdataset", seed=3, shard_size=4)
    return folder


def urls(shards):
    return [str(path) for path in sorted(shards.glob("*.tar"))]


def by_image(faces):
    """What is known of each image."""
    return {
        faces.read(i): (faces.identities[faces.labels[i]], faces.columns["age"][i])
        for i in range(len(faces))
    }


def test_shards_hold_what_was_written(people, shards):
    assert len(urls(shards)) == 4
    opened = open_face_set(shards)
    assert opened.kind == "webdataset"
    assert by_image(opened) == by_image(people)
    assert opened.identities == ["ann", "bob", "eve"]
    assert opened.labels[:8].tolist() != sorted(opened.labels[:8])  # shuffled
    assert torch.equal(opened.image(3), people.image(list(by_image(people)).index(opened.read(3))))


def test_a_pattern_and_a_single_shard(shards):
    assert len(open_face_set(f"{shards}/{{000001..000003}}.tar")) == 12
    part = open_face_set(shards / "000002.tar")
    assert len(part) == 4
    whole = open_face_set(shards)
    assert [whole.read(8 + i) for i in range(4)] == [part.read(i) for i in range(4)]


def test_the_same_faces_give_the_same_bytes(people, shards, tmp_path):
    convert(people, tmp_path / "again", "webdataset", seed=3, shard_size=4)
    for one, other in zip(urls(shards), urls(tmp_path / "again"), strict=True):
        with open(one, "rb") as a, open(other, "rb") as b:
            assert a.read() == b.read()


def test_a_shard_cut_anywhere_is_one_clear_line(shards, tmp_path):
    with open(shards / "000000.tar", "rb") as stream:
        whole = stream.read()
    archive = tarfile.open(fileobj=io.BytesIO(whole))  # noqa: SIM115
    last = archive.getmembers()[-1]
    content = last.offset_data + (last.size + 511) // 512 * 512
    everything = by_image(open_face_set(shards / "000000.tar"))
    for length in sorted({*range(0, content + 512, 300), *range(512, content, 512)}):
        (tmp_path / "torn.tar").write_bytes(whole[:length])
        if length >= content + 512:
            assert by_image(open_face_set(tmp_path / "torn.tar")) == everything
        else:
            with pytest.raises(TrainingError, match=r"torn\.tar: (is|holds|has)"):
                open_face_set(tmp_path / "torn.tar")


def write_tar(path, members):
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            archive.addfile(header, io.BytesIO(data))
    return path


JPEG = b"\xff\xd8\xff an image"
WRONG = {
    "without a label": ({"a.jpg": JPEG}, "key a: has no .cls"),
    "a label of words": ({"a.jpg": JPEG, "a.cls": b"ann"}, "no labelled sample"),
    "a negative label": ({"a.jpg": JPEG, "a.cls": b"-1"}, "no labelled sample"),
    "torn json": ({"a.jpg": JPEG, "a.json": b"{"}, "no labelled sample"),
    "json of another kind": ({"a.jpg": JPEG, "a.json": b"[1]"}, "no object"),
    "other numbers": (
        {"a.jpg": JPEG, "a.json": b'{"label": 1, "age": 3}', "b.jpg": JPEG, "b.cls": b"1"},
        "json of key b has other numbers",
    ),
    "no images": ({"a.cls": b"1"}, "holds no samples"),
    "a dot in a key": ({"a.1.jpg": JPEG, "a.1.cls": b"1"}, r"a\.1\.jpg, whose key has a dot"),
    "a dot in some": (
        {"a.jpg": JPEG, "a.cls": b"1", "p/b.2.jpeg": JPEG, "p/b.2.cls": b"2"},
        r"p/b\.2\.jpeg, whose key has a dot in it: WebDataset takes \.2\.jpeg",
    ),
}


@pytest.mark.parametrize("url", ["https://joe:pw@host/{0..9}.tar", "a.tar::http://j:p/w@h/b.tar"])
def test_a_stream_with_a_password_is_refused(url):
    with pytest.raises(TrainingError, match="a URL with a password in it"):
        open_stream(url)


def test_images_of_any_format_come_back_from_shards(tmp_path):
    folder = tmp_path / "people"
    for place, (name, kind) in enumerate(
        [("a", "GIF"), ("a", "TIFF"), ("b", "AVIF"), ("b", "PPM")]
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (32, 32), (9 * place, 0, 0)).save(folder / name / str(place), kind)
    convert(open_face_set(folder), tmp_path / "shards", "webdataset")
    opened = open_face_set(tmp_path / "shards")
    stored = {path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert {opened.read(index) for index in range(len(opened))} == stored
    (shard,) = urls(tmp_path / "shards")
    assert len(open_stream(f"pipe:cat {shard}")) == 4


@pytest.mark.parametrize("case", ["a dot in a key", "a dot in some"])
def test_a_stream_with_dots_in_keys(tmp_path, case):
    members, found = WRONG[case]
    path = write_tar(tmp_path / "x.tar", members)
    with pytest.raises(TrainingError, match=found):
        open_stream(f"pipe:cat {path}")


@pytest.mark.parametrize("case", WRONG)
def test_samples_that_cannot_be_learned_from(tmp_path, case):
    members, found = WRONG[case]
    with pytest.raises(TrainingError, match=found):
        open_face_set(write_tar(tmp_path / "x.tar", members))


def test_shards_of_others(tmp_path):
    """Keys in folders, a label in the json, several extensions, things that are no samples."""
    members = {
        "__meta__": b"x", "p/1.5.JPG": JPEG, "p/1.json": b'{"label": 7, "name": "x", "ok": true}',
        "p/2.png": b"\x89PNG", "p/2.cls": b" 3\n", "p/2.seg.png": b"no",
    }  # fmt: skip
    del members["p/1.5.JPG"]
    members = {"p/1.jpeg": JPEG, **members}
    members = dict(sorted(members.items()))
    opened = open_face_set(write_tar(tmp_path / "x.tar", members))
    assert opened.identities == ["3", "7"]
    assert opened.labels.tolist() == [1, 0]
    assert opened.read(1) == b"\x89PNG"


def test_a_compressed_shard(shards, tmp_path):
    with open(shards / "000000.tar", "rb") as stream:
        (tmp_path / "x.tar").write_bytes(gzip.compress(stream.read()))
    with pytest.raises(TrainingError, match="is compressed"):
        open_face_set(tmp_path / "x.tar")


# Streams


def taken(count, shards, **options):
    stream = stream_images(urls(shards), **{"buffer": 8} | options)
    found = [(image.name, image.label, image.image) for image in itertools.islice(stream, count)]
    stream.close()
    return found


def test_a_stream_passes_every_image_once_and_goes_round(people, shards):
    found = taken(32, shards)
    for turn in (found[:16], found[16:]):
        assert {image for _, _, image in turn} == set(by_image(people))
    assert found[:16] != found[16:]
    wanted = by_image(people)
    for _, label, image in found:
        assert wanted[image][0] == people.identities[label]


def test_the_shards_have_another_order_in_every_turn(shards):
    found = taken(64, shards, buffer=0)
    turns = [tuple(name for name, _, _ in found[start : start + 16]) for start in range(0, 64, 16)]
    assert len(set(turns)) > 1
    assert len({frozenset(turn) for turn in turns}) == 1


def test_its_order_is_the_seeds(shards):
    first = taken(20, shards)
    assert taken(20, shards) == first
    assert taken(20, shards, seed=1) != first
    assert taken(20, shards, epoch=1) != first


@pytest.mark.parametrize("world", [1, 2, 4])
def test_processes_share_the_shards(people, shards, world):
    parts = [taken(16 // world, shards, rank=rank, world=world) for rank in range(world)]
    assert {image for part in parts for _, _, image in part} == set(by_image(people))


def test_fewer_shards_than_processes(shards):
    with pytest.raises(TrainingError, match="4 shards for 5 processes"):
        taken(1, shards, world=5)


def stream_of(shards, people=3):
    return ShardStream("", tuple(shards), 16, people)


def made(shards, **options):
    varied = Transform((20, 24), augmentation=Augmentation(0.5, 1, 1))
    options = {
        "size": 3,
        "steps": 6,
        "transform": varied,
        "crop_size": (20, 24),
        "buffer": 8,
    } | options
    return list(stream_batches(stream_of(urls(shards)), **options))


def test_batches_of_a_stream(people, shards):
    whole = made(shards)
    assert [len(batch.labels) for batch in whole] == [3] * 6
    for workers in (1, 3):
        for one, other in zip(made(shards, workers=workers), whole, strict=True):
            assert torch.equal(one.views[0], other.views[0])
    rest = made(shards, start=4)
    assert len(rest) == 2
    assert torch.equal(rest[0].views[0], whole[4].views[0])
    assert torch.equal(rest[0].labels, whole[4].labels)
    assert np.concatenate([batch.indices for batch in whole]).tolist() == list(range(18))


def test_a_stream_of_a_command(people, shards):
    command = [f"pipe:cat '{path}'" for path in urls(shards)]
    stream = stream_images(command, buffer=0)
    found = {image.image for image in itertools.islice(stream, 16)}
    stream.close()
    assert found == set(by_image(people))


@pytest.mark.skipif(shutil.which("curl") is None, reason="webdataset reads URLs with curl")
def test_a_stream_over_http(people, shards):
    content = (shards / "000000.tar").read_bytes()
    with serving(content, "000000.tar") as server:
        stream = stream_images([server.url], buffer=0)
        found = {image.image: image.name for image in itertools.islice(stream, 4)}
        stream.close()
        assert found.keys() < set(by_image(people))
        assert all(name.startswith(f"{server.url}, key ") for name in found.values())
        for wrong in (Behaviour(status=404), Behaviour(cut=len(content) - 10_300)):
            server.script = [wrong]
            with pytest.raises(TrainingError, match=r"000000\.tar: cannot be read"):
                list(itertools.islice(stream_images([server.url], buffer=0), 5))


FAILING = {
    "a command that fails": ("pipe:exit 3", "(the command ended with exit status 3)"),
    "a missing file": ("/nowhere/{0}.tar", "cannot be read"),
    "no archive": ("pipe:echo hello", "cannot be read"),
}


@pytest.mark.parametrize("case", FAILING)
def test_a_stream_that_fails_is_one_clear_line(case):
    url, reason = FAILING[case]
    with pytest.raises(TrainingError) as error:
        next(stream_images([url]))
    assert str(error.value).startswith(f"{url}: ")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


def test_a_shard_cut_anywhere_is_an_error_in_a_stream(shards, tmp_path):
    with open(shards / "000000.tar", "rb") as stream:
        whole = stream.read()
    end = len(whole.rstrip(b"\0")) // 512 * 512 + 512
    for length in {*range(1, end, 700), *range(512, end + 1, 512)}:
        (tmp_path / "x.tar").write_bytes(whole[:length])
        with pytest.raises(TrainingError, match=r"x\.tar: cannot be read"):
            list(itertools.islice(stream_images([str(tmp_path / "x.tar")], buffer=0), 5))


def test_an_image_in_a_stream_that_is_none(tmp_path):
    write_tar(tmp_path / "x.tar", {"a.jpg": b"hello", "a.cls": b"0"})
    with pytest.raises(ImageError, match=r"x\.tar, key a: text, not an image"):
        list(stream_batches(stream_of([str(tmp_path / "x.tar")]), size=2, steps=2, buffer=0,
                            transform=Transform((20, 24)), crop_size=(20, 24)))  # fmt: skip


def test_a_stream_leaves_nothing_behind(shards):
    before, files = set(threading.enumerate()), set(os.listdir("/proc/self/fd"))
    options = {"transform": Transform((20, 24)), "crop_size": (20, 24), "buffer": 4}
    stream = stream_batches(stream_of(urls(shards)), size=3, steps=99, **options)
    next(stream)
    stream.close()
    assert set(threading.enumerate()) == before
    assert set(os.listdir("/proc/self/fd")) == files


def test_a_stream_is_counted(shards):
    stream = open_stream("::".join(urls(shards)))
    assert (stream.images, stream.num_identities) == (16, 3)
    assert list(stream.urls) == urls(shards)
    with pytest.raises(TrainingError, match=r"x\.tar: cannot be read"):
        open_stream("/nowhere/x.tar")


def test_patterns_of_urls():
    assert expand_urls("a{0..1}.tar::pipe:cat {x,y}") == [
        "a0.tar", "a1.tar", "pipe:cat x", "pipe:cat y",
    ]  # fmt: skip
    assert expand_urls(["s3://b/{00..01} x.tar"])[1] == "pipe:aws s3 cp 's3://b/01 x.tar' -"
