"""Kernel modules made for tests: relocatable ELF files with what the kernel's loader looks at."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

RELEASE = "6.1.99-test"
VERMAGIC = f"{RELEASE} SMP preempt mod_unload modversions aarch64"
INFO = ("license=GPL", "depends=", "name=probe", f"vermagic={VERMAGIC}")
MARKER = b"~Module signature appended~\n"
GCC = b"GCC: (GNU) 12.2.0\0"
CLANG = b"Android (8508608, based on r450784e) clang version 14.0.7\0Linker: LLD 14.0.7\0"
AARCH64, X86_64 = 183, 62
_PROGBITS, _SYMTAB, _STRTAB = 1, 2, 3
_SHN_ABS = 0xFFF1


def module(
    *,
    info: Sequence[str] = INFO,
    undefined: Sequence[str] = (),
    weak: Sequence[str] = (),
    versions: Mapping[str, int] | None = None,
    extended: Mapping[str, int] | None = None,
    exports: Mapping[str, tuple[int, str, bool]] | None = None,
    this_module: int = 896,
    comment: bytes = GCC,
    sections: Mapping[str, bytes] | None = None,
    labels: Mapping[str, tuple[str, int]] | None = None,
    machine: int = AARCH64,
    kind: int = 1,
) -> bytes:
    """Return a module; `exports` has a CRC, a namespace and whether it is for GPL modules only.

    `labels` are symbols in a section, or absolute ones where it is "", and their values.
    """
    made = {
        ".modinfo": "".join(f"{item}\0" for item in info).encode(),
        ".gnu.linkonce.this_module": bytes(this_module),
        ".comment": comment,
        ".plt": b"\0",
        ".init.plt": b"\0",
        **(sections or {}),
    }
    if not this_module:
        del made[".gnu.linkonce.this_module"]
    if versions is not None:
        made["__versions"] = b"".join(
            struct.pack("<Q56s", crc, name.encode()) for name, crc in versions.items()
        )
    if extended is not None:
        made["__version_ext_crcs"] = struct.pack(f"<{len(extended)}I", *extended.values())
        made["__version_ext_names"] = "".join(f"{name}\0" for name in extended).encode()
    symbols = [(name, 0x10, 0, 0) for name in undefined] + [(name, 0x20, 0, 0) for name in weak]
    places = _exported(made, exports or {}) | dict(labels or {})
    numbers = {"": _SHN_ABS, **{name: number for number, name in enumerate(made, 1)}}
    symbols += [(name, 0, numbers[section], value) for name, (section, value) in places.items()]
    strings, table = bytearray(b"\0"), bytearray(24)
    for name, bind, section, value in symbols:
        table += struct.pack("<IBBHQQ", len(strings), bind, 0, section, value, 0)
        strings += name.encode() + b"\0"
    return elf(made, bytes(table), bytes(strings), machine=machine, kind=kind)


def _exported(
    made: dict[str, bytes], exports: Mapping[str, tuple[int, str, bool]]
) -> dict[str, tuple[str, int]]:
    """Add what EXPORT_SYMBOL makes; return its labels."""
    labels = {}
    for name, (crc, namespace, gpl) in exports.items():
        suffix = "_gpl" if gpl else ""
        for section, label, data in (
            (f"__ksymtab{suffix}", f"__ksymtab_{name}", bytes(12)),
            (f"__kcrctab{suffix}", f"__crc_{name}", struct.pack("<I", crc)),
            ("__ksymtab_strings", f"__kstrtabns_{name}", namespace.encode() + b"\0"),
        ):
            before = made.get(section, b"")
            labels[label] = (section, len(before))
            made[section] = before + data
    return labels


def elf(
    made: Mapping[str, bytes], table: bytes, strings: bytes, *, machine: int, kind: int
) -> bytes:
    """Return a 64-bit little-endian ELF file of these sections, symbols and their names."""
    names = ["", *made, ".symtab", ".strtab", ".shstrtab"]
    shstrtab = "".join(f"{name}\0" for name in names).encode()
    contents = [b"", *made.values(), table, strings, shstrtab]
    strtab = len(made) + 2
    body, headers, at = b"", b"", 0
    for number, (name, content) in enumerate(zip(names, contents, strict=True)):
        what = {0: 0, strtab - 1: _SYMTAB, strtab: _STRTAB, strtab + 1: _STRTAB}
        link = strtab if number == strtab - 1 else 0
        headers += struct.pack(
            "<IIQQQQIIQQ", at, what.get(number, _PROGBITS), 2, 0, 64 + len(body), len(content),
            link, 1, 1, 24 if link else 0,
        )  # fmt: skip
        body += content
        at += len(name) + 1
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    where = 64 + len(body)
    head = struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0, 0, where, 0, 64, 0, 0, 64,
                       len(names), len(names) - 1)  # fmt: skip
    return ident + head + body + headers


def signed(data: bytes, *, kind: int = 2, size: int | None = None, hash_: int = 0) -> bytes:
    """Return a module with something appended that looks like a signature by SHA-256."""
    der = bytes.fromhex("3082019a0609608648016503040201") + bytes(100)
    stated = len(der) if size is None else size
    return data + der + struct.pack(">BBBBB3xI", 0, hash_, kind, 0, 0, stated) + MARKER
