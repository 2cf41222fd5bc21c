"""`cache import` and `cache export`: files of every kind, damaged and hostile ones, what stays."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from droidheaders import import_file
from droidheaders.cache import Bundle, Cache, collected
from droidheaders.cli.main import run
from droidheaders.errors import DroidheadersError, HeadersError, UsageError
from droidheaders.headers.limits import Limits
from droidheaders.headers.tar import Member, members
from droidheaders.kernel import KernelIdentity
from tests import archives, images
from tests.archives import GOOD, RELEASE, WHOLE, tar, xz
from tests.cache.making import make
from tests.cache.test_export import packed
from tests.fake_device import BUILD_ID, VERSION, FakeDevice
from tests.faults.command import harmless
from tests.faults.invariant import snapshot, verified_or_none
from tests.headers.test_tree import OBJECTS, SOURCE, lay_out

ARCHIVE = images.ARCHIVE
MODULE = archives.module(ARCHIVE)


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str


class Cli:
    """Runs commands on a cache, and checks after each what must hold however it ended."""

    def __init__(
        self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.cache = Cache(home / "cache")
        self.files = home / "files"
        self.files.mkdir()
        self._capsys = capsys
        monkeypatch.setenv("DROIDHEADERS_CACHE", str(self.cache.root))
        for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_SERIAL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(self.files)

    def file(self, data: bytes, name: str = "file") -> Path:
        path = self.files / name
        path.write_bytes(data)
        return path

    def __call__(self, *arguments: str | Path) -> Ended:
        before = snapshot(self.files)
        with pytest.raises(SystemExit) as stop:
            run([str(argument) for argument in arguments])
        out = self._capsys.readouterr()
        assert isinstance(stop.value.code, int)
        assert harmless(out.out), out.out
        assert harmless(out.err), out.err
        assert snapshot(self.files) == before
        verified_or_none(self.cache.root)
        assert not list(self.cache.root.glob("*/.*"))
        return Ended(stop.value.code, out.out, out.err)

    def imports(self, path: Path, *options: str | Path) -> Bundle:
        done = self("cache", "import", path, *options)
        assert done.status == 0, done.err
        [bundle] = [b for b in self.cache.bundles() if f"{b.headers}\n" == done.out]
        return bundle

    def refuses(self, path: Path, *options: str | Path, status: int = 5) -> str:
        """Import what must be refused, and return the sentence and the hint."""
        before = snapshot(self.cache.root)
        done = self("cache", "import", path, *options)
        assert (done.status, done.out) == (status, ""), done
        assert [line.partition(": ")[0] for line in done.err.splitlines()] == ["error", "hint"]
        assert str(path) in done.err.splitlines()[0]
        after = snapshot(self.cache.root)
        assert {k: v for k, v in after.items() if k != "kernels"} == {
            k: v for k, v in before.items() if k != "kernels"
        }
        return done.err


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    return Cli(tmp_path, capsys, monkeypatch)


@pytest.fixture
def tree(cli: Cli) -> Path:
    lay_out(cli.files / "source", SOURCE)
    objects = lay_out(cli.files / "out", OBJECTS)
    (objects / "source").symlink_to("../source")
    (objects / "vmlinux").write_bytes(images.elf((1, b""), (4, images.note(BUILD_ID))))
    return objects


KINDS = {
    "headers.tar.xz": ("archive", ARCHIVE),
    "kheaders.ko": ("module", MODULE),
    "kheaders.ko.xz": ("module", xz(MODULE)),
    "kheaders.ko.gz": ("module", gzip.compress(MODULE)),
    "boot.img": images.KERNELS["boot v4"],
    "Image.lz4": images.KERNELS["Image.lz4"],
    "bzImage": images.KERNELS["bzImage, lz4"],
    "vmlinux": images.KERNELS["vmlinux"],
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_told_by_its_content(cli: Cli, name: str) -> None:
    kind, data = KINDS[name]
    path = cli.file(data, "a.file")
    done = cli("cache", "import", path, "--json")
    assert done.status == 0, done.err
    answer = json.loads(done.out)
    assert (answer["file"], answer["kind"]) == (str(path), kind)
    assert (answer["cached"], answer["kernel"]["release"]) == (False, RELEASE)
    assert answer["archive"]["path"] == str(path)
    in_kernel = kind not in ("archive", "module")
    assert answer["parts"] == ["headers", *(["config", "btf"] if in_kernel else [])]
    assert answer["kernel"]["version"] == (images.VERSION if in_kernel else "")
    assert answer["kernel"]["build_id"] == (images.BUILD_ID.hex() if in_kernel else "")
    assert "a.file: 6.1.99-test" in done.err
    [bundle] = cli.cache.bundles()
    assert (bundle.headers / "include/linux/sched.h").read_bytes() == GOOD["include/linux/sched.h"]


def test_the_keys_are_those_of_a_pull(cli: Cli, tmp_path: Path, device: FakeDevice) -> None:
    imported = json.loads(cli("--json", "cache", "import", cli.file(ARCHIVE)).out)
    pulled = json.loads(cli("--json", "pull").out)
    assert imported.keys() - pulled.keys() == {"file", "kind"}
    assert pulled.keys() - imported.keys() == {"serial"}


def test_whole_headers_are_usable(cli: Cli) -> None:
    done = cli("cache", "import", cli.file(xz(tar(WHOLE))))
    assert "usable, 13 files" in done.err
    partial = cli("cache", "import", cli.file(ARCHIVE))
    assert "partial, 4 files" in partial.err
    assert "lack what many programs include" in partial.err


@pytest.fixture
def device(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(device.port))
        yield device


@pytest.mark.parametrize("name", ["boot.img", "tree"])
def test_a_device_that_runs_that_kernel_is_a_hit(
    cli: Cli, device: FakeDevice, tree: Path, name: str
) -> None:
    bundle = cli.imports(tree if name == "tree" else cli.file(images.KERNELS["boot v2"][1]))
    pulled = cli("pull")
    assert pulled.out == f"{bundle.headers}\n"
    assert "cached" in pulled.err
    assert len(device.scripts) == 1  # the one question, and no transfer


def test_there_and_back(cli: Cli, device: FakeDevice, tmp_path: Path) -> None:
    """What one host has pulled, another imports, and has it for the same device."""
    device.write("proc/config.gz", gzip.compress(b"CONFIG_A=y\n"))
    device.write("sys/kernel/btf/vmlinux", images.BTF)
    cli("pull")
    out = tmp_path / "out.tar"
    done = cli("cache", "export", RELEASE, "-o", out, "--json")
    [here] = cli.cache.bundles()
    assert json.loads(done.out) == {
        "schema": 1,
        "bundle": here.name,
        "file": str(out),
        "size": out.stat().st_size,
    }
    shutil.rmtree(cli.cache.root)
    there = cli.imports(out)
    assert there.name == here.name
    assert there.kernel == here.kernel
    assert (there.path / "config").read_bytes() == b"CONFIG_A=y\n"
    assert (there.path / "archive.tar.xz").read_bytes() == ARCHIVE
    assert (there.path / "btf").read_bytes() == images.BTF
    assert there.meta["page_size"] == 4096
    device.scripts.clear()
    assert cli("pull").out == f"{there.headers}\n"
    assert len(device.scripts) == 1
    again = tmp_path / "again.tar"
    assert cli("cache", "export", RELEASE, "-o", again).out == f"{again}\n"
    assert json.loads(cli("cache", "import", again, "--json").out)["cached"] is True


def test_an_export_goes_through_a_pipe(cli: Cli, tmp_path: Path) -> None:
    make(cli.cache)
    command = [sys.executable, "-m", "droidheaders", "cache", "export", "6.1.176", "-o", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    cli("cache", "export", "6.1.176", "-o", tmp_path / "out.tar")
    assert done.stdout == (tmp_path / "out.tar").read_bytes()
    as_json = cli("--json", "cache", "export", "6.1.176", "-o", "-")
    assert (as_json.status, json.loads(as_json.out)["error"]["kind"]) == (2, "usage")


def test_an_export_overwrites_nothing(cli: Cli) -> None:
    make(cli.cache)
    mine = cli.file(b"mine", "out.tar")
    done = cli("cache", "export", "6.1.176", "-o", mine)
    assert (done.status, done.out) == (2, "")
    assert f"error: {mine} exists\nhint: -o ANOTHER\n" == done.err


def test_a_damaged_bundle_is_not_exported(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = make(cli.cache)
    (bundle.path / "config").unlink()
    with pytest.raises(SystemExit) as stop:
        run(["cache", "export", "6.1.176", "-o", "out.tar"])
    assert stop.value.code == 5
    assert f"hint: droidheaders cache verify {bundle.name} --repair" in capsys.readouterr().err
    assert not list(cli.files.iterdir())


def test_twice_is_once(cli: Cli) -> None:
    first = cli.imports(cli.file(ARCHIVE))
    before = snapshot(first.path)
    done = cli("cache", "import", cli.file(MODULE, "kheaders.ko"))
    assert done.out == f"{first.headers}\n"
    assert "kheaders.ko: 6.1.99-test (aarch64): partial, cached" in done.err
    assert snapshot(first.path) == before
    assert len(cli.cache.bundles()) == 1


def test_what_is_cached_is_looked_at_as_closely(cli: Cli, tmp_path: Path) -> None:
    cli.imports(cli.file(ARCHIVE))
    assert "goes on behind the end" in cli.refuses(cli.file(ARCHIVE + b"\0"))
    cli("cache", "export", RELEASE, "-o", tmp_path / "out.tar")
    data = (tmp_path / "out.tar").read_bytes()
    parts = {m.name.decode(): f for m in _members(data) if (f := m.data.tobytes())}
    parts["archive.tar.xz"] += b"\0"
    del parts["manifest"]
    assert "goes on behind the end" in cli.refuses(cli.file(packed(parts)))


def _members(data: bytes) -> list[Member]:
    return list(members(iter([data]), Limits()))


def test_what_a_later_import_brings_is_added(cli: Cli, device: FakeDevice, tree: Path) -> None:
    first = cli.imports(cli.file(ARCHIVE))
    assert first.parts == ["headers"]
    boot = cli.imports(cli.file(images.KERNELS["boot v4"][1], "boot.img"))
    assert boot.path == first.path
    assert boot.parts == ["headers", "config", "btf"]
    assert boot.kernel.build_id == images.BUILD_ID.hex()
    again = cli.imports(cli.file(ARCHIVE))  # which brings nothing, and takes nothing away
    assert again.meta == boot.meta
    assert cli("pull").out == f"{boot.headers}\n"


def test_what_was_there_is_kept(cli: Cli) -> None:
    cli.imports(cli.file(images.arm64(images.kernel(notes=b"", btf=b""))))
    bundle = cli.imports(cli.file(images.arm64(images.kernel(config=b""))))
    assert bundle.parts == ["headers", "config", "btf"]
    assert (bundle.path / "config").read_bytes() == images.CONFIG
    assert bundle.kernel.build_id == images.BUILD_ID.hex()


def test_another_build_with_the_same_headers_is_found(cli: Cli, device: FakeDevice) -> None:
    """Local builds differ in nothing but the build-id, and share a bundle."""
    cli("pull")
    image = images.kernel(notes=images.note(b"\xaa" * 20))
    bundle = cli.imports(cli.file(images.arm64(image)))
    for build_id in (BUILD_ID, b"\xaa" * 20):
        found = cli.cache.lookup(KernelIdentity(RELEASE, VERSION, "aarch64", build_id.hex()))
        assert found is not None
        assert found.path == bundle.path


def test_a_damaged_bundle_is_made_again(cli: Cli) -> None:
    image = cli.file(images.IMAGE)
    bundle = cli.imports(image)
    for name in ("headers/include/linux/sched.h", "config", "manifest", "bundle.json"):
        (bundle.path / name).unlink()
        assert json.loads(cli("cache", "import", image, "--json").out)["cached"] is False
        assert cli.imports(image).parts == ["headers", "config", "btf"]


def test_a_pulled_bundle_stays_as_it_is(cli: Cli, device: FakeDevice) -> None:
    cli("pull")
    [bundle] = cli.cache.bundles()
    before = snapshot(bundle.path)
    done = cli("cache", "import", cli.file(images.IMAGE))
    assert done.out == f"{bundle.headers}\n"
    assert snapshot(bundle.path) == before


def test_an_import_does_not_take_a_pulled_kernel_s_place(cli: Cli, device: FakeDevice) -> None:
    """A file says itself which kernel it is of, so its word is not above the device's."""
    pulled = cli("pull").out
    other = xz(tar(GOOD | {"include/evil.h": b"int evil;\n"}))
    done = cli("cache", "import", cli.file(images.arm64(images.kernel(other))))
    assert done.status == 0
    assert "was pulled before, with other headers: pull goes on finding" in done.err
    assert done.out != pulled
    assert cli("pull").out == pulled
    assert len(cli.cache.bundles()) == 2


def test_a_later_import_takes_an_earlier_one_s_place(cli: Cli, device: FakeDevice) -> None:
    cli.imports(cli.file(images.IMAGE))
    other = xz(tar(GOOD | {"include/more.h": b""}))
    second = cli.imports(cli.file(images.arm64(images.kernel(other))))
    assert cli("pull").out == f"{second.headers}\n"


def test_headers_are_shared_with_the_nearest(cli: Cli) -> None:
    make(cli.cache, "6.1.98-test")
    make(cli.cache, "5.10.1")
    bundle = cli.imports(cli.file(ARCHIVE))
    assert (bundle.headers / "include/linux/sched.h").stat().st_nlink > 1


def test_a_configuration_that_is_none_is_left_out(cli: Cli, tree: Path) -> None:
    (tree / ".config").write_text("hello\n")
    done = cli("cache", "import", tree)
    assert done.status == 0
    assert "warning: out: its config holds no configuration, and is left out" in done.err
    [bundle] = cli.cache.bundles()
    assert bundle.parts == ["headers"]
    assert bundle.meta["warnings"] == ["its config holds no configuration, and is left out"]


def test_a_tree(cli: Cli, tree: Path) -> None:
    bundle = cli.imports(tree)
    assert bundle.kernel.version == VERSION
    assert bundle.kernel.build_id == BUILD_ID.hex()
    assert (bundle.path / "config").read_text() == OBJECTS[".config"]
    assert bundle.meta["imported"] == "kernel tree"
    assert json.loads(cli("cache", "import", tree, "--json").out)["cached"] is True
    # The archive is one like any other, so that it repairs like any other.
    (bundle.headers / "include/linux/sched.h").unlink()
    assert cli("cache", "verify", "--repair").status == 0
    verified_or_none(cli.cache.root)


def test_the_symbols_of_a_tree(cli: Cli, tree: Path) -> None:
    """Kept as they are the first time; what is none, or contradicts them, is said."""
    symvers = tree / "Module.symvers"
    symvers.write_text("hello\n")
    assert "no symbol table is taken from it" in cli("cache", "import", tree).err
    symvers.write_text("0x00000001\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n")
    bundle = cli.imports(tree)
    [table] = collected.tables(cli.cache, bundle)
    assert (table.kind, table.symbols["kfree"].export.crc) == ("official", 1)
    symvers.write_text("0x00000002\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n")
    done = cli("cache", "import", tree)
    assert done.status == 0
    assert "kfree has CRC 0x00000001 in" in done.err
    assert collected.tables(cli.cache, bundle) == [table]


def test_a_tree_whose_source_is_elsewhere(cli: Cli, tree: Path) -> None:
    (tree / "source").unlink()
    assert "hint: droidheaders cache import TREE --source DIR" in cli.refuses(tree)
    cli.imports(tree, "--source", "source")
    assert "leave --source out" in cli.refuses(cli.file(ARCHIVE), "--source", tree, status=2)


def test_a_tree_that_was_not_built(cli: Cli, tree: Path) -> None:
    assert "make prepare" in cli.refuses(cli.files / "source")


def test_a_tree_with_too_large_a_header(cli: Cli, tree: Path) -> None:
    (tree / "include/big.h").write_bytes(bytes((4 << 20) + 1))
    assert "has a big.h of more than" in cli.refuses(tree)


def test_what_is_no_file(cli: Cli) -> None:
    assert "No such file" in cli.refuses(cli.files / "none", status=2)
    assert not cli.cache.directories()
    os.mkfifo(cli.files / "pipe")
    assert "is neither file nor directory" in cli.refuses(cli.files / "pipe", status=2)
    (cli.files / "circle").symlink_to("circle")
    assert "symbolic links" in cli.refuses(cli.files / "circle", status=2)
    assert "is empty" in cli.refuses(cli.file(b"", "empty"))
    assert "is no built kernel tree" in cli.refuses(cli.files)


def test_a_file_that_may_not_be_read(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    path, really_open = cli.file(ARCHIVE), os.open

    def denied(name: str | Path, *flags: Any, **more: Any) -> int:
        if name == path:
            raise PermissionError(13, "Permission denied", str(path))
        return really_open(name, *flags, **more)

    monkeypatch.setattr("os.open", denied)
    assert f"cannot read {path}: Permission denied" in cli.refuses(path, status=2)


REFUSED = {
    "text": (b"hello\n" * 99, "is nothing that is known here"),
    "tar": (tar(), "is a tar archive that is not compressed with xz"),
    "two streams": (ARCHIVE * 2, "goes on behind the end of its xz stream"),
    "junk behind": (ARCHIVE + b"\0", "goes on behind the end of its xz stream"),
    "an archive cut off": (ARCHIVE[:-4], "is cut off"),
    "a module cut off": (MODULE[:-64], "is in a damaged module"),
    "a module that lies": (archives.module(ARCHIVE, stated=9), "and its module says 9 at"),
    "a module of another kernel": (
        archives.module(ARCHIVE, release="6.1.98"),
        "is in a module of another kernel: its vermagic differs",
    ),
    "a module of something else": (MODULE.replace(b"\xfd7zXZ", b"      "), "without headers"),
    "a name that climbs": (xz(tar(GOOD | {"../x": b""})), "has a name that is no plain path"),
    "an absolute name": (xz(tar(GOOD | {"/tmp/x": b""})), "has an absolute name"),
    "no sched.h": (xz(tar(GOOD | {"include/linux/sched.h": b""})), "is unusable"),
    "a bomb": (lzma.compress(bytes(200 << 20)), "is larger than|expands more than|is not"),
    "an image without headers": (images.arm64(images.kernel(b"")), "has no headers in it"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused(cli: Cli, what: str) -> None:
    data, says = REFUSED[what]
    err = cli.refuses(cli.file(data, "it's a file"))
    assert any(part in err for part in says.split("|")), err
    assert cli.imports(cli.file(ARCHIVE)).parts == ["headers"]


WHOLE_FILES = {
    "archive": ARCHIVE,
    "module": MODULE,
    "image": images.IMAGE,
    "boot": images.KERNELS["boot v2"][1],
    "bzImage": images.KERNELS["bzImage, lz4"][1],
}


@settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=60)
@given(st.sampled_from(list(WHOLE_FILES)), st.integers(0, 1 << 30), st.integers(0, 8))
def test_a_flipped_bit_or_a_cut_is_verified_or_absent(
    tmp_path_factory: pytest.TempPathFactory, name: str, where: int, bit: int
) -> None:
    """Bit 8 is no bit: there the file ends."""
    home = tmp_path_factory.mktemp("flip")
    data = bytearray(WHOLE_FILES[name])
    where %= len(data)
    if bit == 8:
        del data[where:]
    else:
        data[where] ^= 1 << bit
    (home / "file").write_bytes(data)
    cache = Cache(home / "cache")
    try:
        bundle = import_file(home / "file", cache).bundle
    except DroidheadersError as e:
        assert isinstance(e, HeadersError), e
        assert str(home / "file") in e.message
        assert cache.directories() == []
    else:
        assert bundle.kernel.release == RELEASE
        for header in ("include/linux/sched.h", "include/generated/utsrelease.h"):
            assert (bundle.headers / header).read_bytes() == GOOD[header]
    verified_or_none(cache.root)
    assert not list(cache.kernels.glob(".*"))
    assert {p.name for p in home.iterdir()} == {"file", "cache"}


def test_a_disk_that_is_full(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("droidheaders.headers.spool.mmap.mmap", full)
    done = cli("cache", "import", cli.file(ARCHIVE))
    assert (done.status, done.out) == (1, "")
    assert "is full" in done.err


def test_from_python(tmp_path: Path) -> None:
    (tmp_path / "a.tar.xz").write_bytes(ARCHIVE)
    done = import_file(tmp_path / "a.tar.xz", Cache(tmp_path / "cache"))
    assert (done.kind, done.cached, done.bundle.kernel.release) == ("archive", False, RELEASE)
    with pytest.raises(UsageError):
        import_file(tmp_path / "b.tar.xz", Cache(tmp_path / "cache"))
