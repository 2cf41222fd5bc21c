"""Programs for devices: built on this host from sources of ours, once, and kept in the cache."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from droidheaders.cache.disk import disk_errors
from droidheaders.cache.store import Cache
from droidheaders.debian.arch import MACHINE, TRIPLE
from droidheaders.errors import DroidheadersError
from droidheaders.ui import printable

FLAGS = (
    *("-std=gnu11", "-Os", "-static", "-s", "-fno-stack-protector"),
    *("-fno-asynchronous-unwind-tables", "-Wl,--build-id=none"),
    "-Wl,-z,max-page-size=16384",  # Android's larger one; the linker's own for arm64 is 64 KiB
)
"""What each of them is compiled and linked with."""


@dataclass(frozen=True)
class Tool:
    """A program: what a message calls it, its sources, and the words to build it with.

    `sources` are all files that it is made of; those in C are compiled. `before` and `after` are
    words on the command line, on either side of them. `inputs` names what else it depends on.
    """

    name: str
    called: str
    sources: Sequence[Path]
    before: Sequence[str]
    after: Sequence[str] = ()
    inputs: str = ""

    def build(self, arch: str) -> Path:
        """Return the program for `arch` (arm64, x86_64), built on first use.

        Raises DroidheadersError when this host has no compiler for it, or the compiler fails.
        """
        command = [*compiler(arch, self.called), *self.before]
        root = Cache.default().root
        place = root / "tools" / f"{self.name}-{arch}-{self._key(command)}"
        if place.is_file():
            return place
        with disk_errors(root):
            place.parent.mkdir(parents=True, exist_ok=True)
            new = place.with_name(f".{place.name}.{os.getpid()}.{os.urandom(4).hex()}")
            code = [str(source) for source in self.sources if source.suffix == ".c"]
            try:
                self._run([*command, "-o", str(new), *code, *self.after])
                new.replace(place)
            finally:
                new.unlink(missing_ok=True)
        return place

    def _key(self, command: list[str]) -> str:
        """Return what tells apart programs that are built of other things, or otherwise.

        Not by where the sources lie: another installation has the same program.
        """
        version = self._run([command[0], "--version"])
        where = {str(source.parent) for source in self.sources}
        words = [word for word in (*command, *self.after) if not any(w in word for w in where)]
        hashed = hashlib.sha256(repr((words, version, self.inputs)).encode())
        for source in self.sources:
            hashed.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
        return hashed.hexdigest()[:16]

    def _run(self, command: list[str]) -> str:
        return _run(command, self.called)


def compiler(arch: str, what: str) -> list[str]:
    """Return how a C compiler for `arch` is called, which `what` is to be built with.

    Raises DroidheadersError when there is none.
    """
    triple = TRIPLE[arch]
    native = platform.system() == "Linux" and MACHINE.get(platform.machine()) == arch
    for name in (f"{triple}-gcc", *(("gcc",) if native else ())):
        if gcc := shutil.which(name):
            return [gcc]
    from droidheaders.headers.clang import Clang

    clang = Clang.find()
    # It answers with the bare name when it has no such program.
    if clang and "/" in _run([clang.path, "-print-prog-name=ld.lld"], what):
        return [clang.path, f"--target={triple}", "-fuse-ld=lld"]
    package = "gcc" if native else f"gcc-{triple.replace('_', '-')}"
    raise DroidheadersError(
        f"this host has no C compiler for {arch}, which {what} is built with",
        f"sudo apt-get install {package}",
    )


def _run(command: list[str], what: str) -> str:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as e:
        raise DroidheadersError(f"cannot run {command[0]}: {e.strerror}") from e
    if done.returncode:
        said = printable(done.stderr.strip().partition("\n")[0])
        raise DroidheadersError(f"{command[0]} failed on {what}: {said}", f"{command[0]} --version")
    return done.stdout
