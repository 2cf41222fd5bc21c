"""JUnit XML: a report for whatever else shows test results."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree as Xml

from droidheaders.loop.results import Attempt, Report, Result

_FAILED = frozenset({"fail", "timeout", "panic"})
# What XML 1.0 has no way to write: section 2.2 of it, Char.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(report: Report, path: Path) -> None:
    """Write it, whole or not at all; raises OSError."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    tree = Xml.ElementTree(document(report))
    Xml.indent(tree)
    tree.write(new, encoding="utf-8", xml_declaration=True)
    new.rename(path)


def document(report: Report) -> Xml.Element:
    """Return the report as a testsuites element: a suite for each target and persona.

    What failed, panicked or took too long is a failure, also when it passed the second time; what
    was lost, interrupted or could not be run is an error.
    """
    root = Xml.Element("testsuites", _counts(report.results) | {"name": _text(report.name)})

    def where(one: Result) -> str:
        return "/".join(part for part in (one.case.target, one.case.persona) if part)

    for number, (name, found) in enumerate(groupby(sorted(report.results, key=where), where)):
        root.append(_suite(report, number, name, [*found]))
    return root


def _suite(report: Report, number: int, name: str, results: list[Result]) -> Xml.Element:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(report.started))
    named = {"name": _text(name), "id": str(number), "timestamp": stamp, "hostname": "localhost"}
    skipped = {"skipped": str(sum(one.word == "skip" for one in results))}
    suite = Xml.Element("testsuite", named | _counts(results) | skipped)
    properties = Xml.SubElement(suite, "properties")
    for kernel in dict.fromkeys(one.kernel for one in results if one.kernel):
        Xml.SubElement(properties, "property", {"name": "kernel", "value": _text(kernel)})
    for one in results:
        suite.append(_case(name, one))
    return suite


def _case(where: str, one: Result) -> Xml.Element:
    repeated = f"#{one.case.repetition}" if one.case.repetition > 1 else ""
    names = {"name": _text(one.case.test + repeated), "classname": _text(where.replace("/", "."))}
    case = Xml.Element("testcase", names | {"time": f"{one.seconds:.3f}"})
    first, *more = one.attempts
    if one.word == "skip":
        Xml.SubElement(case, "skipped", {"message": _text(first.verdict.message)})
    elif one.word != "pass":
        case.append(_failure("failure" if one.word in _FAILED else "error", first))
    for attempt in more:
        if attempt.verdict.word != "pass":
            case.append(_failure("rerunFailure", attempt))
    if said := _said(one):
        Xml.SubElement(case, "system-out").text = _text(said)
    return case


def _failure(kind: str, attempt: Attempt) -> Xml.Element:
    verdict = attempt.verdict
    word = verdict.word or "interrupted"
    found = Xml.Element(kind, {"message": _text(verdict.message), "type": word})
    lines = [verdict.message, verdict.hint and f"hint: {verdict.hint}", *verdict.log]
    for complaint in attempt.complaints:
        lines += [f"{complaint.fingerprint} {complaint.title}", *complaint.frames]
    found.text = _text("\n".join(line for line in lines if line))
    return found


def _said(one: Result) -> str:
    lines = ["flaky: it did not end alike in the second attempt"] if one.flaky else []
    for number, attempt in enumerate(one.attempts, 1):
        lines += [
            f"{number}. {subtest.word} {subtest.name} {subtest.message}".rstrip()
            for subtest in attempt.subtests
        ]
        lines += [f"{number}. {what}: {path}" for what, path in attempt.files.items()]
    return "\n".join(lines)


def _counts(results: Iterable[Result]) -> dict[str, str]:
    found = [*results]
    words = [one.word for one in found]
    failures = sum(word in _FAILED for word in words)
    errors = sum(word not in _FAILED and word not in ("pass", "skip") for word in words)
    return {
        "tests": str(len(found)),
        "failures": str(failures),
        "errors": str(errors),
        "time": f"{sum(one.seconds for one in found):.3f}",
    }


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
