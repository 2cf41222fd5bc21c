"""What modules are built with: the Kbuild directory of a bundle, and the compiler.

Above the rooms rather than in one: what a person gave, what the cache has and what this host has
come together here.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from droidheaders.build import (
    autoconf,
    host_tools,
    kdir,
    providers,
    randstruct,
    toolchain,
)
from droidheaders.build.merged import Merged, merged
from droidheaders.build.providers import Provider
from droidheaders.build.toolchain import Toolchain
from droidheaders.cache import Bundle, Cache
from droidheaders.errors import DroidheadersError, HeadersError, UsageError
from droidheaders.headers import artifacts
from droidheaders.headers.artifacts import Artifacts
from droidheaders.ui import printable, ui


@dataclass(frozen=True)
class Wish:
    """What a person wants otherwise than it is found.

    `source` is a kernel's source tree, `provider` a directory with Makefiles and built host tools;
    one of them. `symvers` are official Module.symvers. `without_crcs` takes symbols whose CRC is
    not known, `force` a compiler that is not sound. `host_tools` is "archive" or "qemu" to run what
    the archive itself brought, "provider" or "" not to.
    """

    source: Path | None = None
    provider: Path | None = None
    symvers: tuple[Path, ...] = ()
    without_crcs: bool = False
    force: bool = False
    host_tools: str = ""


@dataclass(frozen=True)
class Equipment:
    """A Kbuild directory, and what is in it."""

    path: Path
    bundle: Bundle
    provider: Provider
    toolchain: Toolchain
    symvers: Merged

    def describe(self) -> dict[str, Any]:
        """Return it as `--json` shows it."""
        return {
            "bundle": self.bundle.name,
            "kdir": str(self.path),
            "provider": printable(self.provider.name, 500),
            "toolchain": self.toolchain.describe(),
            "symvers": self.symvers.coverage,
        }


def equip(cache: Cache, bundle: Bundle, wish: Wish, *, fetch: bool = True) -> Equipment:
    """Return what modules for a bundle's kernel are built with: 0.1 to 0.2 s, once it is there.

    Without `fetch` nothing is taken from the network. Raises DroidheadersError where no compiler
    fits, no provider is to be had, or a kernel with MODVERSIONS has no known CRC at all;
    UnsupportedError where its structures are shuffled by a seed that the provider lacks; UsageError
    for what a person gave and cannot be, and what `kdir.make` raises.
    """
    try:
        options = autoconf.options(bundle.path)
    except OSError as e:
        raise HeadersError(
            f"{bundle.name} cannot be read: {e.strerror}", "droidheaders pull"
        ) from e
    versioned = options.get("CONFIG_MODVERSIONS") == "y"
    known = merged(cache, bundle, wish.symvers, versioned=versioned)
    if versioned and not known.coverage["crcs"] and not wish.without_crcs:
        raise DroidheadersError(
            f"{bundle.kernel} looks at the CRCs of symbols (CONFIG_MODVERSIONS), and none is known",
            "droidheaders pull --modules, or --symvers with the Module.symvers of its build, or"
            " --without-crcs to leave them out",
        )
    chosen = toolchain.choose(bundle, wish.force)
    provider = _provider(cache, bundle, wish, chosen, fetch=fetch)
    if not wish.force:
        randstruct.check(bundle, options, provider)
    recipe = kdir.Recipe(
        provider=provider,
        symvers=known.text(),
        variables=chosen.variables,
        # Where nothing tells what is exported, and no CRC is looked at, nothing is lost.
        strict=not wish.without_crcs and (versioned or bool(known.coverage["symbols"])),
    )
    return Equipment(kdir.make(cache, bundle, recipe), bundle, provider, chosen, known)


def usual(cache: Cache, bundle: Bundle, *, fetch: bool = True) -> Path:
    """Return the kdir of a bundle where nobody says otherwise; raises as `equip`.

    Where that cannot be made, but one was, with a wish, it is the one used last.
    """
    try:
        return equip(cache, bundle, Wish(), fetch=fetch).path
    except DroidheadersError:
        if made := last(cache, bundle):
            return made
        raise


def last(cache: Cache, bundle: Bundle) -> Path | None:
    """Return the kdir of a bundle that was used last, None where there is none; in no time."""
    made = [path for path in cache.derived.made(bundle.name) if path.name.startswith("kdir-")]
    with suppress(OSError):  # dropped this very moment
        return max(made, key=lambda path: path.stat().st_mtime, default=None)
    return None


def _provider(
    cache: Cache, bundle: Bundle, wish: Wish, chosen: Toolchain, *, fetch: bool
) -> Provider:
    """Return where Makefiles and host tools come from; where the archive has its own, say which."""
    asked = [f"--{name}" for name in ("source", "provider") if getattr(wish, name) is not None]
    own = wish.host_tools in ("archive", "qemu")
    if own:
        asked.append(f"--host-tools={wish.host_tools}")
    if len(asked) > 1:
        raise UsageError(f"{' and '.join(asked)} each give Makefiles", "give one of them")
    built = artifacts.find(bundle.headers) if own or "artifacts" in bundle.meta else None
    if own:
        provider = _own(cache, bundle, built, wish.host_tools)
    else:
        try:
            provider = _elsewhere(cache, bundle, wish, chosen, fetch=fetch)
        except DroidheadersError as e:
            if built is not None and built.complete and not asked:
                way = host_tools.way(built)
                e.hint += f", or --host-tools={way} to run what the archive itself brought"
            raise
    if built is not None and built.complete:
        ui.say(host_tools.told(built, provider, asked=bool(asked or wish.host_tools)))
    return provider


def _own(cache: Cache, bundle: Bundle, built: Artifacts | None, way: str) -> Provider:
    if built is None:
        raise DroidheadersError(
            f"the archive of {bundle.kernel} holds headers, and no host tools",
            "droidheaders kdir --host-tools=provider",
        )
    return host_tools.of_archive(cache, bundle, built, emulated=way == "qemu")


def _elsewhere(
    cache: Cache, bundle: Bundle, wish: Wish, chosen: Toolchain, *, fetch: bool
) -> Provider:
    number = bundle.kernel.number
    if wish.provider is not None:
        return providers.of_directory(wish.provider)
    if wish.source is not None:
        from droidheaders.build import source_tree

        return source_tree.provider(cache, bundle, wish.source, chosen.variables)
    if number is None:
        raise HeadersError(f"{bundle.kernel} has a release that no modules can be built for")
    return providers.of_debian(number, str(bundle.kernel), fetch=fetch)
