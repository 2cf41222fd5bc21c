"""What something is built from, as texts that differ when it does."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from droidheaders.errors import DroidheadersError
from droidheaders.ui import printable

# What differs from one terminal, directory or test to the next, and makes no other program.
_PASSING = frozenset(
    {"PWD", "OLDPWD", "_", "SHLVL", "TERM", "COLUMNS", "LINES", "WINDOWID", "PYTEST_CURRENT_TEST"}
)


def of_files(paths: Iterable[Path]) -> list[str]:
    """Return the paths, sorted, each with what is in the file; raises DroidheadersError."""
    return [f"{path}\0{_digest(path)}" for path in sorted(set(paths))]


def of_program(path: str) -> str:
    """Return what tells a compiler from the one that was there before; it is not run."""
    found = os.path.realpath(path)
    stat = os.stat(found)
    return f"{found}\0{stat.st_size}\0{stat.st_mtime_ns}"


def of_environment(variables: Mapping[str, str]) -> list[str]:
    """Return the variables that can matter to what is run with them."""
    return sorted(f"{name}={value}" for name, value in variables.items() if name not in _PASSING)


def matching(directory: Path, patterns: Sequence[str]) -> set[Path]:
    """Return the files that the patterns match, and all below directories that they match.

    Raises DroidheadersError for a pattern that matches nothing.
    """
    found: set[Path] = set()
    for pattern in patterns:
        paths = [*directory.glob(pattern)]
        if not paths:
            raise DroidheadersError(
                f"no file of {printable(str(directory), 500)} is {printable(pattern)}, which is an"
                " input of a build",
                "correct its inputs in the spec",
            )
        for path in paths:
            found |= {p for p in path.rglob("*") if p.is_file()} if path.is_dir() else {path}
    return found


def _digest(path: Path) -> str:
    try:
        stat = path.stat()
        return _digest_of(path, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size)
    except OSError as e:
        shown = printable(str(path), 500)
        raise DroidheadersError(f"cannot read {shown}: {e.strerror}", f"ls -l {shown}") from e


@lru_cache(maxsize=10_000)
def _digest_of(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
