"""KTAP and TAP, as kernels, kselftests and other programs write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.loop.ktap import parse

KUNIT = """\
[    1.100000] x: loading
[    1.200000] KTAP version 1
[    1.200001] 1..1
[    1.200002]     KTAP version 1
[    1.200003]     # Subtest: example
[    1.200004]     # module: kunit_example
[    1.200005]     1..4
[    1.200006]     # example_simple: initializing
[    1.200007]     ok 1 example_simple
[    1.200008]     ok 2 example_skip # SKIP this test should be skipped
[    1.200009]         KTAP version 1
[    1.200010]         # Subtest: example_params
[    1.200011]         ok 1 example value 2
[    1.200012] random: crng init done
[    1.200013]         # example_params: EXPECTATION FAILED at x.c:9
[    1.200014]         not ok 2 example value 1
[    1.200015]     # example_params: pass:1 fail:1 skip:0 total:2
[    1.200016]     not ok 3 example_params
[    1.200017]     ok 4 last
[    1.200018] # example: pass:2 fail:1 skip:1 total:4
[    1.200019] not ok 1 example
"""

OLD_KUNIT = """\
TAP version 14
    # Subtest: example
    1..1
    ok 1 - example_simple_test
ok 1 - example
"""

KSELFTEST = """\
TAP version 13
1..3
# starting
ok 1 first test
not ok 2 second # TIMEOUT 45 seconds
ok 3 # SKIP no hardware
# Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0
"""

TAP14 = """\
TAP version 14
1..2
# Subtest: foo.tap
    1..2
    ok 1
    ok 2 - this passed
ok 1 - foo.tap
not ok 2 - bar \\# not a directive # TODO later
  ---
  message: ok 7 is no result
  ...
"""

TAP13_LATE_PLAN = """\
TAP version 13
ok 1 - a
ok
not ok 3 - c
# got 1
1..3
"""


@pytest.mark.parametrize(
    ("text", "expected", "missing"),
    [
        (
            KUNIT,
            [
                ("example/example_simple", "pass"),
                ("example/example_skip", "skip"),
                ("example/example_params/example value 2", "pass"),
                ("example/example_params/example value 1", "fail"),
                ("example/last", "pass"),
            ],
            "",
        ),
        (OLD_KUNIT, [("example/example_simple_test", "pass")], ""),
        (KSELFTEST, [("first test", "pass"), ("second", "timeout"), ("3", "skip")], ""),
        (
            TAP14,
            [
                ("foo.tap/1", "pass"),
                ("foo.tap/this passed", "pass"),
                ("bar # not a directive", "pass"),
            ],
            "",
        ),
        (TAP13_LATE_PLAN, [("a", "pass"), ("2", "pass"), ("c", "fail")], ""),
        ("1..0 # skipped: no such device\n", [("all", "skip")], ""),
        ("1..2\nok 1 a\n", [("a", "pass")], "1 of 2 results came"),
        (
            "KTAP version 1\n1..2\nok 1 a\nBail out! no memory\n",
            [("a", "pass")],
            "it bailed out: no memory; 1 of 2 results came",
        ),
        (
            "KTAP version 1\n1..1\n  KTAP version 1\n  # Subtest: s\n  1..2\n  ok 1 a\n",
            [("s/a", "pass")],
            "s did not end; 1 of 2 results of s came; 0 of 1 results came",
        ),
        ("KTAP version 1\n", [], ""),
        # a parent that fails by itself is told
        (
            "KTAP version 1\n1..1\n  1..1\n  ok 1 a\nnot ok 1 s\n",
            [("s/a", "pass"), ("s", "fail")],
            "",
        ),
        # two modules, one after the other
        (
            "KTAP version 1\n1..1\nok 1 a\nKTAP version 1\n1..1\nok 1 b",
            [("a", "pass"), ("b", "pass")],
            "",
        ),
    ],
)
def test_what_is_found(text: str, expected: list[tuple[str, str]], missing: str) -> None:
    parsed = parse(text.splitlines())
    assert parsed.found
    assert [(one.name, one.word) for one in parsed.subtests] == expected
    assert parsed.missing == missing


def test_what_was_said_of_a_failure_is_its_message() -> None:
    parsed = parse(KUNIT.splitlines())
    [failed] = [one for one in parsed.subtests if one.word == "fail"]
    assert failed.message == "example_params: EXPECTATION FAILED at x.c:9"
    [skipped] = [one for one in parsed.subtests if one.word == "skip"]
    assert skipped.message == "this test should be skipped"


@pytest.mark.parametrize(
    "text", ["", "all is ok\n", "ok 1 x\nnot ok 2 y\n", "okay\n# Subtest: x\n"]
)
def test_other_output_has_no_results(text: str) -> None:
    assert not parse(text.splitlines()).found


def test_what_is_kept_is_bounded_and_safe() -> None:
    lines = ["KTAP version 1", *(f"ok {n} a\x1b[31m{'x' * 5000}" for n in range(20_000))]
    parsed = parse(lines)
    assert len(parsed.subtests) == 10_000
    assert all(one.name.isprintable() and len(one.name) <= 200 for one in parsed.subtests)
    assert parsed.missing == "only the first 10000 were kept"
    below = parse(["1..1", *(" ok\n1..1" if n % 9 else " ok" for n in range(20_000))])
    assert len(below.subtests) <= 10_000
    deep = parse(["KTAP version 1", *(" " * n + "1..1" for n in range(1, 200))])
    assert "did not end" in deep.missing


PIECES = [
    "1..2",
    "ok",
    "not ok",
    "# Subtest: x",
    "KTAP version 1",
    "# SKIP",
    " - ",
    "Bail out!",
    "3",
]
LINES = st.lists(
    st.builds(
        lambda indent, parts: " " * indent + " ".join(parts),
        st.integers(0, 9),
        st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=4),
    ),
    max_size=30,
)


@given(LINES)
def test_anything_may_come(lines: list[str]) -> None:
    parsed = parse(lines)
    said = sum("ok" in line for line in lines)
    assert len(parsed.subtests) <= said + len(lines)
    for one in parsed.subtests:
        assert one.name
        assert (one.name + one.message).isprintable()
