"""What a distribution's own headers make of a module: the true answer."""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from droidheaders.build import providers
from droidheaders.kernel import KernelIdentity
from tests.packaged import unpacked

_PLACE = tempfile.TemporaryDirectory(prefix="droidheaders-distribution-")


@dataclass(frozen=True)
class Distribution:
    """The headers package of a guest's kernel: `kdir` is what make takes."""

    kdir: Path

    @property
    def symvers(self) -> Path:
        """The kernel's own Module.symvers."""
        return self.kdir / "Module.symvers"

    @property
    def arch(self) -> str:
        """The kernel's name of the architecture."""
        [arch] = [path.name for path in (self.kdir / "arch").iterdir()]
        return arch


@cache
def distribution(name: str) -> Distribution:
    """Return the headers package of a recipe's kernel, once for all tests.

    It expects to be installed: its links and its Makefile are led to the unpacked packages here.
    """
    root = Path(_PLACE.name, name)
    built = unpacked(name, root, "headers")
    number = KernelIdentity(built.release, "", "", "").number
    assert number
    common = providers.of_debian(number, name)
    kdir = root / f"usr/src/linux-headers-{built.release}"
    (kdir / "Makefile").write_text(f"include {common.makefiles}/Makefile\n")
    for link in ("scripts", "tools"):
        (kdir / link).unlink()
        (kdir / link).symlink_to(common.makefiles / link)
    return Distribution(kdir)


def build(kdir: Path, directory: Path, *arguments: str) -> str:
    """Run make for the module in a directory, and return what it said."""
    words = ["make", "-C", str(kdir), f"M={directory}", *arguments]
    environment = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    done = subprocess.run(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env=environment,
    )
    assert not done.returncode, done.stdout
    return done.stdout


def loaded(module: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return what of a module comes into memory: its allocated sections but the build-id."""
    with module.open("rb") as file:
        return {
            section.name: (
                section["sh_flags"],
                section["sh_size"],
                section["sh_addralign"],
                section.data(),
            )
            for section in ELFFile(file).iter_sections()
            if section["sh_flags"] & SH_FLAGS.SHF_ALLOC and section.name != ".note.gnu.build-id"
        }
