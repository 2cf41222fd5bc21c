"""Symbol tables from files of this host, by the command line, and what `check` makes of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from droidheaders import collecting
from droidheaders.cache import Bundle, Cache, collected
from droidheaders.cli.main import run
from droidheaders.errors import UsageError
from droidheaders.importing import import_file
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.ui import ui
from tests import images
from tests.archives import RELEASE, WHOLE, tar, xz
from tests.cache.making import make
from tests.fake_device import FakeDevice
from tests.ksymtabs import SYMBOLS, image
from tests.modules import module

KERNEL = KernelIdentity(RELEASE, images.VERSION, "aarch64", images.BUILD_ID.hex())
INFO = (
    "license=GPL",
    "name=probe",
    f"vermagic={RELEASE} SMP preempt mod_unload modversions aarch64",
)
CRC = {symbol.name: symbol.crc for symbol in SYMBOLS}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    monkeypatch.setenv("DROIDHEADERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    return Cache(tmp_path / "cache")


@pytest.fixture
def bundle(cache: Cache) -> Bundle:
    return make(cache, RELEASE, of=KERNEL)


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    kernel = images.arm64(image(before=images.kernel()))
    (tmp_path / "boot.img").write_bytes(images.boot(images.lz4_legacy(kernel), 4))
    return tmp_path / "boot.img"


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    directory = tmp_path / "modules/kernel"
    directory.mkdir(parents=True)
    (directory / "a.ko").write_bytes(module(info=INFO, exports={"own": (3, "", True)}))
    (directory / "b.ko").write_bytes(module(info=INFO, versions={"sym_000": CRC["sym_000"]}))
    (directory / "link.ko").symlink_to("a.ko")
    return directory.parent


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | str | None, str, str]:
    with pytest.raises(SystemExit) as stop:
        run(list(arguments))
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


@pytest.mark.usefixtures("bundle")
def test_added_once_and_kept(boot: Path, modules: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capsys, "symvers", "--image", str(boot), "--modules", str(modules))
    assert (status, len(out.splitlines())) == (0, len(SYMBOLS) + 1)
    by = f"{len(SYMBOLS)} by its image, 1 by modules that export them"
    assert f"{len(SYMBOLS) + 1} symbols, {by}" in err
    line = f"{CRC['dma_003']:#010x}\tdma_003\tvmlinux\tEXPORT_SYMBOL_GPL\tDMA\n"
    assert call(capsys, "symvers", "dma_003")[:2] == (0, line)
    told = json.loads(call(capsys, "symvers", "--json", "own")[1])
    assert told["symbols"] == {
        "own": {
            "crc": "0x00000003",
            "module": "probe",
            "gpl": True,
            "namespace": "",
            "kind": "exports",
            "source": "a.ko",
        }
    }
    assert told["whole"]


@pytest.mark.usefixtures("bundle")
def test_unknown_names(boot: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capsys, "symvers", "--image", str(boot), "sym_001", "no\x1bsuch")
    assert (status, len(out.splitlines())) == (1, 1)
    assert r"exports no such symbol: no\x1bsuch" in err


def test_nothing_was_added(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = call(capsys, "symvers")
    assert (status, out) == (5, "")
    assert f"nothing tells what {bundle.kernel} exports" in err
    assert "droidheaders pull --modules --boot-image" in err


def test_missing_for(
    cache: Cache, bundle: Bundle, boot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A kernel whose configuration does not say MODVERSIONS needs no CRCs."""
    wants = tmp_path / "wants.ko"
    wants.write_bytes(module(info=INFO, undefined=["sym_000", "nosuch"]))
    assert call(capsys, "symvers", "--missing-for", str(wants))[:2] == (
        1,
        "nosuch\tnot known\nsym_000\tnot known\n",
    )
    told = call(capsys, "symvers", "--image", str(boot), "--missing-for", str(wants))
    assert told[:2] == (1, "nosuch\tnot exported by the kernel\n")
    assert "1 symbol is missing" in told[2]
    wants.write_bytes(module(info=INFO, undefined=["sym_000"]))
    assert call(capsys, "symvers", "--missing-for", str(wants))[:2] == (0, "")
    assert not collecting.has_modversions(bundle)
    collected.forget(cache, bundle)
    (bundle.path / "config").write_bytes(b"CONFIG_MODVERSIONS=y\n")
    lacking = tmp_path / "Module.symvers"
    lacking.write_text("0x00000000\tsym_000\tvmlinux\tEXPORT_SYMBOL\t\n")
    arguments = ["symvers", "--symvers", str(lacking), "--missing-for", str(wants)]
    assert call(capsys, *arguments)[:2] == (1, "sym_000\tno CRC\n")


def test_contradictions_are_refused_and_can_be_forgotten(
    cache: Cache, bundle: Bundle, boot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.symvers"
    other.write_text("0x00000001\tsym_000\tvmlinux\tEXPORT_SYMBOL\t\n")
    assert call(capsys, "symvers", "--image", str(boot), "sym_000")[0] == 0
    status, _, err = call(capsys, "symvers", "--symvers", str(other))
    assert status == 1
    assert f"sym_000 has CRC 0x00000001 in {other}, and {CRC['sym_000']:#010x} in {boot}" in err
    assert [table.kind for table in collected.tables(cache, bundle)] == ["image"]
    assert call(capsys, "symvers", "--symvers", str(other), "--forget", "sym_000")[0] == 0
    assert [table.kind for table in collected.tables(cache, bundle)] == ["official"]
    assert call(capsys, "symvers", "--forget")[:2] == (0, "")
    assert collected.tables(cache, bundle) == []


def test_files_that_are_of_another_kernel_or_none(
    cache: Cache, boot: Path, modules: Path, tmp_path: Path
) -> None:
    other = make(cache, "6.1.5")
    with pytest.raises(UsageError, match=r"boot.img is of another kernel than 6.1.5 .*build-id"):
        collecting.of_files(other, images=[boot])
    with pytest.raises(UsageError, match=r"no module of 6.1.5 .*a.ko and 1 more are of another"):
        collecting.of_files(other, directories=[modules])
    with pytest.raises(UsageError, match="there is none"):
        collecting.of_files(other, directories=[boot.parent / "cache"])
    with pytest.raises(UsageError, match="cannot read"):
        collecting.of_files(other, directories=[tmp_path / "nosuch"])
    with pytest.raises(UsageError, match="is no kernel image"):
        collecting.of_files(other, images=[modules / "kernel/a.ko"])


def test_check_knows_what_was_collected(
    bundle: Bundle, boot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = tmp_path / "good.ko", tmp_path / "bad.ko"
    good.write_bytes(module(info=INFO, undefined=["sym_000"], versions={"sym_000": CRC["sym_000"]}))
    bad.write_bytes(module(info=INFO, undefined=["nosuch"], versions={"sym_000": 1}))
    ask = ["check", "--bundle", bundle.name, "--json", str(good), str(bad)]

    def verdicts() -> list[dict[str, str]]:
        files = json.loads(call(capsys, *ask)[1])["files"]
        return [{one["name"]: one["verdict"] for one in file["answers"]} for file in files]

    assert [one["symbols"] for one in verdicts()] == ["unknown", "unknown"]
    call(capsys, "symvers", "--image", str(boot))
    assert [one["symbols"] for one in verdicts()] == ["yes", "no"]
    (bundle.path / "config").write_bytes(b"CONFIG_MODVERSIONS=y\n")
    assert [one["crcs"] for one in verdicts()] == ["yes", "no"]


def test_import_brings_the_table_of_an_image(cache: Cache, boot: Path) -> None:
    bundle = import_file(boot, cache).bundle
    [table] = collected.tables(cache, bundle)
    assert (table.kind, table.whole, len(table.symbols)) == ("image", True, len(SYMBOLS))
    assert table.symbols["sym_000"].source == str(boot)


def test_pulled_from_a_device_that_changes(
    cache: Cache,
    modules: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A module that is shorter than it was listed ends it, and nothing is kept."""
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path / "state"))
    with FakeDevice(tmp_path / "device", xz(tar(WHOLE)), build_id=images.BUILD_ID) as device:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(device.port))
        for name in ("a.ko", "b.ko"):
            device.write(f"vendor/lib/modules/{name}", (modules / "kernel" / name).read_bytes())
        (device.root / "vendor/lib/modules/line\nfeed.ko").write_bytes(b"x")
        (device.root / "vendor/lib/modules/link.ko").symlink_to("a.ko")
        status, out, _ = call(capsys, "pull", "--modules", "--boot-image", "--json")
        told = json.loads(out)
        assert (status, told["symvers"]) == (
            0,
            {"symbols": 2, "crcs": 2, "exports": 1, "versions": 1},
        )
        assert "its boot partition is not there" in told["left_out"]
        assert "2 of its modules were not asked for" in told["left_out"]  # a name of two lines
        bundle = cache.bundles()[0]
        assert len(collected.tables(cache, bundle)) == 2
        collected.forget(cache, bundle)
        device.tool("dd", 'for x; do [ "${x#if=}" = "$x" ] || head -c 99 "${x#if=}"; done')
        status, out, _ = call(capsys, "pull", "--modules", "--json")
        assert (status, collected.tables(cache, bundle)) == (6, [])
    assert ".ko whole: it is not what it was" in json.loads(out)["error"]["message"]


def test_pulled_without_root(
    cache: Cache,
    modules: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the shell may read is enough; where that is nothing, the error says what to do."""
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path / "state"))
    with FakeDevice(tmp_path / "device", xz(tar(WHOLE)), loaded=True, su=False) as device:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(device.port))
        device.tool("getprop", "echo 0")
        (device.root / "vendor/lib/modules").mkdir(parents=True)
        file = device.root / "vendor/lib/modules/b.ko"
        file.write_bytes(b"\x7fELF")
        status, out, _ = call(capsys, "pull", "--modules", "--boot-image", "--json")
        error = json.loads(out)["error"]
        assert (status, error["exit_code"]) == (5, 5)
        assert (
            "b.ko is cut off: its header is not whole; its boot partition is not there"
            in (error["message"])
        )
        assert "droidheaders symvers --image boot.img" in error["hint"]
        file.write_bytes((modules / "kernel/b.ko").read_bytes())
        status, out, _ = call(capsys, "pull", "--modules", "--boot-image", "--json")
        assert (status, json.loads(out)["symvers"]["versions"]) == (0, 1)
        assert call(capsys, "pull", "--all", "--modules")[0] == 2


def test_no_more_of_a_boot_image_than_its_kernel_needs(boot: Path) -> None:
    data = boot.read_bytes() + bytes(1 << 20)
    end = 4096 + int.from_bytes(data[8:12], "little")
    with ui.bar("", None) as bar:
        for piece in (4096, 5000, len(data)):
            chunks = iter([data[at : at + piece] for at in range(0, len(data), piece)])
            assert b"".join(collecting._as_much(chunks, bar)) == data[:end]
        assert list(collecting._as_much(iter([b"a", b"b"]), bar)) == [b"a", b"b"]
