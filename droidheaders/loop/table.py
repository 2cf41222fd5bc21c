"""A table of a TOML file that a person wrote: values are taken out, and nothing may be left."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from droidheaders.errors import UsageError
from droidheaders.ui import printable

T = TypeVar("T")


@dataclass
class Table:
    """A table of the spec, out of which values are taken; what is left at the end is unknown."""

    path: Path
    where: str
    left: dict[str, Any]
    known: set[str] = field(default_factory=set)

    def wrong(self, key: str, why: str) -> UsageError:
        """Return the error that names the key in this table."""
        place = f"{self.where}.{key}" if self.where else key
        return UsageError(f"{self.path}: {printable(place)} {why}", "see docs/loops.md")

    def take(self, key: str, what: str, fits: Callable[[Any], bool], default: T) -> Any | T:
        """Return the value of `key`, which is `what` if it `fits`, else raise UsageError."""
        self.known.add(key)
        if key not in self.left:
            return default
        value = self.left.pop(key)
        if not fits(value):
            raise self.wrong(key, f"is not {what}")
        return value

    def text(self, key: str, default: str = "") -> str:
        """Return a text that is not empty, or the default."""
        return str(self.take(key, "a text", lambda v: isinstance(v, str) and v != "", default))

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts, of which one may stand by itself."""
        value: Any = self.take(key, "a text or a list of texts", _is_texts, [])
        return (value,) if isinstance(value, str) else tuple(value)

    def number(self, key: str) -> float | None:
        """Return a number of seconds."""
        value = self.take(key, "a number of seconds above 0", _is_seconds, None)
        return None if value is None else float(value)

    def whole(self, key: str, least: int) -> int | None:
        """Return a whole number."""
        what = f"a whole number, {least} or more"
        value = self.take(key, what, lambda v: type(v) is int and v >= least, None)
        return None if value is None else int(value)

    def flag(self, key: str) -> bool:
        """Return whether it is true."""
        return bool(self.take(key, "true or false", lambda v: isinstance(v, bool), default=False))

    def file(self, key: str, *, there: bool = True) -> Path | None:
        """Return what the name of a file means, from where this one is; it is there.

        One that is not to be `there` yet is returned as it stands, and leads to no place above.
        """
        name = self.text(key)
        return self._file(key, name, there=there) if name else None

    def files(self, key: str, *, there: bool = True) -> tuple[Path, ...]:
        """Return what a list of files' names means, as `file` does."""
        return tuple(self._file(key, name, there=there) for name in self.texts(key))

    def _file(self, key: str, name: str, *, there: bool) -> Path:
        if not there:
            if name.startswith("/") or ".." in Path(name).parts:
                raise self.wrong(key, "is not below what its build leaves")
            return Path(name)
        path = self.path.parent / name
        if not path.exists():
            raise self.wrong(key, f"is not there: {printable(str(path), 500)}")
        return path

    def tables(self, key: str) -> list[tuple[str, Table]]:
        """Return the tables below `key`, by name."""
        found: Mapping[str, Any] = self.take(key, "a table of tables", _is_tables, {})
        return [(name, Table(self.path, f"{key}.{name}", dict(t))) for name, t in found.items()]

    def entries(self, key: str) -> list[Table]:
        """Return the tables of the list `key`."""
        found: Sequence[Any] = self.take(key, "a list of tables", _is_list, [])
        return [
            Table(self.path, f"{key}[{number}]", dict(one)) for number, one in enumerate(found, 1)
        ]

    def pattern(self, key: str) -> re.Pattern[str] | None:
        """Return a regular expression."""
        if not (text := self.text(key)):
            return None
        try:
            return re.compile(text)
        except (re.error, RecursionError, OverflowError) as e:
            raise self.wrong(key, f"is no regular expression: {e}") from e

    def close(self) -> None:
        """Raise UsageError for the first key that nobody took, naming the nearest that is known."""
        for key in self.left:
            near = difflib.get_close_matches(key, sorted(self.known), 1, 0.5)
            nearest = f"the nearest key is {near[0]}" if near else f"keys: {listed(self.known)}"
            raise self.wrong(key, f"is unknown here; {nearest}")


def _is_texts(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and all(isinstance(one, str) and one for one in value)
    )


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value < 1e6


def _is_tables(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, dict) for one in value.values())


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def listed(words: Iterable[str]) -> str:
    """Return the words for a sentence, sorted."""
    return ", ".join(sorted(words))


def read(path: Path) -> Table:
    """Return the file's table; raises UsageError when it cannot be read or is no TOML."""
    shown = printable(str(path), 500)
    try:
        return Table(path, "", tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as e:
        raise UsageError(f"cannot read {shown}: {e.strerror}", "droidheaders loop --help") from e
    except ValueError as e:  # of TOML, or of UTF-8
        raise UsageError(f"{shown} is not TOML: {e}", "see docs/loops.md") from e
