"""A report for a person at a terminal: the grid, what needs attention, and the complaints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from droidheaders.loop.results import Complaint, Report, Result
from droidheaders.ui import printable

_COLOURS = {"pass": "32", "skip": "33"}
_BAD = "31"


def colour(word: str | None) -> str:
    """Return the SGR parameter of a verdict's colour."""
    return _COLOURS.get(word or "", _BAD)


def told(result: Result) -> str:
    """Return a verdict as a grid has it: flaky is said."""
    word = result.word or "interrupted"
    return f"{word} (flaky)" if result.flaky else word


def summary(report: Report) -> str:
    """Return the report's lines: what was not good, each complaint once, and the count."""
    return "\n".join([*_attention(report), *_complaints(report), count(report)])


def count(report: Report) -> str:
    """Return how many came to what, in how long."""
    words = Counter(told(one) for one in report.results)
    parts = [f"{number} {word}" for word, number in words.most_common()]
    missing = report.planned - len(report.results)
    parts += [f"{missing} not run"] if missing else []
    return f"{', '.join(parts) or 'nothing ran'}, in {report.seconds:.1f} s"


def _attention(report: Report) -> Iterator[str]:
    for one in report.results:
        if one.good:
            continue
        yield f"{one.case.name} on {one.kernel or 'no kernel'}: {told(one)}"
        for number, attempt in enumerate(one.attempts, 1):
            verdict = attempt.verdict
            yield f"  {number}. {verdict.word or 'interrupted'}: {verdict.message}"
            if verdict.hint:
                yield f"     hint: {verdict.hint}"
            for what, path in attempt.files.items():
                yield f"     {what}: {path}"


def _complaints(report: Report) -> Iterator[str]:
    seen: dict[str, tuple[Complaint, list[str]]] = {}
    for one in report.results:
        for attempt in one.attempts:
            for complaint in attempt.complaints:
                where = seen.setdefault(complaint.fingerprint, (complaint, []))[1]
                if one.case.name not in where:
                    where.append(one.case.name)
    for complaint, where in seen.values():
        yield f"{complaint.fingerprint} {complaint.title}"
        if complaint.allowed:
            yield f"  allowed: {printable(complaint.allowed)}"
        yield f"  in {', '.join(where)}"
        yield from (f"    {frame}" for frame in complaint.frames[:5])
