"""A device with all that `check` looks at, as a phone with a userdebug build and its su has it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

from tests import images, modules
from tests.archives import RELEASE, tar, xz
from tests.fake_device import FakeDevice

CONFIG = """\
#
# Automatically generated file; DO NOT EDIT.
# Linux/arm64 6.1.99 Kernel Configuration
#
CONFIG_CC_VERSION_TEXT="Debian clang version 14.0.6"
CONFIG_CC_IS_CLANG=y
CONFIG_CLANG_VERSION=140006
CONFIG_IKCONFIG=y
CONFIG_IKCONFIG_PROC=y
CONFIG_IKHEADERS=m
CONFIG_ARM64=y
CONFIG_ARM64_4K_PAGES=y
CONFIG_HZ=250
CONFIG_LOCALVERSION="-test"
# CONFIG_KASAN is not set
CONFIG_BPF_SYSCALL=y
CONFIG_BPF_JIT=y
CONFIG_BPF_EVENTS=y
CONFIG_KPROBE_EVENTS=y
CONFIG_KRETPROBES=y
CONFIG_UPROBE_EVENTS=y
CONFIG_NET=y
CONFIG_DEBUG_INFO_BTF=y
CONFIG_MODULES=y
# CONFIG_MODVERSIONS is not set
CONFIG_MODULE_SIG=y
"""
ARCHIVE = xz(tar())
SYSFS = "/sys/kernel/kheaders.tar.xz"
MODULE = "/system_dlkm/lib/modules/any/kernel/kernel/kheaders.ko"
# What the shell of an enforcing device is refused.
KEPT_FROM_THE_SHELL = (
    "/proc/sys/kernel/unprivileged_bpf_disabled",
    "/proc/sys/kernel/modules_disabled",
    "/sys/module/module/parameters/sig_enforce",
    "/sys/kernel/btf/vmlinux",
    "/proc/kallsyms",
    "/proc/cmdline",
    "/system_dlkm/lib/modules",
    SYSFS,
)
_LIMITS = b"Limit        Soft Limit  Hard Limit  Units\nMax locked memory  65536  65536  bytes\n"
_MOUNTS = (
    b"tracefs /sys/kernel/tracing tracefs rw 0 0\n"
    b"bpf /sys/fs/bpf bpf rw 0 0\n"
    b"none /sys/fs/cgroup cgroup2 rw 0 0\n"
)
_FILES = {
    "proc/mounts": _MOUNTS,
    "proc/self/limits": _LIMITS,
    "su/proc/self/limits": _LIMITS,
    "proc/cmdline": b"console=ttyAMA0\n",
    "proc/kallsyms": b"0000000000000000 T _text\n0000000000000000 r __ksymtab_filp_open\n",
    "proc/sys/kernel/unprivileged_bpf_disabled": b"2\n",
    "proc/sys/kernel/modules_disabled": b"0\n",
    "proc/sys/kernel/perf_event_paranoid": b"3\n",
    "proc/sys/net/core/bpf_jit_enable": b"1\n",
    "sys/module/module/parameters/sig_enforce": b"N\n",
    "sys/fs/selinux/enforce": b"1\n",
    "sys/kernel/btf/vmlinux": images.BTF,
    "sys/kernel/tracing/kprobe_events": b"",
}


def phone(
    root: Path,
    archive: bytes | None = ARCHIVE,
    *,
    config: str | bytes | None = CONFIG,
    files: dict[str, bytes] | None = None,
    **device: Any,
) -> FakeDevice:
    """Return the device; `config` in bytes is /proc/config.gz as it is, None is none."""
    built = FakeDevice(root, archive, **device)
    for path, content in {**_FILES, **(files or {})}.items():
        built.write(path, content)
    if config is not None:
        data = config if isinstance(config, bytes) else gzip.compress(config.encode(), mtime=0)
        built.write("proc/config.gz", data)
    built.deny(*KEPT_FROM_THE_SHELL)
    return built


def driver(**fields: Any) -> bytes:
    """Return a module for that kernel, which nothing speaks against."""
    vermagic = f"vermagic={RELEASE} SMP preempt mod_unload aarch64"
    usual: dict[str, Any] = {
        "info": ("license=GPL", "depends=", "name=probe", vermagic),
        "undefined": ["filp_open"],
        "comment": b"Debian clang version 14.0.6\0",
    }
    return modules.module(**(usual | fields))
