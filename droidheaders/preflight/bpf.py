"""Which BPF programs will this kernel load and run, for whom, and why not the others."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from droidheaders.kernel.inquiry import User
from droidheaders.preflight import surroundings
from droidheaders.preflight.answer import Answer, Report, Verdict
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.obstacles import Obstacle, obstacle
from droidheaders.preflight.privilege import actor, who
from droidheaders.preflight.program_types import COMMON

Outcomes = Mapping[str, tuple[int, int | None]]
"""What became of a program of each type on the device: errno of loading, and of attaching.

0 where it went well, None where it was not tried.
"""


def judge(facts: Facts, outcomes: Outcomes | None = None) -> Report:
    """Say of each common kind of program whether it will run.

    `outcomes` of programs that were loaded on the device count for more than what can be read.
    """
    user = actor(facts.inquiry) if facts.inquiry else None
    obstacles = {name: obstacle(facts, kind, user) for name, kind in COMMON.items()}
    answers = [_answer(name, found, user) for name, found in obstacles.items()]
    if outcomes is not None:
        answers = [_proven(answer, outcomes.get(answer.name)) for answer in answers]
    described = {
        answer.name: {
            "verdict": answer.verdict,
            "loads": _loads(obstacles[answer.name], (outcomes or {}).get(answer.name)),
            "because": answer.because,
            "probed": list(outcomes[answer.name]) if outcomes and answer.name in outcomes else None,
        }
        for answer in answers
    }
    around = surroundings.judge(facts)
    report = {"types": described, "as": user.how if user else None, **around.facts}
    return Report(_summary(answers, user), (*answers, *around.details), report)


def _loads(found: Obstacle | None, outcome: tuple[int, int | None] | None) -> bool | None:
    if outcome is not None:
        return outcome[0] == 0
    if found is None or found.loads:
        return True
    return False if found.known else None


def _answer(name: str, found: Obstacle | None, user: User | None) -> Answer:
    if found is None:
        return Answer(name, "yes", f"as {who(user)}" if user else "by its configuration")
    verdict: Verdict = "no" if found.known else "unknown"
    return Answer(name, verdict, found.why, found.hint)


def _proven(answer: Answer, outcome: tuple[int, int | None] | None) -> Answer:
    if outcome is None:
        return answer
    loaded, attached = outcome
    if loaded:
        return Answer(answer.name, "no", f"loading one ended with {_errno(loaded)}", answer.hint)
    if attached:
        return Answer(answer.name, "no", f"one loads; attaching it ended with {_errno(attached)}")
    done = "loaded" if attached is None else "loaded and attached"
    return Answer(answer.name, "yes", f"one was {done} on the device")


def _errno(number: int) -> str:
    return errno.errorcode.get(number, str(number))


def _summary(answers: list[Answer], user: User | None) -> Answer:
    fine = [answer for answer in answers if answer.verdict == "yes"]
    if fine:
        asked = f" as {who(user)}" if user else ""
        return Answer("bpf", "yes", f"{len(fine)} of {len(answers)} kinds of program{asked}")
    worst = next((a for a in answers if a.verdict == "unknown"), answers[0])
    return Answer("bpf", worst.verdict, worst.because, worst.hint)
