"""What is concluded of a device that went away in mid-run, and of a loader that was refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from droidheaders.adb import Device
from droidheaders.errors import DeviceLostError, DeviceTimeoutError, DroidheadersError
from droidheaders.run import evidence, loss
from droidheaders.run.verdict import Verdict
from tests.fake_device import FakeDevice

BEFORE = "01234567-89ab-cdef-0123-456789abcdef"
AFTER = "11111111-1111-1111-1111-111111111111"
GONE = DeviceLostError("device fake-1 was lost while running a command", "see devices")
PANIC = "Kernel panic - not syncing: sysrq triggered crash"


def rebooted(fake: FakeDevice, *reasons: str) -> None:
    """Have it be another boot, of which ro.boot.bootreason and sys.boot.reason tell this."""
    fake.write("proc/sys/kernel/random/boot_id", f"{AFTER}\n".encode())
    cases = zip(("ro.boot.bootreason", "sys.boot.reason"), reasons, strict=False)
    arms = " ".join(f"{name}) echo '{reason}';;" for name, reason in cases)
    fake.tool("getprop", f"case $1 in {arms} esac")


def judged(device: Device, error: DroidheadersError = GONE, words: str | None = None) -> Verdict:
    return loss.judge(device, BEFORE, error, None if words is None else lambda: words)


@pytest.mark.parametrize(
    ("reasons", "word", "told"),
    [
        (("kernel_panic,sysrq", "kernel_panic,sysrq"), "panic", "kernel_panic,sysrq"),
        (("", "watchdog,apps"), "panic", "rebooted: watchdog,apps"),
        (("kernel_panic\x1b[2J",), "panic", r"kernel_panic\x1b[2J"),
        (("reboot,userrequested",), "lost", "middle of the run (reboot,userrequested"),
        ((), "lost", "rebooted in the middle of the run"),
    ],
)
def test_a_device_that_is_another_boot(
    device: Device, fake: FakeDevice, reasons: tuple[str, ...], word: str, told: str
) -> None:
    rebooted(fake, *reasons)
    verdict = judged(device)
    assert (verdict.word, verdict.status) == (word, 6)
    assert told in verdict.message


@pytest.mark.parametrize("file", ["console-ramoops-0", "dmesg-ramoops-0"])
def test_what_pstore_has_kept_outweighs_the_reason(
    device: Device, fake: FakeDevice, file: str
) -> None:
    rebooted(fake, "reboot")
    fake.write(f"sys/fs/pstore/{file}", f"\0[ 12.3] {PANIC}\nmore\n".encode())
    verdict = judged(device)
    assert verdict.word == "panic"
    assert verdict.message == f"device fake-1 panicked and rebooted: {PANIC}"


def test_a_device_that_did_not_reboot(device: Device, fake: FakeDevice) -> None:
    """What pstore has is then of an earlier boot."""
    fake.write("sys/fs/pstore/console-ramoops-0", PANIC.encode())
    verdict = judged(device)
    assert verdict.word == "lost"
    assert "did not reboot" in verdict.message


def test_a_device_that_does_not_come_back(
    device: Device, fake: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loss, "_PATIENCE", 0.2)
    fake.devices = "fake-1 offline transport_id:3\n"
    assert judged(device) == Verdict("lost", GONE.message, GONE.hint)


def test_a_console_tells_at_once(device: Device, fake: FakeDevice) -> None:
    """Without a question to the device, which has panicked and stays away."""
    fake.scripts.clear()
    verdict = judged(device, words=f"Booting\n[ 1.2] {PANIC}\n---[ end {PANIC} ]---\n")
    assert verdict.word == "panic"
    assert PANIC in verdict.message
    assert fake.scripts == []


def test_a_device_that_only_answers_late(device: Device, fake: FakeDevice) -> None:
    fake.scripts.clear()
    late = DeviceTimeoutError("device fake-1 said nothing for 10 seconds", "wait")
    assert judged(device, late) == Verdict("timeout", late.message, late.hint)
    assert fake.scripts == []


LOG = """\
[ 1.0] type=1400 avc:  denied  { prog_load } for pid=7 comm="loader" scontext=u:r:shell:s0 \
tcontext=u:r:shell:s0 tclass=bpf permissive=0
[ 2.0] avc:  denied  { read } for pid=8 comm="other" scontext=a tcontext=b tclass=file permissive=0
[ 3.0] Out of memory: Killed process 7 (loader) total-vm:1kB
"""


def test_evidence_of_a_refusal(device: Device, fake: FakeDevice, tmp_path: Path) -> None:
    fake.write("dmesg", LOG.encode())
    fake.write("sys/fs/selinux/enforce", b"1")
    fake.write("sys/kernel/security/lockdown", b"none [integrity] confidentiality\n")
    fake.write("proc/sys/kernel/unprivileged_bpf_disabled", b"2\n")
    of_shell = evidence.gather(device)
    assert (of_shell.uid, of_shell.caps, of_shell.context) == (2000, 0, "u:r:shell:s0")
    assert (of_shell.enforcing, of_shell.lockdown, of_shell.unprivileged) == (
        True,
        "integrity",
        "2",
    )
    (denial,) = of_shell.denials
    assert (denial.permissions, denial.tclass) == (("prog_load",), "bpf")
    assert "Killed process 7 (loader)" in of_shell.killed
    with device.privileged() as root:
        of_root = evidence.gather(root)
    assert (of_root.uid, of_root.caps) == (0, (1 << 41) - 1)


def test_evidence_of_nothing(device: Device, fake: FakeDevice) -> None:
    """A device that answers in no order of ours tells nothing."""
    fake.tool("dmesg", "exit 1")
    (fake.root / "proc/self/status").write_bytes(b"Uid:\tx\nCapEff:\t" + b"f" * 99 + b"\n")
    found = evidence.gather(device)
    assert (found.uid, found.caps, found.denials, found.killed) == (-1, 0, (), "")
