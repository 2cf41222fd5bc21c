"""The in-kernel headers archive of a packaged kernel, and the modules that carry it and IKCONFIG.

Debian builds neither; both are modules of one file each, built here from the kernel's own source.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from droidheaders.errors import DroidheadersError
from droidheaders.guest.host import cross_prefix
from droidheaders.guest.modules import modinfo
from droidheaders.ui import ui

SOURCES = ("kernel/kheaders.c", "kernel/configs.c")

_SRCARCH = {"arm64": "arm64", "x86_64": "x86"}

# .incbin looks in the assembler's include directories; the kernel's own build runs in its top
# directory, this one in the headers'. IKCONFIG_PROC is what makes configs.c create the file.
_KBUILD = """\
obj-m := kheaders.o configs.o
ccflags-y := -DCONFIG_IKCONFIG_PROC=1 -Wa,-I$(M)
"""


def strip_comments(text: bytes) -> bytes:
    """Return C source without its /* comments */, as kernel/gen_kheaders.sh has Perl do it.

    Its expression is s/\\/\\*((?!SPDX).)*?\\*\\///smg: a comment with SPDX in it stays, but the
    search goes on inside it.
    """
    out = []
    kept = at = 0
    while (start := text.find(b"/*", at)) >= 0 and (end := text.find(b"*/", start + 2)) >= 0:
        if text.find(b"SPDX", start + 2, end) >= 0:
            at = start + 1
            continue
        out.append(text[kept:start])
        kept = at = end + 2
    return b"".join([*out, text[kept:]])


def merge(headers: Path, common: Path, arch: str, into: Path) -> None:
    """Collect the headers of a configured kernel in `into`, as kernel/gen_kheaders.sh does.

    First those of the source tree, then those of the build tree over them; *.h only, symbolic
    links as they are.
    """
    for tree in (common, headers):
        for top in ("include", f"arch/{_SRCARCH[arch]}/include"):
            for directory, _, files in os.walk(tree / top):
                place = into / Path(directory).relative_to(tree)
                for name in sorted(file for file in files if file.endswith(".h")):
                    place.mkdir(parents=True, exist_ok=True)
                    _copy(Path(directory) / name, place / name)


def _copy(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    if source.is_symlink():
        target.symlink_to(source.readlink())
    else:
        target.write_bytes(strip_comments(source.read_bytes()))


def pack(tree: Path, archive: Path, mtime: int) -> None:
    """Write `tree` as the kernel does: tar --owner=0 --group=0 --sort=name --numeric-owner -I xz.

    `mtime` stands for KBUILD_BUILD_TIMESTAMP, so that one kernel has one archive.
    """

    def normal(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        entry.mtime = mtime
        entry.mode = 0o755 if entry.isdir() else 0o777 if entry.issym() else 0o644
        return entry

    with tarfile.open(archive, "w:xz", format=tarfile.GNU_FORMAT) as tar:
        tar.add(tree, ".", filter=normal)  # adds a directory's entries sorted by name


def build(
    headers: Path, work: Path, *, archive: Path, config: bytes, sources: Path, arch: str
) -> tuple[Path, Path]:
    """Return kheaders.ko and configs.ko, built in `work` for the kernel of `headers`.

    Raises DroidheadersError with the compiler's first complaint.
    """
    (work / "kernel").mkdir(parents=True)
    shutil.copyfile(archive, work / "kernel/kheaders_data.tar.xz")
    (work / "kernel/config_data.gz").write_bytes(gzip.compress(config, mtime=0))
    (work / "Kbuild").write_text(_KBUILD)
    for source in SOURCES:
        shutil.copyfile(sources / source, work / Path(source).name)
    prefix = cross_prefix(arch)
    # The headers name the compiler the kernel was built with, such as gcc-10.
    make = [f"M={work}", f"ARCH={arch}", f"CROSS_COMPILE={prefix}", f"CC={prefix}gcc"]
    # Headers of 6.12 bring a vmlinux, so that modules get BTF; that needs pahole, and these do not.
    make += ["CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]
    done = subprocess.run(
        ["make", "-j2", "-C", str(headers), *make],
        capture_output=True,
        text=True,
        check=False,
        env={key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ},
    )
    ui.say(done.stdout + done.stderr, level=2)
    if done.returncode:
        raise DroidheadersError(f"kheaders.ko for {headers.name} cannot be built: {_why(done)}")
    built = work / "kheaders.ko", work / "configs.ko"
    # As Android's builds do: INSTALL_MOD_STRIP=1 in build/kernel/build.sh.
    subprocess.run([f"{prefix}strip", "--strip-debug", *built], check=True)
    return built


def _why(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that tells a person most, such as a missing GLIBC version."""
    lines = (done.stderr + done.stdout).splitlines()
    for pattern in (r"GLIBC_\S+' not found", r"\berror:", r"not found|No such file", r"\*\*\*"):
        for line in lines:
            if re.search(pattern, line):
                return line.strip().rstrip(".")
    return f"make ended with status {done.returncode}"


def vermagic(module: Path) -> str:
    """Return the release a module was built for: the first word of its vermagic."""
    return modinfo(module.read_bytes()).get("vermagic", "").split(" ", 1)[0]
