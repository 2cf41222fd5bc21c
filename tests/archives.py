"""Archives made for tests: good ones, and every kind of bad one."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
from typing import Any

RELEASE = "6.1.99-test"
GOOD = {
    "include/generated/utsrelease.h": f'#define UTS_RELEASE "{RELEASE}"\n'.encode(),
    "include/generated/compile.h": b'#define LINUX_COMPILER "gcc-12 (Test) 12.2.0, GNU ld 2.40"\n',
    "include/linux/sched.h": b"struct task_struct;\n",
    "arch/arm64/include/asm/ptrace.h": b"struct pt_regs;\n",
}

# Headers that nothing is missing of.
WHOLE = GOOD | {
    "include/generated/autoconf.h": b"#define CONFIG_64BIT 1\n",
    "include/generated/asm-offsets.h": b"",
    "include/generated/bounds.h": b"",
    "include/generated/timeconst.h": b"",
    "include/generated/uapi/linux/version.h": b"",
    "include/linux/kconfig.h": b"#include <generated/autoconf.h>\n",
    "include/linux/fs.h": b"",
    "include/net/sock.h": b"",
    "arch/arm64/include/generated/uapi/asm/types.h": b"",
}


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Return a tar header."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def tar(
    files: dict[str, bytes] | None = None,
    *,
    links: dict[str, str] | None = None,
    extra: list[tuple[tarfile.TarInfo, bytes]] | None = None,
    kind: int = tarfile.GNU_FORMAT,
) -> bytes:
    """Return a tar archive; by default one that a pull would accept."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, data in (GOOD if files is None else files).items():
            info = member(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            archive.addfile(member(name, tarfile.SYMTYPE, target))
        for info, data in extra or []:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def xz(data: bytes) -> bytes:
    """Return data as `xz` would compress it in the kernel's build: CRC64."""
    return lzma.compress(data, check=lzma.CHECK_CRC64)


def module(archive: bytes, *, release: str = RELEASE, stated: int | None = None) -> bytes:
    """Return a kheaders.ko: a relocatable ELF64 with the archive where kernel/kheaders.c has it.

    `stated` is the archive's size by its symbols, if that shall not be the truth.
    """
    names = ["", ".rodata", ".modinfo", ".symtab", ".strtab", ".shstrtab"]
    strings = b"\0kernel_headers_data\0kernel_headers_data_end\0"
    rodata = b"Echo the kernel header\0" + archive
    begin = len(rodata) - len(archive)
    end = begin + (len(archive) if stated is None else stated)
    symbols = [(0, 0, 0), (1, 1, begin), (strings.index(b"kernel_headers_data_end"), 1, end)]
    contents = [
        b"",
        rodata,
        f"license=GPL v2\0vermagic={release} SMP preempt mod_unload aarch64\0".encode(),
        b"".join(
            struct.pack("<IBBHQQ", name, 0x10 if name else 0, 0, section, value, 0)
            for name, section, value in symbols
        ),
        strings,
        "\0".join([*names, ""]).encode(),
    ]
    kinds = [(0, 0, 0, 0), (1, 0, 0, 0), (1, 0, 0, 0), (2, 4, 1, 24), (3, 0, 0, 0), (3, 0, 0, 0)]
    body, headers, name_at = b"", b"", 0
    for name, content, (kind, link, info, entry) in zip(names, contents, kinds, strict=True):
        where = (name_at, kind, 2, 0, 64 + len(body), len(content), link, info, 1, entry)
        headers += struct.pack("<IIQQQQIIQQ", *where)
        body += content
        name_at += len(name) + 1
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf = struct.pack("<HHIQQQIHHHHHH", 1, 183, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, 6, 5)
    return ident + elf + body + headers


BLOCK = 512
END = bytes(2 * BLOCK)


def padded(data: bytes) -> bytes:
    """Return data as tar stores it: filled up with zeros to whole blocks."""
    return data + bytes(-len(data) % BLOCK)


def summed(block: bytes) -> bytes:
    """Return a tar header with its checksum made right."""
    total = sum(block[:148]) + 8 * 0x20 + sum(block[156:BLOCK])
    return block[:148] + b"%06o\0 " % total + block[156:]


def header(
    name: bytes,
    kind: bytes = b"0",
    *,
    size: int | bytes = 0,
    target: bytes = b"",
    mode: int = 0o644,
    magic: bytes = b"ustar\x0000",
    user: bytes = b"",
    prefix: bytes = b"",
) -> bytes:
    """Return a tar header of just these bytes, however wrong; `size` may be the field itself."""
    field = size if isinstance(size, bytes) else b"%011o\0" % size
    numbers = b"%07o\0" % mode + 2 * b"0000000\0" + field + b"00000000000\0"
    middle = struct.pack("8xc100s8s32s32x16x", kind, target, magic, user)
    return summed(struct.pack("100s", name) + numbers + middle + struct.pack("155s12x", prefix))


def entry(name: bytes, data: bytes = b"", kind: bytes = b"0", **fields: Any) -> bytes:
    """Return a tar entry: its header, with the size of `data` unless told otherwise, and `data`."""
    return header(name, kind, **{"size": len(data), **fields}) + padded(data)


def link(name: bytes, target: bytes, kind: bytes = b"2") -> bytes:
    """Return the entry of a symbolic link, or of a hard link when `kind` is b"1"."""
    return entry(name, kind=kind, target=target)


def record(key: bytes, value: bytes) -> bytes:
    """Return one line of a pax header; its length counts its own digits."""
    rest = b" " + key + b"=" + value + b"\n"
    size = len(rest)
    while size != len(rest) + len(b"%d" % size):
        size = len(rest) + len(b"%d" % size)
    return b"%d" % size + rest


def pax(kind: bytes = b"x", **values: bytes) -> bytes:
    """Return a pax header; in a key, `__` stands for a dot."""
    records = [record(key.replace("__", ".").encode(), v) for key, v in values.items()]
    return entry(b"pax", b"".join(records), kind)


def gnu_long(value: bytes, kind: bytes = b"L") -> bytes:
    """Return GNU tar's way to say a long name, or a long link target when `kind` is b"K"."""
    return entry(b"././@LongLink", value + b"\0", kind)


def with_good(*entries: bytes, end: bytes = END) -> bytes:
    """Return a tar archive that a pull would accept but for these entries behind the good ones."""
    return b"".join([entry(name.encode(), data) for name, data in GOOD.items()]) + (
        b"".join(entries) + end
    )
