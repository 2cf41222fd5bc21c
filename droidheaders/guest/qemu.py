"""QEMU's command line for a guest, and which accelerator this host really has."""

from __future__ import annotations

import os
import random
import socket
from dataclasses import dataclass
from pathlib import Path

from droidheaders.debian.arch import host_arch
from droidheaders.guest.data import state_dir
from droidheaders.guest.host import qemu_binary
from droidheaders.guest.process import boot_id
from droidheaders.guest.qmp import SOCKET

ADB_SCANS = range(5555, 5586)
"""Ports on which adb looks for emulators by itself (AOSP client/transport_emulator.cpp)."""

# `loglevel=6` and not `quiet`: the banner is a notice, and proof that the kernel runs. The early
# console shows what happens before the driver of the real one is there.
_CONSOLE = {
    "arm64": "console=ttyAMA0 earlycon=pl011,0x9000000",
    "x86_64": "console=ttyS0 earlycon=uart8250,io,0x3f8",
}
# Not microvm: without KVM it boots no faster. cortex-a72 has no pointer authentication, whose
# algorithm costs much in emulation.
_MACHINE = {"arm64": "virt", "x86_64": "q35"}
# Not cmpxchg16b: QEMU 7.2 computes the flags it leaves from a stale state, after which pushf pushes
# garbage and iret faults: slab allocation in 6.12 kills one boot in three that way.
_EMULATED_CPU = {"arm64": "cortex-a72", "x86_64": "max,-cx16"}
# One thread for both processors of an x86 guest: with two, one may translate the int3 that the
# other has put over code and taken away again (text_poke_bp_batch(), arch/x86/kernel/alternative.c)
# and dies of it: one in fifty attachments of all kinds of BPF program.
_THREADS = {"arm64": "multi", "x86_64": "single"}


@dataclass(frozen=True)
class Machine:
    """What to boot and on what; `memory` is in MB.

    With `memory_file` the memory is in that file. One that is `restored` does not boot: it waits
    for the state of another, and leaves that one's file as it is.
    """

    arch: str
    kernel: Path
    initrd: Path
    append: str = ""
    memory: int = 512
    cpus: int = 2
    memory_file: Path | None = None
    restored: bool = False


def command(machine: Machine, directory: Path, port: int, accel: str) -> list[str]:
    """Return QEMU's arguments; its files are in `directory`, where it is started.

    Nothing listens but the loopback port for adbd. A kernel that panics reboots at once, and a
    machine that reboots ends: that is seen at once, too.
    """
    arch = machine.arch
    cpu = "host" if accel == "kvm" else _EMULATED_CPU[arch]
    return [
        *(qemu_binary(arch), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", _MACHINE[arch] + (",gic-version=host" if _arm_kvm(arch, accel) else "")),
        *_memory(machine),
        *("-accel", "kvm" if accel == "kvm" else f"tcg,thread={_THREADS[arch]}"),
        *("-cpu", cpu, "-m", f"{machine.memory}M", "-smp", str(machine.cpus)),
        *_begin(machine),
        *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:5555"),
        *("-device", "virtio-net-pci,netdev=net,romfile="),
        # relative, so that the path of the socket stays short (unix(7): 108 bytes)
        *(
            "-qmp",
            f"unix:{SOCKET},server=on,wait=off",
            "-serial",
            "chardev:console",
            "-chardev",  # appended to, so that a restored guest's begins with its boot
            f"file,id=console,path={_quoted(directory / 'console.log')},append=on",
        ),
    ]


def _quoted(path: Path) -> str:
    return str(path).replace(",", ",,")  # QEMU's options end at a comma (util/qemu-option.c)


def _memory(machine: Machine) -> list[str]:
    if machine.memory_file is None:
        return []
    share = "off" if machine.restored else "on"
    path, size = _quoted(machine.memory_file), f"{machine.memory}M"
    backend = f"memory-backend-file,id=ram,size={size},mem-path={path},share={share}"
    return ["-object", backend, "-machine", "memory-backend=ram"]


def _begin(machine: Machine) -> list[str]:
    """Return where the machine begins: a kernel, which a restored one has in its memory."""
    if machine.restored:
        return ["-incoming", "defer"]
    append = f"{_CONSOLE[machine.arch]} loglevel=6 panic=-1 {machine.append}".strip()
    return ["-kernel", str(machine.kernel), "-initrd", str(machine.initrd), "-append", append]


def _arm_kvm(arch: str, accel: str) -> bool:
    return arch == "arm64" and accel == "kvm"


def free_port() -> int:
    """Return a port of the loopback that is free now and that adb does not scan."""
    while True:
        with socket.socket() as probe:
            # below the range for outgoing connections, which would take it at any time
            port = random.randint(10000, 32000)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in ADB_SCANS:
            return port


def accelerators(arch: str) -> list[str]:
    """Return what to try, in this order: "kvm" where it may work, and always "tcg".

    That /dev/kvm is there proves nothing: nested, it may fail, or run no kernel to its banner.
    Only a guest that boots is proof, and what was found out holds until the host boots again.
    """
    if arch != host_arch() or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return ["tcg"]
    return ["tcg"] if _verdict(arch) == "no" else ["kvm", "tcg"]


def is_proven(arch: str) -> bool:
    """Tell whether a guest booted with KVM since this host did."""
    return _verdict(arch) == "yes"


def _note(arch: str) -> Path:
    return state_dir() / f".kvm-{arch}-{boot_id()}"


def _verdict(arch: str) -> str:
    try:
        return _note(arch).read_text()
    except OSError:
        return ""


def remember_kvm(arch: str, works: bool) -> None:
    """Note whether a guest got to its kernel's banner with KVM."""
    for old in state_dir().glob(f".kvm-{arch}-*"):
        old.unlink(missing_ok=True)
    _note(arch).write_text("yes" if works else "no")
