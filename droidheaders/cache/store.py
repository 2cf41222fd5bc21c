"""The cache: bundles below one directory, and an index from kernels to them.

    kernels/NAME/          a bundle; appears by one rename, is never changed afterwards
    kernels/.staging-*/    bundles in the making, mode 0700, invisible to every reader
    index/KEY              which bundle a kernel identity has
    locks/KEY              held while that kernel is transferred, so that it is done once
    derived/NAME/          what was made of a bundle here, as long as it is there
    collected/NAME/        symbol tables of its kernel, which outlive its being pulled anew

No correctness depends on a lock (they do not hold on NFS): whoever renames first has made the
bundle, whoever comes second finds it and drops its own.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

from droidheaders.cache.bundle import SCHEMA, Bundle, bundle_name
from droidheaders.cache.derived import Derived
from droidheaders.cache.disk import disk_errors, remove_tree, sync_directory, sync_tree
from droidheaders.cache.index import Index, is_plain, key
from droidheaders.cache.lock import held
from droidheaders.cache.neighbours import Neighbours
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.ui import printable

_ATTEMPTS = 5  # to publish a bundle that others replace or prune at the same time
_ABANDONED = 24 * 3600  # seconds after which a staging directory has no owner any more


@dataclass(frozen=True)
class Staging:
    """A bundle in the making. Nobody else looks at `path`."""

    path: Path

    @property
    def headers(self) -> Path:
        """Return where the headers go; it does not exist yet."""
        return self.path / "headers"

    @property
    def archive(self) -> Path:
        """Return where the archive goes as it came."""
        return self.path / "archive.tar.xz"


class Cache:
    """The bundles below `root`, which need not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.kernels = root / "kernels"
        self.index = Index(root / "index")
        self.derived = Derived(root)
        self.collected = root / "collected"

    @classmethod
    def default(cls, directory: str | None = None) -> Cache:
        """Return the cache at `directory`, else at $DROIDHEADERS_CACHE, else the user's own."""
        chosen = directory or os.environ.get("DROIDHEADERS_CACHE")
        if chosen:
            return cls(Path(chosen).expanduser().absolute())
        from platformdirs import user_cache_path

        return cls(user_cache_path("droidheaders"))

    def lookup(self, kernel: KernelIdentity) -> Bundle | None:
        """Return the bundle of exactly this kernel, or None.

        A kernel whose build-id cannot be read is never found: release, version and machine are
        shared by builds that differ.
        """
        name = self.index.find(kernel)
        if not name:
            return None
        bundle = Bundle.load(self.kernels / name)
        if bundle is not None:
            there = bundle.kernel
            if (there.release, there.machine) != (kernel.release, kernel.machine):
                return None  # the index is damaged: whatever shares a bundle shares these
            with suppress(OSError):  # a cache that may only be read still serves
                os.utime(bundle.path)
        return bundle

    def directories(self) -> list[Path]:
        """Return the directory of every bundle, damaged ones too, sorted by name.

        Raises DroidheadersError when the cache cannot be read.
        """
        try:
            return sorted(p for p in self.kernels.iterdir() if is_plain(p.name))
        except FileNotFoundError:
            return []
        except OSError as e:
            raise DroidheadersError(
                f"cannot read the cache at {self.root}: {e.strerror}",
                "look at its permissions, or choose another: --cache-dir DIR",
            ) from e

    def bundles(self) -> list[Bundle]:
        """Return every bundle that this version can read, sorted by name."""
        return [b for b in map(Bundle.load, self.directories()) if b is not None]

    def neighbours(self, kernel: KernelIdentity, but: str = "") -> Neighbours:
        """Return what a new bundle of `kernel` may share files with: its two nearest relatives.

        `but` names a bundle that is not to be one of them.
        """

        def likeness(bundle: Bundle) -> tuple[int, bool, float]:
            pairs = zip(bundle.kernel.release, kernel.release, strict=False)
            common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
            return common, bundle.kernel.machine == kernel.machine, bundle.used()

        try:
            others = [bundle for bundle in self.bundles() if bundle.name != but]
            return Neighbours(sorted(others, key=likeness, reverse=True)[:2])
        except OSError:  # one of them went away meanwhile
            return Neighbours([])

    @contextmanager
    def transferring(
        self, kernel: KernelIdentity, cancel: threading.Event | None = None
    ) -> Iterator[None]:
        """Wait until nobody else transfers this kernel, or `cancel`; who waited looks it up again.

        Saves work and nothing else: where locks do not hold, two transfers end in one bundle.
        """
        if not kernel.build_id:  # it cannot be found by whoever waited
            yield
            return
        lock = self.root / "locks" / key(kernel)
        with held(lock, f"{kernel.release} to come into the cache", cancel):
            yield

    def find(self, name: str) -> Bundle:
        """Return the bundle that `name` or a unique beginning or release names; else UsageError."""
        bundles = self.bundles()
        found = (
            [b for b in bundles if b.name == name]
            or [b for b in bundles if b.kernel.release == name]
            or [b for b in bundles if b.name.startswith(name)]
        )
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(b.name for b in found)
            raise UsageError(f"{name!r} names several bundles: {names}", "give more of the name")
        raise UsageError(
            f"no bundle named {printable(name)!r} in {self.root}", "droidheaders cache list"
        )

    def locate(self, name: str) -> Path:
        """Return the directory of the bundle that `name` names; a damaged one by its full name."""
        exact = [path for path in self.directories() if path.name == name]
        return exact[0] if exact else self.find(name).path

    @contextmanager
    def stage(self) -> Iterator[Staging]:
        """Give a private directory to make a bundle in; it is gone afterwards, committed or not."""
        with disk_errors(self.root):
            self.kernels.mkdir(parents=True, exist_ok=True)
            self.sweep()
            path = self.kernels / f".staging-{os.urandom(8).hex()}"
            path.mkdir(mode=0o700)
        try:
            with disk_errors(self.root):
                yield Staging(path)
        finally:
            remove_tree(path)

    def commit(
        self,
        staging: Staging,
        kernel: KernelIdentity,
        meta: dict[str, Any],
        sha256: dict[str, str],
        *,
        replace: bool = False,
    ) -> Bundle:
        """Make what was staged a bundle, and return it.

        `meta` becomes bundle.json and must have archive.sha256; `sha256` holds the digests of the
        files below headers/. When the bundle is there already, it stays, unless `replace`.
        """
        archive = meta["archive"]["sha256"]
        name = bundle_name(kernel, archive)
        meta = {"schema": SCHEMA, "name": name, "kernel": asdict(kernel), **meta}
        path = staging.path
        (path / "bundle.json").write_text(json.dumps(meta, indent=2, ensure_ascii=True) + "\n")
        known = {f"headers/{header}": digest for header, digest in sha256.items()}
        if staging.archive.exists():  # what is repaired may have lost it
            known[staging.archive.name] = archive
        (path / "manifest").write_text(_manifest(path, known))
        path.chmod(0o755)
        sync_tree(path)
        bundle = self._publish(Bundle(path, meta), replace=replace)
        sync_directory(self.kernels)
        self.index.note(kernel, bundle.name)
        return bundle

    def _publish(self, staged: Bundle, *, replace: bool) -> Bundle:
        final = self.kernels / staged.meta["name"]
        for _ in range(_ATTEMPTS):
            there = Bundle.load(final)
            if there is not None and not replace and _serves(there, staged):
                return there  # somebody was faster with the same archive
            if there is None or _is_same(there, staged):
                self._displace(final)  # it is damaged, to be replaced, or has less
            try:
                staged.path.rename(final)
            except OSError as e:
                if e.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                    raise
            else:
                return Bundle(final, staged.meta)
        raise DroidheadersError(
            f"the bundle {final.name} is of another archive, or taken away as often as it is made",
            f"droidheaders cache show {final.name}",
        )

    def beside(self, name: str) -> tuple[Path, Path]:
        """Return where things lie that belong to the bundle of that name and go with it."""
        return self.derived.of(name), self.collected / name

    def remove(self, path: Path) -> bool:
        """Take a bundle's directory away, in one rename; return whether it was there."""
        there = self._displace(path)
        if there:
            remove_tree(self.collected / path.name)
        return there

    def _displace(self, path: Path) -> bool:
        doomed = self.kernels / f".staging-{os.urandom(8).hex()}"
        try:
            path.rename(doomed)
        except FileNotFoundError:
            return False
        remove_tree(doomed)
        self.derived.forget(path.name)
        return True

    def sweep(self) -> None:
        """Remove what a killed process left; nobody works on one bundle for a day."""
        self.derived.sweep(self.kernels)
        orphans = (p for p in self.collected.glob("*") if not (self.kernels / p.name).exists())
        for path in (*self.kernels.glob(".staging-*"), *orphans):
            try:
                if time.time() - path.lstat().st_mtime > _ABANDONED:
                    remove_tree(path)
            except OSError:
                continue


def _is_same(there: Bundle, staged: Bundle) -> bool:
    """Tell whether both are of one archive: its first 12 digits, in the name, may be made alike."""
    return bool(there.meta["archive"]["sha256"] == staged.meta["archive"]["sha256"])


def _serves(there: Bundle, staged: Bundle) -> bool:
    """Tell whether what is there is as good as what was made: an import may lack a config."""
    return _is_same(there, staged) and set(staged.parts) <= set(there.parts)


def _manifest(path: Path, known: dict[str, str]) -> str:
    import hashlib

    digests = dict(known)
    for file in path.iterdir():
        if file.is_file() and file.name not in digests:
            digests[file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return "".join(f"{digests[name]}  {name}\n" for name in sorted(digests))
