"""The shape of what `check --json` prints: every key that may be there, and nothing else.

A shape is a type, a set of words, a dict with just these keys, a list of one shape, `By` a shape
for keys that are data, or a tuple of shapes of which one fits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class By:
    """An object whose keys are data, such as the names of options."""

    shape: Any


NULL = type(None)
VERDICT = frozenset({"yes", "risky", "unknown", "no"})
SWITCH = (frozenset({"y", "m", "n"}), NULL)
USER = frozenset({"shell", "adbd", "su 0", "su -c", "adb root"})
TEXT = (str, NULL)
NUMBER = (int, NULL)

_ANSWER = {"verdict": VERDICT, "because": str, "hint": str}
_REPORT = _ANSWER | {"answers": [{"name": str} | _ANSWER]}

REPORTS: dict[str, dict[str, Any]] = {
    "config": {
        "path": TEXT,
        "options": NUMBER,
        "asked": By({"value": TEXT, "wanted": str}),
        "disputed": [str],
    },
    "headers": {
        "config": SWITCH,
        "path": TEXT,
        "readable_as": (USER, NULL),
        "loaded": (bool, NULL),
        "selinux": TEXT,
        "context": TEXT,
        "uid": NUMBER,
        "denials": [dict.fromkeys(("scontext", "tcontext", "tclass", "path"), str)
                    | {"permissions": [str]}],
        "cached": TEXT,
        "state": TEXT,
        "relatives": [str],
    },
    "bpf": {
        "types": By({"verdict": VERDICT, "loads": (bool, NULL), "because": str,
                     "probed": ([(int, NULL)], NULL)}),
        "as": (USER, NULL),
        "tracefs": TEXT,
        "bpffs": TEXT,
        "cgroup2": TEXT,
        "switches": dict.fromkeys(
            ("unprivileged_bpf_disabled", "bpf_jit_enable", "bpf_jit_harden",
             "perf_event_paranoid", "lsm"), TEXT),
        "memlock": NUMBER,
        "capabilities": By([str]),
    },
    "modules": {
        "options": By(SWITCH),
        "switches": dict.fromkeys(("sig_enforce", "lockdown", "modules_disabled", "tainted"), TEXT),
        "as": (USER, NULL),
        "vermagic": TEXT,
        "page_size": NUMBER,
    },
    "compiler": {
        "family": str,
        "version": str,
        "linker": str,
        "sources": By(str),
        "host": [{"name": str, "path": str, "version": str, "exact": bool}],
        "use": str,
    },
}  # fmt: skip

_FILE = {"path": str, "kind": frozenset({"module", "bpf"})} | _REPORT
_MODULE = _FILE | {
    "name": str,
    "machine": str,
    "size": int,
    "compression": frozenset({"", "gzip", "xz", "zstd", "lz4"}),
    "build_id": str,
    "vermagic": str,
    "licence": str,
    "depends": [str],
    "namespaces": [str],
    "intree": bool,
    "scmversion": str,
    "signed": bool,
    "signature": ({"kind": str, "digest": str}, NULL),
    "compilers": [str],
    "protections": [str],
    "this_module_size": NUMBER,
    "undefined": int,
    "weak": int,
    "exports": int,
    "versions": NUMBER,
    "missing": ([str], NULL),
    "crc_differs": [{"name": str, "module": str, "kernel": str}],
}
_OBJECT = _FILE | {
    "programs": [{"name": str, "section": str, "kind": str, "instructions": int}],
    "helpers": [str],
    "kfuncs": [str],
    "maps": [{"name": str, "type": str, "key_size": int, "value_size": int, "max_entries": int}],
    "externs": [str],
    "license": str,
    "btf": bool,
    "relocations": {
        "by": (frozenset({"kernel", "headers"}), NULL),
        "total": int,
        "found": int,
        "absent": int,
        "guarded": int,
        "failing": [{"what": str, "where": [str]}],
    },
}
FILES = (_MODULE, _OBJECT, _FILE)
_TOP = {
    "schema": int,
    "serial": TEXT,
    "bundle": TEXT,
    "kernel": dict.fromkeys(("release", "version", "machine", "build_id", "arch"), str)
    | {"exact": bool},
    "verdict": VERDICT,
    "files": [FILES],
}


def whole(reports: Collection[str]) -> dict[str, Any]:
    """Return the shape of the object that has these reports."""
    return _TOP | {name: _REPORT | REPORTS[name] for name in reports}


def violations(value: Any, shape: Any, path: str = "it") -> Iterator[str]:
    """Yield where a value is not of a shape."""
    if isinstance(shape, tuple):
        if not any(_fits(value, one) for one in shape):
            yield from next(
                (violations(value, one, path) for one in shape if isinstance(value, type(one))),
                iter([f"{path} is {value!r}"]),
            )
    elif isinstance(shape, frozenset):
        if value not in shape:
            yield f"{path} is {value!r}"
    elif isinstance(shape, dict | By):
        yield from _object(value, shape, path)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        for number, one in enumerate(value):
            yield from violations(one, shape[0], f"{path}[{number}]")
    elif type(value) is not shape:
        yield f"{path} is {value!r}"


def _fits(value: Any, shape: Any) -> bool:
    return not [*violations(value, shape)]


def _object(value: Any, shape: dict[str, Any] | By, path: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{path} is no object"
        return
    known = dict.fromkeys(value, shape.shape) if isinstance(shape, By) else shape
    yield from (f"{path} has no {key}" for key in known.keys() - value.keys())
    yield from (f"{path} has {key}, which nobody knows" for key in value.keys() - known.keys())
    for key in known.keys() & value.keys():
        yield from violations(value[key], known[key], f"{path}.{key}")


def keys(shape: Any) -> set[str]:
    """Return every key that a shape knows, at any depth."""
    if isinstance(shape, dict):
        return set(shape).union(*map(keys, shape.values()))
    if isinstance(shape, list | tuple):
        return set().union(*map(keys, shape))
    return keys(shape.shape) if isinstance(shape, By) else set()
