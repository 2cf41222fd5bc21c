"""What the BPF loader says, one JSON object a line: docs/loader.md."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any, Literal, TypeAlias, TypedDict, cast


class Hello(TypedDict):
    """It runs."""

    type: Literal["hello"]
    libbpf: str
    pid: int


class Log(TypedDict):
    """A line that libbpf, the verifier or the loader itself has said."""

    type: Literal["log"]
    source: str
    program: str | None
    text: str


class Program(TypedDict):
    """A program that is loaded; `insns` are its instructions."""

    name: str
    section: str
    type: str
    insns: int


class Map(TypedDict):
    """A map that exists now; sizes in bytes."""

    name: str
    type: str
    key_size: int
    value_size: int
    max_entries: int


class Loaded(TypedDict):
    """The verifier took all of it."""

    type: Literal["loaded"]
    programs: list[Program]
    maps: list[Map]


class Attached(TypedDict):
    """A program is attached to `to`."""

    type: Literal["attached"]
    program: str
    section: str
    to: str


class Unattached(TypedDict):
    """A program is only loaded, for `reason`."""

    type: Literal["unattached"]
    program: str
    section: str
    reason: str


class Ready(TypedDict):
    """All is attached that can be."""

    type: Literal["ready"]


class Trace(TypedDict):
    """A line of trace_pipe."""

    type: Literal["trace"]
    text: str


class Iter(TypedDict):
    """A line that an iterator has printed."""

    type: Literal["iter"]
    program: str
    text: str


class _Sample(TypedDict):
    type: Literal["record"]
    map: str
    cpu: int | None
    size: int
    data: str


class Record(_Sample, total=False):
    """A sample of a ring or perf buffer: `data` in base64, `text` where it says something."""

    text: str


class Lost(TypedDict):
    """`count` samples of `map`, or events of the trace (None), found no room in the kernel."""

    type: Literal["lost"]
    map: str | None
    count: int


class _Pair(TypedDict):
    key: str
    value: str


class Entry(_Pair, total=False):
    """A key and its value in hex, and as text by their types; `cpu` in maps that have one each."""

    cpu: int
    key_text: str
    value_text: str


class Dump(TypedDict):
    """What is in a map at the end."""

    type: Literal["map"]
    name: str
    entries: list[Entry]
    truncated: bool


class Failed(TypedDict):
    """It gave up: `stage` is open, btf, set, map, load, attach or run."""

    type: Literal["error"]
    stage: str
    program: str | None
    section: str | None
    errno: int
    error: str
    message: str


class End(TypedDict):
    """It ended as it should: `dropped` lines were not taken in time."""

    type: Literal["end"]
    reason: str
    dropped: int


Event: TypeAlias = (
    Hello | Log | Loaded | Attached | Unattached | Ready | Trace | Iter | Record | Lost | Dump
    | Failed | End
)  # fmt: skip

_Fields = dict[str, tuple[type, ...]]
_NONE = type(None)
_TEXT, _NUMBER, _MAYBE = (str,), (int,), (str, _NONE)
_WHERE: _Fields = {"program": _TEXT, "section": _TEXT}

_FIELDS: MappingProxyType[str, _Fields] = MappingProxyType(
    {
        "hello": {"libbpf": _TEXT, "pid": _NUMBER},
        "log": {"source": _TEXT, "program": _MAYBE, "text": _TEXT},
        "loaded": {"programs": (list,), "maps": (list,)},
        "attached": {**_WHERE, "to": _TEXT},
        "unattached": {**_WHERE, "reason": _TEXT},
        "ready": {},
        "trace": {"text": _TEXT},
        "iter": {"program": _TEXT, "text": _TEXT},
        "record": {"map": _TEXT, "cpu": (int, _NONE), "size": _NUMBER, "data": _TEXT},
        "lost": {"map": _MAYBE, "count": _NUMBER},
        "map": {"name": _TEXT, "entries": (list,), "truncated": (bool,)},
        "error": {
            "stage": _TEXT,
            "program": _MAYBE,
            "section": _MAYBE,
            "errno": _NUMBER,
            "error": _TEXT,
            "message": _TEXT,
        },
        "end": {"reason": _TEXT, "dropped": _NUMBER},
    }
)
_ITEMS: MappingProxyType[str, _Fields] = MappingProxyType(
    {
        "programs": {"name": _TEXT, "section": _TEXT, "type": _TEXT, "insns": _NUMBER},
        "maps": {
            "name": _TEXT,
            "type": _TEXT,
            "key_size": _NUMBER,
            "value_size": _NUMBER,
            "max_entries": _NUMBER,
        },
        "entries": {"key": _TEXT, "value": _TEXT},
    }
)
_OPTIONAL: _Fields = {"text": _TEXT, "cpu": _NUMBER, "key_text": _TEXT, "value_text": _TEXT}


def parse(line: bytes) -> Event | None:
    """Return the event of a line, None for what the loader does not say.

    A field that it has besides those that are known is left as it is.
    """
    try:
        facts = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(facts, dict) or not isinstance(facts.get("type"), str):
        return None
    fields = _FIELDS.get(facts["type"])
    if fields is None or not _fits(facts, fields):
        return None
    for name in fields.keys() & _ITEMS.keys():
        if not all(isinstance(one, dict) and _fits(one, _ITEMS[name]) for one in facts[name]):
            return None
    return cast(Event, facts)


def _fits(facts: dict[str, Any], fields: _Fields) -> bool:
    return all(type(facts.get(name, ...)) in types for name, types in fields.items()) and all(
        name not in facts or name in fields or type(facts[name]) in types
        for name, types in _OPTIONAL.items()
    )
