"""Restore a guest from its snapshot, which is made first where there is none that fits."""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders.errors import DroidheadersError
from droidheaders.guest import boot, initrd, qemu, snapshot
from droidheaders.guest.boot import Running, StartError
from droidheaders.guest.image import Image
from droidheaders.guest.instance import Instance
from droidheaders.guest.qmp import SOCKET, Qmp
from droidheaders.guest.signals import uninterrupted
from droidheaders.guest.snapshot import Slot, Snapshot
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device, Server

_STAGE = "snapshot"
_PATIENCE = 20.0  # seconds for the shell of a restored guest, which answers in 0.3
_POLL = 0.002
_SERVICE = "droidheaders-restored:"  # emulator/userland/src/restored.h


@dataclass(frozen=True)
class Saving:
    """A guest `mine` of `image` whose snapshot is in `slot`; `deadline` is for all, monotonic."""

    mine: Instance
    machine: qemu.Machine
    image: Image
    slot: Slot
    server: Server
    deadline: float

    @property
    def key(self) -> str:
        """What its snapshot is known by now."""
        return snapshot.key_of(self.machine, self.image, self.mine.directory)

    def boot(self, memory: Path | None = None) -> Running:
        """Return the guest, booted, with its memory in that file; raises StartError."""
        initrd.concatenate(self.image.parts, self.machine.initrd)
        machine = replace(self.machine, memory_file=memory)
        return boot.boot(self.mine, machine, self.server, self.deadline)


def restored(saving: Saving) -> Running:
    """Return the guest, restored from its snapshot, which is made anew if it must be.

    Where none can be made, or it cannot be restored, that is said and the guest boots. Raises
    StartError when it does not come up.
    """
    slot = saving.slot
    for _ in range(2):
        with slot.locked(exclusive=False):
            if (found := slot.read(saving.key)) and (running := _tried(saving, found)):
                return running
        if not make(saving):
            break
    return saving.boot()


def make(saving: Saving, *, anew: bool = False) -> bool:
    """Boot the guest and save it, and return whether there is a snapshot now.

    Without `anew` one that somebody made meanwhile is taken. That none can be made is said. Raises
    StartError when the guest does not come up.
    """
    slot = saving.slot
    with slot.locked(exclusive=True):
        if not anew and slot.read(saving.key):
            return True
        slot.discard()
        if not snapshot.has_room(saving.machine.memory):
            ui.warn(f"no snapshot of {slot.name}: {slot.directory.parent} has no room for it")
            return False
        ui.say(f"{slot.name}: booting once, for a snapshot", level=1)
        slot.making.mkdir(mode=0o700)
        try:
            return _make(saving)
        finally:
            with suppress(OSError):
                snapshot.prune(slot)


def _make(saving: Saving) -> bool:
    slot = saving.slot
    try:
        running = saving.boot(slot.making / "memory")
    except StartError as error:
        slot.discard()
        if f"signal {signal.SIGBUS.value}" not in error.message:
            raise
        ui.warn(f"no snapshot of {slot.name}: the disk was full before it was whole")
        return False
    try:
        saving.server.disconnect(running.instance.serial)
        with Qmp(saving.mine.directory, timeout=30.0) as monitor:
            snapshot.save(monitor, slot.making / "state")
        running.child.wait()
        slot.publish(saving.key, running.instance.accel, saving.mine.console)
    except (OSError, ValueError) as error:
        ui.warn(f"no snapshot of {slot.name}: {error}")
        return False
    finally:
        running.end()
        shutil.rmtree(slot.making, ignore_errors=True)  # nothing, if all went well
    return True


def _tried(saving: Saving, found: Snapshot) -> Running | None:
    """Return the restored guest, or None when nothing comes of the snapshot, which is said."""
    slot = saving.slot
    machine = replace(saving.machine, memory_file=slot.memory, restored=True)
    deadline = min(saving.deadline, time.monotonic() + _PATIENCE)
    try:
        return _greeted(_restore(saving.mine, machine, slot, found.accel), saving.server, deadline)
    except StartError as error:
        ui.warn(f"the snapshot {slot.name} cannot be restored, and is made anew: {error.message}")
        slot.discard()
        return None


def _restore(mine: Instance, machine: qemu.Machine, slot: Slot, accel: str) -> Running:
    """Return the guest once QEMU has taken the snapshot and goes on; raises StartError."""
    while True:
        mine.console.write_bytes(slot.console.read_bytes())
        (mine.directory / SOCKET).unlink(missing_ok=True)
        with uninterrupted():
            running = boot.launch(mine, machine, accel)
        try:
            with _monitor(running) as monitor:
                snapshot.load(monitor, slot.state)
        except (OSError, ValueError) as error:
            running.end()
            why = running.log() or str(error)
            if boot.PORT_TAKEN not in why:
                raise StartError(_STAGE, printable(why)) from error
        except BaseException:
            running.end()
            raise
        else:
            return running


def _monitor(running: Running) -> Qmp:
    """Return QEMU's monitor, as soon as it is there; raises OSError when QEMU ends before."""
    while True:
        try:
            return Qmp(running.instance.directory, timeout=30.0)
        except (FileNotFoundError, ConnectionRefusedError):
            if running.child.poll() is not None:
                raise
        time.sleep(_POLL)


def _greeted(running: Running, server: Server, deadline: float) -> Running:
    """Return the guest once its clock is right and its shell answers; raises StartError."""
    from droidheaders.adb import Selector

    try:
        boot.wait_for_shell(running, server, deadline)
        device = server.select(Selector(serial=running.instance.serial))
        _tell_time(device)
        running.instance = replace(running.instance, ready=True)
        running.instance.save()
    except BaseException:
        running.end()
        with suppress(OSError, DroidheadersError):
            server.disconnect(running.instance.serial)  # it would go on trying to get there
        raise
    return running


def _tell_time(device: Device) -> None:
    """Have the guest take our time, and random numbers that no sibling of it has.

    Raises DroidheadersError when it does not.
    """
    from droidheaders.adb.service import ask

    seconds, rest = divmod(time.time_ns(), 10**9)
    service = f"{_SERVICE}{seconds}.{rest:09d}:{os.urandom(32).hex()}"
    if ask(device, service, "setting its clock") != "ok\n":
        raise DroidheadersError(
            f"{device.name} did not take the time it was told", "droidheaders emulator console"
        )
