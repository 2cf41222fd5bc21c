"""A built kernel tree, as the archive that kernel/gen_kheaders.sh would make of it.

The same directories and the same rule what belongs into it: `*.h` below include/ and
arch/SRCARCH/include of the source, and over them those of the object directory. Comments stay.
"""

from __future__ import annotations

import lzma
import os
import re
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from droidheaders.headers import verify
from droidheaders.headers.limits import ArchiveError, Limits, RefusedError
from droidheaders.headers.wrapping import notes
from droidheaders.kernel.identity import build_id_of_notes
from droidheaders.ui import Bar, printable

_LEFT_OUT = "include/generated/utsversion.h"  # as gen_kheaders.sh does: it changes at every build
_SCHED = "include/linux/sched.h"
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CONFIG = 16 << 20
_PRESET = 0  # 8.9 MB and 3.3 s for 6.1; 1 gives 8.3 MB in 4.5 s


@dataclass(frozen=True)
class KernelTree:
    """A tree that was built: where its source is, where its objects are, and for which arch/."""

    source: Path
    objects: Path
    arch: str

    @classmethod
    def find(cls, objects: Path, source: Path | None = None) -> KernelTree:
        """Return the tree whose object directory, or only directory, is `objects`.

        Raises RefusedError when it was not built, or its source is not where it says.
        """
        if not (objects / verify.UTS).is_file():
            raise RefusedError(
                f"is no built kernel tree: it has no {verify.UTS}",
                "give the directory that was built in (O=), after `make prepare` there",
            )
        place = _source(objects) if source is None else source
        if not (place / _SCHED).is_file():
            raise RefusedError(
                f"has no source: {printable(str(place))} holds no {_SCHED}",
                "droidheaders cache import TREE --source DIR",
            )
        return cls(place, objects, _arch(objects))

    def archive(self, bar: Bar, limits: Limits | None = None) -> Iterator[bytes]:
        """Yield a .tar.xz of the headers: the same bytes for the same headers.

        `bar` advances by a header at a time. Raises OSError when the tree cannot be read.
        """
        xz = lzma.LZMACompressor(lzma.FORMAT_XZ, lzma.CHECK_CRC64, preset=_PRESET)
        for block in self._tar(bar, limits or Limits()):
            if out := xz.compress(block):
                yield out
        yield xz.flush()

    def names(self) -> dict[str, Path]:
        """Return where each header lies, by its name in the archive, sorted."""
        found = {}
        for base in dict.fromkeys((self.source, self.objects)):  # the latter overrides
            for top in ("include", f"arch/{self.arch}/include"):
                for directory, _, files in os.walk(base / top, onerror=_raise):
                    for file in files:
                        path = Path(directory, file)
                        name = path.relative_to(base).as_posix()
                        if file.endswith(".h") and name != _LEFT_OUT:
                            found[name] = path
        return dict(sorted(found.items()))

    def _tar(self, bar: Bar, limits: Limits) -> Iterator[bytes]:
        for name, path in self.names().items():
            info = tarfile.TarInfo(name)
            mode = path.lstat().st_mode
            content = b""
            if stat.S_ISLNK(mode):
                info.type, info.linkname = tarfile.SYMTYPE, os.readlink(path)
            elif stat.S_ISREG(mode):
                content = _read(path, limits.file)
                info.size = len(content)
            else:
                continue
            yield info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
            yield content + bytes(-len(content) % tarfile.BLOCKSIZE)
            bar.update(1)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def config(self) -> bytes | None:
        """Return the .config, or None when there is none."""
        try:
            return _read(self.objects / ".config", _CONFIG)
        except FileNotFoundError:
            return None

    def version(self) -> str:
        """Return what `uname -v` would say, or "" when the tree does not tell."""
        # In compile.h until 6.0, in utsversion.h since.
        for name in (_LEFT_OUT, verify.COMPILE):
            try:
                header = _read(self.objects / name, _CONFIG)
            except FileNotFoundError:
                continue
            if version := verify.define(header, "UTS_VERSION"):
                return version[:64] if version.isprintable() else ""
        return ""

    def build_id(self) -> str:
        """Return the GNU build-id of the vmlinux that lies there, in hex, or "" without one."""
        try:
            fd = os.open(self.objects / "vmlinux", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return ""
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return ""
            return build_id_of_notes(notes(lambda at, size: os.pread(fd, size, at)))
        except (ArchiveError, OverflowError):  # half of one, from a link that failed
            return ""
        finally:
            os.close(fd)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # an object directory may lack one of the two
        raise error


def _read(path: Path, limit: int) -> bytes:
    fd = os.open(path, _OPEN)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ArchiveError(f"has a {path.name} that is no file")
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ArchiveError(f"has a {path.name} of more than {limit} bytes")
    return content


def _source(objects: Path) -> Path:
    """Return the source directory by what the build left in its object directory.

    A link named `source` (outputmakefile in the top Makefile), a Makefile that includes the
    source's (also in Debian's linux-headers), or the directory itself. The first that is one, else
    the first that was to be.
    """
    try:
        makefile = _read(objects / "Makefile", 1 << 20).decode("utf-8", "replace")
    except (OSError, ArchiveError):
        makefile = ""
    included = re.search(r"^include ([^\s$]+)/Makefile$", makefile, re.MULTILINE)
    places = [objects / included[1]] if included else []
    if (objects / "source").is_symlink():
        places.insert(0, objects / "source")
    places.append(objects)
    return next((place for place in places if (place / _SCHED).is_file()), places[0])


def _arch(objects: Path) -> str:
    """Return the one architecture that has generated headers; .config decides between two."""
    built = sorted(
        path.parent.parent.name
        for path in objects.glob("arch/*/include/generated")
        if any(path.glob("**/*.h"))
    )
    if len(built) > 1:
        config = objects / ".config"
        text = _read(config, _CONFIG) if config.is_file() else b""
        built = [arch for arch in built if b"\nCONFIG_%s=y\n" % arch.upper().encode() in text]
    if len(built) != 1:
        raise RefusedError(
            "is no built kernel tree: it has no arch/*/include/generated, or several",
            "`make ARCH=… prepare` in that directory",
        )
    return built[0]
