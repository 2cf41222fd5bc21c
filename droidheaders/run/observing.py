"""What the loader tells of a run: what is kept of it, and how it reads as lines of text."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from droidheaders.run.events import Attached, Entry, Event, Failed, Record, Unattached
from droidheaders.run.expecting import LONGEST
from droidheaders.ui import printable

_LOG = 400  # lines of the verifier's log, whose end matters
_PROGRAMS = 256
_SHOWN = 64  # bytes of a sample that no text tells


@dataclass
class Observed:
    """What a run has shown so far; bounded, however much came.

    `attached` and `unattached` are parts of sentences. `error` is what the loader gave up with.
    `lost` counts what found no room on its way here, in the kernel or behind the loader.
    """

    ready: bool = False
    ended: bool = False
    attached: list[str] = field(default_factory=list)
    unattached: list[str] = field(default_factory=list)
    verifier: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG))
    libbpf: deque[str] = field(default_factory=lambda: deque(maxlen=_LOG))
    error: Failed | None = None
    lost: int = 0

    def take(self, event: Event) -> None:
        """Note what an event means for the run."""
        if event["type"] == "ready":
            self.ready = True
        elif event["type"] == "attached" and len(self.attached) < _PROGRAMS:
            self.attached.append(_attachment(event))
        elif event["type"] == "unattached" and len(self.unattached) < _PROGRAMS:
            self.unattached.append(f"{_attachment(event)}: {printable(event['reason'])}")
        elif event["type"] == "log":
            log = self.verifier if event["source"] == "verifier" else self.libbpf
            log.append(printable(event["text"].rstrip("\n"), LONGEST))
        elif event["type"] == "error":
            self.error = event
        elif event["type"] == "end":
            self.ended = True
            self.lost += max(0, event["dropped"])
        elif event["type"] == "lost":
            self.lost += max(0, event["count"])


def lines_of(event: Event) -> Iterator[str]:
    """Yield what an event is to a person who reads along: output of programs, and maps' content.

    Safe for a terminal. Nothing for what is no output.
    """
    if event["type"] in ("trace", "iter"):
        yield _line(event["text"])
    elif event["type"] == "record":
        yield _sample(event)
    elif event["type"] == "map":
        for entry in event["entries"]:
            yield f"{printable(event['name'])}{_entry(entry)}"
        if event["truncated"]:
            yield f"{printable(event['name'])}: and more"


def _sample(event: Record) -> str:
    if "text" in event:
        return _line(event["text"])
    import binascii

    try:
        data = binascii.a2b_base64(event["data"])
    except ValueError:
        data = b""
    more = "…" if len(data) > _SHOWN else ""
    return f"{printable(event['map'])}: {event['size']} bytes {data[:_SHOWN].hex()}{more}"


def _entry(entry: Entry) -> str:
    key = entry.get("key_text", entry["key"])
    cpu = f" cpu {entry['cpu']}" if "cpu" in entry else ""
    return f"[{_line(key)}]{cpu} = {_line(entry.get('value_text', entry['value']))}"


def _attachment(event: Attached | Unattached) -> str:
    section, to = printable(event["section"]), ""
    if event["type"] == "attached":
        to = printable(event["to"])
    where = f"{section} to {to}" if to and to not in section else section
    return f"{where} ({printable(event['program'])})"


def _line(text: str) -> str:
    return printable(text.rstrip("\n"), LONGEST)
