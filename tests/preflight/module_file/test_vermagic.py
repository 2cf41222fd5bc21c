"""Whether a module is of the release and configuration that it must be of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from droidheaders.preflight.target import Target
from tests.modules import INFO, VERMAGIC
from tests.preflight.module_file.kernels import NOTHING, TARGET, Case, holds, kernel, target


def with_vermagic(magic: str) -> dict[str, Any]:
    return {"info": (*INFO[:-1], f"vermagic={magic}")}


WITHOUT_VERMAGIC = {"info": INFO[:-1]}
SEED = "RANDSTRUCT_" + "ab" * 32
OTHER = f"6.1.98-old {VERMAGIC.partition(' ')[2]}"
DEBIAN = f"6.1.0-50-cloud-arm64 {VERMAGIC.partition(' ')[2]}"


def inexact(version: str, modversions: str = "y") -> Target:
    """Return a kernel of which there is a configuration, and no more."""
    of = kernel(version, vermagic="", options={"MODVERSIONS": modversions})
    return replace(of, exact=False)


CASES: list[Case] = [
    ("release", "yes", TARGET, {}, "it was built for 6.1.99-test"),
    ("release", "yes", TARGET, with_vermagic(OTHER), "compares CRCs instead"),
    ("release", "risky", TARGET, with_vermagic(OTHER) | {"versions": {}}, "without CRCs nothing"),
    ("release", "no", TARGET, with_vermagic(OTHER) | {"versions": None}, "finds no __versions"),
    (
        "release",
        "no",
        target(vermagic="", options={"MODVERSIONS": "n"}),
        with_vermagic(OTHER),
        "has no MODVERSIONS; insmod would say: Exec format error",
    ),
    ("release", "unknown", NOTHING, with_vermagic(OTHER), "not known whether that compares CRCs"),
    ("release", "unknown", TARGET, WITHOUT_VERMAGIC, "does not say for which release"),
    (
        "release",
        "yes",
        inexact("6.1.99"),
        {},
        "6.1.99 is known; CRCs are compared",
    ),
    ("release", "unknown", inexact("6.1.99", "n"), {}, "only the version 6.1.99 is known"),
    ("release", "unknown", inexact("6.1.99"), {"versions": {}}, "only the version 6.1.99 is known"),
    (
        "release",
        "unknown",
        inexact("6.1.99-test", "n"),
        {},
        "only the version",
    ),
    ("release", "unknown", inexact("6.1.176", "n"), with_vermagic(DEBIAN), "version 6.1.176 is"),
    ("release", "unknown", inexact("", "n"), {}, "of the kernel's release nothing is known"),
    ("release", "unknown", replace(NOTHING, exact=False), {}, "only the version"),
    ("release", "no", inexact("6.6.99", "n"), {}, "has no MODVERSIONS; insmod would say"),
    ("release", "no", inexact("6.6.99"), {"versions": None}, "finds no __versions in it"),
    ("release", "yes", inexact("6.6.99"), {}, "which compares CRCs instead"),
    ("release", "unknown", inexact("6.6.99"), WITHOUT_VERMAGIC, "does not say for which release"),
    ("vermagic", "yes", inexact("6.1.99"), {}, "as its configuration has it"),
    ("vermagic", "yes", TARGET, {}, "as a module of this kernel has it"),
    ("vermagic", "yes", target(vermagic=""), {}, "as its configuration has it"),
    ("vermagic", "unknown", NOTHING, {}, "neither a module of this kernel nor its config"),
    (
        "vermagic",
        "no",
        target(vermagic=f"{VERMAGIC} p2v8"),
        with_vermagic(f"{VERMAGIC} \x1b[1m"),
        r"lacks p2v8 and has \x1b[1m, unlike a module of this kernel",
    ),
    (
        "vermagic",
        "no",
        target(vermagic="", options={"PREEMPT": "n"}),
        {},
        "has preempt, unlike its",
    ),
    (
        "vermagic",
        "yes",
        target(vermagic="", options={"PREEMPT": "n", "PREEMPT_BUILD": "y", "PREEMPT_DYNAMIC": "y"}),
        {},
        "SMP preempt mod_unload",
    ),
    (
        "vermagic",
        "no",
        target(vermagic="", options={"PREEMPT": "n", "PREEMPT_RT": "y"}),
        {},
        "lacks preempt_rt and has preempt,",
    ),
    ("vermagic", "no", TARGET, WITHOUT_VERMAGIC, "the module has none; insmod"),
    ("vermagic", "risky", target(options={"MODULE_FORCE_LOAD": "y"}), WITHOUT_VERMAGIC, "tainted"),
    ("vermagic", "unknown", NOTHING, WITHOUT_VERMAGIC, "few kernels take"),
    ("randstruct", "yes", TARGET, {}, "structures are not shuffled"),
    ("randstruct", "unknown", NOTHING, {}, "configuration is not known"),
    (
        "randstruct",
        "no",
        target(options={"RANDSTRUCT_FULL": "y"}),
        {},
        "(RANDSTRUCT_FULL), and the",
    ),
    ("randstruct", "no", target(options={"GCC_PLUGIN_RANDSTRUCT": "y"}), {}, "does not"),
    ("randstruct", "no", TARGET, with_vermagic(f"{VERMAGIC} {SEED}"), "the kernel's are not"),
    (
        "randstruct",
        "unknown",
        target(vermagic="", options={"RANDSTRUCT": "y"}),
        with_vermagic(f"{VERMAGIC} {SEED}"),
        "by a seed that is not told",
    ),
    (
        "randstruct",
        "yes",
        target(vermagic=f"{VERMAGIC} {SEED}"),
        with_vermagic(f"{VERMAGIC} {SEED}"),
        "the same seed",
    ),
    (
        "randstruct",
        "no",
        target(vermagic=f"{VERMAGIC} {SEED}"),
        with_vermagic(f"{VERMAGIC} {SEED}0"),
        "another seed",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{c[0]}-{c[1]}" for n, c in enumerate(CASES)])
def test_an_answer(case: Case) -> None:
    holds(case)
