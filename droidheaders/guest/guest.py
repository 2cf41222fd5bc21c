"""A guest: started until its shell answers, and stopped until nothing of it is left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.guest import (
    boot,
    console,
    host,
    image,
    initrd,
    process,
    qemu,
    recipes,
    restoring,
    snapshot,
    userland,
)
from droidheaders.guest import instance as instances
from droidheaders.guest.instance import Instance
from droidheaders.guest.qmp import Qmp
from droidheaders.guest.signals import terminable, uninterrupted
from droidheaders.ui import ui

if TYPE_CHECKING:
    from droidheaders.adb import Server

DEFAULT_PERSONA = "userdebug"
DEFAULT_TIMEOUT = 60.0

MakeImage = Callable[[Path], image.Image]


class How(TypedDict, total=False):
    """How a guest is to be: see `Guest.start`."""

    persona: str
    server: Server | None
    timeout: float
    memory: int | None
    cpus: int
    make: MakeImage | None


@dataclass(frozen=True)
class Wanted:
    """What is asked for, with what holds where nothing is said."""

    recipe: recipes.Recipe
    persona: str = DEFAULT_PERSONA
    server: Server | None = None
    timeout: float = DEFAULT_TIMEOUT
    memory: int | None = None
    cpus: int = 2
    make: MakeImage | None = None

    def check(self) -> None:
        """Raise UsageError or DroidheadersError for what cannot be started, or not here."""
        recipe = self.recipe
        if self.persona not in userland.PERSONAS:
            raise UsageError(
                f"a persona is one of {', '.join(userland.PERSONAS)}: not {self.persona}",
                hint=f"droidheaders emulator start {recipe.name} --persona {DEFAULT_PERSONA}",
            )
        host.require(("adb", host.qemu_binary(recipe.arch)))
        if self.make is None:
            image.setup(recipe)

    def made(self, into: Path) -> image.Image:
        """Return what is booted; what has to be made for it is put `into` this directory."""
        return self.make(into) if self.make else image.setup(self.recipe)

    def machine(self, what: image.Image, place: Path) -> qemu.Machine:
        """Return the machine that boots `what`, with its initramfs in the directory `place`."""
        recipe = self.recipe
        words = [*userland.KERNEL_ARGS, f"droidheaders.persona={self.persona}", recipe.cmdline]
        append = " ".join(filter(None, words))
        memory = self.memory or recipe.memory
        return qemu.Machine(recipe.arch, what.kernel, place / "initrd", append, memory, self.cpus)

    def saving(self, mine: Instance, server: Server) -> restoring.Saving:
        """Return what its snapshot is made of, with `timeout` for all of it."""
        what = self.made(mine.directory)
        machine = self.machine(what, mine.directory)
        slot = snapshot.slot(self.recipe.name, self.persona, machine)
        return restoring.Saving(mine, machine, what, slot, server, time.monotonic() + self.timeout)


class Guest:
    """A running guest. As a context manager it is stopped when the block ends."""

    def __init__(self, running: boot.Running) -> None:
        self.instance = running.instance
        self._running = running

    @property
    def serial(self) -> str:
        """What adb calls it."""
        return self.instance.serial

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @classmethod
    def start(cls, name: str = recipes.DEFAULT, **how: Unpack[How]) -> Guest:
        """Return a guest of the recipe `name` whose shell has answered.

        `make` is for one's own kernel: it returns an image, whose files it may put into the
        directory it is given; without it the recipe's is set up. `memory` is in MB, else what the
        recipe says. `timeout` is in seconds, from starting QEMU. Raises StartError naming the stage
        that was not passed; then, and when it is interrupted, nothing of the guest is left but its
        console.
        """
        wanted = Wanted(recipes.load(name), **how)
        with _claimed(wanted) as (mine, server):
            what = wanted.made(mine.directory)
            machine = wanted.machine(what, mine.directory)
            initrd.concatenate(what.parts, machine.initrd)
            return cls(boot.boot(mine, machine, server, time.monotonic() + wanted.timeout))

    @classmethod
    def fresh(cls, name: str = recipes.DEFAULT, **how: Unpack[How]) -> Guest:
        """Return a guest that nobody has used: as `start`, out of a snapshot of one that booted.

        It takes 0.3 s; the first time, and when anything has changed about what boots, a boot. Its
        clock is right and its random numbers its own, but it has the boot id of its siblings.
        """
        wanted = Wanted(recipes.load(name), **how)
        with _claimed(wanted) as (mine, server):
            saving = wanted.saving(mine, server)
            return cls(restoring.restored(saving))

    @staticmethod
    def save(name: str = recipes.DEFAULT, **how: Unpack[How]) -> Path:
        """Boot such a guest, make the snapshot that `fresh` takes anew, and return its directory.

        Raises as `start`, and DroidheadersError when it cannot be kept.
        """
        wanted = Wanted(recipes.load(name), **how)
        with _claimed(wanted) as (mine, server):
            saving = wanted.saving(mine, server)
            if not restoring.make(saving, anew=True):
                raise DroidheadersError(
                    f"no snapshot of {saving.slot.name} could be kept",
                    f"droidheaders emulator start {name} --persona {wanted.persona}",
                )
            mine.forget()
            return saving.slot.directory

    def stop(self) -> None:
        """End the guest; raises DroidheadersError if it will not go."""
        stop(self.instance)
        self._running.child.wait()


@contextlib.contextmanager
def _claimed(wanted: Wanted) -> Iterator[tuple[Instance, Server]]:
    """Give a new instance, of which nothing is left when the block raises."""
    wanted.check()
    server = wanted.server or _default_server()
    server.ensure_running()
    with terminable():
        mine = instances.claim(wanted.recipe.name, wanted.recipe.arch, wanted.persona)
        at = server.endpoint
        mine = replace(mine, server_host=at.host, server_port=at.port)
        try:
            yield mine, server
        except BaseException as error:
            _undo(mine, error)
            raise


def _undo(mine: Instance, error: BaseException) -> None:
    """Leave nothing of a start that failed, and tell the error where the console went."""
    with uninterrupted():
        now = instances.read(mine.name) or mine
        if now.port:
            _end(now)
            _disconnect(now)  # afterwards: the server may have been connecting when we stopped
        text = console.read(now.console)
        kept = now.keep_console()
        now.forget()
        if isinstance(error, boot.StartError):
            for line in console.last_lines(text):
                ui.say(f"  {line}")
            error.explain(
                f"the guest {mine.name} did not get to {error.stage!r}: {error.message}"
                f" (its console is in {kept})."
            )
            error.hint = error.hint or f"less {kept}"


def stop(instance: Instance) -> None:
    """End a guest and remove what is left of it; of a stale one there is nothing to end.

    Raises DroidheadersError when QEMU does not go, or is not started yet.
    """
    if not instance.port and instance.alive:
        raise DroidheadersError(
            f"the guest {instance.name} is still being set up", hint=f"kill {instance.pid}"
        )
    with uninterrupted():
        if words := "" if instance.alive else console.last_words(console.read(instance.console)):
            kept = instance.keep_console()
            ui.warn(
                f"the guest {instance.name} ended by itself: {words} (its console is in {kept})"
            )
        # before the end: the server tries to get back a device that goes away by itself, and
        # meanwhile lists it now and then (AOSP client/transport.cpp, ReconnectHandler)
        _disconnect(instance)
        if not _end(instance):
            raise DroidheadersError(
                f"the guest {instance.name} does not end", hint=f"kill -9 {instance.pid}"
            )
        instance.forget()


def _end(instance: Instance) -> bool:
    """Ask QEMU to quit, else kill it, and return whether it is gone."""
    if not instance.alive:
        return True
    with contextlib.suppress(OSError, ValueError), Qmp(instance.directory, timeout=2) as monitor:
        monitor.execute("quit")
        if process.wait_gone(instance.pid, instance.started, 2):
            return True
    return process.kill(instance.pid, instance.started)


def _disconnect(instance: Instance) -> None:
    """Make the adb server forget the guest, if that server is still there."""
    from droidheaders.adb import Endpoint, Server

    server = Server(Endpoint(instance.server_host, instance.server_port))
    with contextlib.suppress(OSError, DroidheadersError):
        server.open().close()  # asking it for anything else would start it
        server.disconnect(instance.serial)


def _default_server() -> Server:
    from droidheaders.adb import Server, resolve_endpoint

    return Server(resolve_endpoint())
