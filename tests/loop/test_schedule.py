"""The scheduler: order, retries, interrupts, and what the report says of them."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from droidheaders.loop import pretty, record, schedule
from droidheaders.loop.results import Attempt, Case, Complaint, Report, Result
from droidheaders.run.verdict import Verdict, Word

CASES = [Case("a", "user", f"t{number}") for number in range(6)]


class Fake:
    """Gives the words of a case, one an attempt; `before` is called in each."""

    def __init__(
        self,
        words: dict[str, Sequence[Word]] | None = None,
        before: Callable[[Case], object] = lambda case: None,
    ) -> None:
        self.words, self.before = words or {}, before
        self.stopped = threading.Event()
        self.tries: list[str] = []

    def attempt(self, case: Case, place: Path) -> tuple[str, Attempt]:
        assert place.is_dir()
        self.before(case)
        self.tries.append(case.test)
        word: Word | None = self.words.get(case.test, ["pass"])[int(place.name) - 1]
        if self.stopped.is_set():
            word = None
        return "6.1", Attempt(Verdict(word, f"it was {word}"), 0.5, files={"stdout": "x/1/stdout"})

    def stop(self) -> None:
        self.stopped.set()


@dataclass
class Shown:
    """Notes what is shown; `tell` is called with each result."""

    tell: Callable[[Result], object] = lambda result: None
    begun: list[tuple[str, int]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def began(self, case: Case, attempt: int) -> None:
        self.begun.append((case.test, attempt))

    def ended(self, result: Result) -> None:
        self.results.append(result)
        self.tell(result)


def run(fake: Fake, place: Path, jobs: int = 1) -> tuple[Report, list[Result]]:
    shown = Shown()
    return schedule.run("s", CASES, fake, place, shown, schedule.How(jobs)), shown.results


def test_results_are_in_the_order_of_the_cases(tmp_path: Path) -> None:
    gate = threading.Event()
    fake = Fake(before=lambda case: gate.wait(5) if case == CASES[0] else gate.set())
    report, told = run(fake, tmp_path, jobs=2)
    assert [one.case for one in report.results] == CASES
    assert {one.case for one in told} == set(CASES)
    assert (report.planned, report.interrupted, schedule.status(report)) == (6, False, 0)
    assert pretty.count(report).startswith("6 pass, in ")


@pytest.mark.parametrize("word", ["fail", "timeout", "panic"])
def test_a_failure_is_tried_once_more_and_stays_one(tmp_path: Path, word: Word) -> None:
    fake = Fake({"t1": [word, "pass"], "t2": [word, word], "t3": ["skip"]})
    report, _ = run(fake, tmp_path)
    flaky, failed, skipped = report.results[1:4]
    assert (flaky.word, flaky.flaky, len(flaky.attempts)) == (word, True, 2)
    assert (failed.word, failed.flaky, len(failed.attempts)) == (word, False, 2)
    assert (skipped.good, flaky.good) == (True, False)
    assert schedule.status(report) == 1
    assert f"1 {word} (flaky)" in pretty.count(report)
    summary = pretty.summary(report)
    assert f"a/user/t1 on 6.1: {word} (flaky)\n  1. {word}: it was {word}\n" in summary
    assert "  2. pass: it was pass\n" in summary
    assert "a/user/t3" not in summary


@pytest.mark.parametrize("word", ["lost", "infra"])
def test_what_says_nothing_of_the_test_is_not_tried_again(tmp_path: Path, word: Word) -> None:
    report, _ = run(Fake({"t0": [word]}), tmp_path)
    assert len(report.results[0].attempts) == 1
    assert schedule.status(report) == 1


def test_an_interrupt_keeps_what_there_is(tmp_path: Path) -> None:
    def until_stopped(case: Case) -> None:
        if case in CASES[2:]:
            fake.stopped.wait(10)

    fake = Fake(before=until_stopped)

    def tell(result: Result) -> None:
        if result.case == CASES[1]:
            raise KeyboardInterrupt

    report = schedule.run("s", CASES, fake, tmp_path, Shown(tell))
    assert fake.stopped.is_set()
    assert report.interrupted
    assert 2 <= len(report.results) < 6
    assert schedule.status(report) == 130
    assert "not run" in pretty.count(report)


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_changes_nothing(tmp_path: Path, second: signal.Signals) -> None:
    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    waiting = threading.Event()

    def slowly(case: Case) -> None:
        if case == CASES[1]:
            waiting.set()
            fake.stopped.wait(10)
            os.kill(os.getpid(), second)
            time.sleep(0.3)  # the signal comes while this attempt is waited for

    def interrupt(result: Result) -> None:
        if result.case == CASES[0]:
            assert waiting.wait(10)
            raise KeyboardInterrupt

    fake = Fake(before=slowly)
    before = signal.signal(signal.SIGTERM, leave)
    try:
        report = schedule.run("s", CASES, fake, tmp_path, Shown(interrupt))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [one.word for one in report.results] == ["pass", None]
    assert schedule.status(report) == 130


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_bug_ends_the_run_and_all_attempts(tmp_path: Path, jobs: int) -> None:
    def bug(case: Case) -> None:
        if case == CASES[1]:
            raise ZeroDivisionError

    fake = Fake(before=bug)
    with pytest.raises(schedule.BrokenError) as broken:
        run(fake, tmp_path, jobs)
    assert isinstance(broken.value.__cause__, ZeroDivisionError)
    assert fake.stopped.is_set()
    assert len(fake.tries) < 6
    report = broken.value.report
    assert (report.interrupted, report.planned) == (True, 6)
    assert report.results[0].case == CASES[0]
    assert CASES[1] not in [one.case for one in report.results]


def test_each_attempt_is_shown_as_it_begins(tmp_path: Path) -> None:
    shown = Shown()
    schedule.run("s", CASES[:2], Fake({"t1": ["fail", "pass"]}), tmp_path, shown)
    assert shown.begun == [("t0", 1), ("t1", 1), ("t1", 2)]


def test_a_name_is_made_fit_for_a_directory() -> None:
    assert schedule.safe("a/user/t#2") == "a-user-t-2"
    assert schedule.safe("../..") == "case"


def test_the_record_has_all_of_it(tmp_path: Path) -> None:
    complaint = Complaint("0" * 12, "warning", "WARNING: x", ("f+0x1/0x2",), "m", 3)
    attempt = Attempt(Verdict("fail", "no", "hint", ("l",)), 1.23456, {"run": 1.0}, 7, "A")
    one = Result(
        CASES[0], "6.1", (attempt, Attempt(Verdict("pass", "ok"), 1, complaints=(complaint,)))
    )
    record.write(Report("s", 1e9, 2.0, 6, (one,)), tmp_path / "results.json")
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    found = json.loads((tmp_path / "results.json").read_text())
    assert (found["schema"], found["planned"], found["interrupted"]) == (1, 6, False)
    [result] = found["results"]
    assert (result["name"], result["verdict"], result["flaky"]) == ("a/user/t0", "fail", True)
    first, second = result["attempts"]
    assert (first["seconds"], first["times"], first["status"]) == (1.235, {"run": 1.0}, 7)
    assert second["complaints"][0]["fingerprint"] == "0" * 12
    assert second["complaints"][0]["count"] == 3


def test_nothing_is_begun_after_a_failure(tmp_path: Path) -> None:
    failed = threading.Event()

    def after_that(case: Case) -> None:
        if case == CASES[2]:
            assert failed.wait(10)
            time.sleep(0.3)  # the failure is told, and what waits is called off

    def tell(result: Result) -> None:
        if result.word == "fail":
            failed.set()

    fake = Fake({"t1": ["fail", "fail"]}, after_that)
    report = schedule.run("s", CASES, fake, tmp_path, Shown(tell), schedule.How(fail_fast=True))
    assert fake.tries == ["t0", "t1", "t1", "t2"]
    assert [one.word for one in report.results] == ["pass", "fail", "pass"]
    assert (report.interrupted, schedule.status(report)) == (False, 1)
    assert not fake.stopped.is_set()


@pytest.mark.parametrize("word", ["lost", "infra"])
def test_what_was_lost_is_tried_again_when_asked(tmp_path: Path, word: Word) -> None:
    how = schedule.How(retry_lost=True)
    report = schedule.run("s", CASES, Fake({"t0": [word, "pass"]}), tmp_path, Shown(), how)
    assert [one.verdict.word for one in report.results[0].attempts] == [word, "pass"]


BISECT: list[tuple[list[list[Word]], int]] = [
    ([["pass"], ["skip"]], 0),
    ([["skip"], ["skip"]], 125),
    ([["pass"], ["infra"]], 125),
    ([["pass"], ["lost"]], 125),
    ([["pass"], ["fail", "pass"]], 125),
    ([["pass"], ["fail", "fail"]], 1),
    ([["infra"], ["panic", "panic"]], 1),
    ([["timeout", "timeout"], ["pass"]], 1),
]


@pytest.mark.parametrize(("words", "status"), BISECT)
def test_what_git_bisect_is_told(words: list[list[Word]], status: int) -> None:
    results = [
        Result(case, "6.1", tuple(Attempt(Verdict(word, ""), 1.0) for word in each))
        for case, each in zip(CASES, words, strict=False)
    ]
    report = Report("s", 0.0, 1.0, 2, tuple(results))
    assert schedule.bisect_status(report) == status
    assert schedule.joined([report, report]).planned == 4
    interrupted = Report("s", 0.0, 1.0, 2, tuple(results), interrupted=True)
    assert schedule.bisect_status(interrupted) == 130
