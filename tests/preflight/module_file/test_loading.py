"""Whether a kernel loads a module at all: machine, switches, signature."""

from __future__ import annotations

import gzip

import pytest

from droidheaders.preflight.target import Target
from tests.modules import RELEASE, X86_64, module, signed
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

CASES: list[Case] = [
    ("architecture", "yes", TARGET, {}, "it is for arm64, as the kernel is"),
    ("architecture", "no", TARGET, {"machine": X86_64}, "Exec format error"),
    ("architecture", "no", kernel(RELEASE, "i686"), {"machine": X86_64}, "the kernel is 32-bit"),
    ("architecture", "unknown", kernel(RELEASE, ""), {}, "machine is not known"),
    ("loading", "yes", TARGET, {}, "the kernel loads modules"),
    ("loading", "unknown", NOTHING, {}, "it is not known"),
    ("loading", "no", target(switches={"modules_disabled": "1"}), {}, "until the next boot"),
    ("loading", "no", target(options={"MODULES": "n"}), {}, "has no CONFIG_MODULES"),
    ("signature", "yes", TARGET, {}, "not signed, which only taints the kernel (E)"),
    ("signature", "yes", target(options={"MODULE_SIG": "n"}), {}, "looks at no signatures"),
    ("signature", "unknown", NOTHING, {}, "it is not known"),
    ("signature", "no", target(options={"MODULE_SIG_FORCE": "y"}), {}, "(MODULE_SIG_FORCE)"),
    ("signature", "no", target(switches={"sig_enforce": "Y"}), {}, "(sig_enforce); insmod"),
    (
        "signature",
        "no",
        target(switches={"lockdown": "none [integrity] confidentiality"}),
        {},
        "locked down (integrity)",
    ),
    (
        "signature",
        "no",
        target(options={"LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY": "y"}),
        {},
        "locked down (confidentiality)",
    ),
    (
        "signature",
        "yes",
        target(options={"MODULE_SIG_PROTECT": "y"}, switches={"lockdown": "[integrity]"}),
        {},
        "it is not signed",
    ),
    (
        "signature",
        "no",
        target(options={"MODULE_SIG_PROTECT": "y"}, switches={"sig_enforce": "Y"}),
        {},
        "told to take only signed ones (sig_enforce)",
    ),
    (
        "signature",
        "yes",
        target(options={"MODULE_SIG_FORCE": "y"}, switches={"sig_enforce": "N"}),
        {},
        "it is not signed",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{c[0]}-{c[1]}" for n, c in enumerate(CASES)])
def test_an_answer(case: Case) -> None:
    holds(case)


@pytest.mark.parametrize(
    ("data", "of", "verdict", "because"),
    [
        (signed(module(**GOOD)), TARGET, "yes", "signed (PKCS#7 sha256), and none is asked for"),
        (
            signed(module(**GOOD)),
            target(options={"MODULE_SIG_FORCE": "y"}),
            "unknown",
            "which keys it knows is not told",
        ),
        (signed(module(**GOOD), hash_=4), TARGET, "no", "has a damaged signature"),
        (signed(module(**GOOD), hash_=4), NOTHING, "unknown", "has a damaged signature"),
        (
            signed(module(**GOOD), hash_=4),
            target(options={"MODULE_SIG": "n"}),
            "yes",
            "looks at no signatures",
        ),
    ],
)
def test_a_signed_module(data: bytes, of: Target, verdict: str, because: str) -> None:
    answer = answers(of, data)["signature"]
    assert (answer.verdict, because in answer.because) == (verdict, True), answer


def test_a_compressed_module_is_to_be_decompressed_first() -> None:
    answer = answers(TARGET, gzip.compress(module(**GOOD)))["loading"]
    assert answer.verdict == "yes"
    assert "compressed with gzip" in answer.hint
