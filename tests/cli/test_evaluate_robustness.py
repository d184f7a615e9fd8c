"""``faceverify evaluate --robustness``: how a model fails on degraded photos."""

import json
from functools import partial

import pytest

from faceverify.evaluation.degradation import DEGRADATIONS
from faceverify.evaluation.robustness import evaluate


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FACEVERIFY_CACHE", str(tmp_path_factory.getbasetemp() / "robustness-cache"))


@pytest.fixture(scope="module")
def people(tmp_path_factory, small_faces):
    root = tmp_path_factory.mktemp("people")
    for name in ("obama", "obama2", "biden"):
        folder = root / name.rstrip("0123456789")
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.jpg").write_bytes(small_faces[name])
    return root


@pytest.mark.thorough
@pytest.mark.parametrize(
    "kinds",
    [("blocks", "turned"), pytest.param(tuple(DEGRADATIONS), marks=pytest.mark.slow)],
    ids=["two", "all"],
)
def test_every_kind_and_strength(run, people, tmp_path, monkeypatch, kinds):
    these = partial(evaluate.evaluate_robustness, kinds=kinds)
    monkeypatch.setattr(evaluate, "evaluate_robustness", these)
    common = ("evaluate", people, "--robustness", "--threshold", "0.5")
    ran = run(*common, "--json", "--out", tmp_path / "report")
    assert ran.status == 0, ran.err
    (found,) = ran.objects
    assert found["protocol"] == "robustness"
    assert found["summary"]["photos"]["value"] == 3
    assert found["clean"]["0"]["decided"]["value"] == 1
    assert found["clean"]["0"]["comparisons"] == 2
    assert {"clean", *kinds} <= found.keys()
    for kind in kinds:
        strengths = DEGRADATIONS[kind].strengths
        assert list(found[kind]) == [f"{strength:g}" for strength in strengths]
        for cell in found[kind].values():
            assert 0 <= cell["decided"]["value"] <= 1
            assert sum(cell["failures"].values()) == 3 - cell["decided"]["errors"]
            assert set(cell["against_clean"]) == {"fmr", "fnmr"}
    assert any("2 impostor comparisons" in note for note in found["notes"])
    page = (tmp_path / "report" / "report.html").read_text()
    assert "FMR without the comparisons of the lowest quality" in page
    assert "turned: FMR among the decided, by strength (degrees)" in page
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert figures["evaluations"][0]["blocks"] == found["blocks"]

    # out of the cache, as text; a quality refuses more
    text = run(*common).out
    assert "blocks: FMR among the decided, by strength (side of a block)" in text
    assert "one clean: FMR" in text
    strict = run(*common, "--json", "--min-quality", "1").objects[0]
    refused = 0
    for kind in kinds:
        for strength, cell in strict[kind].items():
            assert cell["decided"]["value"] <= found[kind][strength]["decided"]["value"]
            refused += cell["failures"].get("low-quality", 0)
            if cell["decided"]["value"] == 0:
                assert (cell["value"], cell["reason"]) == (None, "decided 0.000 %")
    assert refused > 10


@pytest.mark.parametrize(
    "others",
    [("--protocol", "10fold"), ("--compare", "default"), ("--group", "x"), ("--compat", "facenet")],
)
def test_what_it_does_not_go_with(run, people, others):
    ran = run("evaluate", people, "--robustness", *others)
    assert ran.status == 2
    assert "--robustness degrades photos itself" in ran.err


def test_a_rate_without_a_threshold(run, people):
    ran = run("evaluate", people, "--robustness", "--fmr", "0.3")
    assert ran.status == 2
    assert "no threshold for a false match rate of 0.3" in ran.err
