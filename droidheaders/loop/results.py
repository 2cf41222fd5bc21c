"""What came of the runs of a matrix. Data alone: it knows no device and no format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from droidheaders.run.verdict import Verdict, Word

GOOD: frozenset[Word | None] = frozenset({"pass", "skip"})
"""Words that need nobody's attention; None is a run that somebody interrupted."""


@dataclass(frozen=True)
class Case:
    """One thing to be run: a test on a target as a persona, the `repetition`th time, from 1.

    `persona` is "" on a device that is not a guest of ours.
    """

    target: str
    persona: str
    test: str
    repetition: int = 1

    @property
    def name(self) -> str:
        """What it is called: target/persona/test, with #N where it is not the first repetition."""
        parts = [part for part in (self.target, self.persona, self.test) if part]
        return "/".join(parts) + (f"#{self.repetition}" if self.repetition > 1 else "")


@dataclass(frozen=True)
class Complaint:
    """What the kernel complained of, once for each `fingerprint`, `count` times.

    `allowed` is why it is harmless, by what is known; "" where it fails the test. A line of the log
    that is denied has the kind denied.
    """

    fingerprint: str
    kind: str
    title: str
    frames: tuple[str, ...] = ()
    module: str = ""
    count: int = 1
    allowed: str = ""


@dataclass(frozen=True)
class Subtest:
    """A result inside a test's own, out of its KTAP; `name` has its parents' before it, with /."""

    name: str
    word: Word
    message: str = ""


@dataclass(frozen=True)
class Attempt:
    """One run of a case, on a device of its own.

    `seconds` is all it took, `times` the parts: such as guest, build, run, each in seconds.
    `status` is the exit status of what was run, where it has one. `files` are paths relative to the
    directory of all runs, by what they are: kernel, console, stdout, stderr.
    """

    verdict: Verdict
    seconds: float
    times: Mapping[str, float] = field(default_factory=dict)
    status: int | None = None
    serial: str = ""
    complaints: tuple[Complaint, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    subtests: tuple[Subtest, ...] = ()


@dataclass(frozen=True)
class Result:
    """What came of a case: its attempts, of which there is a second where the first one failed.

    `kernel` is the release that ran, "" where none came up.
    """

    case: Case
    kernel: str
    attempts: tuple[Attempt, ...]

    @property
    def word(self) -> Word | None:
        """The verdict of the first attempt: a second one that passes does not undo a failure."""
        return self.attempts[0].verdict.word

    @property
    def flaky(self) -> bool:
        """Whether two attempts did not end alike."""
        return len({attempt.verdict.word for attempt in self.attempts}) > 1

    @property
    def seconds(self) -> float:
        """What all attempts took."""
        return sum(attempt.seconds for attempt in self.attempts)

    @property
    def good(self) -> bool:
        """Whether it needs nobody's attention."""
        return all(attempt.verdict.word in GOOD for attempt in self.attempts)


@dataclass(frozen=True)
class Report:
    """A whole run of a matrix, or of the part before it was interrupted.

    `started` is in seconds since 1970, `seconds` is wall time. `planned` is how many cases there
    were to be, `seed` that of their order where it was shuffled.
    """

    name: str
    started: float
    seconds: float
    planned: int
    results: tuple[Result, ...]
    interrupted: bool = False
    seed: int | None = None
