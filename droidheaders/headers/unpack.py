"""Write an archive's members below one new directory, and nowhere else.

The rules are written down in docs/archive-policy.md. Two of them carry the safety: the directory is
ours alone and starts empty, and links are made after every file, so no name can lead through one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from droidheaders.headers.limits import ArchiveError, Limits
from droidheaders.headers.tar import DIRECTORY, FILE, SYMLINK, Member

_MAX_LINK_CHAIN = 8


@dataclass
class Unpacked:
    """What came out: file digests by path, sizes, and what was left out by which rule."""

    sha256: dict[str, str] = field(default_factory=dict)
    symlinks: dict[str, str] = field(default_factory=dict)
    bytes: int = 0
    directories: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)

    def skip(self, rule: str, name: str) -> None:
        """Count an entry left out by `rule`; the first name of each rule is kept as its example."""
        self.skipped[rule] = self.skipped.get(rule, 0) + 1
        self.examples.setdefault(rule, name)

    @property
    def files(self) -> int:
        """Return how many regular files were written."""
        return len(self.sha256)


def unpack(members: Iterator[Member], root: Path, limits: Limits) -> Unpacked:
    """Write `members` below `root`, an empty directory that nobody else writes to.

    Files become mode 0444 and are hashed on the way, directories 0755; owners, times and other
    modes of the archive mean nothing here. Raises ArchiveError for a name that is not a plain path
    below the root, and OSError from the disk.
    """
    done = Unpacked()
    known: dict[str, str] = {"": DIRECTORY}
    links: dict[str, str] = {}
    base = f"{root}/"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    for member in members:
        name = _path(member.name, limits)
        if member.kind == FILE:
            _claim(name, FILE, known, base)
            data = member.data
            fd = os.open(base + name, flags, 0o444)
            try:
                if len(data) and os.write(fd, data) != len(data):
                    raise OSError("short write")  # a regular file takes all or fails, see write(2)
            finally:
                os.close(fd)
            done.sha256[name] = hashlib.sha256(data).hexdigest()
            done.bytes += len(data)
        elif member.kind == DIRECTORY:
            if known.get(name) != DIRECTORY:
                _claim(name, DIRECTORY, known, base)
                os.mkdir(base + name, 0o755)
        elif member.kind == SYMLINK:
            _claim(name, SYMLINK, known, base)
            links[name] = os.fsdecode(member.target)
        else:
            done.skip(member.kind, name)
    _make_links(links, known, base, done)
    done.directories = sum(kind == DIRECTORY for kind in known.values()) - 1
    return done


def _path(raw: bytes, limits: Limits) -> str:
    """Return the name as a normal relative path, or refuse the archive for it."""
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ArchiveError(f"has a name that is not UTF-8: {raw[:80]!r}") from None
    if len(raw) > limits.name:
        raise ArchiveError(f"has a name of {len(raw)} bytes")
    if name.startswith("/"):
        raise ArchiveError(f"has an absolute name: {name[:80]!r}")
    if name.startswith("./"):
        name = name[2:]
    name = name.rstrip("/")
    parts = name.split("/")
    if name not in ("", ".") and (
        "" in parts or "." in parts or ".." in parts or not name.isprintable()
    ):
        raise ArchiveError(f"has a name that is no plain path: {name[:80]!r}")
    if len(parts) > limits.depth or max(map(len, parts)) > limits.component:
        raise ArchiveError(f"has a name that is too deep or too long: {name[:80]!r}")
    return "" if name == "." else name


def _claim(name: str, kind: str, known: dict[str, str], base: str) -> None:
    """Record that `name` is now a `kind`, making the directories above it."""
    if name in known:
        raise ArchiveError(f"has two entries named {name!r}")
    parent = name.rpartition("/")[0]
    if parent not in known:
        _claim(parent, DIRECTORY, known, base)
        os.mkdir(base + parent, 0o755)
    elif known[parent] != DIRECTORY:
        raise ArchiveError(f"uses the {known[parent]} {parent!r} as a directory")
    known[name] = kind


def _make_links(links: dict[str, str], known: dict[str, str], base: str, done: Unpacked) -> None:
    for name, target in links.items():
        rule = _link_rule(name, links, known)
        if rule:
            done.skip(rule, f"{name} -> {target}")
            continue
        os.symlink(target, base + name)
        done.symlinks[name] = target


def _link_rule(name: str, links: dict[str, str], known: dict[str, str]) -> str:
    """Return why the link may not be made, or "" when it leads to a file or directory inside."""
    for _ in range(_MAX_LINK_CHAIN):
        if links[name].startswith("/"):
            return "absolute symlink"
        parts = name.split("/")[:-1]
        steps = [step for step in links[name].split("/") if step not in ("", ".")]
        for i, step in enumerate(steps, 1):
            if step != "..":
                parts.append(step)
            elif parts:
                parts.pop()
            else:
                return "symlink out of the tree"
            kind = known.get("/".join(parts))
            if kind is None:
                return "symlink to nowhere"
            # ".." behind a symlink goes elsewhere than its text says, so no step may be one.
            if kind != DIRECTORY and i < len(steps):
                return "symlink through a symlink" if kind == SYMLINK else "symlink to nowhere"
        name = "/".join(parts)
        if known[name] != SYMLINK:
            return ""
    return "symlink in a circle"
