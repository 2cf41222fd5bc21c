"""Headers packed for a device: gzip, which toybox unpacks, and what it takes to check them there.

Beside include/ and arch/ the archive has, below .droidheaders/, what `sha256sum -c` reads (sums),
every name there is (files) and which bundle it is (bundle.json).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO

from droidheaders.errors import HeadersError

if TYPE_CHECKING:
    from droidheaders.cache import Bundle

OWN = ".droidheaders"
LARGEST_MARK = 4096  # bytes
_SCHEMA = 1
_BLOCK = 4096  # of the file systems of Android: ext4, f2fs, erofs
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Mark:
    """What says on a device that a directory is ours: the bundle in it, and the digest of sums."""

    bundle: str
    archive: str
    sums: str

    def to_json(self) -> bytes:
        """Return what bundle.json holds there."""
        return json.dumps({"schema": _SCHEMA, **asdict(self)}).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> Mark | None:
        """Return what `to_json` was made from, or None: anybody may have written it."""
        try:
            facts = json.loads(data)
        except (ValueError, RecursionError):
            return None
        if not isinstance(facts, dict) or facts.get("schema") != _SCHEMA:
            return None
        bundle, archive, sums = (facts.get(key) for key in ("bundle", "archive", "sums"))
        if not (isinstance(bundle, str) and isinstance(archive, str) and isinstance(sums, str)):
            return None
        whole = _DIGEST.fullmatch(archive) and _DIGEST.fullmatch(sums)
        return cls(bundle, archive, sums) if whole else None


@dataclass(frozen=True)
class Parcel:
    """What is to be there. `files` counts links too, `needs` is in bytes of the device's disk."""

    mark: Mark
    files: int
    needs: int
    _bundle: Bundle
    _sums: bytes

    @classmethod
    def of(cls, bundle: Bundle) -> Parcel:
        """Return the headers of `bundle`; raises HeadersError when it is damaged."""
        with _whole(bundle):
            digests = bundle.header_digests()
            sizes = [(bundle.headers / name).stat().st_size for name in digests]
        sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
        mark = Mark(bundle.name, bundle.meta["archive"]["sha256"], hashlib.sha256(sums).hexdigest())
        links = len(bundle.meta["symlinks"])
        blocks = sum(-(-size // _BLOCK) for size in [*sizes, len(sums), len(sums)])
        directories = bundle.meta["headers"].get("directories", 0)
        needs = (blocks + links + directories + 8) * _BLOCK
        return cls(mark, len(sizes) + links + 3, needs, bundle, sums)

    def pack(self, into: BinaryIO) -> None:
        """Write the archive to `into`; raises HeadersError for damaged headers."""
        # Level 6 saves a sixth of what is sent, and takes twice as long.
        with (
            gzip.GzipFile("", "wb", 1, into, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w|") as tar,
        ):
            names = []
            for line in self._sums.decode().splitlines():
                digest, _, name = line.partition("  ")
                with _whole(self._bundle):
                    data = (self._bundle.headers / name).read_bytes()
                if hashlib.sha256(data).hexdigest() != digest:
                    raise _damaged(self._bundle)
                _add(tar, name, data)
                names.append(name)
            for name, target in self._bundle.meta["symlinks"].items():
                link = tarfile.TarInfo(name)
                link.type, link.linkname, link.mode = tarfile.SYMTYPE, target, 0o777
                tar.addfile(link)
                names.append(name)
            names += [f"{OWN}/{name}" for name in ("bundle.json", "files", "sums")]
            _add(tar, f"{OWN}/files", "".join(f"{name}\n" for name in names).encode())
            _add(tar, f"{OWN}/sums", self._sums)
            _add(tar, f"{OWN}/bundle.json", self.mark.to_json())


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))


@contextmanager
def _whole(bundle: Bundle) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as e:
        raise _damaged(bundle) from e


def _damaged(bundle: Bundle) -> HeadersError:
    return HeadersError(
        f"the headers of {bundle.name} in the cache are not what was pulled",
        "droidheaders cache verify --repair",
    )
