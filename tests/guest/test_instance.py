"""Records of guests: whose process a pid is, which directory is whose, which port is free."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.guest import guest, instance, process, qemu


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def running(mine: instance.Instance, child: subprocess.Popen[bytes]) -> instance.Instance:
    started = process.start_time(child.pid)
    assert started is not None
    new = replace(mine, pid=child.pid, started=started, port=17099, ready=True, server_port=1)
    new.save()
    return new


def test_a_process_is_told_from_another_with_its_pid(sleeper: subprocess.Popen[bytes]) -> None:
    started = process.start_time(sleeper.pid)
    assert started is not None
    assert process.is_alive(sleeper.pid, started)
    assert not process.is_alive(sleeper.pid, started - 1)
    assert process.kill(sleeper.pid, started - 1)  # gone already, so nothing is killed
    assert sleeper.poll() is None
    assert not process.wait_gone(sleeper.pid, started, 0.01)
    assert process.kill(sleeper.pid, started)
    assert sleeper.wait() == -9
    assert process.start_time(sleeper.pid) is None
    assert process.wait_gone(sleeper.pid, started, 0)


def test_the_second_of_a_recipe_has_a_number(state: Path) -> None:
    first, second = (instance.claim("6.1-arm64", "arm64", "user") for _ in range(2))
    assert (first.name, second.name) == ("6.1-arm64", "6.1-arm64-2")
    assert first.state == "starting"
    assert instance.instances() == [first, second]
    assert state.stat().st_mode & 0o777 == 0o700


def test_a_guest_whose_process_is_gone_is_stale(
    state: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    one = running(instance.claim("6.1-arm64", "arm64", "user"), sleeper)
    assert instance.find("127.0.0.1:17099").state == "running"
    sleeper.kill()
    sleeper.wait()
    assert instance.find("6.1-arm64").state == "stale"
    one.console.write_text("last words")
    again = instance.claim("6.1-arm64", "arm64", "user")
    assert (again.name, again.state) == ("6.1-arm64", "starting")
    [kept] = (state / "failed").iterdir()
    assert kept.read_text() == "last words"


def test_a_stale_guest_that_is_ended_leaves_the_one_that_took_its_name(
    state: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    one = running(instance.claim("6.1-arm64", "arm64", "user"), sleeper)
    sleeper.kill()
    sleeper.wait()
    again = instance.claim("6.1-arm64", "arm64", "user")
    guest.stop(one)
    assert instance.instances() == [again]
    again.forget()
    assert instance.instances() == []


def test_a_record_of_another_boot_is_stale(state: Path, sleeper: subprocess.Popen[bytes]) -> None:
    one = running(instance.claim("6.1-arm64", "arm64", "user"), sleeper)
    replace(one, boot_id="another").save()
    assert instance.find("6.1-arm64").state == "stale"
    guest.stop(instance.find("6.1-arm64"))
    assert sleeper.poll() is None
    assert instance.instances() == []


def test_what_is_no_record_is_no_guest(state: Path) -> None:
    one = instance.claim("6.1-arm64", "arm64", "user")
    (one.directory / "instance.json").write_text('{"name": "6.1-arm64"')
    assert instance.instances() == []
    assert instance.claim("6.1-arm64", "arm64", "user").name == "6.1-arm64"


def test_a_guest_that_is_being_set_up_is_left_alone(state: Path) -> None:
    one = instance.claim("6.1-arm64", "arm64", "user")
    with pytest.raises(DroidheadersError, match="still being set up"):
        guest.stop(one)
    assert one.directory.is_dir()


def test_an_unknown_guest_names_those_there_are(state: Path) -> None:
    instance.claim("6.1-arm64", "arm64", "user")
    with pytest.raises(UsageError, match=r"no guest 'x' \(there are: 6\.1-arm64\)"):
        instance.find("x")


def test_a_directory_others_can_write_to_is_refused(state: Path) -> None:
    state.mkdir(parents=True)
    state.chmod(0o777)
    with pytest.raises(DroidheadersError, match="others can write"):
        instance.claim("6.1-arm64", "arm64", "user")


def test_only_the_last_consoles_are_kept(state: Path) -> None:
    one = instance.claim("6.1-arm64", "arm64", "user")
    for number in range(12):
        one.console.write_text(str(number))
        kept = replace(one, pid=number).keep_console()
        os.utime(kept, (number, number))
    assert len(list((state / "failed").iterdir())) == 10
    assert kept.read_text() == "11"


def test_ports_are_free_and_not_adbs(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offers = [17098, 5585, taken.getsockname()[1], 5555]
        monkeypatch.setattr("random.randint", lambda *_: offers.pop())
        assert qemu.free_port() == 17098
        assert offers == []


def test_nothing_but_the_loopback_port_listens(tmp_path: Path) -> None:
    for arch in ("arm64", "x86_64"):
        machine = qemu.Machine(arch, Path("/k"), Path("/i"), "security=selinux")
        words = qemu.command(machine, tmp_path, 17001, "tcg")
        text = " ".join(words)
        assert "hostfwd=tcp:127.0.0.1:17001-:5555" in text
        assert "-nodefaults" in words
        assert words[words.index("-append") + 1].endswith("panic=-1 security=selinux")


def test_kvm_is_tried_until_it_failed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.mkdir(parents=True)
    monkeypatch.setattr(qemu, "host_arch", lambda: "x86_64")
    monkeypatch.setattr("os.access", lambda *_: True)
    assert qemu.accelerators("arm64") == ["tcg"]
    assert qemu.accelerators("x86_64") == ["kvm", "tcg"]
    qemu.remember_kvm("x86_64", works=False)
    assert qemu.accelerators("x86_64") == ["tcg"]
    qemu.remember_kvm("x86_64", works=True)
    assert qemu.accelerators("x86_64") == ["kvm", "tcg"]
    monkeypatch.setattr(qemu, "boot_id", lambda: "the next boot")
    assert not qemu.is_proven("x86_64")
