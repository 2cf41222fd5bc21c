"""A report for a person at a terminal: the grid, what needs attention, and the complaints."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator

from droidheaders.loop.results import Complaint, Report, Result
from droidheaders.ui import printable, ui

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
    """Return the report's lines: the grid, what was not good, each complaint once, the count."""
    width = shutil.get_terminal_size().columns
    lines = [*grid(report, width), *_attention(report), *_complaints(report), count(report)]
    return "\n".join(lines)


def grid(report: Report, width: int) -> Iterator[str]:
    """Return a table of tests and where they ran, in colour; what each place came to if too wide.

    Nothing for a single case, which is told as it ends.
    """
    cells: dict[str, dict[str, list[Result]]] = {}
    for one in report.results:
        place = "/".join(part for part in (one.case.target, one.case.persona) if part)
        cells.setdefault(place, {}).setdefault(one.case.test, []).append(one)
    tests = list(dict.fromkeys(one.case.test for one in report.results))
    if len(tests) * len(cells) < 2:
        return
    columns = [[("", ""), *((printable(test), "") for test in tests)]]
    for place, of in cells.items():
        columns.append([(printable(place), ""), *(_cell(of.get(test, [])) for test in tests)])
    widths = [max(len(text) for text, _ in column) for column in columns]
    if sum(widths) + 2 * len(widths) > width:
        for place, of in cells.items():
            yield f"{printable(place)}: {_cell([one for each in of.values() for one in each])[0]}"
        return
    for row in zip(*columns, strict=True):
        yield "  ".join(
            (ui.paint(text, sgr) if sgr else text) + " " * (wide - len(text))
            for (text, sgr), wide in zip(row, widths, strict=True)
        ).rstrip()


def _cell(results: list[Result]) -> tuple[str, str]:
    """Return what results came to, and the colour of the worst."""
    if not results:
        return "-", ""
    worst = next((one for one in results if not one.good), results[0])
    sgr = colour(worst.word) if worst.good else _BAD
    words = Counter(told(one) for one in results)
    if len(results) == 1:
        return told(worst), sgr
    return ", ".join(f"{number} {word}" for word, number in words.most_common()), sgr


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
