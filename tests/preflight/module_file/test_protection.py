"""Whether GKI keeps symbols from a module."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.modules import module, signed
from tests.preflight.module_file.kernels import (
    GOOD,
    NOTHING,
    TARGET,
    Case,
    answers,
    holds,
    kernel,
    target,
)


def listed(names: tuple[str, ...]) -> str:
    return "static const char list[][9] = {\n" + "".join(f'\t"{n}",\n' for n in names) + "};\n"


CASES: list[Case] = [
    ("protection", "yes", TARGET, {}, "no MODULE_SIG_PROTECT"),
    ("protection", "unknown", NOTHING, {}, "configuration is not known"),
    (
        "protection",
        "unknown",
        target(options={"MODULE_SIG_PROTECT": "y"}),
        {},
        "which is not known",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{c[0]}-{c[1]}" for n, c in enumerate(CASES)])
def test_an_answer(case: Case) -> None:
    holds(case)


@pytest.mark.parametrize(
    ("release", "open_", "made", "verdict", "because"),
    [
        ("6.6.1", ("_printk", "kfree"), {}, "yes", "all that it asks for is open"),
        ("6.6.1", ("_printk",), {}, "no", "kfree is not open to unsigned modules; insmod"),
        ("6.1.1", ("_printk",), {}, "yes", "all that it asks for is open"),
        ("6.6.1", ("_printk", "kfree"), {"undefined": ("other",)}, "risky", "unless an unsigned"),
        ("6.6.1", (), {}, "yes", "an empty list"),
        (
            "6.6.1",
            ("_printk", "kfree"),
            {"exports": {"rfkill_alloc": (1, "", False)}},
            "no",
            "exports rfkill_alloc, which is a signed module's to export",
        ),
    ],
)
def test_gki_protects_symbols(
    tmp_path: Path,
    release: str,
    open_: tuple[str, ...],
    made: Mapping[str, Any],
    verdict: str,
    because: str,
) -> None:
    generated = tmp_path / "include/generated"
    generated.mkdir(parents=True)
    (generated / "gki_module_unprotected.h").write_text(listed(open_))
    (generated / "gki_module_protected_exports.h").write_text(listed(("rfkill_alloc",)))
    of = kernel(release, options={"MODULE_SIG_PROTECT": "y"}, headers=tmp_path)
    answer = answers(of, **made)["protection"]
    assert (answer.verdict, because in answer.because) == (verdict, True), answer
    other = answers(of, signed(module(**GOOD | dict(made))))["protection"]
    assert other.verdict == "unknown"
