"""The report on a module."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from droidheaders.objects.module import parse
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.module_file import judge
from droidheaders.preflight.target import Target
from tests.modules import VERMAGIC, module
from tests.preflight.module_file.kernels import CRCS, GOOD, NOTHING, TARGET


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
