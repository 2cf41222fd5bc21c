"""`droidheaders cache diff`: what another kernel has otherwise."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from droidheaders.cli.cache import names
from droidheaders.cli.settings import emit, settings
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.cache import Bundle
    from droidheaders.cache.diff import Changes, Difference

_LINES = 40  # of one kind of change; beyond, directories are counted instead of headers named
_WIDTH = 84  # of two kernels' names in one line
_SIGNS = {"added": ("+", "32"), "removed": ("-", "31"), "changed": ("~", "33")}


def diff(
    a: Annotated[
        str, typer.Argument(help="A bundle, as for cache show.", autocompletion=names, metavar="A")
    ],
    b: Annotated[
        str, typer.Argument(help="What it is compared with.", autocompletion=names, metavar="B")
    ],
) -> None:
    """Show what kernel B has otherwise than A: options, headers, compiler.

    An option that is not set is "n"; one that a configuration does not name at all is added or
    removed. Many headers are counted by directory; --json names all.

    Examples:

      droidheaders cache diff 6.1.99-android14 6.1.118-android14

      droidheaders --json cache diff A B | jq -r '.headers.changed[]'
    """
    from droidheaders.cache.diff import diff as compare

    cache = settings.cache()
    found = compare(cache.find(a), cache.find(b))
    emit(_data(found), "\n".join(_lines(found)))
    if any(len(kind) > _LINES for _, kind in _kinds(found.headers)) and not settings.json:
        ui.say(f"every name: droidheaders --json cache diff {printable(a)} {printable(b)}")


def _data(found: Difference) -> dict[str, Any]:
    config = None
    if found.config is not None:
        options = sorted(name for _, kind in _kinds(found.config) for name in kind)
        config = [
            {"name": name, "a": found.options_a.get(name), "b": found.options_b.get(name)}
            for name in options
        ]
    return {
        "a": _facts(found.a),
        "b": _facts(found.b),
        "config": config,
        "config_unknown": found.unknown,
        "headers": {"total": found.total, **dict(_kinds(found.headers))},
    }


def _facts(bundle: Bundle) -> dict[str, str]:
    kernel = bundle.kernel
    return {
        "bundle": bundle.name,
        "release": kernel.release,
        "version": kernel.version,
        "machine": kernel.machine,
        "build_id": kernel.build_id,
        "compiler": bundle.meta.get("compiler", ""),
    }


def _kinds(changes: Changes) -> list[tuple[str, tuple[str, ...]]]:
    return [(kind, getattr(changes, kind)) for kind in _SIGNS]


def _lines(found: Difference) -> Iterator[str]:
    counts = ", ".join(f"{len(kind):,} {what}" for what, kind in _kinds(found.headers))
    options = "config not compared"
    if found.config is not None:
        options = f"{len(found.config):,} config options differ"
    yield _paint(f"{counts} of {found.total:,} headers; {options}", "1")
    yield from _kernels(_facts(found.a), _facts(found.b))
    yield from _options(found)
    yield from _headers(found.headers)


def _kernels(a: dict[str, str], b: dict[str, str]) -> Iterator[str]:
    for key, value in a.items():
        if b[key] != value:
            old, new = (printable(side) if side else "unknown" for side in (value, b[key]))
            arrow = " -> " if len(old) + len(new) < _WIDTH else f"\n{'':<10}-> "
            yield f"{key.replace('_', '-'):<10}{old}{arrow}{new}"


def _options(found: Difference) -> Iterator[str]:
    if found.config is None:
        yield ""
        yield f"config is not compared: {found.unknown}"
    elif len(found.config):
        yield ""
        a, b = found.options_a, found.options_b
        for kind, options in reversed(_kinds(found.config)):
            for name in options:
                values = [printable(side[name]) for side in (a, b) if name in side]
                yield _line(kind, f"{name}  {' -> '.join(values)}")


def _headers(changes: Changes) -> Iterator[str]:
    if len(changes):
        yield ""
    for kind, headers in reversed(_kinds(changes)):
        if len(headers) <= _LINES:
            for name in headers:
                yield _line(kind, name)
        else:
            for directory, count in _by_directory(headers).items():
                yield _line(kind, f"{directory}/  {count:,}")


def _by_directory(headers: tuple[str, ...]) -> Counter[str]:
    """Count headers by the deepest directories of which there are few enough to read."""
    parents = sorted(name.split("/")[:-1] for name in headers)
    for depth in range(max(map(len, parents)), 1, -1):
        counts = Counter("/".join(parent[:depth]) for parent in parents)
        if len(counts) <= _LINES:
            return counts
    return Counter(parent[0] if parent else "." for parent in parents)


def _line(kind: str, text: str) -> str:
    sign, colour = _SIGNS[kind]
    return _paint(f"{sign} {printable(text)}", colour)


def _paint(text: str, colour: str) -> str:
    return ui.paint(text, colour, sys.stdout)
