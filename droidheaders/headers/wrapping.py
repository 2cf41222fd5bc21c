"""What a file is, told by its content, and what is inside the wrappings it may have.

A kernel image comes compressed, in a boot image, in a bzImage, or all three; a module or an archive
may be compressed once more. Each layer is taken off into a bounded private copy.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from droidheaders.headers import inflate
from droidheaders.headers.image import is_kernel
from droidheaders.headers.limits import ArchiveError, RefusedError
from droidheaders.headers.spool import spool
from droidheaders.headers.tar import is_header
from droidheaders.headers.xz import MAGIC

ARCHIVE, MODULE, IMAGE, EXPORT = "archive", "module", "kernel image", "export"
BOOT = "boot image"
_LAYERS = 6
_PT_LOAD, _PT_NOTE = 1, 4
_ET_REL = 1

Read = Callable[[int, int], bytes]  # offset and size to content, less where the file ends


@dataclass(frozen=True)
class Unwrapped:
    """A file without its wrappings: `content` is one of archive, module, kernel image, export.

    `kind` says what a person would call the file: a boot image is one, though a kernel is inside.
    """

    kind: str
    content: str
    view: memoryview


# Files that people have at hand and give: magic, what it is, what to do.
_REFUSED = (
    (0, b"VNDRBOOT", "is a vendor boot image, which has no kernel", "give boot.img"),
    (0, b"\x3a\xff\x26\xed", "is a sparse image", "simg2img FILE RAW, then import RAW"),
    (0, b"CrAU", "is an OTA payload", "payload-dumper-go -p boot payload.bin, then boot.img"),
    (0, b"PK\x03\x04", "is a zip file", "unpack it, and import boot.img"),
    (0, b"BZh", "is compressed with bzip2", "bunzip2 FILE, or import vmlinux"),
    (0, b"\x89LZO", "is compressed with lzo", "lzop -d FILE, or import vmlinux"),
    (36, b"\x18\x28\x6f\x01", "is a compressed ARM zImage", "give arch/arm/boot/Image or vmlinux"),
)
# A kernel may lie in these as it is, or a part of one.
_WRAPPINGS = ((0, b"ANDROID!"), (0x202, b"HdrS"), (4, b"zimg"), (0, b"\x7fELF"))


def unwrap(view: memoryview, directory: Path) -> Unwrapped:
    """Take off every wrapping; copies are made on the disk of `directory`.

    Raises ArchiveError for a file that is damaged or that nothing here knows.
    """
    boot = False
    for _ in range(_LAYERS):
        content = _content(view)
        if content:
            return Unwrapped(BOOT if boot else content, content, view)
        if is_vmlinux(bytes(view[:20])):  # what a bzImage holds, and a vmlinux.xz
            return Unwrapped(BOOT if boot else IMAGE, IMAGE, _loaded(view, directory))
        boot |= _at(view, 0, b"ANDROID!")
        view = _peeled(view, directory)
    raise ArchiveError("is wrapped too often")


def _loaded(vmlinux: memoryview, directory: Path) -> memoryview:
    return spool(segments(lambda at, size: bytes(vmlinux[at : at + size])), directory)


def _at(view: memoryview, at: int, magic: bytes) -> bool:
    return view[at : at + len(magic)] == magic


def _content(view: memoryview) -> str:
    """Return what the bytes are if nothing is around them, else ""."""
    first = bytes(view[:512])
    if is_module(first):
        return MODULE
    # Documentation/arch/arm64/booting.rst, and arch/riscv/boot-image-header.rst there.
    if not _at(view, 4, b"zimg") and (_at(view, 56, b"ARM\x64") or _at(view, 56, b"RSC\x05")):
        return IMAGE
    if _at(view, 0, MAGIC):
        first = inflate.first(view)
        return ARCHIVE if is_header(first) and not _is_export(first) else ""
    if is_header(first):
        if _is_export(first):
            return EXPORT
        raise RefusedError("is a tar archive that is not compressed with xz", "xz FILE.tar")
    plain = not any(_at(view, at, magic) for at, magic in _WRAPPINGS)
    return IMAGE if plain and is_kernel(view) else ""  # such as arch/arm/boot/Image


def _is_export(block: bytes) -> bool:
    return block.startswith(b"bundle.json\0")


def is_module(head: bytes) -> bool:
    """Tell whether a file that begins like this is a relocatable ELF file, as modules are."""
    return head.startswith(b"\x7fELF") and head[16:18] == struct.pack("<H", _ET_REL)


def is_vmlinux(head: bytes) -> bool:
    """Tell whether a file that begins like this is an ELF file that is no module."""
    return head.startswith(b"\x7fELF") and not is_module(head)


def _peeled(view: memoryview, directory: Path) -> memoryview:
    for at, magic, what, hint in _REFUSED:
        if _at(view, at, magic):
            raise RefusedError(what, hint)
    if _at(view, 0, b"ANDROID!"):
        return _of_boot_image(view)
    if _at(view, 0x202, b"HdrS"):
        return _of_bzimage(view)
    if _at(view, 4, b"zimg"):  # include/linux/pe.h, drivers/firmware/efi/libstub/zboot-header.S
        return _cut(view, *struct.unpack("<II", bytes(view[8:16]).ljust(8, b"\0")))
    if unpacked := inflate.inflated(view):
        return spool(unpacked, directory, inflate.LIMIT)
    raise RefusedError(
        "is nothing that is known here",
        "give a .tar.xz, kheaders.ko, boot.img, Image, vmlinux, a kernel tree or an export",
    )


def _cut(view: memoryview, at: int, size: int) -> memoryview:
    if not size or at + size > len(view):
        raise ArchiveError(f"is cut off: {size} bytes at {at} are not all there")
    return view[at : at + size]


def _of_boot_image(view: memoryview) -> memoryview:
    """Return the kernel: AOSP system/tools/mkbootimg/include/bootimg/bootimg.h.

    It begins on the second page. A page has 4096 bytes since version 3; before, the header says.
    Where the version stands now, some vendors' version 0 had the size of a device tree.
    """
    header = bytes(view[:48])
    if len(header) < 48:
        raise ArchiveError("is cut off in its boot image header")
    size, page = _kernel_place(header)
    if page not in (1 << n for n in range(11, 18)):
        raise ArchiveError(f"is a damaged boot image: its pages have {page} bytes")
    if not size:
        raise RefusedError("is a boot image without a kernel", "give boot.img, not init_boot.img")
    return _cut(view, page, size)


def _kernel_place(header: bytes) -> tuple[int, int]:
    """Return the size of a boot image's kernel, and where it begins, as the header says."""
    (size, page, version) = (struct.unpack_from("<I", header, at)[0] for at in (8, 36, 40))
    return size, 4096 if version in (3, 4) else page


def kernel_end(head: bytes) -> int | None:
    """Return how much of a boot image its kernel needs; None when these bytes begin none."""
    return sum(_kernel_place(head)) if head.startswith(b"ANDROID!") and len(head) >= 48 else None


def _of_bzimage(view: memoryview) -> memoryview:
    """Return the compressed kernel: Documentation/arch/x86/boot.rst, payload_offset."""
    if len(view) < 0x250 or view[0x207] < 2 or (view[0x207] == 2 and view[0x206] < 8):
        raise ArchiveError("is a bzImage that is cut off, or older than any with headers")
    setup = view[0x1F1] or 4
    at, size = struct.unpack_from("<II", view, 0x248)
    return _cut(view, (setup + 1) * 512 + at, size)


def segments(read: Read, kind: int = _PT_LOAD) -> Iterator[bytes]:
    """Yield what an ELF file has to be loaded: of a vmlinux, all but its symbols and debug data.

    Raises ArchiveError when it is no whole ELF file of little endian: elf(5).
    """
    ident = read(0, 64)
    if ident[4:6] not in (b"\x01\x01", b"\x02\x01") or len(ident) < 64:
        raise ArchiveError("is a damaged ELF file, or of big endian")
    wide = ident[4] == 2
    (table,) = struct.unpack_from("<Q" if wide else "<I", ident, 32 if wide else 28)
    entry, count = struct.unpack_from("<HH", ident, 54 if wide else 42)
    if entry != (56 if wide else 32) or not count or count > 64:
        raise ArchiveError("is a damaged ELF file, or has nothing to be loaded")
    for number in range(count):
        header = read(table + number * entry, entry)
        if len(header) < entry:
            raise ArchiveError("is an ELF file that is cut off")
        at, size = (
            struct.unpack_from("<8xQ16xQ", header)
            if wide
            else struct.unpack_from("<4xI8xI", header)
        )
        if struct.unpack_from("<I", header)[0] == kind:
            yield from _exactly(read, at, size)


def _exactly(read: Read, at: int, size: int) -> Iterator[bytes]:
    end = at + size
    while at < end:
        piece = read(at, min(end - at, 1 << 20))
        if not piece:
            raise ArchiveError("is an ELF file that is cut off")
        yield piece
        at += len(piece)


def notes(read: Read) -> bytes:
    """Return an ELF file's notes, the first 64 KiB of them."""
    found = b""
    for piece in segments(read, _PT_NOTE):
        found += piece
        if len(found) > 1 << 16:
            break
    return found[: 1 << 16]
