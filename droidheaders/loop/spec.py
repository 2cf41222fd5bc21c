"""A spec: the TOML that says what runs where, read into a plan."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from droidheaders.errors import UsageError
from droidheaders.guest import recipes, userland
from droidheaders.guest.guest import DEFAULT_PERSONA
from droidheaders.loop.plan import Plan, Target, Test, TestKind, User
from droidheaders.ui import printable

T = TypeVar("T")

_KINDS: tuple[TestKind, ...] = ("bpf", "module", "script", "host")
_USERS: tuple[User, ...] = ("root", "shell")
_FOR = {
    "bpf": ("set", "expect", "trigger", "for", "user"),
    "module": ("param", "expect", "trigger", "for"),
    "script": ("arguments", "user"),
    "host": (),
}
"""What a kind of test takes, besides what all take."""


@dataclass
class _Table:
    """A table of the spec, out of which values are taken; what is left at the end is unknown."""

    path: Path
    where: str
    left: dict[str, Any]
    known: set[str] = field(default_factory=set)

    def wrong(self, key: str, why: str) -> UsageError:
        place = f"{self.where}.{key}" if self.where else key
        return UsageError(f"{self.path}: {printable(place)} {why}", "see docs/loops.md")

    def take(self, key: str, what: str, fits: Callable[[Any], bool], default: T) -> Any | T:
        self.known.add(key)
        if key not in self.left:
            return default
        value = self.left.pop(key)
        if not fits(value):
            raise self.wrong(key, f"is not {what}")
        return value

    def text(self, key: str, default: str = "") -> str:
        return str(self.take(key, "a text", lambda v: isinstance(v, str) and v != "", default))

    def texts(self, key: str) -> tuple[str, ...]:
        value: Any = self.take(key, "a text or a list of texts", _is_texts, [])
        return (value,) if isinstance(value, str) else tuple(value)

    def number(self, key: str) -> float | None:
        value = self.take(key, "a number of seconds above 0", _is_seconds, None)
        return None if value is None else float(value)

    def whole(self, key: str, least: int) -> int | None:
        what = f"a whole number, {least} or more"
        value = self.take(key, what, lambda v: type(v) is int and v >= least, None)
        return None if value is None else int(value)

    def file(self, key: str) -> Path | None:
        if not (name := self.text(key)):
            return None
        path = self.path.parent / name
        if not path.exists():
            raise self.wrong(key, f"is not there: {printable(str(path), 500)}")
        return path

    def tables(self, key: str) -> list[tuple[str, _Table]]:
        found: Mapping[str, Any] = self.take(key, "a table of tables", _is_tables, {})
        return [(name, _Table(self.path, f"{key}.{name}", dict(t))) for name, t in found.items()]

    def close(self) -> None:
        """Raise UsageError for the first key that nobody took, naming the nearest that is known."""
        for key in self.left:
            near = difflib.get_close_matches(key, sorted(self.known), 1, 0.5)
            nearest = f"the nearest key is {near[0]}" if near else f"keys: {_list(self.known)}"
            raise self.wrong(key, f"is unknown here; {nearest}")


def _is_texts(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(one, str) and one for one in value)
    )


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 1e6


def _is_tables(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, dict) for one in value.values())


def _list(words: Any) -> str:
    return ", ".join(sorted(words))


def load(path: Path) -> Plan:
    """Return the plan that the spec at `path` describes.

    Raises UsageError naming the file and the key: for what cannot be read or is no TOML, unknown
    keys, values that do not fit, files that are not there, and when there is nothing to run.
    """
    shown = printable(str(path), 500)
    try:
        table = _Table(path, "", tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as e:
        raise UsageError(f"cannot read {shown}: {e.strerror}", "droidheaders loop --help") from e
    except ValueError as e:  # of TOML, or of UTF-8
        raise UsageError(f"{shown} is not TOML: {e}", "see docs/loops.md") from e
    personas = table.texts("personas") or (DEFAULT_PERSONA,)
    targets = tuple(_target(name, one, personas) for name, one in table.tables("targets"))
    tests = tuple(_test(name, one, targets) for name, one in table.tables("tests"))
    timeout = table.number("timeout") or Plan.timeout
    table.close()
    for key, found in (("targets", targets), ("tests", tests)):
        if not found:
            raise table.wrong(key, "has nothing in it, so there is nothing to run")
    return Plan(path, targets, tests, timeout)


def _target(name: str, table: _Table, personas: tuple[str, ...]) -> Target:
    if serials := table.texts("serials"):
        table.close()
        return Target(name, serials=serials, personas=("",))
    recipe = table.text("recipe")
    if not recipe:
        raise table.wrong("recipe", "is missing: a recipe, or serials, says where tests run")
    if recipe not in recipes.names():
        near = difflib.get_close_matches(recipe, recipes.names(), 1, 0.3)
        raise table.wrong("recipe", f"is none: {printable(recipe)}; there is {_list(near)}")
    own = table.texts("personas") or personas
    for persona in own:
        if persona not in userland.PERSONAS:
            raise table.wrong("personas", f"has {printable(persona)}; {_list(userland.PERSONAS)}")
    kernel = table.file("kernel")
    target = Target(
        name,
        recipe,
        kernel,
        modules=table.file("modules"),
        extra=table.file("initrd-extra"),
        memory=table.whole("memory", 128),
        cpus=table.whole("cpus", 1) or 2,
        personas=own,
    )
    if kernel is None and (target.modules or target.extra):
        raise table.wrong("kernel", "is missing: modules and initrd-extra belong to one's own")
    table.close()
    return target


def _test(name: str, table: _Table, targets: tuple[Target, ...]) -> Test:
    kinds = [kind for kind in _KINDS if kind in table.left]
    if len(kinds) != 1:
        why = f"is two kinds of test: {' and '.join(kinds)}" if kinds else "has nothing to run"
        raise table.wrong("", f"{why}; one of {_list(_KINDS)}")
    kind = kinds[0]
    command = table.text("host") if kind == "host" else ""
    takes = _FOR[kind]
    found = {
        key: table.texts(key)
        for key in ("set", "expect", "trigger", "param", "arguments")
        if key in takes
    }
    only = table.texts("targets")
    for one in only:
        if one not in [target.name for target in targets]:
            raise table.wrong("targets", f"has {printable(one)}, which is no target")
    test = Test(
        name,
        kind,
        source=None if command else table.file(kind),
        command=command,
        arguments=found.get("arguments", ()),
        parameters=found.get("param", ()),
        variables=found.get("set", ()),
        expect=found.get("expect", ()),
        triggers=found.get("trigger", ()),
        seconds=table.number("for") if "for" in takes else None,
        timeout=table.number("timeout"),
        user=_user(table) if "user" in takes else None,
        targets=only,
    )
    table.close()
    return test


def _user(table: _Table) -> User | None:
    word = table.take("user", f"one of {_list(_USERS)}", lambda v: v in _USERS, None)
    return next((user for user in _USERS if user == word), None)
