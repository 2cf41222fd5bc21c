"""What became of a run: one word, a sentence, and the exit status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from droidheaders.errors import DroidheadersError

Word = Literal["pass", "fail", "skip", "timeout", "panic", "lost", "infra"]

STATUS: Mapping[Word, int] = {
    "pass": 0,
    "fail": 1,
    "skip": 4,
    "timeout": 6,
    "panic": 6,
    "lost": 6,
    "infra": 1,
}
_INTERRUPTED = 130


@dataclass(frozen=True)
class Verdict:
    """What became of a run, with what to do next in `hint`.

    pass: it ran, and all that was expected came. fail: the kernel refused what it could have taken,
    or what was expected did not come. skip: this kernel cannot. timeout: it was not over in time.
    panic: the kernel crashed. lost: the device went away otherwise. infra: the run could not be
    made, which says nothing of the program. `word` is None when somebody interrupted it.
    `log` is what the kernel said to it, its last lines. `error_status` is the status of an error
    that kept the run from being made.
    """

    word: Word | None
    message: str
    hint: str = ""
    log: tuple[str, ...] = ()
    error_status: int | None = None

    @property
    def status(self) -> int:
        """The exit status of the command."""
        if self.error_status is not None:
            return self.error_status
        return STATUS[self.word] if self.word else _INTERRUPTED

    def describe(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return {
            "type": "verdict",
            "verdict": self.word,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.status,
            "log": list(self.log),
        }


def of_error(error: DroidheadersError) -> Verdict:
    """Return the verdict on a run that an error ended."""
    words: Mapping[str, Word] = {"unsupported": "skip", "lost": "lost", "timeout": "timeout"}
    word = words.get(error.kind, "infra")
    return Verdict(word, error.message, error.hint, error_status=error.exit_code)
