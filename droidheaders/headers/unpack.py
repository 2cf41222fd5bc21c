"""Write an archive's members below one new directory, and nowhere else.

The rules are written down in docs/archive-policy.md. Two of them carry the safety: the directory is
ours alone and starts empty, and links are made after every file, so no name can lead through one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from droidheaders.errors import DroidheadersError
from droidheaders.headers.limits import ArchiveError, Limits
from droidheaders.headers.tar import DIRECTORY, FILE, SYMLINK, Member
from droidheaders.ui import printable

_MAX_LINK_CHAIN = 8
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Components of letters, digits and some more, none beginning with a dot; a directory's slash.
_PLAIN = re.compile(
    rb"(?:\./)?((?:[A-Za-z0-9_+-][A-Za-z0-9_.+-]*/)*[A-Za-z0-9_+-][A-Za-z0-9_.+-]*)/?"
)

# Makes the path given last a link to a file kept elsewhere that has exactly this name and content,
# and returns its SHA-256; or "" when there is none.
Share = Callable[[str, memoryview, str], str]


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


def unpack(
    members: Iterator[Member], root: Path, limits: Limits, share: Share | None = None
) -> Unpacked:
    """Write `members` below `root`, an empty directory that nobody else writes to.

    Files become mode 0444 and are hashed on the way, directories 0755; owners, times and other
    modes of the archive mean nothing here. What `share` has already is linked instead of written.
    Raises ArchiveError for a name that is not a plain path below the root, and OSError from the
    disk.
    """
    tree = _Tree(f"{root}/", limits, share)
    try:
        for member in members:
            tree.add(member)
        tree.make_links()
    except FileExistsError as e:
        # Eight pairs of a kernel's headers differ by case alone (xt_MARK.h and xt_mark.h).
        name = os.fsdecode(e.filename2 or e.filename).removeprefix(tree.base)
        raise DroidheadersError(
            f"the disk of {root} ignores case, and would lose {printable(name)!r}",
            "choose a directory on another disk: --cache-dir DIR",
        ) from e
    tree.done.directories = sum(kind == DIRECTORY for kind in tree.known.values()) - 1
    return tree.done


class _Tree:
    """The tree in the making: what each name is by now, and the links that are still to come."""

    def __init__(self, base: str, limits: Limits, share: Share | None) -> None:
        self.base = base
        self.done = Unpacked()
        self.known: dict[str, str] = {"": DIRECTORY}
        self._links: dict[str, str] = {}
        self._limits = limits
        self._share = share

    def add(self, member: Member) -> None:
        """Write one member, or note the link that it is."""
        name = _path(member.name, self._limits)
        if member.kind == FILE:
            self._claim(name, FILE)
            digest = self._share(name, member.data, self.base + name) if self._share else ""
            if not digest:
                digest = hashlib.sha256(member.data).hexdigest()
                _write(self.base + name, member.data)
            self.done.sha256[name] = digest
            self.done.bytes += len(member.data)
        elif member.kind == DIRECTORY:
            if self.known.get(name) != DIRECTORY:
                self._claim(name, DIRECTORY)
                os.mkdir(self.base + name, 0o755)
        elif member.kind == SYMLINK:
            if len(member.target) > self._limits.name:
                raise ArchiveError(f"has a link to a name of {len(member.target)} bytes")
            self._claim(name, SYMLINK)
            self._links[name] = os.fsdecode(member.target)
        else:
            self.done.skip(member.kind, name)

    def _claim(self, name: str, kind: str) -> None:
        """Record that `name` is now a `kind`, making the directories above it."""
        known = self.known
        if name in known:
            raise ArchiveError(f"has two entries named {name!r}")
        parent = name.rpartition("/")[0]
        if parent not in known:
            self._claim(parent, DIRECTORY)
            os.mkdir(self.base + parent, 0o755)
        elif known[parent] != DIRECTORY:
            raise ArchiveError(f"uses the {known[parent]} {parent!r} as a directory")
        known[name] = kind

    def make_links(self) -> None:
        """Make those links that provably stay inside, and count the others."""
        for name, target in self._links.items():
            rule = _link_rule(name, self._links, self.known)
            if not rule and not _link(target, self.base + name):
                rule = "symlink on a disk that has none"
            if rule:
                self.done.skip(rule, f"{name} -> {target}")
            else:
                self.done.symlinks[name] = target


def _link(target: str, path: str) -> bool:
    try:
        os.symlink(target, path)
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.ENOTSUP):
            raise
        return False
    return True


def _write(path: str, data: memoryview) -> None:
    fd = os.open(path, _NEW, 0o444)
    try:
        while len(data):  # a disk that fills up takes a part first, then says ENOSPC, see write(2)
            data = data[os.write(fd, data) :]
    finally:
        os.close(fd)


def _path(raw: bytes, limits: Limits) -> str:
    """Return the name as a normal relative path, or refuse the archive for it."""
    if len(raw) <= min(limits.name, limits.component) and raw.count(b"/") < limits.depth:
        plain_name = _PLAIN.fullmatch(raw)
        if plain_name:  # as nearly all are; to look at each in detail takes five times as long
            return plain_name[1].decode("ascii")
    return _odd_path(raw, limits)


def _odd_path(raw: bytes, limits: Limits) -> str:
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
    # A backslash separates components where bundles may be copied to, and no header has one.
    plain = name.isprintable() and "\\" not in name and not {"", ".", ".."}.intersection(parts)
    if not raw or not (plain or name in ("", ".")):
        raise ArchiveError(f"has a name that is no plain path: {name[:80]!r}")
    if len(parts) > limits.depth or max(len(p.encode()) for p in parts) > limits.component:
        raise ArchiveError(f"has a name that is too deep or too long: {name[:80]!r}")
    return "" if name == "." else name


def _link_rule(name: str, links: dict[str, str], known: dict[str, str]) -> str:
    """Return why the link may not be made, or "" when it leads to a file or directory inside."""
    as_directory = False
    for _ in range(_MAX_LINK_CHAIN):
        target = links[name]
        if not target or target.startswith("/"):
            return "absolute symlink" if target else "symlink to nowhere"
        as_directory |= target.endswith(("/", "/."))
        parts = name.split("/")[:-1]
        steps = [step for step in target.split("/") if step not in ("", ".")]
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
            return "symlink to nowhere" if as_directory and known[name] == FILE else ""
    return "symlink in a circle"
