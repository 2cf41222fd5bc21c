"""Kernel modules as files: what they say about themselves, and the order to load them in."""

from __future__ import annotations

import gzip
import lzma
import struct
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from droidheaders.errors import DroidheadersError
from droidheaders.guest.host import require

_SUFFIXES = (".ko", ".ko.gz", ".ko.xz", ".ko.zst")


def read(path: Path) -> bytes:
    """Return the ELF file of a module, decompressed."""
    if path.suffix == ".zst":
        require(["zstd"])
        return subprocess.run(["zstd", "-dcq", str(path)], capture_output=True, check=True).stdout
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    return lzma.decompress(data) if path.suffix == ".xz" else data


def modinfo(elf: bytes) -> dict[str, str]:
    """Return the fields of `.modinfo`, the last one of each name.

    Raises ValueError for what is no 64-bit little-endian ELF file with such a section.
    """
    text = _section(elf, b".modinfo").decode("utf-8", "replace")
    return dict(item.split("=", 1) for item in text.split("\0") if "=" in item)


def _section(elf: bytes, wanted: bytes) -> bytes:
    """Return the content of a section (elf(5): Elf64_Ehdr and Elf64_Shdr)."""
    if elf[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    try:
        (table,) = struct.unpack_from("<Q", elf, 0x28)
        size, count, names = struct.unpack_from("<HHH", elf, 0x3A)
        headers = [struct.unpack_from("<IIQQQQ", elf, table + size * i) for i in range(count)]
        base = headers[names][4]
    except (struct.error, IndexError):
        raise ValueError("a truncated ELF file") from None
    for name, _, _, _, offset, length in headers:
        start = base + name
        if elf[start : elf.find(b"\0", start)] == wanted:
            return elf[offset : offset + length]
    raise ValueError(f"no section {wanted.decode()}")


def index(directory: Path) -> dict[str, Path]:
    """Return the modules below `directory` by name, written as the kernel writes names."""
    found = {}
    for path in sorted(directory.rglob("*.ko*")):
        if path.name.endswith(_SUFFIXES) and path.is_file():
            found[module_name(path.name)] = path
    return found


def module_name(file: str) -> str:
    """Return the name lsmod shows for a module's file (or a line of modules.builtin)."""
    return file.rsplit("/", 1)[-1].split(".ko", 1)[0].replace("-", "_")


def builtin(directory: Path) -> frozenset[str]:
    """Return the names in modules.builtin; empty when the tree has no such file."""
    path = directory / "modules.builtin"
    lines = path.read_text().splitlines() if path.is_file() else []
    return frozenset(module_name(line) for line in lines)


def load_order(wanted: Iterable[str], depends: Mapping[str, Iterable[str]]) -> list[str]:
    """Return `wanted` and all they depend on, each after what it needs.

    A name that `depends` does not have is built in, as far as this kernel can tell us. Raises
    ValueError when modules depend on each other in a circle, which depmod refuses too.
    """
    order: list[str] = []
    open_: list[str] = []

    def visit(name: str) -> None:
        if name in open_:
            raise ValueError(f"modules depend on each other: {' '.join([*open_, name])}")
        if name in order or name not in depends:
            return
        open_.append(name)
        for other in depends[name]:
            visit(other)
        open_.pop()
        order.append(name)

    for name in wanted:
        visit(name)
    return order


def with_dependencies(directory: Path, wanted: Iterable[str]) -> list[Path]:
    """Return the files of `wanted` and of what they need, in the order to load them.

    Modules name what they need in .modinfo, from which depmod makes modules.dep; Debian's packages
    have no modules.dep, as it is made when they are installed.
    """
    files = index(directory)
    depends: dict[str, list[str]] = {}
    todo = [name for name in wanted if name in files]
    while todo:
        name = todo.pop()
        if name in depends:
            continue
        try:
            needs = modinfo(read(files[name])).get("depends", "")
        except (ValueError, OSError, lzma.LZMAError) as error:
            raise DroidheadersError(f"{files[name]} is not a kernel module: {error}.") from error
        depends[name] = [module_name(other) for other in needs.split(",") if other]
        todo += [other for other in depends[name] if other in files]
    return [files[name] for name in load_order(wanted, depends)]
