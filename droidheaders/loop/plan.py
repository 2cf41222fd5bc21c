"""What is to be run: targets, tests, and the steps that build what they need. Data alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

TestKind = Literal["bpf", "module", "script", "host", "kunit", "kselftest"]
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
    """A step on the host: `run` in `directory`, anew when what `inputs` match has changed.

    `inputs` are glob patterns and `outputs` files, both relative to `directory`; with
    `for_kernel` it is run for each kernel, with KDIR and the like in its environment.
    """

    name: str
    run: str
    directory: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    for_kernel: bool = False


@dataclass(frozen=True)
class Test:
    """What is run on a target, and what it must say.

    `source` is a BPF source or object; a module's directory or its .ko; a script; a KUnit module;
    a kselftest binary. `command` is what runs on the host, for `host`. `more` are modules that are
    loaded with it. `user` is as whom it is run there, None for root where there is root. `seconds`
    is how long it is watched, `timeout` how long all of it may take, both in seconds. `targets`
    and `personas` are the only ones it is for, where they are not empty. `builds` are the names of
    the steps it needs.
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
    personas: tuple[str, ...] = ()
    builds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All of a spec: `path` is the file; paths in it were relative to its directory.

    `allow` and `deny` are files with what the kernel may and must not say.
    """

    path: Path
    targets: tuple[Target, ...]
    tests: tuple[Test, ...]
    builds: tuple[Build, ...] = ()
    allow: tuple[Path, ...] = ()
    deny: tuple[Path, ...] = ()
    timeout: float = 60.0
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is called: its file without the suffix."""
        return self.path.stem
