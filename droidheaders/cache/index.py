"""Which bundle a kernel has: one small file an identity, in JSON."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from droidheaders.cache.disk import write_atomically
from droidheaders.kernel.identity import KernelIdentity

SCHEMA = 1
_ABANDONED = 3600  # seconds after which nobody writes a temporary file any more


class Index:
    """The entries in `directory`, which need not exist yet.

    An entry whose bundle is gone is a miss like any other, so nothing here must be exact.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, kernel: KernelIdentity) -> str:
        """Return the name of the kernel's bundle, or ""."""
        return _bundle(self._directory / key(kernel)) if kernel.build_id else ""

    def note(self, kernel: KernelIdentity, bundle: str) -> None:
        """Have the bundle of that name found for `kernel`, if its build-id tells it from others."""
        if kernel.build_id:
            entry = {"schema": SCHEMA, "kernel": asdict(kernel), "bundle": bundle}
            self._directory.mkdir(exist_ok=True)
            write_atomically(self._directory / key(kernel), json.dumps(entry).encode())

    def forget(self, kernels: Path) -> None:
        """Remove the entries whose bundle is not in `kernels`, where the disk lets us."""
        with suppress(OSError):
            for path in self._directory.iterdir():
                name = _bundle(path)
                if (not name or not (kernels / name).is_dir()) and not _in_the_making(path):
                    with suppress(OSError):
                        path.unlink()


def key(kernel: KernelIdentity) -> str:
    """Return a file name for the identity."""
    import hashlib  # 12 ms, which a bundle that is named does not need

    return hashlib.sha256(json.dumps(asdict(kernel), sort_keys=True).encode()).hexdigest()[:32]


def is_plain(name: str) -> bool:
    """Tell whether `name` is one that a bundle may have: a visible entry of one directory."""
    return bool(name) and "/" not in name and not name.startswith(".")


def _in_the_making(entry: Path) -> bool:
    """Tell whether somebody writes this file just now, to have it renamed; a kill may leave it."""
    return entry.name.startswith(".") and time.time() - entry.lstat().st_mtime < _ABANDONED


def _bundle(entry: Path) -> str:
    try:
        name = json.loads(entry.read_bytes())["bundle"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) and is_plain(name) else ""
