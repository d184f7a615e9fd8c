"""Audit log: the chain verifies, and every change of it is detected."""

import json
import os
import subprocess
import sys

import pytest

from faceverify.errors import GalleryError, OutputError
from faceverify.gallery.audit import FIRST, AuditLog, check_audit_log


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "audit.jsonl"
    audit = AuditLog(path)
    audit.append("enroll", name="Zoë", photo="a\udcff.jpg", quality=0.5)
    audit.append_all([("verify", {"name": "Zoë", "same": True}), ("remove", {"name": "Zoë"})])
    return path


def test_events_are_lines_of_json_in_a_chain(log):
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert [line["event"] for line in lines] == ["enroll", "verify", "remove"]
    assert [line["number"] for line in lines] == [1, 2, 3]
    assert [line["previous"] for line in lines] == [FIRST, lines[0]["hash"], lines[1]["hash"]]
    report = check_audit_log(log, head=lines[1]["hash"])
    assert (report.lines, report.head, report.problems) == (3, lines[2]["hash"], [])


def test_only_the_owner_may_read_it(log):
    assert log.stat().st_mode & 0o777 == 0o600


def test_any_changed_byte_shows(log):
    whole = log.read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        log.write_bytes(changed)
        assert check_audit_log(log).problems, place


def test_a_second_key_of_the_same_name_shows(log):
    changed = log.read_bytes().replace(b'"same": true', b'"same": false, "same": true')
    log.write_bytes(changed)
    assert check_audit_log(log).problems == [f"{log}: line 2 was changed"]


def test_a_line_removed_swapped_or_repeated_shows(log):
    first, second, third = log.read_bytes().splitlines(keepends=True)
    for other in ([second, third], [first, third], [second, first, third], [first, first]):
        log.write_bytes(b"".join(other))
        assert check_audit_log(log).problems


def test_a_cut_end_shows_by_the_head_that_was_kept(log):
    head = check_audit_log(log).head
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert check_audit_log(log).problems == []
    (problem,) = check_audit_log(log, head=head).problems
    assert "was truncated or replaced" in problem


def test_a_torn_line_is_cut_off_and_that_is_told(log):
    whole = log.read_bytes()
    log.write_bytes(whole[:-10])
    assert check_audit_log(log).problems == [f"{log}: line 3 is torn"]
    AuditLog(log).append("enroll", name="A")
    report = check_audit_log(log)
    assert report.problems == []
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert [line["event"] for line in lines] == ["enroll", "verify", "recovered", "enroll"]
    torn = len(whole.splitlines(keepends=True)[-1]) - 10
    assert lines[2]["bytes_cut"] == torn


def test_the_first_line_torn_is_cut_off_too(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b'{"number": 1, "ti')
    AuditLog(log).append("enroll")
    assert check_audit_log(log).lines == 2
    assert check_audit_log(log).problems == []


def test_lines_longer_than_a_block_are_found_again(tmp_path):
    log = tmp_path / "log"
    for number in range(3):
        AuditLog(log).append("enroll", name="x" * 100_000 * number)
    assert check_audit_log(log).problems == []


@pytest.mark.parametrize("content", [b"hello\n", b"hello", b"{}\n", b"[1]\n", b'{"number": 2}\n'])
def test_a_foreign_file_is_not_written_to(tmp_path, content):
    log = tmp_path / "log"
    log.write_bytes(content)
    with pytest.raises(GalleryError, match="does not end in a line of an audit log"):
        AuditLog(log).append("enroll")
    assert log.read_bytes() == content
    assert check_audit_log(log).problems


def test_what_cannot_be_written_or_read_is_one_line(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        AuditLog(tmp_path / "none" / "log").append("enroll")
    with pytest.raises(GalleryError, match="cannot be read"):
        check_audit_log(tmp_path / "log")


LIMITED = """
import resource, signal, sys
from pathlib import Path
from faceverify.errors import OutputError
from faceverify.gallery.audit import AuditLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 40, -1))
try:
    AuditLog(path).append("enroll", name="x" * 100)
except OutputError as error:
    print(error)
"""


def test_a_full_disk_leaves_the_log_as_it_was(log):
    before = log.read_bytes()
    ran = subprocess.run([sys.executable, "-c", LIMITED, log], capture_output=True, text=True)
    assert "the audit log cannot be written (File too large)" in ran.stdout
    assert log.read_bytes() == before


def test_many_processes_share_one_chain(tmp_path):
    log = tmp_path / "log"
    program = (
        "import sys; from pathlib import Path; from faceverify.gallery.audit import AuditLog\n"
        "for number in range(50): AuditLog(Path(sys.argv[1])).append('enroll', number_of=number)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, log]) for _ in range(4)]
    assert [writer.wait() for writer in writers] == [0] * 4
    report = check_audit_log(log)
    assert (report.lines, report.problems) == (200, [])


def test_each_event_is_synced_before_it_is_acknowledged(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: synced.append(os.fstat(handle).st_size) or real(handle)
    )
    log = tmp_path / "log"
    AuditLog(log).append("enroll")
    assert synced == [log.stat().st_size]
