"""``faceverify evaluate --protocol knn | linear | few-shot`` and ``--distance``, end to end."""

import json

import numpy as np
import pytest
from generated_people import write_people

from faceverify.evaluation.metrics.exact_distances import unit_rows

ALIGNED = ("--aligned", "arcface-112")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path_factory.getbasetemp() / "judging-cache"))


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """A folder of aligned crops: patterns, eight of them, four times each."""
    folder = tmp_path_factory.mktemp("crops")
    write_people(folder, people=8, images=4, size=112)
    return folder


@pytest.fixture
def rows(tmp_path, crops):
    """Ready embeddings of the same photos, of nobody's model."""
    photos = sorted(str(path) for path in crops.rglob("*.png"))
    draws = np.random.default_rng(0)
    centres = np.repeat(draws.standard_normal((8, 16)), 4, axis=0)
    values = unit_rows(centres + 0.9 * draws.standard_normal((32, 16)))
    np.savez(
        tmp_path / "rows.npz",
        photos=np.array(photos), embeddings=values, model_id=np.array("0123456789abcdef"),
    )  # fmt: skip
    return tmp_path / "rows.npz"


FOLDERS = {
    "knn": (("--k", 3), "knn", {"nearest", "knn"}),
    "linear": (("--split", 0.5), "linear", {"linear"}),
    "few-shot": (
        ("--queries", 2, "--shots", 1, "--shots", 2, "--episodes", 30),
        "few_shot",
        {"5_way_1_shot", "5_way_2_shot"},
    ),
}


@pytest.mark.thorough(but=("linear", "few-shot"))
@pytest.mark.parametrize("protocol", FOLDERS)
def test_crops_and_ready_embeddings(run, crops, rows, tmp_path, protocol):
    options, section, keys = FOLDERS[protocol]
    common = ("evaluate", crops, "--protocol", protocol, *options)
    for what in (ALIGNED, ("--embeddings", rows)):
        ran = run(*common, *what, "--json", "--out", tmp_path / "report")
        assert ran.status == 0, ran.err
        (found,) = ran.objects
        assert (found["protocol"], found["distance"]) == (protocol, "cosine")
        assert keys <= set(found[section])
        for key in keys:
            assert 0 < found[section][key]["value"] <= 1
            assert len(found[section][key]["interval"]) == 2
        figures = json.loads((tmp_path / "report" / "figures.json").read_text())
        assert figures["evaluations"] == [found]
        text = run(*common, *what).out
        assert "accuracy" in text
        assert "accuracy" in (tmp_path / "report" / "report.html").read_text()


@pytest.mark.thorough
def test_two_models_beside_each_other(run, crops):
    ran = run(
        "evaluate", crops, "--protocol", "knn", *ALIGNED, "--compare", "dlib-resnet29", "--json"
    )
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    assert [one["model"] for one in found["compared"]] == ["dlib-resnet29"]
    (difference,) = found["differences"]
    assert 0 < difference["knn"]["p_value"] <= 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--protocol", "knn", "--k", 32), "--k 32: found 31 other photos with a face"),
        (("--protocol", "knn", "--ways", 3), "--ways is no option of knn"),
        (("--k", 3), "--k is no option of all; it goes with --protocol knn"),
        (("--protocol", "linear", "--split", 0), "--split 0: expected a share between 0 and 1"),
        (("--protocol", "few-shot"), "found 0 of 8 people with 16 photos"),
        (("--protocol", "few-shot", "--queries", 1, "--ways", 9, "--shots", 1), "expected 9"),
        (("--protocol", "retrieval", "--compat", "facenet", "--distance", "manhattan"), "--compat"),
        (("--distance", "manhattan"), "--distance is no option of all"),
        (("--robustness", "--k", 3), "--k is no option of --robustness"),
    ],
)
def test_what_does_not_fit_is_one_line(run, crops, arguments, said):
    ran = run("evaluate", crops, *ALIGNED, *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.err
    assert len(ran.err.strip().splitlines()) == 1


def test_one_person(run, tmp_path, crops):
    folder = tmp_path / "one"
    folder.mkdir()
    (folder / "ann").symlink_to(next(crops.iterdir()))
    for protocol in FOLDERS:
        ran = run("evaluate", folder, *ALIGNED, "--protocol", protocol)
        assert ran.status == 2
        assert f"found 1 person, and --protocol {protocol} tells people apart" in ran.err


# Distances


@pytest.fixture
def pairs(tmp_path, rows):
    """All pairs of the photos' names."""
    with np.load(rows) as file:
        photos = file["photos"].tolist()
    lines = ["first,second,label,first_identity,second_identity"]
    who = [photo.split("/")[-2] for photo in photos]
    lines += [
        f"{photos[i]},{photos[j]},{int(who[i] == who[j])},{who[i]},{who[j]}"
        for i in range(32)
        for j in range(i)
    ]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_euclidean_and_cosine_order_alike_manhattan_not(run, pairs, rows, tmp_path):
    curves, distances = {}, {}
    for distance in ("cosine", "euclidean", "manhattan"):
        ran = run(
            "evaluate", pairs, "--embeddings", rows, "--distance", distance, "--json",
            "--out", tmp_path / distance, "--replicates", 20,
        )  # fmt: skip
        assert ran.status == 0, ran.err
        (found,) = ran.objects
        assert found["distance"] == distance
        curves[distance] = (found["curve"]["auc"]["value"], found["curve"]["eer"]["value"])
        distances[distance] = found["curve"]["eer"]["threshold"]
        page = (tmp_path / distance / "report.html").read_text()
        assert f"{distance} distance" in page
    assert curves["cosine"] == curves["euclidean"] != curves["manhattan"]
    assert distances["manhattan"] > 2 > distances["euclidean"] > distances["cosine"]


def test_thresholds_are_cosine_distances(run, pairs, rows):
    common = ("evaluate", pairs, "--embeddings", rows, "--distance", "euclidean")
    ran = run(*common, "--threshold", 0.5)
    assert ran.status == 2
    assert "--threshold is a cosine distance, not a euclidean one" in ran.err
    ran = run(*common, "--protocol", "fixed")
    assert ran.status == 2
    assert "--distance is no option of fixed" in ran.err


def test_the_models_threshold_is_left_out_and_said_so(run, crops):
    listed = "person00/0.png person00/1.png 1\nperson00/0.png person01/0.png 0\n"
    path = crops / "list.txt"
    path.write_text(listed)
    ran = run("evaluate", path, *ALIGNED, "--distance", "manhattan", "--json")
    path.unlink()
    (found,) = ran.objects
    assert "fixed" not in found
    assert any("its thresholds are cosine distances" in note for note in found["notes"])


# Representation


def test_representation_of_crops_and_of_ready_embeddings(run, crops, rows, tmp_path):
    common = ("evaluate", crops, "--protocol", "representation", "--json")
    for what in (ALIGNED, ("--embeddings", rows)):
        ran = run(*common, *what)
        assert ran.status == 0, ran.err
        found = ran.objects[0]["representation"]
        assert 0 < found["alignment"]["value"] < 4
        assert -4.1 < found["uniformity"]["value"] < 0
        assert 1 < found["effective_rank"]["value"] <= 32
        squares = [found[key]["value"] ** 2 for key in ("within", "between", "spread")]
        assert squares[0] + squares[1] == pytest.approx(squares[2])
        low, high = found["ratio"]["interval"]
        assert low <= found["ratio"]["value"] <= high


@pytest.mark.thorough
def test_layers_of_two_models(run, tmp_path):
    crops = write_people(tmp_path / "crops", people=4, images=2, size=112)
    common = ("evaluate", crops, "--protocol", "representation", *ALIGNED, "--replicates", 0)
    out = ("--out", tmp_path / "report")
    ran = run(*common, "--against", "dlib-resnet29", "--json", *out)
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    assert found["cka"]["models"] == ["sface", "dlib-resnet29"]
    assert found["cka"]["photos"] == 8
    values = np.array(found["cka"]["values"])
    assert values.shape == (12, 12)
    assert len(found["layers"]) == 12
    assert found["layers"]["1"]["value"] == max(values[0])
    assert any("other crops of the same photos" in note for note in found["notes"])
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Linear CKA of sface (rows) and dlib-resnet29 (columns)" in page
    assert (tmp_path / "report" / "cka.svg").read_text().startswith("<svg")
    text = run(*common, "--against", "sface").out
    assert "Layers of sface, by the linear CKA with those of sface (8 photos)" in text
    assert "other crops" not in text


@pytest.mark.parametrize("others", [(), ("--protocol", "knn")])
def test_layers_are_of_the_representation(run, crops, others):
    ran = run("evaluate", crops, *ALIGNED, "--against", "sface", *others)
    assert ran.status == 2
    assert "--against compares the layers of two models" in ran.err


def test_nobody_with_two_photos_has_no_spread(run, tmp_path, crops):
    for person in sorted(crops.iterdir())[:3]:
        (tmp_path / person.name).mkdir()
        (tmp_path / person.name / "0.png").symlink_to(person / "0.png")
    ran = run("evaluate", tmp_path, *ALIGNED, "--protocol", "representation")
    assert ran.status == 2
    assert "found 3 photos with a face, of 3 people" in ran.err


# Lists of photos with classes


def test_the_split_of_a_list_is_the_one_that_is_learned(run, crops, tmp_path):
    lines = ["image,class,test"]
    for path in sorted(crops.rglob("*.png")):
        lines.append(f"{path.relative_to(crops)},{path.parent.name},{int(path.stem != '0')}")
    listed = tmp_path / "list.csv"
    listed.write_text("\n".join(lines) + "\n")
    common = ("evaluate", listed, "--images", crops, *ALIGNED, "--json")
    for protocol, counts in (("knn", {"gallery": 8, "asked": 24}), ("linear", {"learned": 8})):
        ran = run(*common, "--protocol", protocol)
        assert ran.status == 0, ran.err
        found = ran.objects[0][protocol]
        assert {key: found[key]["value"] for key in counts} == counts
    ran = run(*common, "--protocol", "retrieval", "--classes", "last-half")
    found = ran.objects[0]["retrieval"]
    assert (found["people"]["value"], found["queries"]["value"]) == (4, 16)
    ran = run("data", "inspect", listed, "--json")
    assert ran.objects[0]["facts"]["training images"] == 8


# Invariance


@pytest.fixture
def few_kinds(monkeypatch):
    """Fewer kinds, for time's sake; every kind is tried by the tests of robustness."""
    from faceverify.evaluation.robustness import invariance

    monkeypatch.setattr(
        invariance,
        "FACTORS",
        {"occlusion": ("mask",), "viewpoint": ("mirrored",), "light": ("warm",)},
    )


@pytest.mark.thorough
@pytest.mark.usefixtures("few_kinds")
def test_invariance_of_photos_and_of_crops(run, small_faces, tmp_path):
    crops = write_people(tmp_path / "crops", people=3, images=2, size=112)
    for name in ("obama", "obama2", "obama3", "biden"):
        folder = tmp_path / "people" / name.rstrip("0123456789")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.jpg").write_bytes(small_faces[name])
    common = ("--protocol", "invariance", "--json", "--out", tmp_path / "report")
    ran = run("evaluate", tmp_path / "people", *common)
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    assert found["protocol"] == "invariance"
    clean = found["clean"]
    assert clean["untouched"]["value"] == pytest.approx(0, abs=1e-6)
    assert 0 < clean["genuine"]["value"] < clean["impostor"]["value"]
    masks = found["occlusion"]
    assert list(masks) == ["mask 0.25", "mask 0.4", "mask 0.55", "mask 0.7", "mask 0.85"]
    assert 0.005 < masks["mask 0.25"]["value"] < masks["mask 0.55"]["value"]
    assert found["viewpoint"]["mirrored"]["value"] < 0.1
    assert set(found["viewpoint"]) >= {"yaw 0 to 15", "yaw 45 or more"}
    page = (tmp_path / "report" / "report.html").read_text()
    assert "Distance moved" in page
    assert "Occlusion: distance moved, by share covered" in page
    ran = run("evaluate", tmp_path / "people", "--protocol", "invariance")  # cached
    assert "rank 1: " in ran.out

    ran = run("evaluate", crops, *common, *ALIGNED)
    assert ran.status == 0, ran.err
    viewpoint = ran.objects[0]["viewpoint"]
    assert viewpoint["yaw"]["value"] is None
    assert "crops have no yaw" in viewpoint["yaw"]["reason"]
    assert viewpoint["mirrored"]["photos"] == 6


def test_invariance_of_nobody(run, crops, tmp_path):
    for person in sorted(crops.iterdir())[:2]:
        (tmp_path / person.name).mkdir()
        (tmp_path / person.name / "0.png").symlink_to(person / "0.png")
    ran = run("evaluate", crops, *ALIGNED, "--protocol", "invariance", "--threshold", 0.5)
    assert ran.status == 2
    assert "--protocol invariance changes photos itself" in ran.err
    ran = run("evaluate", tmp_path, *ALIGNED, "--protocol", "invariance", "--k", 3)
    assert ran.status == 2
    assert "--k is no option of invariance" in ran.err
