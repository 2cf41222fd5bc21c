"""A kernel image, uncompressed: the headers, the configuration and the identity that lie in it.

What scripts/extract-ikconfig does for the configuration, done for the headers too: kernel/configs.c
and kernel/kheaders.c put both into .rodata as they are.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from droidheaders.headers.inflate import first
from droidheaders.headers.limits import ArchiveError, RefusedError, UnusableError
from droidheaders.headers.survey import Survey, survey
from droidheaders.headers.tar import is_header
from droidheaders.headers.xz import MAGIC
from droidheaders.kernel import ikconfig
from droidheaders.kernel.identity import build_id_of_notes
from droidheaders.ui import Bar, printable

# linux_banner of init/version.c. Since 6.1 there is a second without a number behind "#".
_BANNER = re.compile(
    rb"Linux version (\S{1,64}) \([^()\n]{1,256}\) \([^\n]{0,1000}\) (#[^ \n\0][^\n\0]{0,200})\n"
)
_CONFIG = re.compile(rb"IKCFG_ST(?=\x1f\x8b\x08)")
_CONFIG_END = re.compile(rb"IKCFG_ED")
_CONFIG_SIZE = 4 << 20  # compressed; real ones have 30 to 70 KB
_XZ = re.compile(re.escape(MAGIC))
_NOTE = re.compile(rb"\x04\0\0\0[\x08-\x40]\0\0\0\x03\0\0\0GNU\0")
_BTF = re.compile(rb"\x9f\xeb\x01.\x18\0\0\0\0\0\0\0", re.DOTALL)  # types follow the header
_BTF_SIZE = 64 << 20  # real ones have 4 to 6 MB
_ELF = re.compile(rb"\x7fELF[\x01\x02]\x01\x01")
_STREAMS = 256  # xz streams that are looked into
_TRIED = 4  # of them, those that begin like an archive and are read
_UTS_FIELD = 64  # characters of uname -v
_MANY = 64
_FILES = 1000  # ELF files in an initramfs in the image


@dataclass(frozen=True)
class Image:
    """What lies in a kernel image.

    `banner` is the line that /proc/version has; `version` is uname -v of it. `build_id` is
    vmlinux's, in hex, or "" when it is not clear which it is. `config` is what /proc/config.gz
    holds, decompressed, `btf` what /sys/kernel/btf/vmlinux does; each may be None.
    """

    archive: memoryview
    survey: Survey
    banner: str
    version: str
    build_id: str
    config: bytes | None
    btf: bytes | None


@dataclass(frozen=True)
class KernelImage:
    """What an image says of its kernel, headers or not; the fields are those of Image."""

    release: str
    version: str
    machine: str
    banner: str
    build_id: str
    config: bytes | None
    btf: bytes | None


def is_kernel(view: memoryview) -> bool:
    """Tell whether a Linux version is in these bytes."""
    return _BANNER.search(view) is not None


def read_kernel(view: memoryview) -> KernelImage:
    """Find what an uncompressed kernel says of itself, without its headers.

    Raises ArchiveError when it is none.
    """
    banners = _banners(view)
    release = next(iter(banners))[0]
    version, banner = _said(banners)
    return KernelImage(
        release,
        version,
        _machine(view, release),
        banner,
        _build_id(view),
        _config(view),
        _btf(view),
    )


def read_image(view: memoryview, bar: Bar | None = None) -> Image:
    """Find everything in an uncompressed kernel, wherever it lies.

    Raises ArchiveError when there are no headers in it, or none that are whole, and UnusableError
    when they are of another kernel than the image.
    """
    banners = _banners(view)
    config = _config(view)
    at, found = _archive(view, [release for release, _ in banners], config, bar)
    version, banner = _said({k: line for k, line in banners.items() if k[0] == found.release})
    archive = view[at : at + found.size]
    return Image(archive, found, banner, version, _build_id(view), config, _btf(view))


def _banners(view: memoryview) -> dict[tuple[str, str], bytes]:
    """Return the banners in an image, by release and version."""
    banners = {
        (m[1].decode("utf-8", "replace"), m[2].decode("utf-8", "replace")[:_UTS_FIELD]): m[0]
        for m in islice(_BANNER.finditer(view), _MANY)
    }
    if not banners:
        raise RefusedError(
            "is no kernel: no Linux version is in it",
            "give boot.img, arch/*/boot/Image or vmlinux",
        )
    return banners


def _machine(view: memoryview, release: str) -> str:
    """Return what uname -m says, from init_uts_ns of init/version.c, or "" when it is not there.

    Its fields have 65 bytes: release, version, machine (include/uapi/linux/utsname.h).
    """
    padded = release.encode("utf-8", "surrogateescape").ljust(_UTS_FIELD + 1, b"\0")
    names = re.compile(re.escape(padded) + rb".{65}([a-z][a-z0-9_]{1,15})\0{49}", re.DOTALL)
    found = names.search(view)
    return found[1].decode() if found else ""


def _said(banners: dict[tuple[str, str], bytes]) -> tuple[str, str]:
    """Return version and banner; empty where there are several, since nobody knows which it is."""
    if len(banners) > 1:
        return "", ""
    [((_, version), banner)] = banners.items()
    line = banner.decode("utf-8", "replace").rstrip("\n")
    return (version if version.isprintable() else ""), line


def _config(view: memoryview) -> bytes | None:
    for start in islice(_CONFIG.finditer(view), _MANY):
        end = _CONFIG_END.search(view[start.end() : start.end() + _CONFIG_SIZE])
        if end:
            try:
                return ikconfig.decompress(bytes(view[start.end() : start.end() + end.start()]))
            except ValueError:
                continue
    return None


def _archive(
    view: memoryview, releases: list[str], config: bytes | None, bar: Bar | None
) -> tuple[int, Survey]:
    """Return where the headers' archive begins, and what it is; other xz streams are passed over.

    An initramfs, compressed modules in it, firmware: a stream that does not begin like a tar
    archive costs nothing, and of the others the first that is headers of one of `releases` is it.
    """
    broken: ArchiveError | None = None
    tried = 0
    for match in islice(_XZ.finditer(view), _STREAMS):
        if tried >= _TRIED:
            break
        at = match.start()
        if is_header(first(view[at:])):
            tried += 1
            try:
                found = survey(view[at:], bar)
                _check_release(found, releases)
            except ArchiveError as e:
                broken = broken or e
            else:
                return at, found
    if broken is not None:
        raise broken
    if config is not None and b"\nCONFIG_IKHEADERS=m\n" in config:
        raise RefusedError(
            "has its headers in a module (CONFIG_IKHEADERS=m)",
            "import that kernel's kheaders.ko, from system_dlkm or the build",
        )
    raise RefusedError(
        "has no headers in it (CONFIG_IKHEADERS=y)",
        "import its kheaders.ko, its build tree, or headers that were archived with tar and xz",
    )


def _check_release(found: Survey, releases: list[str]) -> None:
    if found.release not in releases:
        raise UnusableError(
            f"holds headers of another kernel: their UTS_RELEASE is {found.release},"
            f" and the image is {printable(releases[0])}"
        )


def _build_id(view: memoryview) -> str:
    """Return the one GNU build-id that is in no ELF file inside the image, such as the vdso."""
    inner = list(islice(_elf_files(view), _FILES + 1))
    matches = list(islice(_NOTE.finditer(view), _FILES + 1))
    if max(len(inner), len(matches)) > _FILES:
        return ""
    ids = {
        build_id_of_notes(bytes(view[match.start() : match.start() + 12 + 4 + 64]))
        for match in matches
        if not any(start <= match.start() < end for start, end in inner)
    } - {""}
    return ids.pop() if len(ids) == 1 else ""


def _btf(view: memoryview) -> bytes | None:
    """Return the one BTF in the image; a module's, in an initramfs, has no empty string first."""
    found = []
    for match in islice(_BTF.finditer(view), _MANY):
        at = match.start()
        header = bytes(view[at : at + 24])
        if len(header) < 24:
            continue
        types, strings_at, strings = struct.unpack_from("<III", header, 12)
        end = at + 24 + types + strings
        text = view[at + 24 + types : end] if end - at <= _BTF_SIZE and end <= len(view) else b""
        if strings_at == types and strings and text and not (text[0] or text[-1]):
            found.append((at, end))
    return bytes(view[slice(*found[0])]) if len(found) == 1 else None


def _elf_files(view: memoryview) -> Iterator[tuple[int, int]]:
    """Yield where ELF files inside the image begin and end, as far as they are loaded."""
    for match in _ELF.finditer(view):
        at = match.start()
        wide = view[at + 4] == 2
        header = bytes(view[at : at + 64])
        if len(header) < 64:
            return
        (table,) = struct.unpack_from("<Q" if wide else "<I", header, 32 if wide else 28)
        entry, count = struct.unpack_from("<HH", header, 54 if wide else 42)
        if entry != (56 if wide else 32) or not 0 < count <= _MANY:
            continue  # the constant in code that compares with it
        start = at + table
        entries = bytes(view[start : start + entry * count])
        layout = "<8xQ16xQ16x" if wide else "<4xI8xI12x"
        if len(entries) == entry * count:
            ends = [offset + size for offset, size in struct.iter_unpack(layout, entries)]
            yield at, at + max(ends)
