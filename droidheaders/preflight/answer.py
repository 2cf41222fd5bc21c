"""What can be said about one thing that a kernel is asked for, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["yes", "risky", "unknown", "no"]
"""`risky`: the kernel takes it, and nothing proves that it is sound; `unknown`: nothing tells."""

_ORDER: tuple[Verdict, ...] = ("yes", "risky", "unknown", "no")


@dataclass(frozen=True)
class Answer:
    """One answer with its evidence.

    `name` is a stable word, such as kprobe or vermagic. `because` is one clause without a full
    stop that names the evidence, safe for a terminal; `hint` is what to type or to do next, or "".
    """

    name: str
    verdict: Verdict
    because: str
    hint: str = ""


@dataclass(frozen=True)
class Report:
    """The answer about one capability or file, those it rests on, and what a program may use.

    `facts` can be written as JSON; docs/check.md has its keys. Where `alternatives`, the answers it
    rests on are ways to the same thing, of which one is enough. `wanted` names those that somebody
    asked for one by one, who is told them even when all is well.
    """

    answer: Answer
    details: tuple[Answer, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    alternatives: bool = False
    wanted: frozenset[str] = frozenset()

    def describe(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        answer = self.answer
        told = {"verdict": answer.verdict, "because": answer.because, "hint": answer.hint}
        return told | {"answers": [asdict(one) for one in self.details]} | self.facts


def worst(answers: Iterable[Answer]) -> Verdict:
    """Return the worst verdict among answers, yes when there are none."""
    return max((answer.verdict for answer in answers), key=_ORDER.index, default="yes")
