"""Whether the CRCs of a module are those of its kernel."""

from __future__ import annotations

import pytest

from droidheaders.kernel.exports import Export
from tests.preflight.module_file.kernels import (
    CRCS,
    NOTHING,
    TARGET,
    Case,
    exports,
    holds,
    kernel,
    target,
)

CASES: list[Case] = [
    ("versions", "yes", TARGET, {}, "a CRC for each of 2 symbols"),
    ("versions", "yes", target(vermagic="x SMP"), {"versions": None}, "so it needs none"),
    ("versions", "no", TARGET, {"versions": None}, "no __versions; insmod would say: Exec format"),
    (
        "versions",
        "risky",
        target(options={"MODULE_FORCE_LOAD": "y"}),
        {"versions": None},
        "unchecked, tainted",
    ),
    ("versions", "unknown", NOTHING, {"versions": None}, "may refuse"),
    (
        "versions",
        "risky",
        TARGET,
        {"versions": {}},
        "its __versions is empty: the kernel warns once",
    ),
    ("versions", "risky", TARGET, {"versions": {"kfree": 0x33}}, "no CRC for _printk: the kernel"),
    ("versions", "no", kernel("4.4.302"), {"versions": {}}, "kernels before 4.9 refuse"),
    ("crcs", "yes", TARGET, {}, "all 3 CRCs are the kernel's"),
    ("crcs", "yes", TARGET, {"versions": None, "extended": CRCS}, "all 3 CRCs"),
    ("crcs", "yes", target(vermagic="x SMP"), {}, "has no MODVERSIONS"),
    ("crcs", "risky", TARGET, {"versions": {}}, "it has no CRCs"),
    ("crcs", "unknown", NOTHING, {"versions": {}}, "it has no CRCs"),
    ("crcs", "unknown", target(exports=None), {}, "0 of 3 CRCs are known to be equal"),
    ("crcs", "unknown", target(exports=exports(kfree=Export())), {}, "2 of 3 CRCs are known"),
    (
        "crcs",
        "no",
        TARGET,
        {"versions": CRCS | {"kfree": 0xDEADBEEF}},
        "1 CRC of 3 differ: kfree (0xdeadbeef, kernel 0x00000033); insmod would say: Exec format",
    ),
    (
        "crcs",
        "unknown",
        target(vermagic="", config=None),
        {"versions": CRCS | {"kfree": 4}},
        "if the kernel has MODVERSIONS",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{c[0]}-{c[1]}" for n, c in enumerate(CASES)])
def test_an_answer(case: Case) -> None:
    holds(case)
