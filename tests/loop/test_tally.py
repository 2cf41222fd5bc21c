"""What a test's own results make of its verdict."""

from __future__ import annotations

import pytest

from droidheaders.loop.ktap import parse
from droidheaders.loop.tally import tallied
from droidheaders.run.verdict import Verdict, Word

OK = "1..2\nok 1 a\nok 2 b\n"
BAD = "1..2\nok 1 a\nnot ok 2 b # exit=1\n"
SHORT = "1..2\nok 1 a\n"
SKIPPED = "1..2\nok 1 a # SKIP no b\nok 2 b # SKIP\n"


@pytest.mark.parametrize(
    ("word", "text", "expected", "message"),
    [
        ("pass", OK, "pass", "results: 2 ok"),
        ("pass", "no results", "pass", "said"),
        ("pass", BAD, "fail", "1 of 2 results are not ok: b # exit=1"),
        ("skip", BAD, "fail", "1 of 2 results are not ok: b # exit=1"),
        ("fail", BAD, "fail", "1 of 2 results are not ok: b # exit=1"),
        ("pass", SHORT, "fail", "not all of its results came: 1 of 2 results came"),
        ("fail", SHORT, "fail", "said"),
        ("skip", SHORT, "skip", "said"),
        ("pass", SKIPPED, "skip", "all of it was skipped: a (no b), b"),
        ("fail", OK, "fail", "said"),
        ("panic", BAD, "panic", "said"),
        ("timeout", SHORT, "timeout", "said"),
        (None, BAD, None, "said"),
        (
            "pass",
            "1..0\n" + "".join(f"not ok {n}\n" for n in range(1, 9)),
            "fail",
            "8 of 8 results are not ok: 1, 2, 3, and 5 more",
        ),
    ],
)
def test_a_verdict(word: Word | None, text: str, expected: Word | None, message: str) -> None:
    verdict = tallied(Verdict(word, "said"), parse(text.splitlines()))
    assert (verdict.word, verdict.message) == (expected, message)
