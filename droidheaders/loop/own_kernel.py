"""A plan's tests on one kernel of one's own, in place of the kernels of the plan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from droidheaders.errors import UsageError
from droidheaders.guest import recipes
from droidheaders.loop.plan import Plan
from droidheaders.ui import printable

_HEAD = 0x210


def on_kernel(plan: Plan, image: Path, modules: Path | None) -> Plan:
    """Return the plan with the first guest of the image's architecture for all targets.

    Raises UsageError for what is no kernel for a guest, directories that are none, and a plan
    without such a guest.
    """
    shown = printable(str(image), 500)
    if modules is not None and not modules.is_dir():
        raise UsageError(
            f"there is no directory {printable(str(modules), 500)}", "give lib/modules/RELEASE"
        )
    try:
        with image.open("rb") as file:
            arch = arch_of(file.read(_HEAD))
    except OSError as e:
        raise UsageError(f"cannot read {shown}: {e.strerror}", "give arch/arm64/boot/Image") from e
    if not arch:
        raise UsageError(
            f"{shown} is no kernel that a guest boots",
            "give arch/arm64/boot/Image or arch/x86/boot/bzImage",
        )
    for target in plan.targets:
        if target.recipe and recipes.load(target.recipe).arch == arch:
            own = replace(target, kernel=image, modules=modules)
            tests = [
                replace(test, targets=()) for test in plan.tests if _is_for(test.targets, own.name)
            ]
            return replace(plan, targets=(own,), tests=tuple(tests))
    raise UsageError(
        f"{shown} is of {arch}, and no guest of {printable(str(plan.path), 500)} is",
        f"add a target with a recipe of {arch}",
    )


def _is_for(targets: tuple[str, ...], name: str) -> bool:
    return not targets or name in targets


def arch_of(head: bytes) -> str:
    """Return the architecture of an Image or bzImage by its first 528 bytes, or "".

    Documentation/arch/arm64/booting.rst and x86/boot.rst: magic numbers at 56 and 0x202.
    """
    if head[56:60] == b"ARM\x64":
        return "arm64"
    return "x86_64" if head[0x202:0x206] == b"HdrS" else ""
