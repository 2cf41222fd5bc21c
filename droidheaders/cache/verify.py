"""Is a bundle still what was committed? And how to make it that again, or be rid of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

from droidheaders.cache.bundle import Bundle
from droidheaders.cache.lock import held
from droidheaders.cache.store import Cache, Staging
from droidheaders.headers.limits import MIB, ArchiveError, Limits
from droidheaders.headers.tar import members
from droidheaders.headers.unpack import unpack
from droidheaders.headers.xz import XzStream

Inode = tuple[int, int, int]
_MADE = {"bundle.json", "manifest"}  # by every commit


def damage(path: Path, seen: dict[Inode, str] | None = None) -> dict[str, str]:
    """Return what is wrong with the bundle at `path`, by the file's path below it.

    Every file must have the digest that the manifest states, every link the target that
    bundle.json states, and there must be nothing else. `seen` holds digests by inode from one
    bundle to the next: a file that two of them share is read once.
    """
    bundle = Bundle.load(path)
    if bundle is None or bundle.meta.get("name") != path.name:
        return {"bundle.json": "cannot be read, or is another's"}
    try:
        stated = bundle.manifest()
    except (OSError, ValueError):
        return {"manifest": "cannot be read"}
    links: dict[str, str] = {f"headers/{n}": t for n, t in bundle.meta.get("symlinks", {}).items()}
    seen, base = {} if seen is None else seen, f"{path}/"
    wrong = {}
    for name, info in _walk(path):
        if name == "manifest" and stat.S_ISREG(info.st_mode):
            continue
        if stat.S_ISDIR(info.st_mode):
            wrong[name] = "cannot be read"
        elif stat.S_ISLNK(info.st_mode):
            if links.pop(name, None) != os.readlink(path / name):
                wrong[name] = "is a link that was not there"
        elif name not in stated:
            wrong[name] = "was not there"
        elif not stat.S_ISREG(info.st_mode):
            wrong[name] = "is no longer a file"
        elif stated.pop(name) != _digest(base + name, info, seen):
            wrong[name] = "has changed"
    return wrong | {n: "is gone" for n in (*stated, *links) if not _unread(n, wrong)}


def _unread(name: str, wrong: dict[str, str]) -> bool:
    """Tell whether something is known to be wrong with `name` or a directory that it is in."""
    return any(str(path) in wrong for path in (PurePath(name), *PurePath(name).parents))


def repair(cache: Cache, path: Path) -> bool:
    """Make the bundle whole again from its archive; return False when it had to be removed.

    Config, BTF and the archive itself cannot be made again: what is damaged of them is left out,
    and a warning in bundle.json says so. Whatever bundle.json said is lost with it, so that such a
    bundle is removed, and so is one whose archive is damaged too.
    """
    with held(cache.root / "locks" / "repair", "a repair"):
        wrong = damage(path)  # anew, for somebody else may have repaired or replaced it
        if not wrong:
            return True
        bundle = Bundle.load(path)
        if (
            bundle is None
            or {"bundle.json", "."} & wrong.keys()
            or not _remake(cache, bundle, wrong)
        ):
            cache.remove(path)
            return False
        return True


def _remake(cache: Cache, bundle: Bundle, wrong: dict[str, str]) -> bool:
    with cache.stage() as staging:
        meta = {k: v for k, v in bundle.meta.items() if k not in ("schema", "name", "kernel")}
        digests = _headers(cache, bundle, staging, meta, wrong)
        if digests is None:
            return False
        lost = _keep_parts(bundle, staging, wrong)
        meta["warnings"] = [*meta["warnings"], *(f"{p} was damaged, and is left out" for p in lost)]
        cache.commit(staging, bundle.kernel, meta, digests, replace=True)
    return True


def _headers(
    cache: Cache, bundle: Bundle, staging: Staging, meta: dict[str, Any], wrong: dict[str, str]
) -> dict[str, str] | None:
    """Put the headers into the staging directory; None when nothing vouches for any."""
    if all(not name.startswith("headers") and name != "manifest" for name in wrong):
        shutil.copytree(bundle.headers, staging.headers, symlinks=True, copy_function=_link)
        return bundle.header_digests()
    archive = bundle.path / staging.archive.name
    neighbours = cache.neighbours(bundle.kernel, but=bundle.name)
    limits = Limits()
    staging.headers.mkdir()
    try:
        xz = XzStream(_chunks(archive), expected=meta["archive"]["size"], limits=limits)
        done = unpack(members(iter(xz), limits), staging.headers, limits, neighbours.share)
    except (OSError, ArchiveError):
        return None
    return done.sha256 if xz.sha256 == meta["archive"]["sha256"] else None


def _keep_parts(bundle: Bundle, staging: Staging, wrong: dict[str, str]) -> list[str]:
    """Link what else is sound into the staging directory; return the names of what is not."""
    there = {file.name for file in bundle.path.iterdir() if file.is_file()}
    parts = {name for name in wrong if "/" not in name} | there
    # Without its manifest only the archive has a witness, in bundle.json and in the bundle's name.
    vouched = {"archive.tar.xz"} if "manifest" in wrong else there - set(wrong)
    for part in vouched - _MADE:
        _link(bundle.path / part, staging.path / part)
    return sorted(parts - vouched - _MADE - {"headers"})


def _walk(path: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yield every file, link and the like below `path`, by its path below it.

    And each directory that cannot be looked into; "." is the topmost.
    """
    pending = [""]
    while pending:
        directory = pending.pop()
        try:
            with os.scandir(path / directory) as entries:
                found = [(e.name, e.stat(follow_symlinks=False)) for e in entries]
        except OSError:
            with suppress(FileNotFoundError):  # pruned this very moment
                yield directory.rstrip("/") or ".", (path / directory).lstat()
            continue
        for name, info in found:
            if stat.S_ISDIR(info.st_mode):
                pending.append(f"{directory}{name}/")
            else:
                yield directory + name, info


def _digest(path: str, info: os.stat_result, seen: dict[Inode, str]) -> str:
    inode = (info.st_dev, info.st_ino, info.st_mtime_ns)
    if inode not in seen:
        try:
            seen[inode] = _sha256(path)
        except OSError:
            return "cannot be read"
    return seen[inode]


def _sha256(path: str) -> str:
    """Return a file's digest; of thousands, hashlib.file_digest takes three times as long."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        sha = hashlib.sha256()
        while piece := os.read(fd, MIB):
            sha.update(piece)
        return sha.hexdigest()
    finally:
        os.close(fd)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(MIB):
            yield chunk


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)
