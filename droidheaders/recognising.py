"""What a file or a kernel tree on this host is, and the headers that it holds."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from droidheaders.errors import UsageError
from droidheaders.headers import wrapping
from droidheaders.headers.image import read_image
from droidheaders.headers.limits import ArchiveError, Limits, RefusedError
from droidheaders.headers.module import SEARCHED, ModuleFile
from droidheaders.headers.spool import spool
from droidheaders.headers.survey import Survey, survey
from droidheaders.headers.tree import KernelTree
from droidheaders.headers.xz import MAGIC
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.ui import Bar, printable, ui

TREE = "kernel tree"
_STEP = 1 << 20


@dataclass(frozen=True)
class Found:
    """Headers in a file: the archive, the kernel they say they are of, and what came with them.

    `image` is the uncompressed kernel that they lie in, if they do.
    """

    kind: str
    kernel: KernelIdentity
    archive: memoryview
    sha256: str
    parts: dict[str, bytes]
    banner: str = ""
    page_size: int = 0
    image: memoryview | None = None


def recognise(file: Path, source: Path | None, workshop: Path) -> Found:
    """Return what `file` holds; `source` is where a kernel tree's source is, if that is one.

    Copies are made in the directory `workshop`, without a name. Raises UsageError when there is no
    such file, ArchiveError when there are no headers in it, or when they break a rule.
    """
    with _reading(file):
        is_tree = stat.S_ISDIR(file.stat().st_mode)
    if is_tree:
        with _reading(file):
            tree = KernelTree.find(file, source)
        return _of_tree(tree, file, workshop)
    if source is not None:
        raise UsageError(
            f"--source is for a kernel tree, and {printable(str(file))} is none",
            "leave --source out",
        )
    opened = unwrapped(copied(file, workshop), workshop)
    size = len(opened.view)
    with ui.bar(f"reading {printable(file.name)}", size) as bar:
        if opened.content == wrapping.EXPORT:
            return _of_export(opened.view, bar)
        if opened.content == wrapping.IMAGE:
            return _of_image(opened, bar)
        if opened.content == wrapping.MODULE:
            return _of_module(opened.view, bar)
        known = survey(opened.view, bar)
        if known.size != size:
            raise ArchiveError("goes on behind the end of its xz stream")
        return Found(opened.kind, _kernel(known), opened.view, known.sha256, {})


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Say in one sentence when the file cannot be read; the cache's disk has its own sentence."""
    try:
        yield
    except OSError as e:
        name = printable(str(e.filename or file))
        raise UsageError(
            f"cannot read {name}: {e.strerror or e}", f"ls -l {shlex.quote(name)}"
        ) from e


@dataclass(frozen=True)
class Copy:
    """A private copy of a file; of a vmlinux, only what is loaded."""

    view: memoryview
    is_vmlinux: bool


def copied(file: Path, workshop: Path) -> Copy:
    """Return a copy of a file; UsageError when there is no such file."""
    with _reading(file):
        # Without waiting for the other end of a pipe.
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            name = printable(str(file))
            what = "a directory" if stat.S_ISDIR(info.st_mode) else "neither file nor directory"
            raise UsageError(f"{name} is {what}", f"ls -l {shlex.quote(name)}")

        def read(at: int, size: int) -> bytes:
            with _reading(file):
                return os.pread(fd, size, at) if at < info.st_size else b""

        is_vmlinux = wrapping.is_vmlinux(read(0, 20))
        whole = (read(at, _STEP) for at in range(0, info.st_size, _STEP))
        return Copy(spool(wrapping.segments(read) if is_vmlinux else whole, workshop), is_vmlinux)
    finally:
        os.close(fd)


def unwrapped(copy: Copy, workshop: Path) -> wrapping.Unwrapped:
    """Return what is in a file that was copied, without its wrappings."""
    if copy.is_vmlinux:
        return wrapping.Unwrapped(wrapping.IMAGE, wrapping.IMAGE, copy.view)
    return wrapping.unwrap(copy.view, workshop)


def _kernel(known: Survey, version: str = "", build_id: str = "") -> KernelIdentity:
    return KernelIdentity(known.release, version or known.version, known.machine, build_id)


def _of_module(view: memoryview, bar: Bar) -> Found:
    if len(view) > Limits.compressed:
        raise ArchiveError(f"is a module of {len(view)} bytes")
    begin = re.search(re.escape(MAGIC), view[:SEARCHED])
    if begin is None:
        raise RefusedError("is a module without headers", "give kheaders.ko")
    at = begin.start()
    known = survey(view[at:], bar)
    end = at + known.size
    kernel = _kernel(known)
    ModuleFile(bytes(view[:at]), bytes(view[end:])).check(known.size, kernel)
    return Found(wrapping.MODULE, kernel, view[at:end], known.sha256, {})


def _of_image(opened: wrapping.Unwrapped, bar: Bar) -> Found:
    image = read_image(opened.view, bar)
    inside = {"config": image.config, "btf": image.btf}
    parts = {part: data for part, data in inside.items() if data is not None}
    kernel = _kernel(image.survey, image.version, image.build_id)
    return Found(
        opened.kind,
        kernel,
        image.archive,
        image.survey.sha256,
        parts,
        banner=image.banner,
        image=opened.view,
    )


def _of_tree(tree: KernelTree, file: Path, workshop: Path) -> Found:
    with ui.bar(f"collecting {printable(file.name)}", None, unit=" headers") as bar:
        with _reading(file):
            config, version, build_id = tree.config(), tree.version(), tree.build_id()
        view = spool(_readings(tree.archive(bar), file), workshop)
        known = survey(view)
    if known.size != len(view):
        raise ArchiveError("changed while it was read")
    parts = {} if config is None else {"config": config}
    kernel = _kernel(known, version, build_id)
    return Found(TREE, kernel, view, known.sha256, parts)


def _readings(chunks: Iterator[bytes], file: Path) -> Iterator[bytes]:
    with _reading(file):
        yield from chunks


def _of_export(view: memoryview, bar: Bar) -> Found:
    from droidheaders.cache.export import read_export

    export = read_export(view)
    known = survey(export.archive, bar)
    if known.size != len(export.archive):
        raise ArchiveError("holds an archive that goes on behind the end of its xz stream")
    return Found(
        wrapping.EXPORT,
        export.kernel,
        export.archive,
        known.sha256,
        export.parts,
        page_size=export.page_size,
    )
