"""What a user says of a net, and what is taken otherwise."""

import pytest

from faceverify.errors import UsageError
from faceverify.models.install.preprocessing import UNSTATED, Preprocessing, channels


def test_mean_and_scale():
    assert UNSTATED.normalisation(True, "net") == ((0.0,) * 3, (1.0,) * 3)
    assert UNSTATED.normalisation(False, "net") == ((127.5,) * 3, (127.5,) * 3)
    with pytest.raises(UsageError, match="net: its embeddings do not show whether"):
        UNSTATED.normalisation(None, "net")
    stated = Preprocessing(mean=(1.0, 2.0, 3.0), scale=(4.0, 5.0, 6.0))
    for itself in (True, False, None):
        assert stated.normalisation(itself, "net") == (stated.mean, stated.scale)


def test_pixels_as_they_are_can_be_stated():
    stated = Preprocessing(mean=(0.0,) * 3, scale=(1.0,) * 3)
    assert stated.normalisation(False, "net") == ((0.0,) * 3, (1.0,) * 3)


def test_numbers_of_an_option():
    assert channels("", "--mean") is None
    assert channels("127.5", "--mean") == (127.5, 127.5, 127.5)
    assert channels("0", "--mean") == (0.0, 0.0, 0.0)
    assert channels("1, 2,3e2", "--scale") == (1.0, 2.0, 300.0)
    for text in ("1,2", "1,2,3,4", ",", "a", "inf", "1,nan,2", " "):
        with pytest.raises(UsageError, match="neither a number nor three"):
            channels(text, "--mean")
    for text in ("0", "1,0,1", "-0.0"):
        with pytest.raises(UsageError, match="no scale is 0"):
            channels(text, "--scale")
