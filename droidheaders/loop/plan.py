"""What is to be run: targets, tests, and the steps that build what they need. Data alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TestKind = Literal["bpf", "module", "kunit", "script", "kselftest", "host"]
User = Literal["root", "shell"]


@dataclass(frozen=True)
class Target:
    """Where tests run: guests of `recipe`, with their own `kernel` if there is one; or devices.

    `serials` are devices, any of which will do, each for one test at a time; then there is no
    recipe. `modules` and `extra` are as in `emulator start`: --modules and --initrd-extra.
    `memory` is in MB, None for the recipe's.
    """

    name: str
    recipe: str = ""
    kernel: Path | None = None
    modules: Path | None = None
    extra: Path | None = None
    memory: int | None = None
    cpus: int = 2
    serials: tuple[str, ...] = ()
    personas: tuple[str, ...] = ("userdebug",)


@dataclass(frozen=True)
class Build:
    """A step on this host: `run` leaves files in $OUT, anew when a file of `inputs` has changed.

    `inputs` are patterns of files, relative to the spec as all is. With `for_kernel` it is run for
    each kernel, with KDIR and the like in its environment. `timeout` is in seconds.
    """

    name: str
    run: str
    inputs: tuple[str, ...]
    for_kernel: bool = False
    timeout: float = 600.0


@dataclass(frozen=True)
class Test:
    """What is run on a target, and what it must say.

    `source` is a BPF source or object, a module's directory or its .ko, or a program or script for
    the device, which gets `arguments`. `more` are modules, .ko, that are inserted with it.
    `command` is what runs on the host, for `host`. `user` is as whom it is run there, None for root
    where there is root. `seconds` is how long it is watched, `timeout` how long all of it may take,
    None for the plan's. `targets` are the only ones it is for, where there are any. `build` is the
    step it needs, if it needs one; then `source` and `more` are relative to what that has left.
    """

    name: str
    kind: TestKind
    source: Path | None = None
    command: str = ""
    more: tuple[Path, ...] = ()
    arguments: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    seconds: float | None = None
    timeout: float | None = None
    user: User | None = None
    targets: tuple[str, ...] = ()
    build: Build | None = None


@dataclass(frozen=True)
class Plan:
    """All of a spec: `path` is the file; paths in it were relative to its directory.

    `timeout` is in seconds, for one test from the guest on. `allow` and `deny` are files with what
    is known of a kernel's complaints.
    """

    path: Path
    targets: tuple[Target, ...]
    tests: tuple[Test, ...]
    timeout: float = 60.0
    allow: tuple[Path, ...] = ()
    deny: tuple[Path, ...] = ()

    @property
    def name(self) -> str:
        """What it is called: its file without the suffix."""
        return self.path.stem
