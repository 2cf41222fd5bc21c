"""Start a machine and wait until adb gets an answer out of it."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from droidheaders.errors import DeviceTimeoutError, DroidheadersError
from droidheaders.guest import console, process, qemu
from droidheaders.guest.instance import Instance
from droidheaders.guest.signals import uninterrupted
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Server

_POLL = 0.02
_KVM_BANNER = 5.0
"""Seconds to the kernel's banner, of which KVM needs a few tenths and emulation less than one."""

PORT_TAKEN = "Could not set up host forwarding rule"
"""What QEMU says when another process took the port since it was found free (net/slirp.c)."""

_ANSWER = "droidheaders-is-here"


@dataclass
class Running:
    """A machine that was started, and QEMU's process while it is a child of ours."""

    instance: Instance
    child: subprocess.Popen[bytes]

    def log(self) -> str:
        """Return what QEMU itself had to say."""
        return console.read(self.instance.directory / "qemu.log").strip()

    def end(self) -> None:
        """Kill QEMU at once and reap it."""
        self.child.kill()
        self.child.wait()


class StartError(DroidheadersError):
    """A guest did not come up; `stage` is the first one it did not pass."""

    kind = "guest"

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(reason)
        self.stage = stage

    def explain(self, message: str) -> None:
        """Replace the bare reason by a sentence for a person."""
        self.message = message
        self.args = (message,)


class StartTimeoutError(StartError, DeviceTimeoutError):
    """A guest did not come up in time."""

    kind = "timeout"
    exit_code = DeviceTimeoutError.exit_code


def boot(instance: Instance, machine: qemu.Machine, server: Server, deadline: float) -> Running:
    """Try one accelerator after the other, and return the guest once its shell answered.

    Raises StartError naming the stage that was not passed; nothing of it runs then.
    """
    to_try = qemu.accelerators(machine.arch)
    kvm_failed = False
    while True:
        with uninterrupted():
            running = launch(instance, machine, to_try[0])
        try:
            wait_for_kernel(running, deadline)
            if to_try[0] == "kvm" or kvm_failed:  # a kernel that boots nowhere says nothing of KVM
                qemu.remember_kvm(machine.arch, works=not kvm_failed)
            wait_for_shell(running, server, deadline)
            running.instance = replace(running.instance, ready=True)
            running.instance.save()
        except StartError as error:
            running.end()
            if PORT_TAKEN in error.message and time.monotonic() < deadline:
                continue
            early = error.stage == console.STAGES[0]
            if to_try[0] == "tcg" or not early or qemu.is_proven(machine.arch):
                raise
            ui.say("no guest came up with KVM; emulating", level=1)
            kvm_failed = True
            to_try.pop(0)
        except BaseException:
            running.end()
            raise
        else:
            return running


def launch(instance: Instance, machine: qemu.Machine, accel: str) -> Running:
    """Start QEMU in a session of its own, so that it outlives us and our terminal's Ctrl-C."""
    instance = replace(instance, port=qemu.free_port(), accel=accel)
    if not machine.restored:
        instance.console.unlink(missing_ok=True)
    with (instance.directory / "qemu.log").open("wb") as log:
        child = subprocess.Popen(
            qemu.command(machine, instance.directory, instance.port, accel),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=instance.directory,
            start_new_session=True,
        )
    try:
        started = process.start_time(child.pid)
        if started is not None:  # else it has ended already, which the first poll tells
            instance = replace(instance, pid=child.pid, started=started)
            instance.save()
    except BaseException:
        child.kill()
        child.wait()
        raise
    return Running(instance, child)


def wait_for_kernel(running: Running, deadline: float) -> None:
    """Return once the kernel has printed its banner; raises StartError."""
    if running.instance.accel == "kvm":
        deadline = min(deadline, time.monotonic() + _KVM_BANNER)
    for text in _watch(running, 0, deadline):
        if console.passed(text) > 0:
            return


def wait_for_shell(running: Running, server: Server, deadline: float) -> None:
    """Return once a command has run on the guest; raises StartError naming the stage."""
    for text in _watch(running, 0, deadline):
        if console.passed(text) >= console.STAGES.index("adb device"):
            break
    serial = running.instance.serial
    attached = ""
    for _ in _watch(running, console.STAGES.index("adb device"), deadline):
        attached = _attach(server, serial)
        if attached == "device":
            break
    for _ in _watch(running, console.STAGES.index("shell"), deadline):
        if _answers(server, serial, deadline - time.monotonic()):
            return


def _watch(running: Running, stage: int, deadline: float) -> Iterator[str]:
    """Yield the console's text at each poll, and raise once there is no hope.

    `stage` is the one waited for, unless the console shows a later one.
    """
    while True:
        status = running.child.poll()  # before the console: a dead QEMU writes no more
        text = console.read(running.instance.console)
        reached = console.STAGES[max(stage, console.passed(text))]
        if status is not None:
            raise StartError(reached, _ending(running, status, text))
        yield text
        if time.monotonic() > deadline:
            raise StartTimeoutError(reached, f"no {reached!r} in time")
        time.sleep(_POLL)


def _ending(running: Running, status: int, text: str) -> str:
    """Say why QEMU ended: the kernel's or init's last words, else its own."""
    if words := console.last_words(text):
        return words
    own = running.log().splitlines()
    if status < 0:
        return f"QEMU was ended by signal {-status}"
    return printable(own[-1]) if own else f"QEMU ended with status {status}"


def _attach(server: Server, serial: str) -> str:
    """Return the state the adb server has the guest in, asking it to connect when it has none."""
    state = next((one.state for one in server.devices() if one.serial == serial), "")
    if not state:
        with contextlib.suppress(DroidheadersError):
            server.connect(serial)
            state = next((one.state for one in server.devices() if one.serial == serial), "")
    return state


def _answers(server: Server, serial: str, left: float) -> bool:
    """Tell whether a command ran to its end on the guest."""
    from droidheaders.adb import Selector

    try:
        device = server.select(Selector(serial=serial))
        result = device.shell(f"echo {_ANSWER}", timeout=max(0.1, min(5.0, left)))
    except DroidheadersError as error:
        ui.say(f"{serial}: {error.message}", level=2)
        return False
    return result.status == 0 and result.stdout.strip() == _ANSWER.encode()
