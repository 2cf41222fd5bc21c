"""Whether a kernel takes modules, by all that device and cache tell before they are pushed.

The device is asked where the cache does not know its kernel. What costs a second to ask for, and
the kernel itself finds out without harm, is left to it: which symbols it exports, where nothing was
collected of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from droidheaders import gathering
from droidheaders.errors import UnsupportedError
from droidheaders.preflight.module_file import judge
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.cache import Cache
    from droidheaders.identifying import Answers
    from droidheaders.ordering import File
    from droidheaders.preflight.facts import Facts

_LAYOUT = "module_layout"


def admit(
    device: Device,
    answers: Answers,
    files: Sequence[File],
    cache: Cache,
    *,
    force: bool,
) -> str:
    """Return how a sentence calls the kernel; UnsupportedError when it does not take a module.

    With `force` that is but warned of. `answers` is what the device said of its kernel. Raises what
    asking it for more raises.
    """
    facts = _with_layout(answers.facts(device, cache), device, files, cache)
    facts = _with_given(gathering.with_symvers(facts, cache), files)
    target = facts.target
    for one in files:
        answer = judge(one.module, target).answer
        named = f"{printable(one.name)} on {target.name}: {answer.because}"
        if answer.verdict == "no" and not force:
            raise UnsupportedError(f"no use to load {named}", answer.hint)
        if answer.verdict in ("no", "risky"):
            ui.warn(named)
    return target.name


def _with_layout(known: Facts | None, device: Device, files: Sequence[File], cache: Cache) -> Facts:
    """Return what is known of the kernel, with its types where struct module's size needs them.

    That is where nothing else would keep a module of another layout from overwriting memory:
    neither the CRC of module_layout, nor the kernel's own comparison, which came with 6.4
    (elf_validity_cache_index_mod()).
    """
    facts = gathering.of_device(device, lambda: cache) if known is None else known
    number = facts.target.kernel.number or (0, 0)
    if number[:2] >= (6, 4) or all(_LAYOUT in (file.module.versions or {}) for file in files):
        return facts
    if facts.inquiry is None and not (facts.bundle and "btf" in facts.bundle.parts):
        facts = gathering.of_device(device, lambda: cache)
    return gathering.with_types(facts, device, {"module"})


def _with_given(facts: Facts, files: Sequence[File]) -> Facts:
    """Add what the modules export to each other, where it is known what the kernel exports."""
    exports = facts.target.exports
    if exports is None or len(files) == 1:
        return facts
    from droidheaders.kernel.exports import Exports, merge

    given = {name: export for one in files for name, export in one.module.exports.items()}
    merged = merge(Exports(given, False, "the modules given"), exports)
    return replace(facts, target=replace(facts.target, exports=merged))
