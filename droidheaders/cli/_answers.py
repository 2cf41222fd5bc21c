"""A check as a person reads it: a line a capability, and below it what is not fine."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.checking import Check
    from droidheaders.preflight.answer import Answer, Report, Verdict

_SIGNS: dict[Verdict, tuple[str, str]] = {
    "yes": ("\u2713", "32"),
    "risky": ("!", "33"),
    "unknown": ("?", "33"),
    "no": ("\u2717", "31"),
}
_NARROW = 40


def lines(check: Check) -> Iterator[str]:
    """Yield the lines: whom the answers are about, each report, each file.

    What stdout's encoding does not have is escaped.
    """
    encoding = sys.stdout.encoding or "ascii"
    for line in _lines(check):
        yield line.encode(encoding, "backslashreplace").decode(encoding)


def _lines(check: Check) -> Iterator[str]:
    yield from _heading(check)
    width = max((len(name) for name in check.reports), default=0)
    for name, report in check.reports.items():
        yield from _report(name, report, width)
    for path, report in check.files.items():
        yield from _report(printable(path, 500), report, width)


def _heading(check: Check) -> Iterator[str]:
    inquiry = check.facts.inquiry
    yield from _wrapped("", check.facts.target.name)
    if inquiry is None:
        return
    shell = inquiry.shell
    mode = inquiry.probe.selinux
    about = [
        f"{inquiry.probe.build_type} build" if inquiry.probe.build_type else "",
        f"SELinux {mode}" if mode else "",
        f"uid {shell.uid}" + (f" ({shell.context})" if shell.context else ""),
        f"root by {inquiry.user.how}" if inquiry.user is not shell else "",
    ]
    yield from _wrapped("  ", ", ".join(part for part in about if part))


def _report(name: str, report: Report, width: int) -> Iterator[str]:
    answer = report.answer
    yield from _answer(answer, "", name, width)
    fine = report.alternatives and answer.verdict == "yes"
    shown = [
        detail
        for detail in report.details
        if ui.verbosity > 0 or detail.name in report.wanted or not (fine or detail.verdict == "yes")
    ]
    inner = max((len(detail.name) for detail in shown), default=0)
    for detail in shown:
        if (detail.verdict, detail.because) != (answer.verdict, answer.because):
            told = replace(detail, hint="") if detail.hint == answer.hint else detail
            yield from _answer(told, "  ", detail.name, inner)


def _answer(answer: Answer, indent: str, name: str, width: int) -> Iterator[str]:
    sign, length = _sign(answer.verdict)
    before = len(indent) + length + 1
    margin = " " * (before + width + 2)
    first = f"{indent}{sign} {name:<{width}}  "
    yield from _wrapped(margin, answer.because, first, before + max(len(name), width) + 2)
    if answer.hint:
        yield from _wrapped(margin, f"hint: {answer.hint}")


def _sign(verdict: Verdict) -> tuple[str, int]:
    """Return what stands for a verdict, and how wide it is: a sign on a terminal, else the word."""
    sign, colour = _SIGNS[verdict]
    if not _is_terminal() or not _is_encodable(sign):
        return ui.paint(f"{verdict:<7}", colour, sys.stdout), 7
    return ui.paint(sign, colour, sys.stdout), 1


def _is_terminal() -> bool:
    return sys.stdout.isatty()


def _is_encodable(sign: str) -> bool:
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _wrapped(margin: str, text: str, first: str = "", taken: int = 0) -> Iterator[str]:
    """Yield `text` in lines that fit the terminal, the first behind `first`, else its margin.

    `first` takes so many columns; a path may be so long that `text` begins below it.
    """
    first, taken = first or margin, taken or len(margin)
    columns = shutil.get_terminal_size().columns if _is_terminal() else 0
    if columns < _NARROW + len(margin) or taken + len(text) <= columns:
        yield f"{first}{text}"
        return
    if taken > len(margin):
        yield first.rstrip()
        first = margin
    for line in textwrap.wrap(
        text, columns - len(margin), break_long_words=False, break_on_hyphens=False
    ):
        yield f"{first}{line}"
        first = margin
