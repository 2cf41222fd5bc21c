"""Kernels as `check` knows them, made for tests: everything usual, unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from droidheaders.cache import Bundle
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.inquiry import Inquiry, User
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.kernel.log import Denial
from droidheaders.kernel.probe import ARCHIVES, BTF, CONFIG, DeviceFile, Probe
from droidheaders.preflight.answer import Answer, Report
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.target import Target

ARCHIVE = ARCHIVES[0]
MODULE = "/system_dlkm/lib/modules/6.1.99/kernel/kernel/kheaders.ko"
EVERYTHING = (1 << 41) - 1
SHELL = User("shell", 2000, "u:r:shell:s0", 0)
SU = User("su 0", 0, "u:r:su:s0", EVERYTHING)
MAGISK = User("su -c", 0, "u:r:magisk:s0", EVERYTHING)
ADBD = User("adbd", 0, "u:r:su:s0", EVERYTHING)
DENIAL = Denial(("getattr",), "u:r:shell:s0", "u:object_r:sysfs:s0", "file", "", ARCHIVE, False)
MOUNTS = {"/sys/kernel/tracing": "tracefs", "/sys/fs/bpf": "bpf", "/sys/fs/cgroup": "cgroup2"}


def states(files: Mapping[str, str]) -> tuple[DeviceFile, ...]:
    """Return the files and what one may do with each."""
    return tuple(DeviceFile(path, state) for path, state in files.items())


def inquiry(
    kernel: KernelIdentity,
    shell: User = SHELL,
    user: User | None = None,
    *,
    selinux: str = "enforcing",
    sees: Mapping[str, str] | None = None,
    root_sees: Mapping[str, str] | None = None,
    mounts: Mapping[str, str] | None = None,
    debuggable: bool = False,
    page_size: int = 4096,
    loaded: bool = False,
    **answers: Any,
) -> Inquiry:
    """Return what a device told: `sees` is the shell's view of files by path, root's unless given.

    Paths that end in .ko lie on the device, other paths are those that are looked for.
    """
    sees = sees or {}
    root_sees = sees if root_sees is None else root_sees
    archives = {path: sees.get(path, "absent") for path in ARCHIVES}
    told = Probe(
        kernel=kernel,
        proc_version="",
        page_size=page_size,
        kheaders_loaded=loaded,
        kheaders_build_id="",
        archives=states(archives),
        modules=states({p: s for p, s in sees.items() if p.endswith(".ko")}),
        config=DeviceFile(CONFIG, "readable"),
        btf=DeviceFile(BTF, sees.get(BTF, "absent")),
        uid=shell.uid,
        selinux=selinux,
        context=shell.context,
        build_type="userdebug" if debuggable else "user",
    )
    usual: dict[str, Any] = {
        "memlock": 65536,
        "switches": {},
        "config": b"",
        "denials": (),
        "su": "",
        "module_path": "",
        "module": b"",
    }
    return Inquiry(
        probe=told,
        shell=shell,
        user=user or shell,
        files={p: s for p, s in root_sees.items() if not p.endswith(".ko")},
        mounts=MOUNTS if mounts is None else mounts,
        modules=states({p: s for p, s in root_sees.items() if p.endswith(".ko")}),
        properties={"ro.debuggable": "1" if debuggable else "0"},
        **(usual | answers),
    )


def facts(
    config: str | None = None,
    release: str = "6.1.99-test",
    machine: str = "aarch64",
    *,
    shell: User | None = None,
    user: User | None = None,
    bundle: Bundle | None = None,
    relatives: tuple[str, ...] = (),
    disputed: tuple[str, ...] = (),
    vermagic: str = "",
    switches: Mapping[str, str] | None = None,
    **device: Any,
) -> Facts:
    """Return a kernel with the configuration of `config`, its lines or none; see `inquiry`.

    No device has it unless a `shell` or a `user` is given.
    """
    kernel = KernelIdentity(release, "#1 SMP", machine, "")
    asked = shell or user
    told = (
        inquiry(kernel, shell or SHELL, user, switches=switches or {}, **device) if asked else None
    )
    return Facts(
        target=Target(
            "a kernel",
            kernel,
            config=None if config is None else Kconfig.parse(config or "CONFIG_64BIT=y"),
            vermagic=vermagic,
            switches=switches or {},
        ),
        inquiry=told,
        bundle=bundle,
        relatives=relatives,
        config_path=CONFIG if config is not None else "",
        config_problem="" if config is not None else f"{CONFIG} is not there",
        disputed=disputed,
    )


def bundle(path: Path, *parts: str, **meta: Any) -> Bundle:
    """Return a bundle at `path` that has these parts."""
    for part in parts:
        path.joinpath(part).parent.mkdir(parents=True, exist_ok=True)
        path.joinpath(part).write_bytes(b"")
    return Bundle(path, meta)


def answers(report: Report) -> dict[str, Answer]:
    """Return the answers of a report by name; each name is there once."""
    found = {answer.name: answer for answer in report.details}
    assert len(found) == len(report.details), report.details
    return found
