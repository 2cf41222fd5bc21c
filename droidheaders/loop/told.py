"""A report as KTAP, version 1: Documentation/dev-tools/ktap.rst."""

from __future__ import annotations

from collections.abc import Iterator

from droidheaders.loop.results import Attempt, Report, Result
from droidheaders.ui import printable


def lines(report: Report) -> Iterator[str]:
    """Return the lines: a test for each case that was planned, what is inside one as its subtests.

    One that was not run has none, and the plan tells that it is missing.
    """
    yield "KTAP version 1"
    yield f"1..{report.planned}"
    for number, one in enumerate(report.results, 1):
        yield from _subtests(one.attempts[0])
        yield from _diagnostics(one)
        ok = "ok" if one.good else "not ok"
        skipped = f" # SKIP {_plain(one.attempts[0].verdict.message)}" if one.word == "skip" else ""
        yield f"{ok} {number} {_named(one.case.name)}{skipped}"


def _subtests(attempt: Attempt) -> Iterator[str]:
    if not attempt.subtests:
        return
    yield "  KTAP version 1"
    yield f"  1..{len(attempt.subtests)}"
    for number, one in enumerate(attempt.subtests, 1):
        ok = "ok" if one.word in ("pass", "skip") else "not ok"
        skipped = f" # SKIP {_plain(one.message)}".rstrip() if one.word == "skip" else ""
        yield f"  {ok} {number} {_named(one.name)}{skipped}"


def _diagnostics(one: Result) -> Iterator[str]:
    yield f"# kernel: {_plain(one.kernel) or 'none'}, {one.seconds:.3f} s"
    if one.flaky:
        yield "# flaky"
    if one.word in ("pass", "skip") and not one.flaky:
        return
    for number, attempt in enumerate(one.attempts, 1):
        verdict = attempt.verdict
        yield f"# {number}. {verdict.word or 'interrupted'}: {_plain(verdict.message)}"
        for complaint in attempt.complaints:
            yield f"# {number}. {complaint.fingerprint} {_plain(complaint.title)}"


def _plain(text: str) -> str:
    return printable(" ".join(text.split()), 1000)


def _named(name: str) -> str:
    """Return a name without what KTAP would take for the beginning of a directive."""
    return _plain(name).replace(" # ", " ").replace("#", "\\#")
