"""What an archive holds besides headers: the build that a module needs, as first proposed.

The drafts of in-kernel headers of early 2019 packed Makefile, arch/*/Makefile, Module.symvers, and
scripts/ with the programs that the kernel's build had made for itself.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from droidheaders.objects.elf import machine_name
from droidheaders.objects.executable import MACHINES, Executable, read_executable

PROGRAMS = ("scripts", "tools")
"""The directories that have programs, which are the machine's that built the kernel."""

_ESSENTIAL = ("Makefile", "scripts/Makefile.build", "scripts/mod/modpost", "scripts/basic/fixdep")
_PARTS = ("Makefile", "scripts", "Module.symvers", ".config")


@dataclass(frozen=True)
class Artifacts:
    """What is there below `root`: `parts` are of Makefile, scripts, Module.symvers and .config.

    `tools` are the ELF programs by their path, which ran on the machine that built the kernel.
    """

    root: Path
    parts: tuple[str, ...]
    tools: dict[str, Executable] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Tell whether modules can be built by them."""
        return all((self.root / name).is_file() for name in _ESSENTIAL)

    @property
    def machines(self) -> list[str]:
        """Return the names of the machines that the tools are for, as uname -m has them."""
        return sorted({called(tool.machine) for tool in self.tools.values()})

    def foreign(self, machine: str) -> dict[str, Executable]:
        """Return the tools that a host of `machine`, as uname -m has it, cannot start."""
        return {name: tool for name, tool in self.tools.items() if not tool.runs_on(machine)}

    def describe(self) -> dict[str, Any]:
        """Return it as bundle.json has it."""
        return {"parts": list(self.parts), "tools": len(self.tools), "machines": self.machines}


def called(machine: int) -> str:
    """Return what uname -m calls an e_machine, else its name in elf.h."""
    own = (name for name, runs in MACHINES.items() if runs[0] == machine)
    return next(own, "") or machine_name(machine)


def inventory(description: Mapping[str, Any]) -> str:
    """Return the words for what `describe` returned."""
    tools, machines = description["tools"], " and ".join(description["machines"])
    programs = f" with {tools} programs for {machines}" if tools else ""
    return ", ".join(
        f"{part}{programs if part == 'scripts' else ''}" for part in description["parts"]
    )


def find(root: Path) -> Artifacts | None:
    """Return what unpacked headers have besides, or None when they are headers alone.

    Raises OSError when they cannot be read.
    """
    parts = tuple(part for part in _PARTS if (root / part).exists())
    return Artifacts(root, parts, dict(_tools(root))) if parts else None


def _tools(root: Path) -> Iterator[tuple[str, Executable]]:
    for top in PROGRAMS:
        for directory, _, files in os.walk(root / top):
            for name in sorted(files):
                path = Path(directory, name)
                if name.endswith(".so") or not path.is_file():
                    continue
                if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
                    continue
                if (tool := _tool(path)) is not None:
                    yield path.relative_to(root).as_posix(), tool


def _tool(path: Path) -> Executable | None:
    with path.open("rb") as file:
        data = file.read(4)
        if data != b"\x7fELF":
            return None
        data += file.read()
    try:
        return read_executable(data)
    except ValueError:  # an object, or for no machine that is known
        return None
