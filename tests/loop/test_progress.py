"""What a person sees of a run: on a terminal, without one, and at its end."""

from __future__ import annotations

import os
import pty
import re
import sys
import termios
import textwrap
import threading
from collections.abc import Iterator

import pytest

from droidheaders.loop import pretty
from droidheaders.loop.progress import Progress, running
from droidheaders.loop.results import Attempt, Case, Report, Result
from droidheaders.run.verdict import Verdict, Word
from droidheaders.ui import Ui, ui

A, B = Case("a", "user", "t"), Case("b", "", "t")


def result(case: Case, *words: Word) -> Result:
    return Result(case, "6.1", tuple(Attempt(Verdict(word, ""), 0.5) for word in words))


@pytest.fixture
def plain() -> Iterator[Ui]:
    ui.progress, ui.color = False, False
    yield ui
    ui.progress = ui.color = None
    ui.verbosity = 0


def test_without_a_terminal_what_ended_is_a_line(
    plain: Ui, capsys: pytest.CaptureFixture[str]
) -> None:
    with Progress(2, 2) as progress:
        progress.began(A, 1)
        progress.began(B, 1)
        progress.ended(result(B, "pass"))
        progress.ended(result(A, "fail", "pass"))
    out, err = capsys.readouterr()
    assert (out, err) == ("", "pass  b/t  6.1  0.5 s\nfail (flaky)  a/user/t  6.1  1.0 s\n")


def test_what_a_test_says_is_told_apart(plain: Ui, capsys: pytest.CaptureFixture[str]) -> None:
    for plain.verbosity in (0, 1):
        with plain.aside("a/t\x1b"), plain.bar("pulling", 1):
            plain.say("attached")
            plain.warn("no room")
        plain.say("mine")
    lines = [r"a/t\x1b: warning: no room", "mine"]
    assert capsys.readouterr().err.splitlines() == [*lines, r"a/t\x1b: attached", *lines]


def test_lines_of_threads_are_whole(plain: Ui, capfd: pytest.CaptureFixture[str]) -> None:
    plain.verbosity = 1

    def speak(name: str) -> None:
        with plain.aside(name):
            for _ in range(200):
                plain.say("x" * 50)

    threads = [threading.Thread(target=speak, args=(f"t{number}",)) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 800
    assert {len(line) for line in lines} == {54}


SHOW = textwrap.dedent("""
    import time
    from droidheaders.loop.progress import Progress
    from droidheaders.ui import ui
    from tests.loop.test_progress import A, B, result
    with Progress(2, 2) as progress:
        progress.began(A, 1)
        progress.began(B, 1)
        time.sleep(2.5)
        with ui.aside("a/user/t"):
            ui.warn("no room")
        progress.ended(result(B, "fail", "fail"))
        progress.began(A, 2)
        progress.ended(result(A, "pass"))
    ui.say("end")
""")


def test_on_a_terminal_there_are_a_bar_and_a_line_for_what_runs() -> None:
    pid, terminal = pty.fork()
    if not pid:
        os.environ.update(TERM="dumb")
        termios.tcsetwinsize(2, (30, 100))
        os.execv(sys.executable, [sys.executable, "-W", "error", "-c", SHOW])
    drawn = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # EIO: the other end is closed
            break
        if not data:
            break
        drawn += data
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    text = drawn.decode()
    assert status == 0, text
    assert "0/2" in text
    assert "1 not good" in text
    assert re.search(r"a/user/t  [12] s", text)
    assert re.search(r"a/user/t  0 s, once more", text)
    seen = text.replace("\x1b[A", "\r")  # a line up, and from its start
    lines = [line.rstrip().rpartition("\r")[2] for line in seen.split("\n")]
    for line in (
        "a/user/t: warning: no room",
        "fail  b/t  6.1  1.0 s",
        "pass  a/user/t  6.1  0.5 s",
        "end",
    ):
        assert line in lines, text


def test_a_case_that_runs_is_a_line() -> None:
    assert running(A, 1, 61.6) == "  a/user/t  62 s"
    assert running(Case("a", "", "\x1b[2J"), 2, 0) == r"  a/\x1b[2J  0 s, once more"


def report(*results: Result) -> Report:
    return Report("s", 0.0, 1.0, len(results), results)


def test_the_grid_has_tests_and_places(plain: Ui) -> None:
    other = Case("a", "user", "long name")
    found = report(result(A, "pass"), result(other, "fail", "pass"), result(B, "skip"))
    assert list(pretty.grid(found, 80)) == [
        "           a/user        b",
        "t          pass          skip",
        "long name  fail (flaky)  -",
    ]
    assert pretty.summary(found).startswith("           a/user        b\n")
    assert list(pretty.grid(found, 20)) == ["a/user: 1 pass, 1 fail (flaky)", "b: skip"]


def test_the_grid_counts_repetitions_and_is_red_where_one_failed(plain: Ui) -> None:
    words: list[Word] = ["pass", "pass", "panic"]
    repeated = [result(Case("a", "", "t", n), word) for n, word in enumerate(words, 1)]
    plain.color = True
    found = list(pretty.grid(report(*repeated, result(B, "pass")), 80))
    assert found[1] == "t  \x1b[31m2 pass, 1 panic\x1b[0m  \x1b[32mpass\x1b[0m"


def test_a_single_case_needs_no_grid(plain: Ui) -> None:
    assert list(pretty.grid(report(result(A, "pass")), 80)) == []
    assert list(pretty.grid(report(), 80)) == []
