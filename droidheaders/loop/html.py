"""report.html: a whole report in one file that needs no network, for a browser."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from droidheaders.loop import record
from droidheaders.loop.results import Report
from droidheaders.ui import printable

_EXCERPTS = 200  # attempts whose files' ends are shown
_LINES, _WIDTH = 40, 300
_TAIL = 16 << 10  # bytes of a file that are looked at


def write(report: Report, directory: Path) -> None:
    """Write report.html into the directory of the run, whole or not at all; raises OSError."""
    template = (resources.files(__package__) / "report.html").read_text(encoding="utf-8")
    data = record.describe(report)
    _add_excerpts(data, directory)
    new = directory / f"report.html.{os.getpid()}"
    new.write_text(template.replace("{{DATA}}", escaped(data)), encoding="utf-8")
    new.rename(directory / "report.html")


def escaped(data: Any) -> str:
    """Return JSON that ends no script element and begins no comment in one, whatever is in it."""
    text = json.dumps(data, separators=(",", ":"))  # ASCII, so U+2028 is escaped, too
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _add_excerpts(data: dict[str, Any], directory: Path) -> None:
    """Add the ends of the files of attempts that need attention, as many as are looked at."""
    for number, attempt in enumerate(_bad(data)):
        if number == _EXCERPTS:
            return
        attempt["excerpts"] = {
            what: _end(directory / path) for what, path in attempt["files"].items()
        }


def _bad(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for result in data["results"]:
        for attempt in result["attempts"]:
            if attempt["verdict"] not in ("pass", "skip"):
                yield attempt


def _end(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            text = file.read(_TAIL).decode("utf-8", "replace")
    except OSError:
        return []
    return [printable(line.expandtabs(), _WIDTH) for line in text.splitlines()[-_LINES:]]
