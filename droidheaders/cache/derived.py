"""What is made of a bundle on this host: kept beside it, and gone with it.

    derived/NAME/WHAT-KEY/    a directory, whole or absent; NAME is the bundle's
    derived/.host/WHAT-KEY/   the same, of what is made of none
    derived/.staging-*        one in the making, mode 0700

A bundle is never changed, so nothing is made inside it. KEY stands for all that WHAT was made from:
the bundle's manifest, and what the maker states, such as the versions of its tools.
"""

from __future__ import annotations

import errno
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from shutil import rmtree

from droidheaders.cache.bundle import Bundle
from droidheaders.cache.disk import disk_errors
from droidheaders.cache.lock import held

_HOST = ".host"
_UNUSED = 24 * 3600  # seconds after which nobody reads what was made by other tools, or writes


class Derived:
    """What was made of the bundles of the cache at `root`; nothing need be there yet."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directory = root / "derived"

    def of(self, bundle: str) -> Path:
        """Return the directory of what was made of the bundle of that name."""
        return self._directory / bundle

    def made(self, bundle: str) -> list[Path]:
        """Return what was made of that bundle, sorted by name."""
        with suppress(OSError):
            return sorted(self.of(bundle).iterdir())
        return []

    def make(
        self, bundle: Bundle | None, what: str, inputs: Iterable[str], maker: Callable[[Path], None]
    ) -> Path:
        """Return the directory of `what`, made now unless it is there; of no bundle for None.

        `maker` fills an empty directory. Several who want the same at once make it once, and wait;
        where locks do not hold they all do, and the first keeps it. What `maker` raises passes, and
        leaves nothing; what the disk raises is a DroidheadersError.
        """
        key = _key(bundle, inputs)
        place = self.of(bundle.name if bundle else _HOST) / f"{what}-{key}"
        users = (place, bundle.path if bundle else place.parent)
        if _used(users):
            return place
        awaited = f"{what} of {bundle.name}" if bundle else what
        with held(self._root / "locks" / f"{what}-{key}", awaited):
            if not _used(users):
                self._make(place, maker)
        return place

    def _make(self, place: Path, maker: Callable[[Path], None]) -> None:
        staging = self._directory / f".staging-{os.urandom(8).hex()}"
        with disk_errors(self._root):
            place.parent.mkdir(parents=True, exist_ok=True)
            staging.mkdir(mode=0o700)
        try:
            with disk_errors(self._root):
                maker(staging)
                staging.chmod(0o755)
                _publish(staging, place)
        finally:
            rmtree(staging, ignore_errors=True)
        _drop(one for one in self.made(place.parent.name) if _alike(one, place))

    def forget(self, bundle: str) -> None:
        """Remove what was made of a bundle that is gone, where the disk lets us."""
        rmtree(self.of(bundle), ignore_errors=True)

    def sweep(self, kernels: Path) -> None:
        """Remove what has no bundle in `kernels`, and what a killed process left."""
        with suppress(OSError):
            for path in self._directory.iterdir():
                if path.name.startswith("."):
                    _drop([path])
                elif not (kernels / path.name).exists():
                    self.forget(path.name)


def _key(bundle: Bundle | None, inputs: Iterable[str]) -> str:
    """Return a name for what something is made from, in 12 digits."""
    manifest = b""
    if bundle:
        with suppress(OSError):
            manifest = (bundle.path / "manifest").read_bytes()
    import hashlib  # 12 ms, which flags do not need

    stated = [hashlib.sha256(manifest).hexdigest(), *inputs]
    return hashlib.sha256(json.dumps(stated).encode()).hexdigest()[:12]


def _used(users: Sequence[Path]) -> bool:
    """Tell whether the first of them is there, and note that all were of use."""
    if not users[0].is_dir():
        return False
    for path in users:
        with suppress(OSError):  # a cache that may only be read still serves
            os.utime(path)
    return True


def _publish(staging: Path, place: Path) -> None:
    try:
        staging.rename(place)
    except OSError as e:
        if e.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _alike(one: Path, other: Path) -> bool:
    """Tell whether both are the same thing, made from something else."""
    return one != other and one.name.rpartition("-")[0] == other.name.rpartition("-")[0]


def _drop(paths: Iterable[Path]) -> None:
    """Remove those that nobody has used for a day."""
    for path in paths:
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _UNUSED:
                rmtree(path, ignore_errors=True)
