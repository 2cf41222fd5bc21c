"""Results in a program's output or a kernel's log: KTAP 1, and TAP 12 to 14.

Documentation/dev-tools/ktap.rst, and testanything.org. Pure: it looks at lines. Other lines may be
between them, as in a kernel's log.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from droidheaders.loop.results import Subtest
from droidheaders.run.verdict import Word
from droidheaders.ui import printable

_LONGEST = 4096  # characters of a line that are looked at
_MOST = 10_000  # results that are kept
_DEEPEST = 16
_TOLD = 4  # reasons why not all came
_PREFIX = re.compile(r"(?:<\d{1,3}>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")  # of a kernel's log
_VERSION = re.compile(r"K?TAP version \d+\s*$")
_PLAN = re.compile(r"1\.\.(\d{1,9})\s*(?:#\s*skip\S*\s*(.*))?$", re.IGNORECASE)
_RESULT = re.compile(r"(not )?ok\b(?: +(\d{1,9})\b)?[ \t]*(?:- ?)?(.*)$")
_SUBTEST = re.compile(r"# Subtest: (.*)$")
_DIRECTIVE = re.compile(
    r"(?<!\\)#\s*(skip|(?:todo|xfail|timeout|error)\b)\S*\s*(.*)$", re.IGNORECASE
)
_BAIL = re.compile(r"Bail out!\s*(.*)$")


@dataclass(frozen=True)
class Parsed:
    """What was found: the results, a parent's behind its children's where it says something else.

    `found` is False where there was no KTAP at all. `missing` is why not all of it came, or "".
    """

    found: bool
    subtests: tuple[Subtest, ...] = ()
    missing: str = ""


@dataclass
class _Level:
    """The results of one indentation; `inner` are those of the subtest `called` before its own."""

    indent: int
    name: str = ""
    planned: int | None = None
    seen: int = 0
    results: list[Subtest] = field(default_factory=list)
    inner: list[Subtest] = field(default_factory=list)
    called: str = ""
    said: deque[str] = field(default_factory=lambda: deque(maxlen=4))


def parse(lines: Iterable[str]) -> Parsed:
    """Return the results in `lines`; of what comes before a version or a plan, there are none."""
    parser = _Parser()
    for line in lines:
        parser.see(_PREFIX.sub("", line[:_LONGEST].rstrip("\r\n"), count=1))
    return parser.end()


class _Parser:
    def __init__(self) -> None:
        self._levels: list[_Level] = []
        self._missing: list[str] = []
        self._name = ""  # of the subtest whose results come next

    def see(self, line: str) -> None:
        text = line.expandtabs().lstrip(" ")
        indent = len(line.expandtabs()) - len(text)
        if _VERSION.match(text):
            self._at(indent)
        elif plan := _PLAN.match(text):
            self._plan(self._at(indent), int(plan[1]), plan[2])
        elif not self._levels:
            return
        elif result := _RESULT.match(text):
            self._result(self._at(indent), result)
        elif subtest := _SUBTEST.match(text):
            self._name = _plain(subtest[1])
        elif bail := _BAIL.match(text):
            self._miss(f"it bailed out: {_plain(bail[1])}")
        elif text.startswith("# "):
            self._levels[-1].said.append(printable(text[2:]))

    def end(self) -> Parsed:
        if not self._levels:
            return Parsed(False)
        while len(self._levels) > 1:
            self._miss(f"{self._levels[-1].name or 'a subtest'} did not end")
            self._close()
        top = self._levels[0]
        self._check(top)
        return Parsed(
            True, (*top.results, *_below(top.called, top.inner)), "; ".join(self._missing)
        )

    def _at(self, indent: int) -> _Level:
        """Return the level of this indentation, with those that are deeper closed."""
        while len(self._levels) > 1 and self._levels[-1].indent > indent:
            self._close()
        if not self._levels or (self._levels[-1].indent < indent and len(self._levels) < _DEEPEST):
            self._levels.append(_Level(indent, self._name if self._levels else ""))
        elif len(self._levels) == 1:
            self._levels[0].indent = min(self._levels[0].indent, indent)
        if self._levels[-1].name == "" and len(self._levels) > 1:
            self._levels[-1].name = self._name
        self._name = ""
        return self._levels[-1]

    def _close(self) -> None:
        level = self._levels.pop()
        self._check(level)
        found = [*level.results, *_below(level.called, level.inner)]
        self._keep(self._levels[-1].inner, found)
        self._levels[-1].called = level.name

    def _check(self, level: _Level) -> None:
        if level.planned is not None and level.seen < level.planned:
            where = f" of {level.name}" if level.name else ""
            self._miss(f"{level.seen} of {level.planned} results{where} came")

    def _miss(self, why: str) -> None:
        if len(self._missing) < _TOLD and why not in self._missing:
            self._missing.append(why)

    def _plan(self, level: _Level, number: int, skipped: str | None) -> None:
        # A kernel's log has those of several modules, one after the other.
        level.planned = (level.planned or 0) + number
        if number == 0 and skipped is not None and len(self._levels) == 1:
            self._keep(level.results, [Subtest("all", "skip", _plain(skipped))])

    def _result(self, level: _Level, found: re.Match[str]) -> None:
        level.seen += 1
        name, word, message = _told(found[3], failed=found[1] is not None)
        name = name or level.called or found[2] or str(level.seen)
        inner, level.inner, level.called = level.inner, [], ""
        inner = _below(name, inner)
        agrees = any(one.word == "fail" for one in inner) == (word == "fail")
        if word == "fail" and not message:
            message = " ".join(level.said)
        level.said.clear()
        own = [] if inner and agrees and word != "timeout" else [Subtest(name, word, message)]
        self._keep(level.results, [*inner, *own])

    def _keep(self, kept: list[Subtest], results: list[Subtest]) -> None:
        room = _MOST - len(kept)
        kept += results[:room]
        if len(results) > room:
            self._miss(f"only the first {_MOST} were kept")


def _below(name: str, subtests: Iterable[Subtest]) -> list[Subtest]:
    if not name:
        return [*subtests]
    return [replace(one, name=f"{name}/{one.name}"[:_LONGEST]) for one in subtests]


def _told(text: str, *, failed: bool) -> tuple[str, Word, str]:
    """Return the name, the word and the message of a result's text."""
    directive = _DIRECTIVE.search(text)
    name = _plain(text[: directive.start()] if directive else text)
    if not directive:
        return name, "fail" if failed else "pass", ""
    kind, message = directive[1].lower(), _plain(directive[2])
    if kind == "skip":
        return name, "skip", message
    if kind in ("todo", "xfail"):  # it is known to fail, and says nothing
        return name, "pass", f"{directive[1]} {message}".strip()
    if kind == "timeout" and failed:
        return name, "timeout", message
    return name, "fail" if failed else "pass", f"{directive[1]} {message}".strip()


def _plain(text: str) -> str:
    return printable(re.sub(r"\\([\\#])", r"\1", text.strip()))
