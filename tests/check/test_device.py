"""Devices that say little, or wrong things, or that go away; and how often they are asked."""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import Any

import pytest

from droidheaders.cache import Cache
from tests.adb.fake_server import Peer, packet
from tests.check.conftest import Check
from tests.check.phone import CONFIG, MODULE, SYSFS, driver, phone
from tests.fake_device import BUILD_ID, FakeDevice
from tests.kernel.test_golden import GOLDEN, VERSIONS


def answers(told: Any) -> dict[str, Any]:
    return {one["name"]: one for one in told["answers"]}


def test_everything_is_fine(device: FakeDevice, check: Check) -> None:
    ended = check(device)
    assert (ended.status, ended.err) == (0, "")
    first, second, *rest = ended.out.splitlines()
    assert first == "6.1.99-test (aarch64) on device fake-1"
    assert second == ("  userdebug build, SELinux enforcing, uid 2000 (u:r:shell:s0), root by su 0")
    heads = [line.split()[:2] for line in rest if not line.startswith(" ")]
    assert [name for _, name in heads] == ["config", "headers", "bpf", "modules", "compiler"]
    assert [verdict for verdict, _ in heads[:4]] == ["yes"] * 4


@pytest.mark.parametrize(
    ("config", "because"),
    [
        (None, "/proc/config.gz is not there (CONFIG_IKCONFIG_PROC)"),
        (b"CONFIG_A=y\n" * 99, "/proc/config.gz is no gzip file"),
        (gzip.compress(CONFIG.encode())[:-20], "/proc/config.gz is cut off"),
        (gzip.compress(CONFIG.encode()) + b"junk", "/proc/config.gz goes on behind its end"),
        (gzip.compress(b"nothing of the kind"), "/proc/config.gz holds no configuration"),
        (gzip.compress(b"x CONFIG_\x1b[2J\n" * 99), "/proc/config.gz holds no configuration"),
    ],
)
def test_a_configuration_that_is_none(
    tmp_path: Path, check: Check, config: bytes | None, because: str
) -> None:
    with phone(tmp_path / "device", config=config) as device:
        told = check(device, "--json", "--config", "HZ")
        assert told.status == 1
        assert told.json["config"]["because"].startswith(because)
        ended = check(device, "--for", "bpf")
    assert ended.status == 1
    assert because in ended.out


@pytest.mark.parametrize("text", [CONFIG, CONFIG.replace("\n", "\r\n"), "\ufeff" + CONFIG])
def test_a_configuration_that_came_through_windows(tmp_path: Path, check: Check, text: str) -> None:
    with phone(tmp_path / "device", config=text) as device:
        told = check(device, "--config", "HZ=250", "--config", "LOCALVERSION=-test")
    assert told.status == 0
    assert "250 in /proc/config.gz" in told.out


@pytest.mark.parametrize("version", VERSIONS)
def test_eleven_generations(tmp_path: Path, check: Check, version: str) -> None:
    """With what a phone of that time lists of its properties, and has in its log."""
    place = GOLDEN / version
    files = {
        "properties": (place / "getprop").read_bytes(),
        "proc/kallsyms": (place / "kallsyms").read_bytes(),
        "proc/version": (place / "version").read_bytes(),
        "dmesg": (place / "dmesg").read_bytes(),
    }
    release = f"{version}.1-test"
    with phone(
        tmp_path / "device",
        config=(place / "config").read_bytes().decode(),
        files=files,
        release=release,
        loaded=True,
        su=False,
    ) as device:
        told = check(device, "--json").json
    assert told["kernel"]["release"] == release
    assert told["config"]["options"] > 100
    debuggable = version in ("5.15", "6.6")
    assert told["bpf"]["as"] == ("adb root" if debuggable else "shell")
    assert told["headers"]["verdict"] == ("yes" if debuggable else "no")
    expected = ["kheaders.tar.xz"] if b"kheaders" in files["dmesg"] else []
    assert [denial["path"] for denial in told["headers"]["denials"]] == expected
    assert told["compiler"]["family"] == ("gcc" if version == "3.18" else "clang")


def test_sources_that_disagree(tmp_path: Path, check: Check) -> None:
    with phone(tmp_path / "device") as device:
        assert _pulled(device, check, tmp_path)
        changed = CONFIG.replace("CONFIG_HZ=250", "CONFIG_HZ=100") + "CONFIG_NEW=y\n"
        device.write("proc/config.gz", gzip.compress(changed.encode()))
        ended = check(device)
        told = check(device, "--json").json["config"]
    assert ended.status == 0
    assert re.search(r"^  risky +disputed +2 options are otherwise in the cached", ended.out, re.M)
    assert sorted(told["disputed"]) == ["CONFIG_HZ", "CONFIG_NEW"]
    assert told["verdict"] == "risky"


def _pulled(device: FakeDevice, check: Check, home: Path) -> str:
    """Pull from the device; return the bundle's name."""
    from droidheaders import Server, pull, resolve_endpoint

    server = Server(resolve_endpoint(None, device.port, None))
    return pull(server.select(), Cache(home / "cache")).bundle.name


def test_cached(tmp_path: Path, check: Check) -> None:
    with phone(tmp_path / "device") as device:
        name = _pulled(device, check, tmp_path)
        told = check(device, "--json")
        assert told.status == 0
        assert told.json["bundle"] == told.json["headers"]["cached"] == name
        assert answers(told.json["headers"])["cached"]["because"].startswith(f"{name}, ")
        assert check(device, "--json", "--bundle", name).json["kernel"] == told.json["kernel"]


def test_another_build_is_cached(tmp_path: Path, check: Check) -> None:
    with phone(tmp_path / "device") as device:
        name = _pulled(device, check, tmp_path)
    with phone(tmp_path / "other", None, build_id=BUILD_ID[::-1]) as other:
        told = check(other, "--json", "--for", "headers").json
    assert told["bundle"] is None
    assert told["headers"]["relatives"] == [name]
    assert told["headers"]["verdict"] == "no"
    assert answers(told["headers"])["cached"]["hint"] == f"droidheaders cache show {name}"


def test_the_cache_knows_the_options_that_a_device_keeps_to_itself(
    tmp_path: Path, check: Check
) -> None:
    with phone(tmp_path / "device") as device:
        name = _pulled(device, check, tmp_path)
    with phone(tmp_path / "other", config=None) as other:
        told = check(other, "--config", "HZ=250")
    assert told.status == 0
    assert f"250 in config of {name}" in told.out


def test_properties_of_several_lines(tmp_path: Path, check: Check) -> None:
    """One of them pretends that the build is debuggable."""
    text = (
        "[persist.notice]: [a\n[ro.debuggable]: [1]\nb]\n"
        "[ro.build.type]: [us\x1b[2Jer]\n[ro.debuggable]: [0]\n"
    )
    with phone(tmp_path / "device", files={"properties": text.encode()}, su=False) as device:
        ended = check(device)
        told = check(device, "--json").json
    assert r"us\x1b[2Jer build" in ended.out
    assert told["bpf"]["as"] == "shell"
    assert ended.status == 4


def test_words_that_a_terminal_would_obey(tmp_path: Path, check: Check) -> None:
    """`check` looks at both streams: not a byte of these comes out as it is."""
    nasty = b"\x1b]0;x\x07\x9b2J\r\n\x1b[31m"
    files = {
        "proc/cmdline": nasty,
        "proc/version": b"Linux version 6.1 (" + nasty + b"clang version 14.0.6) #1\n",
        "proc/self/attr/current": b"u:r:" + nasty,
        "su/proc/self/attr/current": b"u:r:" + nasty,
        "sys/fs/selinux/enforce": nasty,
        "sys/module/module/parameters/sig_enforce": nasty,
        "proc/sys/net/core/bpf_jit_enable": nasty,
        "sys/kernel/security/lsm": nasty,
        "proc/mounts": b"x /" + nasty + b" tracefs rw 0 0\n",
        "dmesg": b"avc: denied { " + nasty.replace(b"\r\n", b"") + b" } for tclass=kheaders\n",
        "proc/kallsyms": b"0 r __ksymtab_" + nasty,
    }
    config = CONFIG + 'CONFIG_CMDLINE="\x1b[2J"\n'
    with phone(tmp_path / "device", loaded=True, config=config, files=files) as device:
        device.deny("/sys/kernel/notes")
        device.tool("su", f"echo '{SYSFS}\x1b[2J'; exit 1")
        (tmp_path / "x.ko").write_bytes(driver(info=("license=\x1b[2J", "vermagic=\x1b[31m")))
        for arguments in (
            ("-v",),
            ("-v", "--config", "CMDLINE=\x1b[2J"),
            ("-v", tmp_path / "x.ko"),
            ("--json",),
        ):
            assert check(device, *arguments).status in (0, 1, 4)


def test_a_release_with_escapes(tmp_path: Path, check: Check) -> None:
    with phone(tmp_path / "device", None, release="6.1\x1b[2J") as device:
        said = check(device).fails(5)
    assert r"no plain text: '6.1\x1b[2J'" in said


@pytest.mark.parametrize("release", ["android-custom", "6.1/../x", "6.1.99" + "+" * 50])
def test_a_release_that_fits_no_pattern(tmp_path: Path, check: Check, release: str) -> None:
    with phone(tmp_path / "device", release=release) as device:
        ended = check(device, "--json")
    assert ended.json["kernel"]["release"] == release
    assert ended.json["headers"]["verdict"] == "yes"
    assert ended.status == (1 if release == "android-custom" else 0)


@pytest.mark.parametrize(
    ("change", "how", "status"),
    [
        (lambda device: None, "su 0", 0),
        (lambda device: device.magisk(), "su -c", 0),
        (lambda device: device.run_adbd_as(0), "adbd", 0),
        (lambda device: (device.root / "bin/su").unlink(), "adb root", 0),
        (lambda device: device.tool("su", "exit 1"), "adb root", 0),
    ],
)
def test_who_is_root(device: FakeDevice, check: Check, change: Any, how: str, status: int) -> None:
    change(device)
    ended = check(device, "--json")
    assert ended.json["bpf"]["as"] == ended.json["modules"]["as"] == how
    assert ended.json["modules"]["verdict"] == "yes"
    assert ended.json["headers"]["path"] == (None if how == "adb root" else MODULE)
    assert "root:" not in device.requests


def test_a_phone_without_root(tmp_path: Path, check: Check) -> None:
    files = {"properties": b"[ro.build.type]: [user]\n[ro.debuggable]: [0]\n"}
    with phone(tmp_path / "device", su=False, files=files) as device:
        ended = check(device)
        told = check(device, "--json").json
    assert ended.status == 4
    assert "  user build, SELinux enforcing, uid 2000 (u:r:shell:s0)\n" in ended.out
    assert told["headers"]["verdict"] == "unknown"
    assert told["bpf"]["verdict"] == told["modules"]["verdict"] == "no"
    assert set(told["modules"]["switches"].values()) == {None}
    assert answers(told["bpf"])["kprobe"]["because"] == "SELinux lets shell load no program"


def test_a_refusal_is_told(tmp_path: Path, check: Check) -> None:
    files = {
        "properties": b"[ro.debuggable]: [0]\n",
        "dmesg": (
            b'audit: avc:  denied  { getattr } for  comm="sh" path="/sys/kernel/kheaders.tar.xz"'
            b" scontext=u:r:shell:s0 tcontext=u:object_r:sysfs:s0 tclass=file permissive=0\n"
        ),
    }
    config = CONFIG.replace("IKHEADERS=m", "IKHEADERS=y")
    with phone(tmp_path / "device", loaded=True, su=False, config=config, files=files) as device:
        ended = check(device, "--for", "headers")
    assert ended.status == 4
    assert (
        "uid 2000 (u:r:shell:s0, SELinux enforcing) may not read it;"
        " avc: denied { getattr } on u:object_r:sysfs:s0" in ended.out
    )


@pytest.mark.parametrize(
    ("arguments", "trips"),
    [
        ((), 1),
        (("--for", "headers"), 1),
        (("--config", "HZ"), 1),
        (("x.ko",), 2),
        (("x.ko", "x.ko", "--for", "bpf", "--config", "HZ"), 2),
        (("Module.symvers",), 1),
        (("--bundle",), 0),
        (("--bundle", "x.ko"), 0),
        (("config", "x.ko"), 0),
    ],
)
def test_round_trips(
    tmp_path: Path,
    check: Check,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    trips: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.ko").write_bytes(driver())
    Path("Module.symvers").write_text("0x00000001\tfilp_open\tvmlinux\tEXPORT_SYMBOL\t\n")
    Path("config").write_text(CONFIG)
    with phone(tmp_path / "device") as device:
        name = _pulled(device, check, tmp_path) if "--bundle" in arguments else ""
        words = [
            part for word in arguments for part in ([word, name] if word == "--bundle" else [word])
        ]
        device.scripts.clear()
        check(device, *words)
        assert len(device.scripts) == trips


def test_cached_types_save_a_trip_for_an_object(tmp_path: Path, check: Check) -> None:
    from tests import bpf_objects

    (tmp_path / "x.o").write_bytes(bpf_objects.program(""))
    with phone(tmp_path / "device") as device:
        check(device, tmp_path / "x.o")
        assert len(device.scripts) == 2
        _pulled(device, check, tmp_path)
        device.scripts.clear()
        check(device, tmp_path / "x.o")
        assert len(device.scripts) == 1


def test_nothing_is_changed_on_the_device(device: FakeDevice, check: Check, tmp_path: Path) -> None:
    from tests.faults.invariant import snapshot

    (tmp_path / "x.ko").write_bytes(driver())
    before = snapshot(device.root)
    check(device)
    check(device, tmp_path / "x.ko")
    assert snapshot(device.root) == before
    assert not {"root:", "unroot:", "sync:", "remount:"} & set(device.requests)
    assert device.log == []


class Mute(FakeDevice):
    """Ends each script at once, and says that all went well."""

    def _execute(self, script: str, peer: Peer) -> None:
        peer.send(packet(3, b"\0"))


class Lost(FakeDevice):
    """Goes away with each script."""

    def _execute(self, script: str, peer: Peer) -> None:
        raise EOFError


def test_a_device_that_answers_nothing(tmp_path: Path, check: Check) -> None:
    with Mute(tmp_path / "device", None) as device:
        said = check(device).fails(6)
    assert "did not answer the questions about its kernel" in said


def test_a_device_that_goes_away(tmp_path: Path, check: Check) -> None:
    with Lost(tmp_path / "device", None) as device:
        assert check(device).fails(6)
        told = check(device, "--json")
    assert told.status == 6
    assert told.json["error"]["kind"] == "lost"


LOCKDOWN = "CONFIG_SECURITY_LOCKDOWN_LSM=y\n"


@pytest.mark.parametrize(
    ("cmdline", "option", "level"),
    [
        ("quiet lockdown=confidentiality", LOCKDOWN, "confidentiality"),
        ("quiet lockdown=confidentiality", "", None),
        (
            "lockdown=integrity",
            f"{LOCKDOWN}CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY=y",
            "integrity",
        ),
        ("quiet", f"{LOCKDOWN}CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY=y", "confidentiality"),
        ("quiet", f"{LOCKDOWN}CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY=y", "integrity"),
        ("quiet lockdown=nonsense", f"{LOCKDOWN}CONFIG_LOCK_DOWN_KERNEL_FORCE_NONE=y", None),
    ],
)
def test_lockdown_without_securityfs(
    tmp_path: Path, check: Check, cmdline: str, option: str, level: str | None
) -> None:
    files = {"proc/cmdline": f"{cmdline}\n".encode()}
    with phone(tmp_path / "device", files=files, config=f"{CONFIG}{option}\n") as device:
        told = check(device, "--json", "--for", "modules", "--for", "bpf").json
    assert told["modules"]["verdict"] == ("no" if level else "yes")
    assert told["modules"]["switches"]["lockdown"] == (f"[{level}]" if level else None)
    kprobe = told["bpf"]["types"]["kprobe"]["verdict"]
    assert kprobe == ("no" if level == "confidentiality" else "yes")
