"""Embeddings of the free photographs: the faces, points and numbers of each bundled model."""

from photographs import FACES

# On AVX-512, AVX2 and SSE 4.2 the boxes and points of these photos differ by up to 4e-5 pixels,
# which turns the rounding of single pixels of a crop: embeddings then differ by up to 5.8e-5. A
# mean of the input that is off by 1 of 255 moves them by 3.3e-4. Pixels: relative to coordinates.
TOLERANCES = {"box": 1e-4, "points": 1e-4, "quality": 1e-4, "embedding": 2e-4}


def test_embeddings_are_those_that_were_written_down(run, place, golden):
    models = [one["name"] for one in run("weights", "list", "--json").objects if one["bundled"]]
    assert models
    photos = sorted(path.name for path in FACES.glob("*.jpg"))
    found = {model: run("embed", "--model", model, *photos).objects for model in models}
    golden("embeddings", found, TOLERANCES)
