"""A transfer: the headers of a device's running kernel, into the cache.

Above the rooms rather than in one: the reader of archives must not know the cache, and the cache
must not know devices.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from droidheaders import intake
from droidheaders.cache import Bundle, Cache, Staging
from droidheaders.errors import DeviceLostError
from droidheaders.headers import verify
from droidheaders.headers.clang import Clang
from droidheaders.headers.limits import ArchiveError, Limits, NotInFileError
from droidheaders.headers.source import ArchiveStream, open_archive
from droidheaders.headers.tar import members
from droidheaders.headers.unpack import Share, Unpacked, unpack
from droidheaders.headers.xz import XzStream
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.probe import Probe
from droidheaders.ui import Bar, printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device


class Cancelled(BaseException):
    """Another thread was told to stop; nobody is to be told of it."""


def transfer(
    device: Device,
    cache: Cache,
    probed: Probe,
    *,
    replace: bool,
    cancel: threading.Event | None,
) -> Bundle:
    """Bring the headers of the kernel that `device` runs into `cache`, and return their bundle.

    Raises what `pull` raises; nothing is left behind then, here or there.
    """
    try:
        return _attempt(device, cache, probed, replace=replace, cancel=cancel, load=False)
    except NotInFileError:  # a module, but compressed, or otherwise than we know it
        return _attempt(device, cache, probed, replace=replace, cancel=cancel, load=True)


@contextmanager
def _of(kernel: KernelIdentity) -> Iterator[None]:
    """Say which kernel's headers were on their way when the device was lost."""
    try:
        yield
    except DeviceLostError as e:
        if str(kernel) not in e.message:
            e.message += f", before the headers of {kernel} had come"
        raise


def _attempt(
    device: Device,
    cache: Cache,
    probed: Probe,
    *,
    replace: bool,
    cancel: threading.Event | None,
    load: bool,
) -> Bundle:
    with (
        _of(probed.kernel),
        cache.stage() as staging,
        open_archive(device, probed, load=load) as source,
    ):
        # Which clang is there takes 0.1 s to find out: while the device is busy.
        threading.Thread(target=Clang.find, name="clang", daemon=True).start()
        share = cache.neighbours(probed.kernel).share
        archive, unpacked = _receive(device, source, probed, staging, share, cancel)
        kernel = probed.kernel
        sources = {"headers": source.path, "config": probed.config.path, "btf": probed.btf.path}
        return intake.commit(
            cache,
            staging,
            kernel,
            unpacked,
            source=printable(device.serial),
            archive=archive,
            sources=sources,
            banner=probed.proc_version,
            warnings=intake.keep_extras(source.extras, staging),
            replace=replace,
            page_size=probed.page_size,
            kheaders_build_id=probed.kheaders_build_id,
            vermagic=printable(source.module.vermagic) if source.module else "",
        )


def _receive(
    device: Device,
    source: ArchiveStream,
    probed: Probe,
    staging: Staging,
    share: Share,
    cancel: threading.Event | None,
) -> tuple[dict[str, Any], Unpacked]:
    """Stream, decompress, parse and write at once; return what is known of the archive."""
    limits = Limits()
    what = f"{printable(device.serial)}: {printable(probed.kernel.release)}"
    module = source.module
    staging.headers.mkdir()
    with staging.archive.open("xb") as copy, ui.bar(what, source.size) as bar:
        chunks = _watched(source, bar, cancel)
        if module is None:
            xz = XzStream(chunks, expected=source.size, copy=copy, limits=limits)
        else:
            xz = XzStream(module.archive(chunks), copy=copy, tail=module.tail, limits=limits)
        try:
            unpacked = unpack(members(iter(xz), limits), staging.headers, limits, share)
            if module is not None:
                module.check(xz.size, probed.kernel)
            verify.verify(staging.headers, unpacked, probed.kernel)
        except ArchiveError as e:
            raise e.of(
                f"the archive {printable(source.path)} of {device.name} ({probed.kernel})",
                f"{device.adb} pull {shlex.quote(printable(source.path))}",
            ) from e
    archive = {"sha256": xz.sha256, "size": xz.size, "path": source.path, "as": source.how}
    return archive | {"module_loaded": source.loaded}, unpacked


def _watched(source: ArchiveStream, bar: Bar, cancel: threading.Event | None) -> Iterator[bytes]:
    for chunk in source.chunks:
        if cancel is not None and cancel.is_set():
            raise Cancelled
        bar.update(len(chunk))
        yield chunk
