"""Names: one form for each, and the nearest spelling of one that nobody has."""

import hashlib
import unicodedata

import pytest
from enrolled_people import unit_rows

from faceverify.errors import GalleryError
from faceverify.gallery.names import checked_name, unknown_name
from faceverify.gallery.open import open_store
from faceverify.gallery.store import Enrolment


@pytest.mark.parametrize("name", ["alice", "Ádám Őz", "日本 太郎", "O'Brien, Jr.", "-x", "a/b"])
def test_a_name_is_any_line_of_text(name):
    assert checked_name(name) == unicodedata.normalize("NFC", name)


def test_a_name_has_one_form_however_it_was_written():
    assert checked_name("Jose\u0301") == checked_name("Jos\u00e9") == "Jos\u00e9"


@pytest.mark.parametrize("name", ["", " ", " ann", "ann ", "a\nb", "a\tb", "a\x1b[31m", "\udcff"])
def test_all_else_is_no_name(name):
    with pytest.raises(GalleryError) as caught:
        checked_name(name)
    assert caught.value.code == "gallery-name"
    assert str(caught.value).isprintable()


def test_the_nearest_spelling_is_the_cure(tmp_path):
    people = ["Alice Ng", "Bob", "Zoë"]
    rows = zip(people, unit_rows(3), strict=True)
    new = [Enrolment(n, row, "/x", hashlib.sha256(n.encode()).digest(), 1.0) for n, row in rows]
    with open_store(str(tmp_path / "gallery"), create=True) as store:
        store.add(new, model="m")
        error = unknown_name("alice mg", store)
        assert error.code == "gallery-unknown-name"
        assert "did you mean 'Alice Ng'?" in str(error)
        assert "faceverify gallery list" in str(unknown_name("Xaver", store))
