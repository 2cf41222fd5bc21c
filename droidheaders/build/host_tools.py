"""The programs that a kernel's build made for itself and its archive brought, made to run here.

They are programs from a device, and so are the Makefiles and scripts beside them: a kdir takes them
only when a person says so. A bundle's files cannot be executed, so scripts/ and tools/ are copied;
where the programs are another machine's, each is started by QEMU's user mode.

    scripts/mod/modpost         a script that starts QEMU with the program behind it
    scripts/mod/modpost.real    the program
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

from droidheaders.build import providers
from droidheaders.build.providers import Provider
from droidheaders.cache import Bundle, Cache
from droidheaders.debian import sysroot
from droidheaders.debian.arch import MACHINE
from droidheaders.errors import DroidheadersError
from droidheaders.headers.artifacts import PROGRAMS, Artifacts, called, inventory
from droidheaders.objects.executable import Executable

# Where QEMU calls a machine otherwise.
_QEMU = {"armv7l": "arm", "i686": "i386", "RISC-V": "riscv64"}
_START = """\
#!/bin/sh
exec {command} -0 "$0" "$0.real" "$@"
"""


def way(artifacts: Artifacts) -> str:
    """Return how the archive's programs run on this host: "archive" as they are, or "qemu"."""
    return "qemu" if artifacts.foreign(os.uname().machine) else "archive"


def of_archive(cache: Cache, bundle: Bundle, artifacts: Artifacts, *, emulated: bool) -> Provider:
    """Return the archive's own Makefiles and programs; those of another machine run `emulated`.

    What has to be is copied and kept beside the bundle, and the libraries that programs of another
    machine need are fetched. Raises DroidheadersError where the archive has no whole build, where
    its programs do not run here, and where QEMU is not installed.
    """
    name = f"the archive of {bundle.kernel}"
    number = providers.version(artifacts.root / "Makefile") if artifacts.complete else None
    if number is None:
        raise DroidheadersError(
            f"{name} holds no whole build, but {inventory(artifacts.describe())}",
            "droidheaders kdir --host-tools=provider",
        )
    foreign = artifacts.foreign(os.uname().machine)
    if foreign and not emulated:
        raise DroidheadersError(
            f"the programs in {name} are for {' and '.join(artifacts.machines)}, and this host is"
            f" {os.uname().machine}",
            "droidheaders kdir --host-tools=qemu, or --host-tools=provider to take others",
        )
    commands = {path: _emulator(tool, name) for path, tool in foreign.items()}

    def maker(place: Path) -> None:
        _copy(artifacts.root, place)
        for path, command in commands.items():
            _wrap(place / path, command)

    inputs = [f"{path} {command}" for path, command in commands.items()]
    place = cache.derived.make(bundle, "host-tools", inputs, maker)
    key = f"{bundle.name} {place.name}"
    if foreign:
        name += ", through QEMU"
    return Provider(name, number, artifacts.root, place / "scripts", place / "tools", key)


def _copy(root: Path, place: Path) -> None:
    """Copy what programs lie among, each file that can be started as one that may be."""
    for top in PROGRAMS:
        for directory, _, files in os.walk(root / top):
            into = place / Path(directory).relative_to(root)
            into.mkdir(parents=True)
            for name in files:
                source = Path(directory, name)
                if source.is_file():
                    shutil.copyfile(source, into / name)
                    (into / name).chmod(0o755 if _program(source) else 0o644)


def _program(file: Path) -> bool:
    with file.open("rb") as opened:
        return opened.read(4).startswith((b"#!", b"\x7fELF"))


def _wrap(program: Path, command: str) -> None:
    """Put a script in a program's place that starts it in QEMU; no binfmt_misc is needed."""
    program.rename(program.with_name(f"{program.name}.real"))
    program.write_text(_START.format(command=command))
    program.chmod(0o755)


def _emulator(tool: Executable, name: str) -> str:
    """Return the words by which a shell starts QEMU for a program of another machine."""
    machine = called(tool.machine)
    qemu = f"qemu-{_QEMU.get(machine, machine)}"
    found = shutil.which(f"{qemu}-static") or shutil.which(qemu)
    if found is None:
        raise DroidheadersError(
            f"the programs in {name} are for {machine}, and {qemu} is not on this host",
            "sudo apt-get install qemu-user, or droidheaders kdir --host-tools=provider",
        )
    words = [found]
    if tool.interpreter:
        if machine not in MACHINE:
            raise DroidheadersError(
                f"the programs in {name} are for {machine}, whose libraries are not known here",
                "droidheaders kdir --host-tools=provider",
            )
        words += ["-L", str(sysroot.libraries(MACHINE[machine]))]
    return shlex.join(words)


def told(artifacts: Artifacts, provider: Provider, *, asked: bool) -> str:
    """Return a sentence, without its full stop, that says whose host tools are run, and why."""
    machines = " and ".join(artifacts.machines) or "no machine"
    said = f"host tools: those of {provider.name}"
    if provider.makefiles == artifacts.root:
        return f"{said}, as asked: programs for {machines} that came with its headers"
    if asked:
        return f"{said}, as asked"
    return (
        f"{said}; the archive brought its own for {machines}, but programs from a device are run"
        f" here only when asked for: --host-tools={way(artifacts)}"
    )
