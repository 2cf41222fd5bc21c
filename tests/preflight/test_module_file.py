"""What is said of a module for a kernel: every answer, in every verdict it has."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.kernel.btf import Btf
from droidheaders.kernel.compiler import Compiler
from droidheaders.kernel.exports import Export, Exports
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.objects.module import parse
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.module_file import judge
from droidheaders.preflight.target import Target
from tests.modules import CLANG, INFO, RELEASE, VERMAGIC, X86_64, module, signed

OPTIONS = {
    "MODULES": "y",
    "MODULE_UNLOAD": "y",
    "MODVERSIONS": "y",
    "SMP": "y",
    "PREEMPT": "y",
    "MODULE_SIG": "y",
}
CRCS = {"module_layout": 0x11, "_printk": 0x22, "kfree": 0x33}
EXPORTS = {name: Export(crc, "", False, "vmlinux") for name, crc in CRCS.items()}
GCC = Compiler("gcc", (12, 2, 0), "", "")
CLANG14 = Compiler("clang", (14, 0, 7), "", "")
CLANG17 = Compiler("clang", (17, 0, 2), "", "")


def btf(size: int) -> Btf:
    """Return BTF with nothing but a struct module of that size."""
    types = struct.pack("<III", 1, 4 << 24, size)
    strings = b"\0module\0"
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings))
    return Btf(head + types + strings)


def config(**options: str) -> Kconfig:
    return Kconfig({f"CONFIG_{name}": value for name, value in (OPTIONS | options).items()})


TARGET = Target(
    name="the device",
    kernel=KernelIdentity(RELEASE, "#1", "aarch64", ""),
    config=config(),
    vermagic=VERMAGIC,
    compiler=GCC,
    exports=Exports(EXPORTS, complete=True, source="Module.symvers"),
    btf=btf(896),
)
NOTHING = Target("a kernel", KernelIdentity(RELEASE, "#1", "aarch64", ""))
GOOD: dict[str, Any] = {"undefined": ("_printk", "kfree"), "versions": CRCS}


def exports(complete: bool = True, **changed: Export) -> Exports:
    return Exports(EXPORTS | changed, complete=complete, source="Module.symvers")


def target(**changes: Any) -> Target:
    options = changes.pop("options", None)
    if options is not None:
        changes["config"] = config(**options)
    return replace(TARGET, **changes)


def kernel(release: str, machine: str = "aarch64", **changes: Any) -> Target:
    return target(kernel=KernelIdentity(release, "#1", machine, ""), **changes)


def answers(of: Target, data: bytes | None = None, **made: Any) -> dict[str, Answer]:
    report = judge(parse(data or module(**GOOD | made)), of)
    return {answer.name: answer for answer in report.details}


def with_vermagic(magic: str) -> dict[str, Any]:
    return {"info": (*INFO[:-1], f"vermagic={magic}")}


WITHOUT_VERMAGIC = {"info": INFO[:-1]}
PROPRIETARY = {"info": ("license=Proprietary", *INFO[1:])}
SEED = "RANDSTRUCT_" + "ab" * 32
OTHER = f"6.1.98-old {VERMAGIC.partition(' ')[2]}"

CASES: list[tuple[str, str, Target, Mapping[str, Any], str]] = [
    ("architecture", "yes", TARGET, {}, "it is for arm64, as the kernel is"),
    ("architecture", "no", TARGET, {"machine": X86_64}, "Exec format error"),
    ("architecture", "no", kernel(RELEASE, "i686"), {"machine": X86_64}, "the kernel is 32-bit"),
    ("loading", "yes", TARGET, {}, "the kernel loads modules"),
    ("loading", "unknown", NOTHING, {}, "it is not known"),
    ("loading", "no", target(switches={"modules_disabled": "1"}), {}, "until the next boot"),
    ("loading", "no", target(options={"MODULES": "n"}), {}, "has no CONFIG_MODULES"),
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
    ("layout", "yes", TARGET, {}, "has 896 bytes, as in the kernel's BTF"),
    ("layout", "yes", target(btf=None), {}, "the CRC of module_layout is the kernel's"),
    ("layout", "unknown", target(btf=None, exports=None), {}, "no BTF tells"),
    ("layout", "no", target(btf=btf(960)), {}, "would corrupt memory"),
    ("layout", "no", kernel("6.6.1", btf=btf(960)), {}, "Exec format error"),
    ("layout", "no", TARGET, {"this_module": 0}, "no .gnu.linkonce.this_module"),
    ("compiler", "yes", TARGET, {}, "gcc 12.2.0 built both"),
    ("compiler", "unknown", TARGET, {"comment": b""}, "built the module is not known"),
    ("compiler", "unknown", target(compiler=None), {}, "built the kernel is not known"),
    ("compiler", "risky", target(compiler=CLANG14), {}, "gcc 12.2.0 built it, and clang 14.0.7"),
    ("compiler", "yes", target(compiler=CLANG17), {"comment": CLANG}, "clang 14.0.7 built it"),
    (
        "compiler",
        "risky",
        target(compiler=CLANG17, options={"SHADOW_CALL_STACK": "y", "LTO_CLANG": "y"}),
        {"comment": CLANG},
        "with LTO and SCS",
    ),
    ("compiler", "no", target(compiler=CLANG14, options={"CFI_CLANG": "y"}), {}, "would panic"),
    (
        "compiler",
        "no",
        kernel("5.15.1", compiler=CLANG14, options={"CFI_CLANG": "y"}),
        {"comment": CLANG},
        "would panic",
    ),
    (
        "compiler",
        "yes",
        kernel("5.15.1", compiler=CLANG14, options={"CFI_CLANG": "y"}),
        {"comment": CLANG, "labels": {"__cfi_check": ("", 0)}},
        "clang 14.0.7 built both",
    ),
    (
        "compiler",
        "risky",
        target(compiler=CLANG14, options={"CFI_CLANG": "y", "CFI_PERMISSIVE": "y"}),
        {},
        "gcc 12.2.0 built it",
    ),
    ("symbols", "yes", TARGET, {}, "all 2 symbols that it asks for are exported"),
    ("symbols", "yes", TARGET, {"weak": ("absent",)}, "all 2 symbols"),
    ("symbols", "unknown", target(exports=None), {}, "what the kernel exports is not known"),
    ("symbols", "unknown", target(exports=Exports({}, True, "x")), {}, "is not known"),
    ("symbols", "unknown", target(exports=exports(False)), {"undefined": ("gone",)}, "a part of"),
    (
        "symbols",
        "no",
        TARGET,
        {"undefined": ("gone", "left", "a", "b", "c\x1b")},
        r"a, b, c\x1b, gone and 1 more are not among the exports in Module.symvers; insmod would "
        "say: No such file or directory, and dmesg: Unknown symbol",
    ),
    (
        "symbols",
        "unknown",
        TARGET,
        {"undefined": ("gone",), "info": (*INFO, "depends=other-one")}
        | {"info": ("depends=o-ne",)},
        "gone is not among the exports in Module.symvers; o_ne, which it uses, may have them",
    ),
    ("symbols", "no", TARGET, {"exports": {"kfree": (1, "", False)}}, "exports kfree, as vmlinux"),
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
    ("namespaces", "yes", TARGET, {}, "every namespace that it needs is imported"),
    ("namespaces", "unknown", target(exports=None), {}, "not known"),
    ("namespaces", "yes", kernel("4.19.1", exports=None), {}, "every namespace"),
    ("namespaces", "unknown", target(exports=exports(kfree=Export())), {}, "not known"),
    (
        "namespaces",
        "no",
        target(exports=exports(kfree=Export(0x33, "SPACE\x1b", False, "vmlinux"))),
        {},
        r"kfree is in the namespace SPACE\x1b, which it does not import; insmod would say: Invalid",
    ),
    (
        "namespaces",
        "yes",
        target(exports=exports(kfree=Export(0x33, "SPACE", False, "vmlinux"))),
        {"info": (*INFO, "import_ns=OTHER", "import_ns=SPACE")},
        "is imported",
    ),
    (
        "namespaces",
        "yes",
        target(
            exports=exports(kfree=Export(0x33, "SPACE", False, "vmlinux")),
            options={"MODULE_ALLOW_MISSING_NAMESPACE_IMPORTS": "y"},
        ),
        {},
        "this kernel only warns",
    ),
    (
        "namespaces",
        "yes",
        target(exports=exports(kfree=Export(0x33, "module:kvm,pro*", False, "vmlinux"))),
        {},
        "is imported",
    ),
    (
        "namespaces",
        "no",
        target(exports=exports(kfree=Export(0x33, "module:kvm", False, "vmlinux"))),
        {"info": (*INFO, "import_ns=module:kvm")},
        "module:kvm",
    ),
    ("licence", "yes", TARGET, {}, "GPL is compatible with the GPL"),
    ("licence", "yes", TARGET, PROPRIETARY, "which only taints the kernel (P)"),
    ("licence", "yes", TARGET, {"info": INFO[1:]}, "its licence 'unspecified' is not"),
    ("licence", "unknown", target(exports=None), PROPRIETARY, "not known which symbols"),
    (
        "licence",
        "no",
        target(exports=exports(kfree=Export(0x33, "", True, "vmlinux"))),
        PROPRIETARY,
        "kfree is for GPL modules only; insmod would say: No such file",
    ),
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


@pytest.mark.parametrize(
    ("name", "verdict", "of", "made", "because"),
    CASES,
    ids=[f"{number}-{case[0]}-{case[1]}" for number, case in enumerate(CASES)],
)
def test_an_answer(
    name: str, verdict: str, of: Target, made: Mapping[str, Any], because: str
) -> None:
    answer = answers(of, **made)[name]
    assert (answer.verdict, because in answer.because) == (verdict, True), answer
    assert answer.because.isprintable()
    assert not answer.because.endswith(".")


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


def test_an_arm64_module_without_plt_sections_is_refused_as_the_kernel_does() -> None:
    bare = module(**GOOD).replace(b".init.plt\0", b".none.plt\0")
    assert answers(kernel("6.6.1"), bare)["layout"].verdict == "no"
    assert answers(target(options={"ARM64_MODULE_PLTS": "y"}), bare)["layout"].verdict == "no"
    assert answers(TARGET, bare)["layout"].verdict == "yes"


def listed(names: tuple[str, ...]) -> str:
    return "static const char list[][9] = {\n" + "".join(f'\t"{n}",\n' for n in names) + "};\n"


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


def test_a_report_of_a_module_that_fits() -> None:
    report = judge(parse(module(**GOOD)), TARGET)
    assert report.answer == Answer("module_file", "yes", "nothing speaks against it on the device")
    assert [answer.verdict for answer in report.details] == ["yes"] * 14
    assert json.loads(json.dumps(report.facts)) == {
        "name": "probe",
        "machine": "arm64",
        "size": len(module(**GOOD)),
        "compression": "",
        "build_id": "",
        "vermagic": VERMAGIC,
        "licence": "GPL",
        "depends": [],
        "namespaces": [],
        "intree": False,
        "scmversion": "",
        "signed": False,
        "signature": None,
        "compilers": ["GCC: (GNU) 12.2.0"],
        "protections": [],
        "this_module_size": 896,
        "undefined": 2,
        "weak": 0,
        "exports": 0,
        "versions": 3,
        "missing": [],
        "crc_differs": [],
    }


def test_a_report_of_one_that_does_not() -> None:
    made = module(undefined=("_printk", "gone"), versions=CRCS | {"_printk": 1, "gone": 2})
    report = judge(parse(made), TARGET)
    assert report.answer.verdict == "no"
    assert report.answer.because.startswith("gone is not among the exports in Module.symvers")
    assert report.answer.because.endswith("(and 1 more)")
    assert report.answer.hint == "use symbols that this kernel exports"
    assert report.facts["missing"] == ["gone"]
    assert report.facts["crc_differs"] == [
        {"name": "_printk", "module": "0x00000001", "kernel": "0x00000022"}
    ]


def test_of_a_kernel_that_nothing_is_known_of_nothing_is_promised() -> None:
    report = judge(parse(module(**GOOD)), NOTHING)
    assert report.answer.verdict == "unknown"
    assert report.facts["missing"] is None


def test_a_compressed_module_is_to_be_decompressed_first() -> None:
    answer = answers(TARGET, gzip.compress(module(**GOOD)))["loading"]
    assert answer.verdict == "yes"
    assert "compressed with gzip" in answer.hint


def test_a_module_whose_symbols_come_from_others_says_which_to_load_first() -> None:
    of = target(exports=exports(kfree=Export(0x33, "", False, "other_one")))
    assert answers(of)["symbols"].hint == "load other_one first, if it is not"


@given(
    st.lists(st.text(st.characters(exclude_characters="\0"), max_size=20), max_size=6),
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
                            min_size=1, max_size=12), st.integers(0, 2**64 - 1), max_size=4),
    st.sampled_from([TARGET, NOTHING]),
)  # fmt: skip
def test_whatever_a_module_says_answers_are_fit_for_a_terminal(
    info: list[str], versions: dict[str, int], of: Target
) -> None:
    keys = ("license", "vermagic", "depends", "import_ns", "name", "x")
    texts = [text.encode("utf-8", "replace").decode() for text in info]
    said = [f"{key}={text}" for key, text in zip(keys, texts, strict=False)]
    asked = tuple(versions)
    short = {name: crc for name, crc in versions.items() if len(name.encode()) < 57}
    report = judge(parse(module(info=said, undefined=asked, versions=short)), of)
    for answer in (report.answer, *report.details):
        assert answer.because.isprintable()
        assert answer.hint.isprintable()
    assert json.dumps(report.facts).isprintable()
