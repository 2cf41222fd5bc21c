"""The journal's entries: written before, struck out behind, and believed only when ours."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from droidheaders import journal
from droidheaders.change import ADB_ROOT, FILE, MODULE, Change, scratch_path
from droidheaders.errors import DroidheadersError

BOOT = "01234567-89ab-cdef-0123-456789abcdef"
SERIAL = "127.0.0.1:7777"
CHANGE = Change(SERIAL, MODULE, "kheaders", BOOT)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path))
    return tmp_path / "journal"


def written(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def abandon(change: Change = CHANGE) -> None:
    """Write an entry whose owner is then gone."""
    journal.write(change).release()


def test_an_entry_is_there_until_it_is_struck_out(place: Path) -> None:
    entry = journal.write(CHANGE)
    [name] = written(place)
    assert name.startswith("127.0.0.1%3A7777@")
    assert name.endswith(".json")
    facts = json.loads((place / name).read_bytes())
    assert facts.pop("pid") == os.getpid()
    assert facts == {
        "schema": 1,
        "serial": SERIAL,
        "kind": "module",
        "what": "kheaders",
        "boot_id": BOOT,
    }
    assert (place / name).stat().st_mode & 0o777 == 0o600
    assert journal.stale(SERIAL) == []  # its owner lives
    entry.remove()
    assert written(place) == []
    entry.remove()


def test_what_the_dead_left_is_found_once(place: Path) -> None:
    abandon()
    [found] = journal.stale(SERIAL)
    assert found.change == CHANGE
    assert journal.stale(SERIAL) == []  # it is ours now
    assert journal.stale("127.0.0.1") == []
    with found.leaving() as undo:
        assert undo
    assert written(place) == []


def test_what_could_not_be_undone_stays(place: Path) -> None:
    abandon()
    [found] = journal.stale(SERIAL)
    with pytest.raises(OSError, match="no"), found.leaving():
        raise OSError("no")
    [again] = journal.stale(SERIAL)
    assert again.change == CHANGE


def test_the_last_one_to_leave_undoes(place: Path) -> None:
    root = replace(CHANGE, kind=ADB_ROOT, what="")
    first = journal.write(root)
    second = journal.join(SERIAL, ADB_ROOT)
    assert second is not None
    assert (first.joined, second.joined) == (False, True)
    with first.leaving() as undo:
        assert not undo
    with second.leaving() as undo:
        assert undo
    assert journal.join(SERIAL, ADB_ROOT) is None
    assert written(place) == []


def test_the_dead_do_not_count_as_users(place: Path) -> None:
    abandon()
    entry = journal.write(CHANGE)
    assert entry.joined
    with entry.leaving() as undo:
        assert undo


@pytest.mark.parametrize("make", ["fifo", "link", "directory", "large", "empty", "binary", "deep"])
def test_files_that_are_no_entries_are_told_and_left(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], make: str
) -> None:
    place.mkdir(mode=0o700)
    path = place / "127.0.0.1%3A7777@00000000.json"
    (tmp_path / "elsewhere").write_text(CHANGE.to_json())
    contents = {"large": b"x" * 5000, "empty": b"", "binary": b"\xff\0", "deep": b"[" * 4000}
    if make == "fifo":
        os.mkfifo(path)
    elif make == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif make == "directory":
        path.mkdir()
    else:
        path.write_bytes(contents[make])
    assert journal.stale(SERIAL) == []
    assert "is no entry of the journal that can be followed" in capsys.readouterr().err
    assert os.path.lexists(path)


def test_no_change_without_a_place_to_write_it_down(tmp_path: Path, place: Path) -> None:
    place.write_text("a file")
    with pytest.raises(DroidheadersError, match="was left as it is"):
        journal.write(CHANGE)
    assert journal.stale(SERIAL) == []


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary()
    | st.builds(
        lambda d: json.dumps(d).encode(),
        st.dictionaries(
            st.sampled_from(["schema", "serial", "kind", "what", "boot_id"]),
            st.none() | st.integers() | st.text() | st.lists(st.text()),
        ),
    )
)
def test_whatever_a_file_says_only_our_changes_come_of_it(data: bytes) -> None:
    try:
        change = Change.from_json(data, SERIAL)
    except ValueError:
        return
    assert change.serial == SERIAL
    assert change == Change(change.serial, change.kind, change.what, change.boot_id)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (FILE, "/data/local/tmp/droidheaders-0123456789abcdef/.."),
        (FILE, "/data/local/tmp/droidheaders-0123456789abcdef\n"),
        (FILE, "/data/local/tmp"),
        (FILE, ""),
        (MODULE, ""),
        (MODULE, "a b"),
        (MODULE, "a" * 56),
        (ADB_ROOT, "x"),
        ("other", ""),
    ],
)
def test_changes_that_are_none(kind: str, what: str) -> None:
    with pytest.raises(ValueError, match=r"of ours|of kind"):
        Change(SERIAL, kind, what, BOOT)


def test_scratch_paths_are_ours_and_new() -> None:
    paths = {scratch_path() for _ in range(100)}
    assert len(paths) == 100
    for path in paths:
        assert Change(SERIAL, FILE, path, BOOT).what == path
