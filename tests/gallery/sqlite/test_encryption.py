"""Encryption at rest: what is sealed opens again in its place alone, with its key alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.errors import GalleryError
from faceverify.gallery.sqlite import protection
from faceverify.gallery.sqlite.protection import Encryption

pytest.importorskip("cryptography")
READY = "00112233445566778899aabbccddeeff" * 2
READY_ENCRYPTION = Encryption.create(READY)[0]


@pytest.fixture(autouse=True)
def cheap_scrypt(monkeypatch):
    """The real function at a lower cost, so that the tests are quick."""
    monkeypatch.setitem(protection.COSTS, "n", 2**10)


@pytest.mark.parametrize("passphrase", ["correct horse", "pässword", READY])
def test_a_gallery_is_unlocked_by_its_passphrase_alone(passphrase):
    first, parameters = Encryption.create(passphrase)
    again = Encryption.unlock(passphrase, json.loads(json.dumps(parameters)))
    assert again.open(first.seal(b"face", b"here"), b"here") == b"face"
    assert passphrase not in json.dumps(parameters)
    for other in (passphrase + " ", "x", READY[:-1] + "0"):
        with pytest.raises(GalleryError, match="does not open this gallery") as caught:
            Encryption.unlock(other, parameters)
        assert caught.value.code == "gallery-key"


def test_two_galleries_of_one_passphrase_have_different_keys():
    (first, one), (second, other) = Encryption.create("same"), Encryption.create("same")
    assert one["salt"] != other["salt"]
    assert first.blind(b"name") != second.blind(b"name")


def test_a_ready_key_is_case_insensitive_and_not_stretched():
    _, parameters = Encryption.create(READY)
    assert parameters["kdf"] == "none"
    Encryption.unlock(READY.upper(), parameters)


@given(st.binary(max_size=300), st.binary(max_size=30), st.data())
def test_what_was_changed_in_any_bit_does_not_open(plain, place, data):
    sealed = READY_ENCRYPTION.seal(plain, place)
    assert READY_ENCRYPTION.open(sealed, place) == plain
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    changed = bytearray(sealed)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(GalleryError, match="changed or moved") as caught:
        READY_ENCRYPTION.open(bytes(changed), place)
    assert caught.value.code == "gallery-damaged"


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_what_was_moved_or_cut_does_not_open(place, other):
    sealed = READY_ENCRYPTION.seal(b"face", place)
    if place != other:
        with pytest.raises(GalleryError):
            READY_ENCRYPTION.open(sealed, other)
    for length in range(len(sealed)):
        with pytest.raises(GalleryError):
            READY_ENCRYPTION.open(sealed[:length], place)


def test_sealing_twice_gives_nothing_in_common():
    first, second = (READY_ENCRYPTION.seal(bytes(64), b"") for _ in range(2))
    assert first[:12] != second[:12]
    assert first[12:] != second[12:]


def test_blinding_finds_and_does_not_tell():
    blinded = READY_ENCRYPTION.blind(b"Ada")
    assert blinded == READY_ENCRYPTION.blind(b"Ada")
    assert len(blinded) == 32
    assert b"Ada" not in blinded
    assert blinded != READY_ENCRYPTION.blind(b"ada")


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_key_is_refused(empty):
    with pytest.raises(GalleryError, match="is empty"):
        Encryption.create(empty)


@pytest.mark.parametrize(
    "change",
    [
        {"salt": "xyz"},
        {"n": 3},
        {"n": 2**30},  # 128 GiB of memory
        {"r": 2**40},
        {"p": 10**9},
        {"kdf": "md5"},
        {"salt": None},
    ],
)
def test_damaged_or_hostile_parameters_are_refused_at_once(change):
    _, parameters = Encryption.create("correct horse")
    with pytest.raises(GalleryError, match="damaged") as caught:
        Encryption.unlock("correct horse", {**parameters, **change})
    assert caught.value.code == "gallery-damaged"


def test_a_damaged_check_does_not_open():
    _, parameters = Encryption.create("correct horse")
    for check in (None, "", "é", parameters["check"][:-1]):
        with pytest.raises(GalleryError):
            Encryption.unlock("correct horse", {**parameters, "check": check})
