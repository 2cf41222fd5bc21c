"""What a test's own results, its KTAP, make of its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from droidheaders.loop.ktap import Parsed
from droidheaders.loop.results import Subtest
from droidheaders.run.verdict import Verdict

_NAMED = 3


def tallied(verdict: Verdict, parsed: Parsed) -> Verdict:
    """Return the verdict with the results looked at: one that is not ok, or missing, fails.

    A test of which all was skipped is skipped. Where there are none, the verdict stays.
    """
    if not parsed.found or verdict.word not in ("pass", "skip", "fail"):
        return verdict
    bad = [one for one in parsed.subtests if one.word not in ("pass", "skip")]
    if bad:
        count = f"{len(bad)} of {len(parsed.subtests)} results are not ok"
        return replace(verdict, word="fail", message=f"{count}: {_named(bad)}", hint="")
    if verdict.word == "pass" and parsed.missing:
        message = f"not all of its results came: {parsed.missing}"
        return replace(verdict, word="fail", message=message)
    skipped = [one for one in parsed.subtests if one.word == "skip"]
    if verdict.word == "pass" and skipped and len(skipped) == len(parsed.subtests):
        return replace(verdict, word="skip", message=f"all of it was skipped: {_named(skipped)}")
    if verdict.word == "pass":
        also = f", {len(skipped)} skipped" if skipped else ""
        passed = len(parsed.subtests) - len(skipped)
        return replace(verdict, message=f"results: {passed} ok{also}")
    return verdict


def _named(subtests: Sequence[Subtest]) -> str:
    shown = [f"{one.name} ({one.message})" if one.message else one.name for one in subtests]
    more = f", and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + more
