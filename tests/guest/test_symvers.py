"""Symbol tables of real kernels, against what their builder says; and off a device."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from droidheaders.adb import Server
from droidheaders.build.tables import ModuleTables
from droidheaders.cache import Cache
from droidheaders.collecting import of_files
from droidheaders.importing import import_file
from droidheaders.kernel.exports import Export, of_symvers
from droidheaders.kernel.known import merge
from droidheaders.objects import module
from tests.guest.running import Running, running
from tests.kernels import KERNELS
from tests.packaged import Packaged, packaged

pytestmark = pytest.mark.guest

ARM = "6.1-arm64"
PLACE = "/vendor/lib/modules"
BOOT = "/dev/block/by-name/boot"


@pytest.mark.parametrize("name", KERNELS)
def test_all_that_the_builder_says_and_nothing_else(name: str, tmp_path: Path) -> None:
    """CRC, namespace, licence and owner of every symbol, out of the image and all modules."""
    of = packaged(name, tmp_path / "packages")
    truth = of_symvers(of.symvers.read_text()).symbols
    vmlinux = {n: export for n, export in truth.items() if export.module == "vmlinux"}
    bundle = import_file(of.headers, Cache(tmp_path / "cache")).bundle
    [image] = of_files(bundle, images=[of.image]).tables
    assert {n: known.export for n, known in image.symbols.items()} == vmlinux
    found = of_files(bundle, directories=[of.modules])
    assert found.said == ()
    exports, versions = found.tables
    theirs = {n: export for n, export in truth.items() if export.module != "vmlinux"}
    assert {n: known.export for n, known in exports.symbols.items()} == theirs
    assert wrong({n: known.export for n, known in versions.symbols.items()}, truth) == []
    assert {n: known.export for n, known in merge([image, exports, versions]).items()} == truth


def wrong(found: dict[str, Export], truth: Any) -> list[str]:
    return [n for n, export in found.items() if n not in truth or truth[n].crc != export.crc]


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    return packaged(ARM, tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def guest(adb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = tmp_path_factory.mktemp("guest")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(place / "state"))
        patch.setenv("DROIDHEADERS_CACHE", str(place / "cache"))
        with running(ARM, "userdebug", adb, place) as found:
            yield found


@contextmanager
def laid_out(guest: Running, files: dict[str, bytes], boot: bytes) -> Iterator[None]:
    """Have modules and a boot partition on the device, and nothing of them afterwards."""
    try:
        for name, data in {**files, "boot.img": boot}.items():
            guest.device.push(data, f"/data/local/tmp/{name}")
        guest.root(
            f"mkdir -p {PLACE} {os.path.dirname(BOOT)} && mount -t tmpfs none {PLACE};"
            f" mv /data/local/tmp/*.ko {PLACE}; ln -s /data/local/tmp/boot.img {BOOT}"
        )
        yield
    finally:
        guest.root(f"rmmod crc7; umount {PLACE}; rm -rf /data/local/tmp/* /vendor /dev/block")


def pulled(guest: Running, *options: str, status: int = 0) -> Any:
    done = guest.run("--json", "pull", *options)
    assert done.returncode == status, done
    return json.loads(done.stdout)


def boot_image(kernel: bytes) -> bytes:
    """Return boot.img version 4 with an Image.gz, padding and a ramdisk behind it."""
    kernel = gzip.compress(kernel, 1)
    head = b"ANDROID!" + len(kernel).to_bytes(4, "little") + (5 << 20).to_bytes(4, "little")
    head = head.ljust(40, b"\0") + (4).to_bytes(4, "little")
    return head.ljust(4096, b"\0") + kernel + bytes(2 << 20)


def answers(guest: Running, file: Path) -> dict[str, str]:
    done = guest.run("check", "--json", str(file))
    [answered] = json.loads(done.stdout)["files"]
    return {one["name"]: one["verdict"] for one in answered["answers"]}


def test_pulled_off_a_device(guest: Running, arm: Packaged, tmp_path: Path) -> None:
    """As far as it lets us, and of the running kernel only; then `check` is sure."""
    truth = of_symvers(arm.symvers.read_text()).symbols
    some = sorted(arm.modules.rglob("*.ko"))[::100]
    files = {path.name: path.read_bytes() for path in some}
    expected = ModuleTables(arm.release)
    for name, data in files.items():
        expected.add(name, data)
    other = some[0].read_bytes().replace(b"vermagic=6.1.0-50", b"vermagic=6.1.0-49")
    broken = {"cut.ko": some[0].read_bytes()[:999], "other.ko": other, "a b'$(x).ko": other}
    [vendors] = arm.modules.rglob("crc7.ko")
    broken["crc7.ko"] = unsigned(vendors).replace(b"vermagic=6.1.0-50", b"vermagic=6.1.0-49")
    ours, bad = next(arm.modules.rglob("xfs.ko")), tmp_path / "bad.ko"
    bad.write_bytes(spoilt(ours.read_bytes()))
    guest.run("pull")
    assert answers(guest, ours)["crcs"] == "unknown"
    with laid_out(guest, files | broken, boot_image(arm.image.read_bytes())):
        assert guest.root(f"insmod {PLACE}/crc7.ko 2>&1") == ""  # of another release, and it fits
        told = pulled(guest, "--modules", "--boot-image")
        again = pulled(guest, "--modules", "--boot-image")
        assert guest.left() == "boot.img\n"
    listed = json.loads(guest.run("symvers", "--json").stdout)
    assert again["symvers"] == told["symvers"] == listed["coverage"]
    assert again["left_out"] == []
    said = " | ".join(told["left_out"])
    assert f"other.ko is of another kernel than {arm.release}" in said
    assert "cut.ko is cut off" in said
    assert "1 of its modules were not asked for" in said
    known = {n: Export(int(s["crc"], 16)) for n, s in listed["symbols"].items()}
    names = {name for table in expected.tables() for name in table.symbols}
    vmlinux = {name for name, export in truth.items() if export.module == "vmlinux"}
    assert known.keys() >= names | vmlinux | {"crc7_be"}
    assert wrong(known, truth) == []
    assert listed["symbols"]["kfree"]["source"] == BOOT
    missing = guest.run("symvers", "--missing-for", str(ours))
    assert (missing.returncode, missing.stdout) == (1, b"crc32c\tnot exported by the kernel\n")
    assert answers(guest, bad)["crcs"] == "no"
    assert answers(guest, ours)["crcs"] == "unknown"  # for crc32c, of a module that is not there


def unsigned(file: Path) -> bytes:
    """Return a module without its signature: struct module_signature, scripts/sign-file.c."""
    data = file.read_bytes().removesuffix(b"~Module signature appended~\n")
    return data[: -12 - int.from_bytes(data[-4:], "big")]


def spoilt(data: bytes) -> bytes:
    """Return a module with another CRC for kfree."""
    crc = (module.parse(data).versions or {})["kfree"].to_bytes(8, "little")
    assert crc + b"kfree\0" in data
    return data.replace(crc + b"kfree\0", b"\1\0\0\0\0\0\0\0kfree\0")


def test_nothing_to_be_had(guest: Running) -> None:
    """Said in one sentence when it was all that was asked for, else along with the rest."""
    guest.run("symvers", "--forget")
    with laid_out(guest, {}, b"ANDROID! and no kernel"):
        told = pulled(guest, "--boot-image", status=5)
    assert "gave no symbol table of 6.1" in told["error"]["message"]
    assert f"{BOOT} is cut off" in told["error"]["message"]
    told = pulled(guest, "--modules", "--boot-image")
    assert told["left_out"] == ["its boot partition is not there"]
    assert told["symvers"]["versions"] == told["symvers"]["symbols"]
