"""Which BPF programs real kernels load and attach, for the shell and for root of each persona."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from droidheaders.adb import Device, Selector, Server
from droidheaders.guest.guest import Guest
from droidheaders.run import prober
from droidheaders.run.prober import TYPES, Outcome
from droidheaders.shipped import emulator_dir
from tests.kernels import GUESTS

pytestmark = pytest.mark.guest

ARM = "6.1-arm64"
PROBES = ("kprobe", "kretprobe", "uprobe")
LOADED_ONLY = {"tc", "xdp", "struct_ops"}
NEED_BTF = ("fentry", "lsm", "iter", "struct_ops")

# fentry and lsm need DYNAMIC_FTRACE_WITH_DIRECT_CALLS, which arm64 has since 6.4 (2aa6ac03516d).
NOT_ATTACHED = {
    "5.10-arm64": {"fentry": "ENOTSUPP", "lsm": "ENOTSUPP"},
    "5.10-x86_64": {"lsm": "EOPNOTSUPP"},  # CONFIG_LSM lacks bpf there
    "6.1-arm64": {"fentry": "ENOTSUPP", "lsm": "ENOTSUPP"},
}


@contextmanager
def running(name: str, persona: str, server: Server) -> Iterator[Device]:
    with Guest.start(name, persona=persona, server=server) as guest:
        yield server.select(Selector(serial=guest.serial))


def as_root(device: Device, script: str = "") -> dict[str, Outcome] | str:
    with device.privileged() as root:
        if not script:
            return prober.ask(device, root)
        result = root.shell(script)
        assert result.status == 0, result
        return result.stdout.decode()


def errors(outcomes: dict[str, Outcome] | str) -> dict[str, str]:
    """Return the names of the errnos of what does not work, and check that all was asked."""
    assert isinstance(outcomes, dict)
    assert tuple(outcomes) == TYPES
    return {name: outcome.error for name, outcome in outcomes.items() if not outcome.works}


@pytest.mark.parametrize(("name", "persona"), GUESTS)
def test_what_loads(name: str, persona: str, state: Path, adb: Server) -> None:
    with running(name, persona, adb) as device:
        shells = prober.ask(device, device)
        assert errors(shells) == dict.fromkeys(TYPES, "EACCES")
        assert all(outcome.denied for outcome in shells.values())
        if persona == "user":
            return
        roots = as_root(device)
        assert errors(roots) == NOT_ATTACHED.get(name, {})
        assert isinstance(roots, dict)
        assert {name for name, outcome in roots.items() if outcome.attach is None} == LOADED_ONLY
        left = "cd /sys/kernel/tracing; cat kprobe_events uprobe_events; ls /data/local/tmp"
        assert as_root(device, f"{left}; find /sys/fs/cgroup -name 'droidheaders*'") == ""
        said = str(as_root(device, "dmesg"))
        assert "avc:  denied  { prog_load } for" in said
        assert "tclass=bpf permissive=0" in said
        assert "BUG:" not in said
        assert "WARNING:" not in said


def test_what_refuses_is_told_apart(state: Path, adb: Server) -> None:
    """Without SELinux the shell has what needs no capability, and with the sysctl nothing."""
    with running(ARM, "userdebug", adb) as device:
        as_root(device, "setenforce 0")
        refused = errors(without_selinux := prober.ask(device, device))
        assert refused == dict.fromkeys(set(TYPES) - {"cgroup", "socket_filter"}, "EPERM")
        assert without_selinux["cgroup"].log == "loaded only: no cgroup can be made"
        assert without_selinux["socket_filter"] == Outcome(0, 0)
        as_root(device, "echo 2 >/proc/sys/kernel/unprivileged_bpf_disabled")
        assert errors(prober.ask(device, device)) == dict.fromkeys(TYPES, "EPERM")


def test_a_kernel_without_pmus_for_probes_and_without_btf(
    state: Path, adb: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before 4.17: probes are made in tracefs. What looks elsewhere is built from our source."""
    source = (emulator_dir() / "bpf/prober.c").read_text()
    for path in ("/sys/bus/event_source/devices/", "/sys/kernel/btf/"):
        assert path in source
        source = source.replace(path, "/none/")
    (tmp_path / "bpf").mkdir()
    (tmp_path / "bpf/prober.c").write_text(source)
    monkeypatch.setenv("DROIDHEADERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(prober, "emulator_dir", lambda: tmp_path)
    with running(ARM, "su", adb) as device:
        as_root(device, "echo 'p:theirs/p vfs_mkdir' >/sys/kernel/tracing/kprobe_events")
        outcomes = as_root(device)
        assert errors(outcomes) == dict.fromkeys(NEED_BTF, "ENOENT")
        assert isinstance(outcomes, dict)
        assert [outcomes[name] for name in PROBES] == [Outcome(0, 0)] * 3
        defined = as_root(device, "cd /sys/kernel/tracing; cat kprobe_events uprobe_events")
        assert defined == "p:theirs/p vfs_mkdir\n"
