"""Files made for a kernel, and files that tell of one, in every shape that people have them."""

from __future__ import annotations

import gzip
import lzma
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from droidheaders.cache import Cache
from tests import bpf_objects, images, modules
from tests.cache.making import make
from tests.check.conftest import Check
from tests.check.phone import CONFIG, driver, phone
from tests.fake_device import FakeDevice

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

GOOD = driver()


def judged(told: Any) -> dict[str, str]:
    """Return the verdicts on the only file, by name."""
    [file] = told["files"]
    return {answer["name"]: answer["verdict"] for answer in file["answers"]}


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("wrap", "compression"),
    [
        (lambda data: data, ""),
        (gzip.compress, "gzip"),
        (lzma.compress, "xz"),
        (lambda data: lzma.compress(data, check=lzma.CHECK_CRC32), "xz"),
        (zstd.compress, "zstd"),
    ],
)
def test_a_module_in_every_wrapping(
    tmp_path: Path, device: FakeDevice, check: Check, wrap: Any, compression: str
) -> None:
    file = put(tmp_path / "x.ko", wrap(GOOD))
    ended = check(device, "--json", file)
    assert ended.json["files"][0]["compression"] == compression
    assert judged(ended.json)["architecture"] == "yes"
    assert "no" not in judged(ended.json).values()


@pytest.mark.parametrize(
    ("content", "answer", "status"),
    [
        (driver(machine=modules.X86_64), "architecture", 4),
        (driver(info=("license=GPL", "vermagic=5.4.1 SMP aarch64")), "release", 4),
        (driver(undefined=["nobody_has_it"]), "symbols", 4),
    ],
)
def test_a_module_of_another_kernel(
    tmp_path: Path, device: FakeDevice, check: Check, content: bytes, answer: str, status: int
) -> None:
    file = put(tmp_path / "x.ko", content)
    ended = check(device, "--json", file)
    assert ended.status == status
    assert judged(ended.json)[answer] == "no"
    assert ended.json["verdict"] == "no"


@pytest.mark.parametrize("wrap", [bytes, gzip.compress, lzma.compress, zstd.compress])
@pytest.mark.parametrize("size", [20, 64, 300, -1])
def test_a_module_that_is_cut_off(
    tmp_path: Path, device: FakeDevice, check: Check, wrap: Any, size: int
) -> None:
    """Of one that is not wrapped, that is seen; the rest of another may not even be a module."""
    file = put(tmp_path / "x.ko", wrap(GOOD)[:size])
    ended = check(device, file)
    if ended.status == 2:
        ended.fails(2)
    else:
        assert ended.status == 4
        assert ended.out.splitlines()[2].startswith("no ")


@pytest.mark.parametrize("seed", range(20))
def test_a_module_with_damage(tmp_path: Path, device: FakeDevice, check: Check, seed: int) -> None:
    chance = random.Random(seed)
    content = bytearray(GOOD)
    for _ in range(8):
        content[chance.randrange(20, len(content))] = chance.randrange(256)
    file = put(tmp_path / "x.ko", bytes(content))
    assert check(device, file).status in (0, 1, 2, 4)


def test_signed(tmp_path: Path, device: FakeDevice, check: Check) -> None:
    file = put(tmp_path / "x.ko", modules.signed(GOOD))
    told = check(device, "--json", file).json["files"][0]
    assert told["signature"] == {"kind": "PKCS#7", "digest": "sha256"}
    device.write("sys/module/module/parameters/sig_enforce", b"Y\n")
    assert judged(check(device, "--json", file).json)["signature"] == "unknown"
    put(file, GOOD)
    assert judged(check(device, "--json", file).json)["signature"] == "no"


@pytest.mark.parametrize(
    ("kallsyms", "verdict"),
    [
        (b"ffffffc008000000 r __ksymtab_filp_open\n", "yes"),
        (b"0000000000000000 r __ksymtab_filp_open\n", "yes"),
        (b"0000000000000000 r __ksymtab_other\n", "no"),
        (b"0000000000000000 T filp_open\n", "unknown"),
        (b"", "unknown"),
        (b"\x1b[2J" * 500, "unknown"),
    ],
)
def test_symbols(
    tmp_path: Path, device: FakeDevice, check: Check, kallsyms: bytes, verdict: str
) -> None:
    device.write("proc/kallsyms", kallsyms)
    told = check(device, "--json", put(tmp_path / "x.ko", GOOD)).json
    assert judged(told)["symbols"] == verdict


def test_symbols_that_nobody_may_see(tmp_path: Path, check: Check) -> None:
    with phone(tmp_path / "device", su=False) as device:
        told = check(device, "--json", put(tmp_path / "x.ko", GOOD)).json
        assert judged(told)["symbols"] == "unknown"
        line = b"0x00000001\tfilp_open\tvmlinux\tEXPORT_SYMBOL\t\n"
        symvers = put(tmp_path / "Module.symvers", line)
        told = check(device, "--json", tmp_path / "x.ko", symvers).json
    assert judged(told)["symbols"] == "yes"


OBJECT = bpf_objects.program("")


@pytest.mark.parametrize(
    ("content", "btf", "status"),
    [
        (OBJECT, True, 0),
        (bpf_objects.compiled(
            'int prog(void *ctx) __attribute__((section("socket"), used));'
            "int prog(void *ctx) { return 0; }", "-O2"), False, 0),
        (OBJECT[: len(OBJECT) // 2], None, 4),
        (OBJECT[:64], None, 4),
        (bpf_objects.program("", section="lsm/file_open"), True, 4),
    ],
)  # fmt: skip
def test_an_object(
    tmp_path: Path,
    device: FakeDevice,
    check: Check,
    content: bytes,
    btf: bool | None,
    status: int,
) -> None:
    types = bpf_objects.btf_of(bpf_objects.compiled(bpf_objects.KERNEL))
    device.write("sys/kernel/btf/vmlinux", types)
    ended = check(device, "--json", put(tmp_path / "x.o", content))
    assert ended.status == status, ended.json["files"]
    assert ended.json["files"][0].get("btf") is btf


@pytest.mark.parametrize("types", [b"", b"\x9f\xeb", images.BTF, bytes(5000), images.BTF[:20]])
def test_a_kernel_whose_types_are_damaged(
    tmp_path: Path, device: FakeDevice, check: Check, types: bytes
) -> None:
    device.write("sys/kernel/btf/vmlinux", types)
    object_file = put(tmp_path / "x.o", bpf_objects.program("READS(&x, 4, &t->foo)",
                      "struct task_struct { int foo; };"))  # fmt: skip
    told = check(device, "--json", object_file).json
    assert judged(told)["co-re"] in ("no", "unknown")
    told = check(device, "--json", put(tmp_path / "x.ko", GOOD)).json
    assert judged(told)["layout"] == "unknown"


TELLING = {
    ".config": CONFIG.encode(),
    "crlf": CONFIG.replace("\n", "\r\n").encode(),
    "utf-16": CONFIG.encode("utf-16"),
    "utf-16 without a mark": CONFIG.encode("utf-16-le"),
    "config.gz": gzip.compress(CONFIG.encode()),
    "Image": images.arm64(images.kernel(config=images.ikconfig(CONFIG.encode()))),
    "Image.gz": gzip.compress(images.arm64(images.kernel(config=images.ikconfig(CONFIG.encode())))),
    "boot.img": images.boot(
        images.arm64(images.kernel(config=images.ikconfig(CONFIG.encode()))), 4
    ),
}


@pytest.mark.parametrize("name", TELLING)
def test_options_of_a_file(tmp_path: Path, check: Check, name: str) -> None:
    file = put(tmp_path / "file", TELLING[name])
    ended = check(None, file, "--config", "HZ=250", "--config", "KASAN=n")
    assert ended.status == 0
    assert f"250 in {file}" in ended.out
    assert check(None, file, "--config", "HZ=100").status == 4


@pytest.mark.parametrize("name", TELLING)
def test_all_that_a_file_tells(tmp_path: Path, check: Check, name: str) -> None:
    ended = check(None, "--json", put(tmp_path / "file", TELLING[name]))
    told = ended.json
    assert told["bpf"]["types"]["kprobe"]["verdict"] == "yes"
    assert told["modules"]["verdict"] == "yes"
    assert told["headers"]["config"] == "m"
    assert told["kernel"]["release"] == ("6.1.99-test" if told["kernel"]["exact"] else "6.1.99")
    assert told["kernel"]["arch"] == "arm64"
    # Headers in a module of which nobody knows where it is.
    assert (told["headers"]["verdict"], ended.status) == ("unknown", 1)


def test_an_image_without_a_configuration(tmp_path: Path, check: Check) -> None:
    file = put(tmp_path / "Image", images.arm64(images.kernel(config=b"")))
    ended = check(None, file)
    assert ended.status == 1
    assert f"{file} has none in it (CONFIG_IKCONFIG)" in ended.out
    put(tmp_path / "config", CONFIG.encode())
    ended = check(None, file, tmp_path / "config", "--json", "--config", "HZ=250")
    assert ended.status == 0
    assert ended.json["kernel"]["exact"] is True


def test_a_fragment(tmp_path: Path, device: FakeDevice, check: Check) -> None:
    fragment = put(
        tmp_path / "android-base.config",
        b"# KEEP SORTED\n# CONFIG_KASAN is not set\nCONFIG_HZ=250\nCONFIG_BPF_LSM=y\n"
        b'CONFIG_LOCALVERSION="-test"\nCONFIG_IKHEADERS=y\n',
    )
    ended = check(device, "--require", fragment)
    assert ended.status == 4
    assert ended.out.splitlines()[2:] == [
        "no      config  2 of 5 options are not as wanted in /proc/config.gz",
        "  no      CONFIG_BPF_LSM    not named in /proc/config.gz, wanted y",
        "  no      CONFIG_IKHEADERS  m in /proc/config.gz, wanted y",
    ]
    put(fragment, b"CONFIG_HZ=250\r\n")
    assert check(device, "--require", fragment).status == 0


def test_a_bundle(tmp_path: Path, check: Check) -> None:
    bundle = make(Cache(tmp_path / "cache"))
    ended = check(None, "--bundle", bundle.name, "--json")
    assert ended.json["headers"]["verdict"] == "risky"  # no compiler has looked at them
    assert ended.json["config"]["path"] == f"config of {bundle.name}"
    file = put(tmp_path / "x.ko", GOOD)
    told = check(None, "--bundle", bundle.name, file, "--json").json
    assert judged(told)["architecture"] == "yes"


@pytest.mark.parametrize("part", ["btf", "config"])
@pytest.mark.parametrize("content", [b"", b"\xff" * 100, None])
def test_a_bundle_with_damage(
    tmp_path: Path, check: Check, part: str, content: bytes | None
) -> None:
    bundle = make(Cache(tmp_path / "cache"))
    path = bundle.path / part
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    file = put(tmp_path / "x.ko", GOOD)
    assert check(None, "--bundle", bundle.name).status in (0, 1, 4)
    assert check(None, "--bundle", bundle.name, file).status in (0, 1, 4)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("--for", "headers"), 0),
        (("--for", "bpf"), 0),
        (("--for", "modules"), 0),
        (("--for", "modules", "--config", "HZ=250"), 0),
        (("--for", "modules", "--config", "HZ=100"), 4),
        (("--for", "modules", "bad.ko"), 4),
        (("--config", "KASAN"), 4),
        (("--config", "KASAN=n"), 0),
    ],
)
def test_what_the_status_is_about(
    tmp_path: Path,
    device: FakeDevice,
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    status: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    put(Path("bad.ko"), driver(machine=modules.X86_64))
    ended = check(device, *arguments)
    assert ended.status == status
    named = {word for word in arguments if word in ("headers", "bpf", "modules")}
    shown = {line.split()[1] for line in ended.out.splitlines()[2:] if not line.startswith(" ")}
    assert shown & {"headers", "bpf", "modules"} == named
