"""``faceverify evaluate``, end to end: photos or embeddings in, figures and a report out."""

import json
import re
import shutil
import subprocess
import time

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.models.registry import load_model

PEOPLE = {"obama": ("obama", "obama2", "obama3"), "biden": ("biden",)}
CSV = """first,second,label,fold,group
obama/obama.jpg,obama/obama2.jpg,1,0,x
obama/obama.jpg,obama/obama3.jpg,1,1,y
obama/obama2.jpg,obama/obama3.jpg,1,1,y
biden/biden.jpg,obama/obama.jpg,0,0,x
biden/biden.jpg,obama/obama2.jpg,0,0,x
biden/biden.jpg,obama/obama3.jpg,0,1,y
"""


@pytest.fixture(autouse=True)
def _own_folders(tmp_path_factory, monkeypatch):
    """A cache that the tests of this module share, and no models of the user's."""
    base = tmp_path_factory.getbasetemp()
    monkeypatch.setenv("FACEVERIFY_CACHE", str(base / "cache"))
    monkeypatch.setenv("FACEVERIFY_HOME", str(base / "home"))


@pytest.fixture(scope="module")
def people(tmp_path_factory, small_faces):
    """A folder of people."""
    root = tmp_path_factory.mktemp("people")
    for person, photos in PEOPLE.items():
        (root / person).mkdir()
        for photo in photos:
            (root / person / f"{photo}.jpg").write_bytes(small_faces[photo])
    return root


@pytest.fixture
def listed(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(CSV)
    return path


@pytest.fixture
def synthetic(tmp_path):
    """A list of 400 pairs of 100 people with folds, and its embeddings; returns both and scores."""
    draws = np.random.default_rng(0)
    centres = draws.standard_normal((100, 32))
    rows = unit_rows(np.repeat(centres, 4, axis=0) + 1.1 * draws.standard_normal((400, 32)))
    names = [f"p{i // 4:03d}/p{i // 4:03d}_{i % 4 + 1:04d}.jpg" for i in range(400)]
    first = draws.integers(400, size=400)
    genuine = np.arange(400) % 2 == 0
    near = first // 4 * 4 + (first + draws.integers(1, 4, size=400)) % 4
    far = (first + 4 * draws.integers(1, 100, size=400)) % 400
    second = np.where(genuine, near, far)
    lines = ["first,second,label,fold,first_identity,second_identity"]
    lines += [
        f"{names[a]},{names[b]},{int(same)},{i // 40},{names[a][:4]},{names[b][:4]}"
        for i, (a, b, same) in enumerate(zip(first, second, genuine, strict=True))
    ]
    path = tmp_path / "list.csv"
    path.write_text("\n".join(lines) + "\n")
    save(tmp_path / "rows.npz", names, rows)
    distances = 1 - np.sum(rows[first].astype(float) * rows[second], axis=1)
    return path, tmp_path / "rows.npz", distances, genuine


def save(path, names, rows, model_id="0123456789abcdef"):
    np.savez(path, photos=np.array(names), embeddings=rows, model_id=np.array(model_id))


def evaluated(ran):
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    return found


# Photos


def test_a_folder_is_compared_all_against_all(run, people):
    found = evaluated(run("evaluate", people, "--json", "--threshold", "0.08"))
    assert found["protocol"] == "all"
    assert (found["data"]["genuine"]["value"], found["data"]["impostor"]["value"]) == (3, 3)
    assert found["curve"]["auc"]["value"] == 1
    assert found["curve"]["tar_at_1e-1"]["value"] is None
    assert "under 10" in found["curve"]["tar_at_1e-1"]["reason"]
    assert found["fixed"]["fnmr"]["comparisons"] == 3


def test_a_second_run_computes_nothing(run, people, tmp_path, monkeypatch):
    first = run("evaluate", people, "--json")
    import faceverify.embeddings.extractor

    monkeypatch.setattr(faceverify.embeddings.extractor.FaceEmbedder, "load", None)
    assert run("evaluate", people, "--json").out == first.out
    refused = run("evaluate", people, "--json", "--no-cache")
    assert refused.status == 70  # proves that the cache was what answered above


def test_a_list_of_pairs(run, people, listed):
    ran = run("evaluate", listed, "--images", people, "--json", "--protocol", "10fold")
    found = evaluated(ran)
    assert found["folds"]["accuracy"]["value"] == 1
    assert len(found["folds"]["accuracy"]["folds"]) == 2
    assert found["curve"]["eer"]["value"] == 0


def test_a_photo_without_a_face_stays_in_the_denominator(run, people, tmp_path):
    root = tmp_path / "people"
    shutil.copytree(people, root)
    Image.new("RGB", (200, 200), "grey").save(root / "biden" / "blank.jpg")
    ran = run("evaluate", root, "--json", "--threshold", "0.5")
    found = evaluated(ran)
    assert found["data"]["failure_to_enroll"]["errors"] == 1
    assert found["data"]["genuine"]["value"] == 4
    assert found["data"]["impostor"]["value"] == 6
    assert found["fixed"]["fnmr"]["errors"] == 1  # the blank one never matches
    assert found["fixed"]["fmr"]["comparisons"] == 6
    assert found["notes"] == ["1 photos failed: no-face"]


def test_missing_photos_are_counted_and_named(run, people, listed, tmp_path):
    ran = run("evaluate", listed, "--images", tmp_path)
    assert ran.status == 2
    assert "found 4 of 4 photos missing, in 6 of 6 pairs" in ran.err
    assert str(tmp_path / "obama/obama.jpg") in ran.err
    assert ran.out == ""


def test_a_pattern_finds_photos_elsewhere(run, people, listed, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in people.glob("*/*.jpg"):
        shutil.copy(path, flat)
    ran = run("evaluate", listed, "--images", flat, "--pattern", "{file}", "--json")
    assert evaluated(ran)["curve"]["auc"]["value"] == 1


def test_retrieval(run, people):
    found = evaluated(run("evaluate", people, "--protocol", "retrieval", "--json"))["retrieval"]
    assert found["queries"]["value"] == 3
    assert found["recall_at_1"]["value"] == found["map"]["value"] == 1


def test_a_pack_is_read_directly(run, shared_data):
    pack = shared_data / "formats" / "small_lfw.bin"
    ran = run("evaluate", pack, "--aligned", "arcface-112", "--json")
    found = evaluated(ran)
    assert found["data"]["genuine"]["value"] == 10
    assert found["data"]["photos"]["value"] == 17  # of 20, three come twice
    assert found["folds"]["accuracy"]["value"] is None
    assert "needs genuine and impostor pairs" in found["folds"]["accuracy"]["reason"]


# Figures, on embeddings


def test_figures_are_those_of_scikit_learn(run, synthetic):
    path, rows, distances, genuine = synthetic
    ran = run("evaluate", path, "--embeddings", rows, "--threshold", "0.6", "--json")
    found = evaluated(ran)
    assert found["curve"]["auc"]["value"] == pytest.approx(roc_auc_score(genuine, -distances))
    assert found["fixed"]["fmr"]["value"] == np.mean(distances[~genuine] <= 0.6)
    assert found["fixed"]["fnmr"]["value"] == np.mean(distances[genuine] > 0.6)
    assert found["fixed"]["accuracy"]["value"] == np.mean((distances <= 0.6) == genuine)
    assert found["data"]["people"]["value"] == 100
    for figure in (found["curve"]["auc"], found["curve"]["eer"], found["folds"]["accuracy"]):
        low, high = figure["interval"]
        assert low < figure["value"] < high
    first_too_many = np.sort(distances[~genuine])[int(0.1 * np.sum(~genuine))]
    assert found["curve"]["tar_at_1e-1"]["value"] == np.mean(distances[genuine] < first_too_many)


def test_a_terminal_less_table_is_plain(run, synthetic):
    path, rows, *_ = synthetic
    ran = run("evaluate", path, "--embeddings", rows)
    assert ran.status == 0
    assert ran.out.isascii()
    assert re.search(r"accuracy, mean of folds +\d+\.\d{3} % +\[", ran.out)
    assert "n/a" in ran.out


def test_compat_prints_the_results_of_the_reference_protocol(run, synthetic):
    path, rows, *_ = synthetic
    ran = run("evaluate", path, "--embeddings", rows, "--compat", "insightface", "--json")
    found = evaluated(ran)["compat_insightface"]
    assert 0.5 < found["accuracy"]["value"] <= 1
    assert found["val"]["far"] is not None


def test_groups_of_a_column_and_of_a_file(run, people, listed, tmp_path):
    common = ("evaluate", listed, "--images", people, "--threshold", "0.08", "--json")
    found = evaluated(run(*common, "--group", "group"))["groups"]
    assert found["x: fmr"]["comparisons"] == 2
    assert found["y: fnmr"]["comparisons"] == 2
    assert found["fmr_ratio"]["value"] is None or found["fmr_ratio"]["value"] >= 1
    (tmp_path / "groups.tsv").write_text("obama\tmen\nbiden\tmen\n")
    found = evaluated(run(*common, "--group", tmp_path / "groups.tsv"))["groups"]
    assert found["men: fmr"]["comparisons"] == 3
    ran = run(*common, "--group", "nobody")
    assert ran.status == 2
    assert "expected one named 'nobody'" in ran.err


def test_templates_of_a_feature_file(run, tmp_path):
    """A template of two media (one of two photos), two alone, one failed; pooled by hand."""
    features = np.array([[3, 0], [3, 0], [0, 4], [1, 1], [1, 0], [0, 0]], np.float32)
    np.save(tmp_path / "features.npy", features)
    media = ["0.jpg 1 10", "1.jpg 1 10", "2.jpg 1 11", "3.jpg 2 20", "4.jpg 3 30", "5.jpg 4 40"]
    (tmp_path / "tid_mid.txt").write_text("\n".join(media) + "\n")
    (tmp_path / "pairs.txt").write_text("1 2 1\n1 3 0\n2 4 1\n")
    ran = run(
        "evaluate", tmp_path / "pairs.txt", "--media", tmp_path / "tid_mid.txt",
        "--embeddings", tmp_path / "features.npy", "--threshold", "0.01", "--json",
    )  # fmt: skip
    found = evaluated(ran)
    cosine = (3 + 4) / (5 * np.sqrt(2))  # template 1 is (3, 4) / 5, template 2 is (1, 1) / sqrt 2
    assert found["protocol"] == "templates"
    assert 1 - cosine == pytest.approx(0.0101, abs=1e-4)
    assert found["fixed"]["fnmr"]["errors"] == 2  # 0.0101 is above, and template 4 failed
    assert found["data"]["failed_templates"]["value"] == 1
    ran = run(
        "evaluate", tmp_path / "pairs.txt", "--media", tmp_path / "tid_mid.txt",
        "--embeddings", tmp_path / "features.npy", "--threshold", "0.0102", "--json",
    )  # fmt: skip
    assert evaluated(ran)["fixed"]["fnmr"]["errors"] == 1


def test_identification_of_templates(run, tmp_path):
    features = np.eye(4, dtype=np.float32)[[0, 1, 0, 1, 2]] + np.float32(0.01)
    np.save(tmp_path / "features.npy", features)
    media = "".join(f"{i}.jpg {i} {i}\n" for i in range(1, 6))
    (tmp_path / "tid_mid.txt").write_text(media)
    (tmp_path / "pairs.txt").write_text("1 3 1\n1 2 0\n")
    (tmp_path / "gallery.csv").write_text("TEMPLATE_ID,SUBJECT_ID\n1,ann\n2,bob\n")
    (tmp_path / "probes.csv").write_text("3,ann\n4,ann\n5,eve\n5,eve\n")
    ran = run(
        "evaluate", tmp_path / "pairs.txt", "--media", tmp_path / "tid_mid.txt",
        "--embeddings", tmp_path / "features.npy",
        "--gallery", tmp_path / "gallery.csv", "--probes", tmp_path / "probes.csv", "--json",
    )  # fmt: skip
    found = evaluated(ran)["identification"]
    assert found["mated_probes"]["value"] == 2
    assert found["rank_1"]["value"] == 0.5
    assert found["rank_5"]["value"] == 1


def test_models_are_compared_over_the_same_people(run, people, listed, tmp_path):
    copy = tmp_path / "copy.onnx"
    load_model("default").save(copy)
    ran = run("evaluate", listed, "--images", people, "--compare", copy, "--json")
    found = evaluated(ran)
    assert len(found["compared"]) == 1
    (difference,) = found["differences"]
    assert difference["auc"]["value"] == 0
    assert difference["auc"]["p_value"] == 1


# Bad input


def test_embeddings_of_another_model_are_refused_by_both_ids(run, synthetic):
    path, rows, *_ = synthetic
    ran = run("evaluate", path, "--embeddings", rows, "--model", "default")
    assert ran.status == 2
    assert "0123456789abcdef" in ran.err
    assert load_model("default").id in ran.err


def test_unknown_photos_are_failures_or_refused(run, synthetic, tmp_path):
    path, rows, *_ = synthetic
    with np.load(rows) as archive:
        names, table = archive["photos"], archive["embeddings"]
    save(tmp_path / "fewer.npz", names[1:], table[1:])
    ran = run("evaluate", path, "--embeddings", tmp_path / "fewer.npz", "--json")
    found = evaluated(ran)
    listed = sum(names[0] in line for line in path.read_text().splitlines())
    assert found["data"]["failure_to_enroll"]["errors"] == 1
    assert found["data"]["failed_comparisons"]["value"] == listed
    assert f"photos have no embedding ({names[0]})" in ran.err
    save(tmp_path / "other.npz", [f"x{name}" for name in names], table)
    ran = run("evaluate", path, "--embeddings", tmp_path / "other.npz")
    assert ran.status == 2
    assert "found none of the" in ran.err


def test_a_photo_with_several_embeddings_is_refused(run, synthetic, tmp_path):
    path, rows, *_ = synthetic
    with np.load(rows) as archive:
        names, table = archive["photos"], archive["embeddings"]
    save(tmp_path / "twice.npz", np.append(names, names[0]), np.vstack((table, table[1])))
    ran = run("evaluate", path, "--embeddings", tmp_path / "twice.npz")
    assert ran.status == 2
    assert f"found several embeddings of {names[0]}" in ran.err


@pytest.mark.parametrize(("value", "said"), [(np.nan, "NaN"), (0.0, "zero")])
def test_embeddings_that_are_no_directions(run, synthetic, tmp_path, value, said):
    path, rows, *_ = synthetic
    with np.load(rows) as archive:
        names, table = archive["photos"], archive["embeddings"].copy()
    table[7] = value
    save(tmp_path / "bad.npz", names, table)
    ran = run("evaluate", path, "--embeddings", tmp_path / "bad.npz")
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1


LINES = {
    "only genuine": ("a/1.jpg,a/2.jpg,1\n", "only genuine pairs"),
    "duplicates": ("a/1.jpg,a/2.jpg,1\na/1.jpg,a/2.jpg,1\na/1.jpg,b/1.jpg,0\n", "listed again"),
    "itself": ("a/1.jpg,a/1.jpg,1\na/1.jpg,b/1.jpg,0\n", "with itself"),
}


@pytest.mark.parametrize("case", LINES)
def test_odd_lists_are_measured_with_a_note(run, tmp_path, case):
    lines, said = LINES[case]
    (tmp_path / "list.csv").write_text("first,second,label\n" + lines)
    save(tmp_path / "rows.npz", ["a/1.jpg", "a/2.jpg", "b/1.jpg"], np.eye(3, dtype=np.float32))
    path = tmp_path / "list.csv"
    found = evaluated(run("evaluate", path, "--embeddings", tmp_path / "rows.npz", "--json"))
    assert any(said in note for note in found["notes"])


def test_one_fold_gives_no_accuracy(run, tmp_path):
    text = "first,second,label,fold\na/1.jpg,a/2.jpg,1,0\na/1.jpg,b/1.jpg,0,0\n"
    (tmp_path / "list.csv").write_text(text)
    save(tmp_path / "rows.npz", ["a/1.jpg", "a/2.jpg", "b/1.jpg"], np.eye(3, dtype=np.float32))
    path = tmp_path / "list.csv"
    found = evaluated(run("evaluate", path, "--embeddings", tmp_path / "rows.npz", "--json"))
    assert found["folds"]["accuracy"] == {"value": None, "reason": "needs at least 2 folds"}


def test_contradicting_labels_are_refused(run, tmp_path):
    (tmp_path / "list.csv").write_text("first,second,label\na.jpg,b.jpg,1\nb.jpg,a.jpg,0\n")
    ran = run("evaluate", tmp_path / "list.csv")
    assert ran.status == 2
    assert "list.csv:3: found b.jpg and a.jpg as different" in ran.err


def test_folders_that_hold_nothing_to_measure(run, people, tmp_path):
    (tmp_path / "empty").mkdir()
    ran = run("evaluate", tmp_path / "empty")
    assert ran.status == 2
    assert "found no photos, expected one folder a person" in ran.err
    shutil.copytree(people / "obama", tmp_path / "one" / "obama")
    ran = run("evaluate", tmp_path / "one", "--json", "--threshold", "0.1")
    found = evaluated(ran)
    assert found["data"]["impostor"]["value"] == 0
    assert found["curve"]["auc"]["value"] is None
    assert found["fixed"]["fmr"]["value"] is None
    assert any("one person" in note for note in found["notes"])


def test_photos_that_all_fail(run, tmp_path):
    for person in ("a", "b"):
        (tmp_path / "people" / person).mkdir(parents=True)
        for index in range(2):
            grey = Image.new("RGB", (99, 99), (index * 9, 0, 0))
            grey.save(tmp_path / "people" / person / f"{index}.png")
    for protocol in ("all", "retrieval"):
        path = tmp_path / "people"
        ran = run("evaluate", path, "--json", "--protocol", protocol, "--threshold", "0.1")
        found = evaluated(ran)
        assert any("4 photos failed: no-face" in note for note in found["notes"])
    ran = run("evaluate", tmp_path / "people", "--json", "--threshold", "0.1")
    assert evaluated(ran)["fixed"]["fnmr"]["value"] == 1


def test_a_photo_of_two_people_is_refused(run, tmp_path):
    text = "first,second,label,first_identity,second_identity\n"
    text += "1.jpg,2.jpg,0,ann,bob\n1.jpg,3.jpg,0,eve,bob\n"
    (tmp_path / "list.csv").write_text(text)
    for name in "123":
        (tmp_path / f"{name}.jpg").write_bytes(b"")
    ran = run("evaluate", tmp_path / "list.csv", "--protocol", "all")
    assert ran.status == 2
    assert "1.jpg as ann and as eve" in ran.err


def test_protocol_fixed_needs_a_threshold(run, synthetic):
    path, rows, *_ = synthetic
    ran = run("evaluate", path, "--embeddings", rows, "--protocol", "fixed")
    assert ran.status == 2
    assert "give --threshold" in ran.err


# The report


def test_the_report_is_one_page_that_needs_nothing_else(run, people, listed, tmp_path):
    ran = run("evaluate", listed, "--images", people, "--out", tmp_path / "report")
    assert ran.status == 0, ran.err
    names = sorted(path.name for path in (tmp_path / "report").iterdir())
    assert names == ["det.svg", "figures.json", "report.html", "roc.svg"]
    page = (tmp_path / "report" / "report.html").read_text()
    assert page.count('<img src="data:image/jpeg;base64,') == 12  # 3 + 3 pairs
    assert set(re.findall(r'\w+://[^"\s]+', page)) == {"http://www.w3.org/2000/svg"}
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert figures["evaluations"][0]["curve"]["auc"]["value"] == 1


def test_the_report_renders_in_a_browser_without_a_request(run, people, listed, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("needs Chromium")
    ran = run("evaluate", listed, "--images", people, "--out", tmp_path / "report")
    assert ran.status == 0, ran.err
    page = tmp_path / "report" / "report.html"
    control = tmp_path / "control.html"
    control.write_text('<img src="http://faceverify.test/a.png">')
    assert requested(browser, control, tmp_path / "control.png") == ["http://faceverify.test/a.png"]
    assert requested(browser, page, tmp_path / "shot.png") == []
    with Image.open(tmp_path / "shot.png") as image:
        colours = {colour for _, colour in image.convert("RGB").getcolors(1 << 22)}
    assert (0, 114, 178) in colours  # a line of the plots
    assert len(colours) > 500  # photos


def requested(browser, page, shot):
    """Open a page without a network, take a picture, and return what it asked for."""
    log = shot.with_suffix(".json")
    subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1240,2000",
         "--disable-background-networking", f"--user-data-dir={shot.with_suffix('.profile')}",
         f"--screenshot={shot}", f"--log-net-log={log}", "--host-resolver-rules=MAP * ~NOTFOUND",
         page.as_uri()],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    # The browser's own requests have "not an origin" as their initiator.
    asked = r'"initiator":"(?!not an origin)[^\n]*?"url":"([^"]*)"'
    return re.findall(asked, log.read_text())


# Real lists


@pytest.mark.slow
def test_lfw_view_2_with_the_bundled_model(run, shared_data, start):
    arguments = (
        "evaluate", shared_data / "protocols" / "pairs.txt", "--images", shared_data / "lfw",
        "--face", "center", "--json",
    )  # fmt: skip
    found = evaluated(run(*arguments))
    assert found["data"]["photos"]["value"] == 7701
    assert found["folds"]["accuracy"]["value"] > 0.988
    began = time.monotonic()
    again = start(*arguments).communicate()[0]
    assert time.monotonic() - began < 3
    assert json.loads(again)["folds"] == found["folds"]


def test_the_command_takes_each_protocol_by_its_name():
    from faceverify.cli.evaluation_options import Protocol, ReferenceProtocol
    from faceverify.evaluation.protocols import PROTOCOLS
    from faceverify.evaluation.protocols.reference_protocols import REFERENCE_PROTOCOLS

    # invariance is no protocol of a benchmark: it changes the photos itself
    assert {one.value for one in Protocol} == {*PROTOCOLS, "invariance"}
    assert {one.value for one in ReferenceProtocol} == set(REFERENCE_PROTOCOLS)
