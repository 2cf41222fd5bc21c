"""A kernel's source tree as a provider: its host tools are built once, beside it.

In a kdir of copies and links, for the configuration of the bundle, so that Kconfig never runs and
nothing is written into the tree.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from droidheaders.build import autoconf, providers
from droidheaders.build.kdir import Assembly, Recipe
from droidheaders.build.paths import is_split
from droidheaders.build.providers import Provider, digest, dotted
from droidheaders.cache import Bundle, Cache
from droidheaders.cache.disk import disk_errors
from droidheaders.cache.lock import held
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.headers import layout
from droidheaders.ui import printable, ui

_OBJTOOL = ("Makefile", "arch", "build", "include", "lib", "objtool", "scripts")  # below tools/
_FLAGS = ("CONFIG_64BIT", "CONFIG_CPU_BIG_ENDIAN", "CONFIG_MODVERSIONS")
_OBJTOOLED = ("CONFIG_STACK_VALIDATION", "CONFIG_OBJTOOL")

# need-sub-make: the top Makefile reads itself once more, and is itself the second time only.
_RULES = """\
ifeq ($(need-sub-make),)
PHONY += host-tools
host-tools: scripts_basic
\t$(Q)$(MAKE) $(build)=scripts/mod
"""
_GENKSYMS = "\t$(Q)$(MAKE) $(build)=scripts/genksyms\n"
_RECORDMCOUNT = """\
ifdef BUILD_C_RECORDMCOUNT
\t$(Q)$(MAKE) $(build)=scripts scripts/recordmcount
endif
endif
"""


def provider(cache: Cache, bundle: Bundle, tree: Path, variables: Mapping[str, str]) -> Provider:
    """Return a source tree with its host tools, built for a bundle's kernel on first use: 10 s.

    `variables` are make's, as `Toolchain.variables`. Raises UsageError for what is no source tree
    or one of another version, DroidheadersError where the tools cannot be built.
    """
    raw = of_tree(tree)
    arch = layout.real_arch(bundle.headers, bundle.meta["arch"])
    raw.fits(bundle.kernel.number or (0, 0), str(bundle.kernel), arch)
    options = autoconf.options(bundle.path)
    objtool = any(options.get(name) == "y" for name in _OBJTOOLED)
    stated = [raw.key, arch, str(objtool), *(options.get(name, "") for name in _FLAGS)]
    key = hashlib.sha256("\n".join(stated).encode()).hexdigest()[:16]
    place = cache.root / "tools" / f"kbuild-{dotted(raw.number)}-{key}"
    if not place.is_dir():
        with held(cache.root / "locks" / place.name, f"host tools of {raw.name}"):
            if not place.is_dir():
                with disk_errors(cache.root):
                    _build(bundle, raw, variables, place, objtool=objtool)
    scripts, tools = place / "scripts", place / "tools"
    return replace(raw, scripts=scripts, tools=tools, key=f"{raw.key} {key}")


def of_tree(tree: Path) -> Provider:
    """Return a source tree, without host tools; UsageError when it is none."""
    root, shown = tree.resolve(), printable(str(tree), 500)
    try:
        number = providers.version(root / "Makefile")
    except OSError:
        number = None
    if number is None or not (root / "scripts/mod/modpost.c").is_file():
        raise UsageError(
            f"{shown} is no source tree of a kernel",
            "give one to --source; for a directory whose tools are built there is --provider",
        )
    if is_split(root):
        raise UsageError(
            f"make takes no blank and no colon in a path, and the source tree is at {shown}",
            f"ln -s {shlex.quote(shown)} /tmp/linux-source, and give that",
        )
    scripts, tools = root / "scripts", root / "tools"
    return Provider(shown, number, root, scripts, tools, digest(root, scripts, tools))


def _build(
    bundle: Bundle, raw: Provider, variables: Mapping[str, str], place: Path, *, objtool: bool
) -> None:
    ui.say(f"building host tools of {raw.name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    new = place.with_name(f".{place.name}.{os.urandom(4).hex()}")
    new.mkdir()
    try:
        Assembly(bundle, Recipe(raw, "", variables), new).assemble()
        _copied(new, raw, objtool=objtool)
        _make(bundle, raw, new, objtool=objtool)
        result = new / "result"
        result.mkdir()
        for name in ("scripts", "tools"):
            (new / name).rename(result / name)
        result.rename(place)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _copied(new: Path, raw: Provider, *, objtool: bool) -> None:
    """Put copies in place of the links to what is built, without what was built before."""
    script = (new / "scripts/module.lds").read_text()
    shutil.rmtree(new / "scripts")
    shutil.copytree(raw.scripts, new / "scripts", symlinks=True, ignore=_built)
    (new / "scripts/module.lds").write_text(script)
    (new / "tools").unlink(missing_ok=True)
    (new / "tools").mkdir()
    for name in _OBJTOOL if objtool else ():
        source = raw.tools / name
        if source.is_dir():
            shutil.copytree(source, new / "tools" / name, symlinks=True, ignore=_built)
        elif source.is_file():
            shutil.copy(source, new / "tools" / name)


def _built(directory: str, names: list[str]) -> set[str]:
    """Return what a build left in a directory, perhaps for another architecture."""
    left = {"elfconfig.h", "devicetable-offsets.h", "devicetable-offsets.s"}
    return {name for name in names if name in left or _is_object(os.path.join(directory, name))}


def _is_object(path: str) -> bool:
    name = os.path.basename(path)
    if name.endswith((".cmd", ".d", ".o", ".a", ".lex.c", ".tab.c", ".tab.h")):
        return True
    if os.path.islink(path) or not os.path.isfile(path) or not os.access(path, os.X_OK):
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def _make(bundle: Bundle, raw: Provider, new: Path, *, objtool: bool) -> None:
    options = autoconf.options(bundle.path)
    rules = _RULES
    rules += _GENKSYMS if options.get("CONFIG_MODVERSIONS") == "y" else ""
    with (new / "Makefile").open("a") as makefile:
        makefile.write(rules + _RECORDMCOUNT)
    goals = ["host-tools", *(["tools/objtool"] if objtool else [])]
    done = subprocess.run(
        ["make", "-C", str(new), f"-j{os.cpu_count() or 1}", *goals],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    ui.say(done.stdout, level=2 if not done.returncode else 1)
    if done.returncode:
        missing = next((n for n in ("flex", "bison") if not shutil.which(n)), "")
        raise DroidheadersError(
            f"the host tools of {raw.name} for {bundle.kernel} cannot be built"
            f"{f': {missing} is not here' if missing else ''}",
            f"sudo apt-get install {missing or 'flex bison libelf-dev libssl-dev'},"
            " or see what make says: droidheaders -v kdir",
        )
