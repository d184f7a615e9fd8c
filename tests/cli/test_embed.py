"""``faceverify embed``."""

import io
import json
import os
import signal

import numpy as np
import pytest
from PIL import Image

from faceverify.embeddings.formats import EmbeddingSet, read_embeddings
from faceverify.embeddings.formats.shards import ShardFolder
from faceverify.images.inputs import is_photo

GOOD = ["a b.jpg", "x\udcff.jpg", "日本 語/é.jpg"]


def names(objects, folder):
    return [item["photo"].removeprefix(f"{folder}/") for item in objects]


def test_a_folder_gives_a_line_for_each_photo_in_order_the_bad_ones_too(run, album):
    ran = run("embed", album, "--workers", 2)
    assert ran.status == 2
    lines = ran.objects
    assert names(lines, album) == ["a b.jpg", "torn.jpg", "wall.png", *GOOD[1:]]
    for line in lines:
        assert list(line) == [
            "photo", "model_id", "face", "box", "points", "quality", "embedding", "error"
        ]  # fmt: skip
        assert len(line["model_id"]) == 16
        if line["error"] is None:
            assert line["face"] == 0
            assert np.linalg.norm(line["embedding"]) == pytest.approx(1, abs=1e-6)
            assert np.shape(line["points"]) == (5, 2)
            assert 0 < line["quality"] <= 1
            box, points = np.array(line["box"]), np.array(line["points"])
            assert (box[:2] < points).all()
            assert (points < box[2:]).all()
        else:
            assert line["embedding"] is None
    codes = [line["error"]["code"] for line in lines if line["error"]]
    assert codes == ["image-truncated", "no-face"]
    assert ran.err.count("\n") == 2
    assert "torn.jpg: cut short" in ran.err


def test_the_same_person_is_nearer(run, album, small_faces, tmp_path):
    (tmp_path / "obama3.jpg").write_bytes(small_faces["obama3"])
    ran = run("embed", album / GOOD[0], album / GOOD[2], tmp_path / "obama3.jpg")
    assert ran.status == 0
    assert ran.err == ""
    obama, biden, again = (np.array(line["embedding"]) for line in ran.objects)
    assert obama @ again > obama @ biden


@pytest.mark.parametrize(("photos", "status"), [(["wall.png"], 3), (["torn.jpg", "wall.png"], 2)])
def test_the_exit_status_tells_faceless_from_unreadable(run, album, photos, status):
    assert run("embed", *(album / photo for photo in photos), "--quiet").status == status


def test_an_empty_or_missing_folder_is_no_success(run, tmp_path):
    assert run("embed", tmp_path).status == 2
    assert run("embed", tmp_path / "missing").objects[0]["error"]["code"] == "image-missing"
    assert run("embed").status == 2


def test_standard_input_can_be_a_photo(run, small_faces):
    ran = run("embed", "-", stdin=small_faces["obama"])
    assert ran.status == 0
    assert [line["photo"] for line in ran.objects] == ["-"]
    assert "standard input" in run("embed", "-", stdin=b"").err


def test_a_photo_on_standard_input_is_another_one_every_time(run, small_faces, tmp_path):
    for name in ("obama", "biden"):
        assert run("embed", "-", "--out", tmp_path / "t", stdin=small_faces[name]).status == 0
    assert read_embeddings(tmp_path / "t").photos == ["-", "-"]


def test_standard_input_can_be_a_list(run, album):
    paths = [str(album / name) for name in (*GOOD, "wall.png")]
    listing = "\r\n".join(paths).encode("utf-8", "surrogateescape")
    ran = run("embed", "-", stdin=listing)
    assert [line["photo"] for line in ran.objects] == paths
    assert ran.status == 3


def test_what_standard_input_is_shows_in_its_first_bytes(small_faces, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x\udcff.jpg").touch()
    photos = [
        small_faces["obama"],
        b"P3\n2 2\n255\n0 0 0",
        b"\x89PNG\r\n",
        b"\x89P",
        b"a\0\1b",
        b"",
    ]
    photos += [b"RIFF\0\0\0\0WAVE", b"<!doctype html>\n<html>", b"%PDF-1.7\n", bytes(99)]
    lists = ["日本/é.jpg".encode(), "é.jpg".encode()[:1], b"x\xff.jpg\n\xfe.jpg", b"P.jpg", b"a\nb"]
    lists += [b"a b.jpg\0c.jpg\0", "a.jpg\r\nb.jpg\r\n".encode("utf-16"), b"a\0b"]
    assert [is_photo(start) for start in photos] == [True] * len(photos)
    assert [is_photo(start) for start in lists] == [False] * len(lists)


def test_what_find_prints_with_print0_is_a_list(run, album):
    paths = [str(album / name) for name in (*GOOD, "wall.png")]
    listing = "\0".join([*paths, ""]).encode("utf-8", "surrogateescape")
    ran = run("embed", "-", stdin=listing)
    assert [line["photo"] for line in ran.objects] == paths
    ran = run("embed", "-", stdin=b"<!DOCTYPE html>\n<html><body>404</body></html>")
    assert "standard input: a web page, not an image" in ran.err


def test_all_faces_are_numbered(run, tmp_path, small_faces):
    sides = [Image.open(io.BytesIO(small_faces[name])) for name in ("obama", "biden")]
    both = Image.new("RGB", (sides[0].width + sides[1].width, 420))
    both.paste(sides[0])
    both.paste(sides[1], (sides[0].width, 0))
    both.save(tmp_path / "both.png")
    ran = run("embed", tmp_path / "both.png", "--face", "all", "--out", tmp_path / "t.npz")
    assert ran.status == 0
    found = read_embeddings(tmp_path / "t.npz")
    assert found.photos == [str(tmp_path / "both.png")] * 2
    assert found.faces.tolist() == [0, 1]
    assert run("embed", tmp_path / "both.png", "--face", "only").status == 3


@pytest.mark.thorough(but=("t.jsonl",))
@pytest.mark.parametrize("out", ["shards", "t.npz", "t.parquet", "t.jsonl"])
def test_a_photo_replaced_under_its_name_is_embedded_anew(run, tmp_path, small_faces, out):
    photo, place = tmp_path / "a.jpg", tmp_path / out
    photo.write_bytes(small_faces["obama"])
    for name, date in (("obama", 1e9), ("biden", 2e9), ("obama2", 5e8)):
        photo.write_bytes(small_faces[name])
        os.utime(photo, (date, date))
        assert run("embed", photo, "--out", place, "--json").objects[0]["done"] == 1
        assert run("embed", photo, "--out", place, "--json").objects[0]["skipped"] == 1
        found = read_embeddings(place)
        printed = run("embed", photo).objects[0]
        assert found.photos == [str(photo)]
        assert found.embeddings[0].tolist() == np.float32(printed["embedding"]).tolist()
    assert run("embed", photo, "--out", place, "--augment", 2, "--json").objects[0]["done"] == 1


def test_objects_replaced_under_their_names_are_embedded_anew(run, tmp_path, small_faces):
    pytest.importorskip("pyarrow")
    url, place = f"file://{tmp_path}/photos", tmp_path / "t.npz"
    (tmp_path / "photos").mkdir()
    for name in ("obama", "biden"):
        (tmp_path / "photos" / "a.jpg").write_bytes(small_faces[name])
        done = [run("embed", url, "--out", place, "--json").objects[0]["done"] for _ in range(2)]
        assert done == [1, 0]
    assert len(read_embeddings(place)) == 1


@pytest.mark.parametrize("out", ["shards", "t.jsonl"])
def test_a_second_run_reads_only_what_is_missing(run, album, tmp_path, out, monkeypatch):
    from faceverify.embeddings.extractor import FaceEmbedder

    read, extract = [], FaceEmbedder.extract

    def counted(self, photo):
        read.append(photo.name)
        return extract(self, photo)

    monkeypatch.setattr(FaceEmbedder, "extract", counted)
    place = tmp_path / out
    first = run("embed", album / "a b.jpg", "--out", place, "--json")
    assert first.status == 0
    assert first.objects[0]["done"] == 1
    ran = run("embed", album, album, "--out", place, "--shard-size", 1)
    assert ran.status == 2
    assert ran.out == ""
    assert "10 photos: 2 done, 6 were there already, 2 refused" in ran.err
    read.clear()
    again = run("embed", album, "--out", place, "--json", "--quiet")
    assert sorted(name.removeprefix(f"{album}/") for name in read) == ["torn.jpg", "wall.png"]
    assert {**again.objects[0], "out": "", "model_id": ""} == {
        "out": "", "model_id": "", "photos": 5, "done": 0, "skipped": 3, "refused": 2, "others": 1
    }  # fmt: skip
    found = read_embeddings(place)
    assert [photo.removeprefix(f"{album}/") for photo in found.photos] == GOOD
    printed = run("embed", album / "a b.jpg").objects[0]
    assert found.embeddings[0].tolist() == np.float32(printed["embedding"]).tolist()
    refused = place / "refused.jsonl" if out == "shards" else tmp_path / "t.refused.jsonl"
    lines = [json.loads(line) for line in refused.read_text().splitlines()]
    assert [line["error"]["code"] for line in lines] == ["image-truncated", "no-face"]


def test_shards_of_another_model_are_refused(run, album, tmp_path):
    with ShardFolder(tmp_path / "shards", "another") as shards:
        shards.add(EmbeddingSet("another", ["a.jpg"], np.eye(1, 4, dtype=np.float32)))
    ran = run("embed", album, "--out", tmp_path / "shards")
    assert ran.status == 2
    assert "of model another, not of" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.thorough
def test_ctrl_c_ends_a_run_that_waits_for_its_input_and_keeps_its_work(start, album, tmp_path):
    process = start("embed", "-", "--out", tmp_path / "shards", "--verbose")
    process.stdin.write(b"%s\n" % str(album / "a b.jpg").encode())
    process.stdin.write(b"%s\n" % str(album / "wall.png").encode())
    process.stdin.flush()
    assert b"model" in process.stderr.readline()
    assert b"no face" in process.stderr.readline()  # and so the photo before it is done
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    assert b"Traceback" not in process.stderr.read()
    assert read_embeddings(tmp_path / "shards").photos == [str(album / "a b.jpg")]


@pytest.mark.thorough
def test_a_reader_that_goes_away_ends_the_run_quietly(start, album):
    process = start("embed", "-")
    line = str(album / "wall.png").encode() + b"\n"
    process.stdin.write(line)
    process.stdin.flush()
    assert b"no-face" in process.stdout.readline()
    process.stdout.close()
    process.stdin.write(line)
    process.stdin.flush()
    assert process.wait(5) == 141
    assert b"Traceback" not in process.stderr.read()
