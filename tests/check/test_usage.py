"""What makes no sense to ask ends with status 2, one sentence and one hint, and asks no device."""

from __future__ import annotations

import gzip
import os
import random
import shlex
from pathlib import Path

import pytest

from droidheaders.cache import Cache
from tests import archives, images
from tests.cache.making import make
from tests.check.conftest import Check
from tests.check.phone import CONFIG, driver
from tests.fake_device import FakeDevice

NOTHING = random.Random(1).randbytes(5000)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("random", NOTHING, "random is "),
        ("empty", b"", "empty is empty"),
        ("zeros", bytes(9000), "zeros is "),
        ("text", b"int main(void) { return 0; }\n", "text is "),
        ("kheaders.tar.xz", archives.xz(archives.tar()), "kheaders.tar.xz is headers, and nothing"),
        ("a.zip", b"PK\x03\x04" + bytes(600), "a.zip is a zip file"),
        ("vendor_boot.img", b"VNDRBOOT" + bytes(600), "vendor_boot.img is a vendor boot image"),
        ("config", b"CONFIG_A=y\n" + b"this is no line\n" * 20, "config is no configuration"),
        ("config.gz", gzip.compress(CONFIG.encode())[:-9], "config.gz is cut off"),
        ("Module.symvers", b"0x00000001\tx\tvmlinux\tEXPORT_SYMBOL\t\nnonsense\n", "line 2 is"),
        ("a\x1b[2Jb", NOTHING, r"a\x1b[2Jb is "),
    ],
)
def test_a_file_that_is_nothing_to_check(
    tmp_path: Path, device: FakeDevice, check: Check, name: str, content: bytes, message: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert message in check(device, file).fails(2)


def test_a_file_that_is_not_there(tmp_path: Path, check: Check) -> None:
    said = check(None, tmp_path / "none of it.ko").fails(2)
    assert "none of it.ko: No such file" in said
    [hint] = [line for line in said.splitlines() if line.startswith("hint: ")]
    assert shlex.split(hint)[1:] == ["ls", "-l", str(tmp_path / "none of it.ko")]


@pytest.mark.parametrize("option", ["", "--require"])
def test_a_directory(tmp_path: Path, check: Check, option: str) -> None:
    said = check(None, *([option] if option else []), tmp_path).fails(2)
    assert f"{tmp_path} is a directory" in said


@pytest.mark.parametrize("option", ["", "--require"])
def test_what_is_never_read_to_its_end(tmp_path: Path, check: Check, option: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        assert f"{path} is neither file nor" in check(
            None, *([option] if option else []), path
        ).fails(2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (driver(), " holds no configuration"),
        (NOTHING, " holds no configuration"),
        (b"", "fragment is empty"),
        (b"# nothing\n", " holds no configuration"),
        (b"CONFIG_A=y\n" + b"int x;\n" * 20, " is no configuration: line 2 is 'int x;'"),
    ],
)
def test_a_fragment_that_is_none(
    tmp_path: Path, device: FakeDevice, check: Check, content: bytes, message: str
) -> None:
    file = tmp_path / "fragment"
    file.write_bytes(content)
    assert message in check(device, "--require", file).fails(2)


def test_a_fragment_that_is_not_there(tmp_path: Path, device: FakeDevice, check: Check) -> None:
    assert "No such file" in check(device, "--require", tmp_path / "none").fails(2)
    assert device.scripts == []


@pytest.mark.parametrize("option", ["", "a b", "=y", "CONFIG-X", "\x1b[2J"])
def test_an_option_that_is_none(device: FakeDevice, check: Check, option: str) -> None:
    said = check(device, f"--config={option}").fails(2)
    assert "is no option of a kernel's configuration" in said
    assert "hint: droidheaders check --config CONFIG_IKHEADERS\n" in said
    assert device.scripts == []


def test_several_kernels(tmp_path: Path, check: Check) -> None:
    files = {"a": CONFIG.encode(), "b": CONFIG.encode(), "image": images.IMAGE}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    a, b, image = (tmp_path / name for name in files)
    bundle = make(Cache(tmp_path / "cache")).name
    for arguments in ((a, b), ("--bundle", bundle, a), ("--bundle", bundle, image), (image, image)):
        assert "several kernels are named" in check(None, *arguments).fails(2)
    assert check(None, a, image).status != 2


def test_a_bundle_that_is_not_there(check: Check) -> None:
    assert "no bundle named" in check(None, "--bundle", "9.9").fails(2)


def test_probing_without_a_device(tmp_path: Path, check: Check) -> None:
    (tmp_path / "config").write_text(CONFIG)
    bundle = make(Cache(tmp_path / "cache")).name
    for arguments in (("--bundle", bundle), (tmp_path / "config",)):
        assert "--probe asks a device" in check(None, "--probe", *arguments).fails(2)


@pytest.mark.parametrize("arguments", [("--for", "everything"), ("--nonsense",), ("--config",)])
def test_the_command_line(check: Check, arguments: tuple[str, ...]) -> None:
    assert "--help\n" in check(None, *arguments).fails(2)


def test_as_json(tmp_path: Path, check: Check) -> None:
    ended = check(None, "--json", tmp_path)
    assert ended.status == 2
    assert ended.json["error"]["kind"] == "usage"


def test_no_device(device: FakeDevice, check: Check) -> None:
    """Status 3, whatever was asked."""
    device.devices = ""
    assert "no device" in check(device).fails(3)
    assert "no device" in check(device, "--config", "HZ").fails(3)
