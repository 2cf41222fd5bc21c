"""Whether a kernel has the symbols that a module asks for, and gives them."""

from __future__ import annotations

import pytest

from droidheaders.kernel.exports import Export, Exports
from tests.modules import INFO
from tests.preflight.module_file.kernels import (
    TARGET,
    Case,
    answers,
    exports,
    holds,
    kernel,
    target,
)

PROPRIETARY = {"info": ("license=Proprietary", *INFO[1:])}

CASES: list[Case] = [
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
]


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{c[0]}-{c[1]}" for n, c in enumerate(CASES)])
def test_an_answer(case: Case) -> None:
    holds(case)


def test_a_module_whose_symbols_come_from_others_says_which_to_load_first() -> None:
    of = target(exports=exports(kfree=Export(0x33, "", False, "other_one")))
    assert answers(of)["symbols"].hint == "load other_one first, if it is not"
