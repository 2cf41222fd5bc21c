"""results.json: all of a report, for programs."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from droidheaders.loop.results import Attempt, Report, Result

SCHEMA = 1


def describe(report: Report) -> dict[str, Any]:
    """Return the report as JSON has it."""
    return {
        "schema": SCHEMA,
        "name": report.name,
        "started": report.started,
        "seconds": round(report.seconds, 3),
        "planned": report.planned,
        "interrupted": report.interrupted,
        "seed": report.seed,
        "results": [_result(one) for one in report.results],
    }


def _result(one: Result) -> dict[str, Any]:
    return {
        **asdict(one.case),
        "name": one.case.name,
        "kernel": one.kernel,
        "verdict": one.word,
        "flaky": one.flaky,
        "attempts": [_attempt(attempt) for attempt in one.attempts],
    }


def _attempt(one: Attempt) -> dict[str, Any]:
    verdict = one.verdict
    return {
        "verdict": verdict.word,
        "message": verdict.message,
        "hint": verdict.hint,
        "log": list(verdict.log),
        "seconds": round(one.seconds, 3),
        "times": {what: round(seconds, 3) for what, seconds in one.times.items()},
        "status": one.status,
        "serial": one.serial,
        "complaints": [asdict(complaint) for complaint in one.complaints],
        "subtests": [asdict(subtest) for subtest in one.subtests],
        "files": dict(one.files),
    }


def write(report: Report, path: Path) -> None:
    """Write it, whole or not at all; raises OSError."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(json.dumps(describe(report), indent=2) + "\n")
    new.rename(path)
