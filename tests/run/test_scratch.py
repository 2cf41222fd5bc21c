"""Files on a device: in one directory, which goes whatever happens."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from droidheaders.adb import Device
from droidheaders.errors import DroidheadersError
from droidheaders.run.recovery import recover
from droidheaders.run.scratch import scratch
from tests.fake_device import FakeDevice


def left(fake: FakeDevice, tmp_path: Path) -> list[str]:
    """Return what lies on the device and in the journal."""
    there = [*(fake.root / "data/local/tmp").iterdir(), *(tmp_path / "state/journal").iterdir()]
    return [path.name for path in there]


def test_a_private_directory_that_goes(device: Device, fake: FakeDevice, tmp_path: Path) -> None:
    with scratch(device) as path:
        assert re.fullmatch("/data/local/tmp/droidheaders-[0-9a-f]{16}", path)
        assert (fake.root / path[1:]).stat().st_mode & 0o777 == 0o700
        assert device.shell(f"mkdir {path}/d; echo x >{path}/d/file").status == 0
    assert left(fake, tmp_path) == []


def test_it_goes_when_the_body_raises(device: Device, fake: FakeDevice, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), scratch(device):
        raise KeyboardInterrupt
    assert left(fake, tmp_path) == []


def test_one_that_the_body_removed_is_no_error(
    device: Device, fake: FakeDevice, tmp_path: Path
) -> None:
    with scratch(device) as path:
        device.shell(f"rmdir {path}")
    assert left(fake, tmp_path) == []


def test_what_the_shell_may_not_remove_root_does(
    device: Device, fake: FakeDevice, tmp_path: Path
) -> None:
    rm = 'echo "rm: $2: Permission denied" >&2; [ "$FAKE_ROOT" = 1 ] && exec /bin/rm "$@"; exit 1'
    with scratch(device):
        fake.tool("rm", rm)
    assert left(fake, tmp_path) == []


def test_without_root_it_is_said_and_kept_for_the_next_run(
    device: Device, fake: FakeDevice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DroidheadersError, match=r"not remove .*not permitted"), scratch(device):
        fake.tool("rm", "echo 'rm: Operation not permitted' >&2; exit 1")
    assert len(left(fake, tmp_path)) == 2
    recover(device)
    assert "what an earlier run changed on device fake-1 is still so" in capsys.readouterr().err
    (fake.root / "bin/rm").unlink()
    recover(device)
    assert "an earlier run was cut off: removed /data/local/tmp/" in capsys.readouterr().err
    assert left(fake, tmp_path) == []


def test_a_device_without_room(device: Device, fake: FakeDevice, tmp_path: Path) -> None:
    fake.tool("mkdir", "echo 'mkdir: No space left on device' >&2; exit 1")
    with pytest.raises(DroidheadersError, match=r"no place .*No space left"), scratch(device):
        raise AssertionError
    assert left(fake, tmp_path) == []


KILLED = """
import os, signal, sys
from droidheaders.adb import Endpoint, Server
from droidheaders.run.scratch import scratch
with scratch(Server(Endpoint("127.0.0.1", int(sys.argv[1]))).select()):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_run_removes_what_a_killed_one_left(
    device: Device, fake: FakeDevice, tmp_path: Path
) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(fake.port)], check=False)
    assert done.returncode == -9
    assert len(left(fake, tmp_path)) == 2
    fake.write("proc/sys/kernel/random/boot_id", b"11111111-1111-1111-1111-111111111111\n")
    recover(device)  # files outlive a reboot
    assert left(fake, tmp_path) == []
    recover(device)


def test_a_recovery_without_entries_asks_the_device_nothing(
    device: Device, fake: FakeDevice
) -> None:
    fake.requests.clear()
    recover(device)
    assert fake.requests == []
