"""Thumbnails."""

from PIL import Image

from faceverify.evaluation.report.thumbnails import thumbnail


def test_a_thumbnail_is_small_and_a_broken_photo_has_none(tmp_path):
    Image.new("RGB", (1000, 500), "red").save(tmp_path / "red.png")
    assert thumbnail(tmp_path / "red.png").startswith("data:image/jpeg;base64,")
    assert len(thumbnail(tmp_path / "red.png")) < 2000
    assert thumbnail(b"no image") is None
    assert thumbnail(tmp_path / "none.png") is None
