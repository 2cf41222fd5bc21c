"""Build a module for a bundle's kernel, and say what that kernel will make of it.

Above the rooms rather than in one: it takes the kdir from the cache, runs make, and has the result
judged against the device.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders import equipping
from droidheaders.build import module
from droidheaders.cache import Bundle, Cache
from droidheaders.cache.disk import disk_errors
from droidheaders.equipping import Equipment, Wish
from droidheaders.errors import DroidheadersError
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.preflight.answer import Report

_NAMED = 6


@dataclass(frozen=True)
class Order:
    """What is to be built: the module's directory, where to (None: there), and make's arguments."""

    source: Path
    output: Path | None = None
    arguments: tuple[str, ...] = ()
    wish: Wish = field(default_factory=Wish)


@dataclass(frozen=True)
class Built:
    """What came of it: the modules, and what they were built with."""

    modules: tuple[Path, ...]
    equipment: Equipment


def build(cache: Cache, bundle: Bundle, order: Order, tell: Callable[[str], None]) -> Built:
    """Return the modules of a directory, built for the kernel of `bundle`.

    What make says is handed to `tell`, line by line. Raises what `equip` raises, UsageError for
    directories that cannot be, and DroidheadersError where the module does not build: for symbols
    that are not known by name.
    """
    source = module.directory(order.source)
    place = source
    equipment = equipping.equip(cache, bundle, order.wish)
    if order.output is not None and order.output.resolve() != source.resolve():
        place = Path(order.output).absolute()
        module.fit(place)
        with disk_errors(place, "the directory", "-o"):
            module.mirror(source, place)
    variables = equipment.toolchain.variables
    made = module.make(equipment.path, place, variables, order.arguments, tell)
    if made.status:
        raise _failed(equipment, source, made)
    return Built(made.modules, equipment)


def _failed(equipment: Equipment, source: Path, made: module.Made) -> DroidheadersError:
    name, kernel = printable(str(source), 500), equipment.bundle.kernel
    missing = list(dict.fromkeys(symbol for one in made.undefined.values() for symbol in one))
    if not missing:
        return DroidheadersError(
            f"{name} does not build for {kernel}",
            "correct what make names; -- V=1 shows its commands",
        )
    shown = ", ".join(printable(symbol, 64) for symbol in missing[:_NAMED])
    shown += f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    symvers = equipment.symvers
    exported = symvers.exports().symbols
    if symvers.whole and not any(symbol in exported for symbol in missing):
        return DroidheadersError(
            f"{name} asks for what {kernel} does not export: {shown}",
            "use what it exports, or name the Module.symvers of the module that has it:"
            " -- KBUILD_EXTRA_SYMBOLS=FILE",
        )
    kinds = symvers.coverage.keys()
    modules = "image" not in kinds and kinds & {"exports", "versions"}  # the image knows more
    way = "droidheaders symvers --image boot.img" if modules else "droidheaders pull --modules"
    return DroidheadersError(
        f"{name} asks for symbols of {kernel} whose CRCs are not known: {shown}",
        f"{way}, or --symvers FILE, or --without-crcs to leave them out",
    )


def judge(built: Built, device: Device | None, cache: Cache) -> dict[str, Report]:
    """Return what is known of whether the kernel takes the modules, by path: as `check` does.

    `device` is one that runs it, None where there is none: the bundle is asked then. Raises what
    `gathering.of_device` raises.
    """
    from droidheaders import gathering
    from droidheaders.kernel.exports import merge
    from droidheaders.objects.module import read
    from droidheaders.preflight.module_file import judge

    bundle, symvers = built.equipment.bundle, built.equipment.symvers
    facts = gathering.of_device(device, lambda: cache) if device else gathering.of_bundle(bundle)
    target = gathering.with_types(facts, device, {"module"}).target
    if symvers.coverage["symbols"]:
        known = symvers.exports()
        known = merge(known, target.exports) if target.exports else known
        target = replace(target, exports=known)
    reports = {str(path): judge(read(path), target) for path in built.modules}
    return {p: replace(r, facts={"kind": "module", **r.facts}) for p, r in reports.items()}


def complaints(reports: Mapping[str, Report]) -> list[tuple[str, str]]:
    """Return what speaks against each module, as (sentence, hint)."""
    return [
        (f"{printable(path, 500)}: {answer.because}", answer.hint)
        for path, report in reports.items()
        for answer in report.details
        if answer.verdict in ("no", "risky")
    ]
