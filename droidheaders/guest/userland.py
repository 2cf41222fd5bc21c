"""The part of the initramfs that is the same for every kernel: an Android to talk to.

What goes in is in emulator/userland: C sources, an SELinux policy, properties; and the real adbd,
toybox and mksh out of Debian packages.
"""

from __future__ import annotations

import hashlib
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from droidheaders.debian.arch import TRIPLE
from droidheaders.errors import DroidheadersError
from droidheaders.guest.cpio import CpioWriter
from droidheaders.guest.host import cross_prefix, require
from droidheaders.shipped import emulator_dir

PERSONAS = ("user", "userdebug", "su", "root")
"""How much the guest lets its shell do: values of droidheaders.persona on the command line."""

KERNEL_ARGS = ("security=selinux", "enforcing=1")
"""What the userland needs on the kernel's command line; init loads the policy."""

USERLAND_PACKAGES = (
    "adbd",
    "android-libbase",
    "android-libboringssl",
    "android-libcutils",
    "android-liblog",
    "busybox-static",
    "libbrotli1",
    "libc6",
    "libcap2",
    "libcrypt1",
    "libgcc-s1",
    "libgcrypt20",
    "libgpg-error0",
    "liblz4-1",
    "liblzma5",
    "libprotobuf32",
    "libstdc++6",
    "libsystemd0",
    "libzstd1",
    "mksh",
    "toybox",
    "zlib1g",
)
"""What to unpack for `build`: bookworm, and its backports for adbd and Android's libraries."""

TOOLS = ("secilc",)
"""What building the userland needs on the host beside a compiler."""

_ABI = {"arm64": "arm64-v8a", "x86_64": "x86_64"}
_MUSL = {"arm64": "aarch64-linux-musl", "x86_64": "x86_64-linux-musl"}
_LOADER = {"arm64": "lib/ld-linux-aarch64.so.1", "x86_64": "lib64/ld-linux-x86-64.so.2"}

# What adbd and toybox are linked to, from readelf -d; sonames, which the files are named after.
_LIBRARIES = (
    "libbrotlicommon.so.1",
    "libbrotlidec.so.1",
    "libbrotlienc.so.1",
    "libc.so.6",
    "libcap.so.2",
    "libcrypt.so.1",
    "libgcc_s.so.1",
    "libgcrypt.so.20",
    "libgpg-error.so.0",
    "liblz4.so.1",
    "liblzma.so.5",
    "libm.so.6",
    "libprotobuf.so.32",
    "libresolv.so.2",
    "libstdc++.so.6",
    "libsystemd.so.0",
    "libz.so.1",
    "libzstd.so.1",
)
_ANDROID_LIBRARIES = (
    "libbase.so.0",
    "libcrypto.so.0",
    "libcutils.so.0",
    "liblog.so.0",
    "libssl.so.0",
)

_PROGRAMS = {
    "init": ("init", "selinux"),
    "system/bin/adbfront": ("adbfront", "adbd", "restored"),
    "system/bin/androidtools": ("tools",),
    "system/bin/su": ("su_magisk",),
    "system/xbin/su": ("su_aosp",),
}
_TOOL_NAMES = ("getenforce", "getprop", "id", "modprobe", "remount", "setenforce", "setprop")

# Only the shell may call su, and init removes the one that is not the persona's.
_SHELL = 2000
_OWNERS = {"system/bin/su": (0o4750, 0, _SHELL), "system/xbin/su": (0o4750, 0, _SHELL)}
_DIRECTORIES = {
    "data/local/tmp": (0o771, _SHELL, _SHELL),
    "dev": (0o755, 0, 0),
    "proc": (0o755, 0, 0),
    "sys": (0o755, 0, 0),
    "system/xbin": (0o755, 0, 0),
}

# The kernel's AVC knows policy versions from 15 on; Android's own is 30, and 5.10 takes up to 33.
_POLICY_VERSION = "30"


def fingerprint(arch: str) -> str:
    """Return a hash of all that `build` reads apart from packages: the key to cache it under."""
    digest = hashlib.sha256(arch.encode())
    files = sorted(path for path in _sources().rglob("*") if path.is_file())
    for path in [*files, Path(__file__)]:
        digest.update(f"\0{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def build(arch: str, root: Path, out: Path) -> Path:
    """Write the userland for a guest of `arch` to `out`, a cpio archive; return `out`.

    It is not compressed: when emulated, unpacking zstd takes a tenth of the boot. `root` has
    USERLAND_PACKAGES for that architecture unpacked over each other. Raises DroidheadersError when
    a tool is missing or fails, or a package lacks a file.
    """
    require((*TOOLS, f"{cross_prefix(arch)}gcc"))
    with (
        out.open("wb") as archive,
        tempfile.TemporaryDirectory(prefix="droidheaders-") as scratch,
    ):
        tree = _Tree(archive)
        _add_programs(tree, arch, Path(scratch))
        _add_policy(tree, Path(scratch))
        _add_packages(tree, arch, root)
        _add_files(tree, arch)
        tree.close()
    return out


class _Tree:
    """A cpio archive in which the parents of what is added come first."""

    def __init__(self, out: BinaryIO) -> None:
        self._cpio = CpioWriter(out)
        self._known = {PurePosixPath(".")}

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        self._parents(path)
        mode, uid, gid = _OWNERS.get(path, (mode, 0, 0))
        self._cpio.add_file(path, data, mode, uid, gid)

    def link(self, path: str, target: str) -> None:
        self._parents(path)
        self._cpio.add_symlink(path, target)

    def directory(self, path: str) -> None:
        self._parents(f"{path}/x")

    def node(self, path: str, major: int, minor: int) -> None:
        self._parents(path)
        self._cpio.add_node(path, stat.S_IFCHR | 0o600, major, minor)

    def close(self) -> None:
        self._cpio.close()

    def _parents(self, path: str) -> None:
        for parent in reversed(PurePosixPath(path).parents):
            if parent not in self._known:
                self._known.add(parent)
                mode, uid, gid = _DIRECTORIES.get(str(parent), (0o755, 0, 0))
                self._cpio.add_dir(str(parent), mode, uid, gid)


def _sources() -> Path:
    return emulator_dir() / "userland"


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        reason = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise DroidheadersError(f"{command[0]} failed on the guest's userland: {reason}")


def _add_programs(tree: _Tree, arch: str, scratch: Path) -> None:
    for number, (place, units) in enumerate(_PROGRAMS.items()):
        program = scratch / f"program{number}"
        files = [str(_sources() / "src" / f"{unit}.c") for unit in units]
        flags = ["-static", "-s", "-O2", "-Wall", "-Wextra", "-Werror"]
        _run([f"{cross_prefix(arch)}gcc", *flags, "-o", str(program), *files])
        tree.file(place, program.read_bytes(), 0o755)
    for name in _TOOL_NAMES:
        tree.link(f"system/bin/{name}", "androidtools")


def _add_policy(tree: _Tree, scratch: Path) -> None:
    policy = scratch / "sepolicy"
    options = ["-M", "true", "-c", _POLICY_VERSION, "-f", "/dev/null", "-o", str(policy)]
    _run(["secilc", *options, str(_sources() / "policy.cil")])
    tree.file("sepolicy", policy.read_bytes())


def _add_packages(tree: _Tree, arch: str, root: Path) -> None:
    def take(places: Sequence[str], to: str, mode: int = 0o644) -> None:
        for place in places:
            if (root / place).is_file():
                tree.file(to, (root / place).read_bytes(), mode)
                return
        raise DroidheadersError(f"the packages for {arch} guests lack {places[0]}")

    triple = TRIPLE[arch]
    take([f"lib/{triple}/{Path(_LOADER[arch]).name}"], _LOADER[arch], 0o755)
    for name in _LIBRARIES:
        take([f"usr/lib/{triple}/{name}", f"lib/{triple}/{name}"], f"lib/{triple}/{name}")
    for name in _ANDROID_LIBRARIES:
        path = f"usr/lib/{triple}/android/{name}"  # where adbd's RUNPATH has them
        take([path], path)
    take(["usr/lib/android-sdk/platform-tools/adbd"], "system/bin/adbd", 0o755)
    take(["bin/toybox", "usr/bin/toybox"], "system/bin/toybox", 0o755)
    take([f"usr/lib/{_MUSL[arch]}/bin/mksh"], "system/bin/sh", 0o755)
    take(["bin/busybox", "usr/bin/busybox"], "system/libexec/busybox", 0o755)
    for name in (_sources() / "toybox-applets").read_text().split():
        tree.link(f"system/bin/{name}", "toybox")
    for name in (_sources() / "busybox-applets").read_text().split():
        tree.link(f"system/bin/{name}", "../libexec/busybox")


def _add_files(tree: _Tree, arch: str) -> None:
    # the kernel gives init its console through this one, before devtmpfs is there
    tree.node("dev/console", 5, 1)
    for directory in _DIRECTORIES:
        tree.directory(directory)
    tree.link("bin", "/system/bin")
    tree.link("etc", "/system/etc")
    for path in sorted((_sources() / "etc").rglob("*")):
        if not path.is_file():
            continue
        name = path.relative_to(_sources() / "etc").as_posix()
        text = path.read_text()
        if path.suffix == ".prop":
            device = f"droidheaders_{arch}"
            text = text.replace("@ABI@", _ABI[arch]).replace("@DEVICE@", device)
        tree.file(f"system/{'' if name == 'build.prop' else 'etc/'}{name}", text.encode())
