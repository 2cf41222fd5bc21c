"""Load order, and what modules say about themselves, on ELF files made here byte by byte."""

from __future__ import annotations

import gzip
import lzma
import struct
from pathlib import Path

import pytest

from droidheaders.errors import DroidheadersError
from droidheaders.guest import modules


def elf(modinfo: bytes) -> bytes:
    """A relocatable with the two sections that matter: .shstrtab and .modinfo."""
    names = b"\0.shstrtab\0.modinfo\0"
    text_at = 64 + len(names)
    table_at = text_at + len(modinfo)
    header = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header += struct.pack("<HHIQQQIHHHHHH", 1, 183, 1, 0, 0, table_at, 0, 64, 0, 0, 64, 3, 1)

    def section(name: int, kind: int, offset: int, size: int) -> bytes:
        return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, 0, 0, 1, 0)

    table = (
        section(0, 0, 0, 0) + section(1, 3, 64, len(names)) + section(11, 1, text_at, len(modinfo))
    )
    return header + names + modinfo + table


def module(directory: Path, name: str, depends: str) -> None:
    path = directory / "kernel" / name
    path.parent.mkdir(exist_ok=True)
    data = elf(f"license=GPL\0depends={depends}\0vermagic=6.1.0 SMP aarch64\0".encode())
    if name.endswith(".xz"):
        data = lzma.compress(data)
    if name.endswith(".gz"):
        data = gzip.compress(data)
    path.write_bytes(data)


def test_modinfo_is_read() -> None:
    info = modules.modinfo(elf(b"depends=virtio,virtio_ring\0vermagic=6.1.0-50 SMP\0"))
    assert info == {"depends": "virtio,virtio_ring", "vermagic": "6.1.0-50 SMP"}


@pytest.mark.parametrize(
    "data",
    [b"", b"\x7fELF", b"\x7fELF\x01\x01" + bytes(60), elf(b"")[:80], elf(b"a=b\0")[:-64]],
    ids=["empty", "magic only", "32 bits", "no table", "half a table"],
)
def test_what_is_no_module_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="ELF"):
        modules.modinfo(data)


def test_order_of_6_1() -> None:
    # as `modinfo -F depends` has it in Debian's 6.1
    depends = {
        "virtio_net": ["virtio_ring", "virtio", "net_failover"],
        "net_failover": ["failover"],
        "failover": [],
        "virtio_pci": ["virtio_ring", "virtio_pci_modern_dev", "virtio"],
        "virtio_pci_modern_dev": [],
        "virtio": ["virtio_ring"],
        "virtio_ring": [],
    }
    order = modules.load_order(["virtio_pci", "virtio_net"], depends)
    assert order == [
        "virtio_ring",
        "virtio_pci_modern_dev",
        "virtio",
        "virtio_pci",
        "failover",
        "net_failover",
        "virtio_net",
    ]


def test_what_is_built_in_is_skipped() -> None:
    assert modules.load_order(["virtio_pci", "virtio_net"], {"virtio_net": ["virtio"]}) == [
        "virtio_net"
    ]


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="a b a"):
        modules.load_order(["a"], {"a": ["b"], "b": ["a"]})


def test_files_are_found_whatever_their_spelling(tmp_path: Path) -> None:
    module(tmp_path, "virtio-net.ko.xz", "net_failover")
    module(tmp_path, "net_failover.ko.gz", "failover")
    module(tmp_path, "failover.ko", "")
    (tmp_path / "kernel/virtio-net.ko.sig").write_text("no module")
    found = modules.with_dependencies(tmp_path, ["virtio_pci", "virtio_net"])
    assert [path.name for path in found] == [
        "failover.ko",
        "net_failover.ko.gz",
        "virtio-net.ko.xz",
    ]
    assert modules.read(found[2]).startswith(b"\x7fELF")


def test_a_file_that_is_no_module_is_named(tmp_path: Path) -> None:
    (tmp_path / "virtio_net.ko").write_text("<html>")
    with pytest.raises(DroidheadersError, match=r"virtio_net\.ko is not a kernel module"):
        modules.with_dependencies(tmp_path, ["virtio_net"])
