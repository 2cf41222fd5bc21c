"""What is made of the loader's words, without a device."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.errors import DeviceLostError, UnsupportedError, UsageError
from droidheaders.run import attach_points, verifier
from droidheaders.run.bpf import Watch
from droidheaders.run.events import Event, Record
from droidheaders.run.expecting import Expectations
from droidheaders.run.job import Job
from droidheaders.run.observing import Observed, lines_of
from droidheaders.run.triggers import Triggers
from droidheaders.run.verdict import of_error

READY: list[Event] = [
    {"type": "attached", "program": "p", "section": "kprobe/f", "to": "f"},
    {"type": "ready"},
]
END: Event = {"type": "end", "reason": "stdin", "dropped": 0}


class Scripted:
    """A loader that says this, and its end when it is asked to end."""

    def __init__(self, *batches: Sequence[Event], ends: bool = True) -> None:
        self.status: int | None = None
        self.batches = list(batches)
        self.ends = ends
        self.closed = False

    def read(self, timeout: float | None = None) -> Sequence[Event]:
        if self.batches:
            return self.batches.pop(0)
        if self.closed and self.ends:
            self.status = 0
            return [END]
        time.sleep(min(timeout or 0.01, 0.01))
        return []

    def close_stdin(self) -> None:
        self.closed = True


class NoTriggers:
    failures: list[str] = []  # noqa: RUF012

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


def line(text: str) -> Event:
    return {"type": "trace", "text": text}


def watch(source: Scripted, **options: Any) -> Watch:
    job = Job(Path("x.o"), **options)
    watched = Watch(job, Expectations(job.expect, job.until), source, lambda _: None)
    watched.follow(cast(Triggers, NoTriggers()))
    return watched


def test_it_ends_with_what_was_expected() -> None:
    source = Scripted(READY, [line("a=1")], [line("b=2")], [line("never read")])
    watched = watch(source, expect=("a=.", "b=."))
    assert watched.verdict([]).word == "pass"
    assert watched.seen.attached == ["kprobe/f (p)"]


def test_a_time_that_was_given_is_watched_for() -> None:
    source = Scripted(READY, [line("a=1")])
    started = time.monotonic()
    watched = watch(source, expect=("a=.",), seconds=0.2)
    assert time.monotonic() - started >= 0.2
    assert watched.verdict([]).word == "pass"


def test_what_comes_with_the_end_counts() -> None:
    dump: Event = {
        "type": "map",
        "name": "counts",
        "entries": [{"key": "00", "value": "02", "key_text": "0", "value_text": "2"}],
        "truncated": False,
    }
    source = Scripted(READY)
    source.close_stdin = lambda: source.batches.append([dump]) or setattr(source, "closed", True)  # type: ignore[func-returns-value, method-assign]
    watched = watch(source, expect=(r"counts\[0\] = 2",), seconds=0.05)
    assert watched.verdict([]).word == "pass"


def test_verdicts_on_what_does_not_come() -> None:
    nothing = watch(Scripted(READY), expect=("x",), seconds=0.02).verdict([])
    assert (nothing.word, nothing.message) == ("fail", "there was no output, and x was expected")
    other = watch(Scripted(READY, [line("y")]), expect=("x",), seconds=0.02).verdict(["it broke"])
    assert (other.word, other.hint) == ("fail", "it broke")
    late = watch(Scripted(READY, [line("y")]), until="x", seconds=0.02).verdict([])
    assert (late.word, late.status) == ("timeout", 6)
    assert late.message.endswith("of 1 line of output")


@pytest.mark.parametrize(
    ("pattern", "option"), [("(", "--expect"), ("a{99999999999}", "--expect"), ("[", "--until")]
)
def test_patterns_that_are_none(pattern: str, option: str) -> None:
    with pytest.raises(UsageError, match=option):
        Expectations([pattern] if option == "--expect" else [], pattern)


def test_only_the_beginning_of_a_line_is_looked_at() -> None:
    wanted = Expectations(["end$", "x"], None)
    wanted.see(["x" * 5000 + "end"])
    assert wanted.missing == ["end$"]


def test_samples_and_entries_as_lines() -> None:
    sample: Record = {"type": "record", "map": "rb", "cpu": None, "size": 3, "data": "AQID"}
    assert list(lines_of(sample)) == ["rb: 3 bytes 010203"]
    sample["text"] = "{1,\x1b[2J}"
    assert list(lines_of(sample)) == ["{1,\\x1b[2J}"]


@given(st.lists(st.text(max_size=50)))
def test_what_is_kept_is_bounded(texts: list[str]) -> None:
    seen = Observed()
    for _ in range(30):
        for text in texts:
            seen.take({"type": "log", "source": "verifier", "program": None, "text": text})
            seen.take({"type": "unattached", "program": text, "section": text, "reason": text})
    assert len(seen.verifier) <= 400
    assert len(seen.unattached) <= 256


def test_the_verifiers_words() -> None:
    log = [
        "0: R1=ctx(off=0,imm=0) R10=fp0",
        "; return *v; @ prog.c:12",
        "7: (79) r0 = *(u64 *)(r0 +0)",
        "R0 invalid mem access 'map_value_or_null'",
        "processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0",
    ]
    found = verifier.read(log, None, "p")
    assert found == verifier.Refusal(
        "R0 invalid mem access 'map_value_or_null'", "prog.c:12", "return *v;"
    )
    assert verifier.read(log[4:], None, "p") is None
    poisoned = verifier.read(["3: (85) call unknown#195896080", "invalid func"], None, "p")
    assert poisoned
    assert poisoned.relocation


@given(st.lists(st.text(max_size=80), max_size=20))
def test_any_log_is_read(log: list[str]) -> None:
    found = verifier.read(log, None, "p")
    assert found is None or (found.reason.isprintable() and found.source.isprintable())


def test_near_misses() -> None:
    names = ["do_sys_openat2", "do_sys_open", "vfs_open", "__arm64_sys_openat", "x" * 5000]
    assert attach_points.near("do_sys_openat3", names)[0] == "do_sys_openat2"
    assert attach_points.near("sys_openat", names)[0] == "__arm64_sys_openat"
    assert attach_points.near("nothing_like_it_at_all", names) == ()


def test_errors_have_verdicts_too() -> None:
    assert of_error(UnsupportedError("no")).word == "skip"
    assert of_error(DeviceLostError("gone")).word == "lost"
    assert (of_error(UsageError("no")).word, of_error(UsageError("no")).status) == ("infra", 2)
