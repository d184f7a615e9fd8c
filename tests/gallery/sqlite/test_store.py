"""The embedded engine obeys the laws of every engine, open and encrypted."""

import pytest

pytest.register_assert_rewrite("store_conformance")

from store_conformance import StoreLaws  # noqa: E402


class TestOpen(StoreLaws):
    @pytest.fixture
    def store_url(self, tmp_path):
        return str(tmp_path / "gallery")


class TestEncrypted(TestOpen):
    @pytest.fixture
    def key(self):
        return "5f" * 32  # a ready key: no time is spent on stretching it
