"""`pull` from end to end over a real socket, with a device that lies, stalls and vanishes."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from droidheaders.cache import Cache
from droidheaders.cli.main import run
from tests import archives
from tests.adb.fake_server import Peer
from tests.archives import GOOD, RELEASE, WHOLE, tar, xz
from tests.fake_device import FakeDevice
from tests.headers import test_artifacts as artifacts

ARCHIVE = xz(tar(GOOD | {"include/big.h": os.urandom(300_000)}))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "cache"
    monkeypatch.setenv("DROIDHEADERS_CACHE", str(directory))
    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path / "state"))
    for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_SERIAL"):
        monkeypatch.delenv(name, raising=False)
    return directory


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Return the command line as a function: status, stdout, stderr."""

    def call(device: FakeDevice | None, *arguments: str) -> tuple[int, str, str]:
        if device is not None:
            monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(device.port))
        with pytest.raises(SystemExit) as stop:
            run([*arguments])
        out = capsys.readouterr()
        status = stop.value.code
        assert isinstance(status, int)
        return status, out.out, out.err

    return call


def nothing_left(cache: Path) -> bool:
    """Tell whether the cache holds no bundle, no index entry and no staging directory."""
    rooms = [cache / name for name in ("kernels", "index", "locks")]
    return not [p for p in cache.rglob("*") if p not in rooms]


def one_error(err: str) -> str:
    """Return the error's sentence, after checking that there is one sentence and one hint."""
    lines = err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error", "hint"], err
    return lines[0]


COMPRESSED = b"\x28\xb5\x2f\xfd a kheaders.ko that only the kernel can read" + bytes(70_000)


def test_pull_prints_the_path_alone_and_reads_the_module_s_file(
    tmp_path: Path, cli: Cli, cache: Path
) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        status, out, err = cli(device, "pull")
        assert status == 0, err
        headers = Path(out.rstrip("\n"))
        assert out == f"{headers}\n"
        assert headers == cache / "kernels" / headers.parent.name / "headers"
        assert headers.parent.name == (
            f"{RELEASE}-aarch64-{hashlib.sha256(ARCHIVE).hexdigest()[:12]}"
        )
        assert (headers.parent / "archive.tar.xz").read_bytes() == ARCHIVE
        assert (headers / "include/linux/sched.h").read_bytes() == GOOD["include/linux/sched.h"]
        assert device.log == []
        check = subprocess.run(
            ["sha256sum", "-c", "--quiet", "manifest"], cwd=headers.parent, check=False
        )
        assert check.returncode == 0


def test_a_cached_kernel_costs_one_round_trip(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        first = cli(device, "pull")
        device.scripts.clear()
        device.requests.clear()
        second = cli(device, "pull", "--json")
        assert second[0] == 0
        answer = json.loads(second[1])
        assert answer["cached"] is True
        assert answer["path"] == first[1].strip()
        assert len(device.scripts) == 1
        assert device.requests == ["host:devices-l", f"shell,v2,raw:{device.scripts[0]}"]


VENDOR = WHOLE | {"include/linux/sched.h": b'#include "../../../drivers/vendor.h"\n'}


def test_whole_headers_are_usable(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", xz(tar(WHOLE))) as device:
        device.write("proc/config.gz", gzip.compress(b"CONFIG_64BIT=y\n"))
        status, out, err = cli(device, "pull", "--json")
        answer = json.loads(out)
        assert (status, answer["state"], answer["missing"]) == (0, "usable", [])
        assert "clang" in answer["checked_with"]
        assert "usable, 13 files" in err
        assert json.loads(cli(device, "pull", "--json")[1])["state"] == "usable"
        shown = cli(None, "cache", "show", RELEASE)[1]
        assert re.search("^state +usable .*clang", shown, re.MULTILINE)


def test_what_partial_headers_lack_is_named(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", xz(tar(VENDOR))) as device:
        status, out, err = cli(device, "pull", "--json")
        answer = json.loads(out)
        lacks = "../../../drivers/vendor.h, included by include/linux/sched.h"
        assert (status, answer["state"], answer["missing"]) == (0, "partial", [lacks])
        assert "partial, 13 files" in err
        assert f"lack what many programs include: {lacks}; see" in err
        assert "partial, cached" in cli(device, "pull")[2]
        shown = json.loads(cli(None, "cache", "show", RELEASE, "--json")[1])
        assert (shown["state"], shown["missing"]) == ("partial", [lacks])
        assert re.search(
            f"^missing +{re.escape(lacks)}$", cli(None, "cache", "show", RELEASE)[1], re.M
        )


def test_headers_of_another_kernel_s_configuration_are_partial(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", xz(tar(WHOLE))) as device:
        device.write("proc/config.gz", gzip.compress(b"CONFIG_64BIT=y\nCONFIG_BPF=y\n"))
        answer = json.loads(cli(device, "pull", "--json")[1])
        assert answer["state"] == "partial"
        assert answer["missing"][0].endswith("1 options differ (CONFIG_BPF)")


def test_unusable_headers_are_an_error_that_says_so(tmp_path: Path, cli: Cli, cache: Path) -> None:
    links = {f"include/linux/{n}.h": f"/build/{n}.h" for n in range(9)}
    with FakeDevice(tmp_path / "device", xz(tar(WHOLE, links=links))) as device:
        assert cli(device, "pull", "--refresh")[0] == 0  # a few links to nowhere are left out
    links = {f"include/linux/{n}.h": f"/build/{n}.h" for n in range(99)}
    with FakeDevice(tmp_path / "other", xz(tar(WHOLE, links=links)), build_id=b"x" * 20) as device:
        status, out, _ = cli(device, "pull", "--json")
        error = json.loads(out)["error"]
        assert (status, error["kind"], error["state"]) == (5, "unusable", "unusable")
        assert "99 of its headers are links that lead nowhere" in error["message"]
        assert len(Cache(cache).bundles()) == 1


def test_refresh_transfers_again(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        path = cli(device, "pull")[1]
        assert cli(device, "pull", "--refresh")[1] == path
        assert len(device.scripts) == 4


FAR = b"\x7fELF" + bytes(70_000) + ARCHIVE  # behind what is searched


@pytest.mark.parametrize("module", [COMPRESSED, b"\x7fELF" + bytes(3000), b"", FAR])
def test_a_module_that_is_not_understood_is_loaded_and_unloaded(
    tmp_path: Path, cli: Cli, module: bytes
) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, module=module) as device:
        status, out, err = cli(device, "pull", "--json")
        assert status == 0, err
        answer = json.loads(out)["archive"]
        assert (answer["path"], answer["module_loaded"]) == ("/sys/kernel/kheaders.tar.xz", True)
        assert device.log == ["insmod kheaders.ko", "rmmod kheaders"]


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (archives.module(ARCHIVE, stated=len(ARCHIVE) - 1), "its module says"),
        (archives.module(ARCHIVE, release="6.1.99-other"), "is in a module of another kernel"),
        (archives.module(ARCHIVE)[:-5], "is in a damaged module"),
        (archives.module(ARCHIVE[:-30]), "is damaged|goes on|is cut off"),
    ],
)
def test_a_module_that_is_understood_and_wrong(
    tmp_path: Path, cli: Cli, cache: Path, module: bytes, says: str
) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, module=module) as device:
        status, _, err = cli(device, "pull")
        assert status == 5
        assert re.search(says, one_error(err))
        assert nothing_left(cache)
        assert device.log == []


def test_an_archive_that_is_there_needs_no_root(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, loaded=True, su=False) as device:
        assert cli(device, "pull")[0] == 0
        assert device.log == []


@pytest.mark.parametrize("place", ["proc/kheaders.tar.xz", "proc/kheaders.txz"])
def test_the_older_places(tmp_path: Path, cli: Cli, place: str) -> None:
    with FakeDevice(tmp_path / "device", None) as device:
        device.write(place, ARCHIVE)
        status, out, _ = cli(device, "pull", "--json")
        assert status == 0
        assert json.loads(out)["archive"]["path"] == f"/{place}"


def test_an_archive_with_build_artifacts(tmp_path: Path, cli: Cli, cache: Path) -> None:
    built = xz(tar(GOOD | artifacts.FILES))
    with FakeDevice(tmp_path / "device", None) as device:
        device.write("proc/kheaders.txz", built)
        status, out, err = cli(device, "pull", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["artifacts"] == {
        "parts": ["Makefile", "scripts", "Module.symvers", ".config"],
        "tools": 2,
        "machines": ["aarch64"],
    }
    assert "what modules are built by: Makefile, scripts with 2 programs for aarch64" in err
    assert "config" in told["parts"]
    bundle = Path(told["path"]).parent
    assert (bundle / "config").read_bytes() == artifacts.FILES[".config"]
    modes = {(bundle / "headers" / name).stat().st_mode & 0o777 for name in artifacts.FILES}
    assert modes == {0o444}


def test_a_kernel_without_build_id_is_never_taken_from_the_cache(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, build_id=b"") as device:
        assert cli(device, "pull")[0] == 0
        device.log.clear()
        status, out, _ = cli(device, "pull", "--json")
        assert (status, json.loads(out)["cached"]) == (0, False)


def test_output_is_a_plain_copy(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        copy = tmp_path / "copy"
        assert cli(device, "pull", "--output", str(copy))[:2] == (0, f"{copy}\n")
        assert (copy / "include/linux/sched.h").read_bytes() == GOOD["include/linux/sched.h"]
        status, _, err = cli(device, "pull", "--output", str(copy))
        assert status == 2
        assert "not an empty directory" in one_error(err)


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (ARCHIVE[:-1], "is cut off"),
        (ARCHIVE[: len(ARCHIVE) // 2], "is cut off"),
        (ARCHIVE + b"\0", "goes on behind the end"),
        (b"PK\x03\x04" + bytes(5000), "is not xz"),
        (b"", "is empty"),
        (xz(b"not a tar\n" * 500), "not a tar archive"),
        (xz(tar()[:-20480]), "ends in the middle"),
        (xz(tar({"include/a.h": b""})), "holds no include/generated/utsrelease.h"),
        (xz(tar(GOOD | {"../../evil": b""})), "no plain path"),
        (
            xz(tar(GOOD | {"include/generated/utsrelease.h": b'#define UTS_RELEASE "5.4.0"\n'})),
            "is of another kernel: its UTS_RELEASE is '5.4.0'",
        ),
        (
            xz(tar({k: v for k, v in GOOD.items() if "arch" not in k})),
            "holds no headers for arm64",
        ),
        (
            xz(tar(links={f"include/l{i}.h": f"/build/include/l{i}.h" for i in range(9)})),
            "is unusable: 9 of its headers are links",
        ),
    ],
)
def test_bad_archives(tmp_path: Path, cli: Cli, cache: Path, archive: bytes, says: str) -> None:
    with FakeDevice(tmp_path / "device", archive, loaded=True) as device:
        status, out, err = cli(device, "pull")
        assert (status, out) == (5, "")
        error = one_error(err)
        assert says in error
        assert "fake-1" in error
        assert RELEASE in error
        assert nothing_left(cache)


@pytest.mark.parametrize(("stated", "says"), [(10, "is longer than"), (10**7, "ended after")])
def test_the_size_must_be_what_the_device_says(
    tmp_path: Path, cli: Cli, cache: Path, stated: int, says: str
) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, module=COMPRESSED) as device:
        device.write(
            "bin/stat",
            f"#!/bin/sh\n[ $3 = ${{3%.ko}} ] && echo {stated} $3 || echo 70000 $3\n".encode(),
        )
        (device.root / "bin/stat").chmod(0o755)
        status, _, err = cli(device, "pull")
        assert status == 5
        assert says in one_error(err)
        assert not device.module_loaded
        assert nothing_left(cache)


BTF = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 4, 4, 1) + bytes(5)


def test_ikconfig_and_btf_come_along(tmp_path: Path, cli: Cli) -> None:
    config = b"CONFIG_IKCONFIG=y\n"
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        device.write("proc/config.gz", gzip.compress(config))
        device.write("sys/kernel/btf/vmlinux", BTF)
        status, out, _ = cli(device, "pull", "--json")
        answer = json.loads(out)
        bundle = Path(answer["path"]).parent
        assert (status, answer["parts"]) == (0, ["headers", "config", "btf"])
        assert (bundle / "config").read_bytes() == config
        assert (bundle / "btf").read_bytes() == BTF


@pytest.mark.parametrize(
    ("path", "data", "says"),
    [
        ("proc/config.gz", b"no gzip", "is no gzip file"),
        ("proc/config.gz", gzip.compress(b"CONFIG_A=y\n" * 100)[:-9], "is cut off"),
        ("proc/config.gz", gzip.compress(b"hello"), "holds no configuration"),
        ("sys/kernel/btf/vmlinux", BTF[:-1], "is cut off"),
        ("sys/kernel/btf/vmlinux", b"ELF" * 20, "is no BTF"),
    ],
)
def test_a_bad_extra_is_left_out_with_a_warning(
    tmp_path: Path, cli: Cli, path: str, data: bytes, says: str
) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        device.write(path, data)
        status, out, err = cli(device, "pull", "--json")
        answer = json.loads(out)
        assert (status, answer["parts"]) == (0, ["headers"])
        assert f"/{path} {says}" in answer["warnings"][0]
        assert "warning:" in err


def test_no_headers_at_all(tmp_path: Path, cli: Cli, cache: Path) -> None:
    with FakeDevice(tmp_path / "device", None) as device:
        status, out, err = cli(device, "pull")
        assert (status, out) == (4, "")
        assert "carries no headers" in one_error(err)
        assert nothing_left(cache)


def test_a_module_that_does_not_load(tmp_path: Path, cli: Cli, cache: Path) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, module=COMPRESSED) as device:
        device.write("refuse", b"")
        status, _, err = cli(device, "pull")
        assert status == 5
        assert "Exec format error" in one_error(err)
        assert nothing_left(cache)


def test_errors_as_json(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", None) as device:
        status, out, _ = cli(device, "pull", "--json")
        error = json.loads(out)["error"]
        assert (status, error["exit_code"], error["kind"]) == (4, 4, "unsupported")
        assert error["message"]
        assert error["hint"]


@pytest.mark.parametrize("release", ["../../../../etc", "6.1/../..", "..", "6.1.0-a/b-dirty+"])
def test_a_release_is_never_a_path(tmp_path: Path, cli: Cli, cache: Path, release: str) -> None:
    uts = {"include/generated/utsrelease.h": f'#define UTS_RELEASE "{release}"\n'.encode()}
    with FakeDevice(tmp_path / "device", xz(tar(GOOD | uts)), release=release) as device:
        status, out, err = cli(device, "pull")
        assert status == 0, err
        bundle = Path(out.strip()).parent
        assert bundle.parent == cache / "kernels"
        assert bundle.resolve() == bundle
        assert cli(device, "cache", "list")[0] == 0


@pytest.mark.parametrize("release", ["6.1\x1b[31m", "6.1\x07", "6\x7f1"])
def test_a_release_with_control_bytes_is_refused(
    tmp_path: Path, cli: Cli, cache: Path, release: str
) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, release=release) as device:
        status, out, err = cli(device, "pull")
        assert (status, out) == (5, "")
        assert "no plain text" in one_error(err)
        assert release not in err
        assert not cache.exists() or nothing_left(cache)


def vanish(device: FakeDevice, peer: Peer, sent: int) -> None:
    """The device is unplugged: its transport ends and it is not listed any more."""
    if sent > 100_000:
        device.devices = ""
        raise EOFError


def test_unplugged_in_the_middle(tmp_path: Path, cli: Cli, cache: Path) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, fault=vanish) as device:
        status, out, err = cli(device, "pull")
        assert (status, out) == (6, "")
        assert "lost" in one_error(err)
        assert nothing_left(cache)


def kill_server(device: FakeDevice, peer: Peer, sent: int) -> None:
    if sent > 100_000:
        device.kill()
        raise EOFError


def test_the_adb_server_killed_in_the_middle(tmp_path: Path, cli: Cli, cache: Path) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, fault=kill_server) as device:
        status, _, err = cli(device, "pull")
        assert status == 6
        assert "server" in one_error(err)
        assert nothing_left(cache)


def stall(device: FakeDevice, peer: Peer, sent: int) -> None:
    if sent > 100_000:
        peer.hold()
        raise EOFError


def test_a_stalled_link(tmp_path: Path, cli: Cli, cache: Path) -> None:
    with FakeDevice(tmp_path / "device", ARCHIVE, fault=stall) as device:
        status, _, err = cli(device, "--timeout", "1", "pull")
        assert status == 6
        assert "1 second" in one_error(err) or "in time" in one_error(err)
        assert nothing_left(cache)


@pytest.mark.skipif(os.getuid() != 0, reason="mounting a disk needs root")
@pytest.mark.parametrize(
    ("options", "says"), [("size=256k", "is full"), ("ro", "cannot write to the cache")]
)
def test_a_disk_that_is_full_or_read_only(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, options: str, says: str
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "disk", disk], check=True)
    try:
        monkeypatch.setenv("DROIDHEADERS_CACHE", str(disk))
        with FakeDevice(tmp_path / "device", ARCHIVE, module=COMPRESSED) as device:
            status, _, err = cli(device, "pull")
            assert status == 1
            assert says in one_error(err)
            assert nothing_left(disk)
            assert not device.module_loaded
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_cache_that_cannot_be_made(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("DROIDHEADERS_CACHE", str(blocked / "cache"))
    with FakeDevice(tmp_path / "device", ARCHIVE) as device:
        status, _, err = cli(device, "pull")
        assert status == 1
        assert "cannot write to the cache" in one_error(err)
        assert len(device.scripts) == 1  # it was not asked for the archive


@pytest.mark.parametrize("when", [1, 100_000])
@pytest.mark.parametrize("module", [None, COMPRESSED])
def test_ctrl_c_in_the_middle(tmp_path: Path, cache: Path, when: int, module: bytes | None) -> None:
    reached = tmp_path / "reached"

    def wait(device: FakeDevice, peer: Peer, sent: int) -> None:
        if sent > when:
            reached.write_text("")
            peer.hold()
            raise EOFError

    with FakeDevice(tmp_path / "device", ARCHIVE, module=module, fault=wait) as device:
        environment = {**os.environ, "ANDROID_ADB_SERVER_PORT": str(device.port)}
        with subprocess.Popen(
            [sys.executable, "-m", "droidheaders", "pull"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            while not reached.exists():
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (130, "", "interrupted\n")
        assert not device.module_loaded
        assert nothing_left(cache)


def test_no_device(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", None) as device:
        device.devices = ""
        status, _, err = cli(device, "pull")
        assert status == 3
        assert "no device" in one_error(err)


def test_two_devices(tmp_path: Path, cli: Cli) -> None:
    with FakeDevice(tmp_path / "device", None) as device:
        device.devices += "fake-2 device product:p model:Other device:d transport_id:4\n"
        status, _, err = cli(device, "pull")
        assert status == 3
        one_error(err)
        assert "-s fake-1" in err
        assert "-s fake-2" in err
