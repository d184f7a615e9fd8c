"""The heat map of two models' layers."""

from xml.etree import ElementTree

from faceverify.evaluation.report.heat_map import HeatMap
from faceverify.evaluation.results import LayerTable

TABLE = LayerTable(
    ("a<b", "c"),
    (("1 stem&", "2 " + "x" * 60), ("1 y", "2 z", "3 embedding")),
    ((1.0, 0.25, None), (-0.01, 0.5, 0.75)),
    9,
)


def test_a_cell_for_each_pair_of_layers():
    picture = ElementTree.fromstring(HeatMap(TABLE).svg())  # well-formed, names escaped
    space = "{http://www.w3.org/2000/svg}"
    cells = picture.findall(f"{space}rect")[1:]
    assert len(cells) == 6
    assert cells[0].get("fill") == "rgb(0,73,120)"
    assert cells[2].get("fill") == cells[3].get("fill") == "rgb(255,255,255)"
    texts = [one.text for one in picture.findall(f"{space}text")]
    assert {"1.00", "0.25", "n/a", "-0.01", "0.50", "0.75", "1 stem&", "3 embedding"} <= set(texts)
    assert any(text.endswith("…") and len(text) == 26 for text in texts)
