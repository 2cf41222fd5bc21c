"""An archive with build artifacts, as the first proposal of in-kernel headers packed it.

Of Debian's packages for the kernel of a recipe: Makefiles, scripts/ with the programs of either
architecture, Module.symvers and .config besides the headers; and the module that serves it.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from droidheaders.debian.arch import DEBIAN_ARCH, host_arch
from droidheaders.debian.mirror import mirror
from droidheaders.debian.packages import Packages, unpack
from droidheaders.debian.place import cache_dir, locked
from droidheaders.debian.sysroot import SUITE
from droidheaders.guest import kheaders, recipes
from droidheaders.guest.host import cross_prefix
from droidheaders.shipped import emulator_dir
from tests.build.distribution import build, distribution

ARCHES = ("x86_64", "arm64")


def other() -> str:
    """Return the architecture that this host is not of."""
    return next(arch for arch in ARCHES if arch != host_arch())


def kbuild(name: str, arch: str, place: Path) -> Path:
    """Return scripts/ and tools/ as a kernel's build on a machine of `arch` would have made them.

    Debian's modpost is a program that starts one of four; a build makes one, for its kernel.
    """
    recipe = recipes.load(name)
    with locked():
        packages = Packages(cache_dir(), mirror(), [recipe.suite], other())
        wanted = packages.find([f"linux-kbuild-{recipe.series}"], DEBIAN_ARCH[arch])
        unpack(packages.fetch(wanted), place)
    [found] = place.glob("usr/lib/linux-kbuild-*")
    for program in ("scripts/mod/modpost", "tools/objtool/objtool"):
        for real in (found / program).parent.glob("*.real-*"):
            if real.name.endswith(("-lsb-64", "-x86")):
                real.replace(found / program)
            else:
                real.unlink()
    return found


def headers(name: str, tree: Path) -> Path:
    """Return a directory of what archives have that is no machine's: all but scripts and tools."""
    kernel = distribution(name)
    common = (kernel.kdir / "scripts").readlink().parent
    kheaders.merge(kernel.kdir, common, recipes.load(name).arch, tree)
    config = ("include/config/auto.conf", "include/config/kernel.release")
    for base, files in (
        (common, ("Makefile", f"arch/{kernel.arch}/Makefile")),
        (kernel.kdir, (".config", "Module.symvers", *config)),
    ):
        for file in files:
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(base / file, tree / file)
    return tree


def archive(tree: Path, tools: Path, packed: Path) -> Path:
    """Pack what `headers` and `kbuild` returned, as a kernel's build would."""
    names = ["--owner=0", "--group=0", "--sort=name", "-C", str(tree), ".", "-C", str(tools)]
    names += ["scripts", "tools"]
    subprocess.run(["tar", "-I", "xz -0", "-cf", packed, *names], check=True)
    return packed


def module(name: str, packed: Path, work: Path) -> Path:
    """Return seed.ko with the archive in it, built in `work` with Debian's own headers."""
    shutil.copytree(emulator_dir() / "seed", work)
    shutil.copy(packed, work / "seed.txz")
    make(name, work)
    return work / "seed.ko"


def make(name: str, work: Path) -> None:
    """Build the modules in `work` with the own headers of Debian's kernel of a recipe."""
    kernel = distribution(name)
    prefix = cross_prefix(recipes.load(name).arch)
    compiler = (f"CROSS_COMPILE={prefix}", f"CC={prefix}gcc", "CONFIG_DEBUG_INFO_BTF_MODULES=")
    build(kernel.kdir, work, f"ARCH={kernel.arch}", *compiler)


def qemu_user(place: Path) -> Path:
    """Return a directory with QEMU's user mode of Debian, unpacked in `place`."""
    with locked():
        packages = Packages(cache_dir(), mirror(), [SUITE], other())
        wanted = packages.find(["qemu-user"], DEBIAN_ARCH[host_arch()])
        unpack(packages.fetch(wanted), place)
    return place / "usr/bin"
