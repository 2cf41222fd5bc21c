"""Will modules load, who may load them, and what they must be built with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from droidheaders.kernel.inquiry import User
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.modules import judge
from droidheaders.preflight.privilege import ROOT_HINT
from tests.kernel.test_golden import GOLDEN
from tests.preflight.facts import ADBD, EVERYTHING, SHELL, SU, answers, bundle, facts

USUAL = "CONFIG_MODULES=y\nCONFIG_MODVERSIONS=y\nCONFIG_MODULE_SIG=y\n"
VERMAGIC = "6.1.99-test SMP preempt mod_unload modversions aarch64"
TAINTS = "unsigned ones load, and taint the kernel"


def device(config: str | None = USUAL, user: User = SU, **more: Any) -> Facts:
    return facts(config, user=user, **more)


def test_one_that_loads_them() -> None:
    told = device(vermagic=VERMAGIC, module_path="/vendor/lib/modules/wlan.ko")
    found = judge(told)
    because = "root (su 0) may load them (CAP_SYS_MODULE, u:r:su:s0)"
    assert found.answer == Answer("modules", "yes", because)
    assert [(a.name, a.verdict, a.because) for a in found.details] == [
        ("modules", "yes", "CONFIG_MODULES=y"),
        ("loading", "yes", because),
        ("signature", "yes", TAINTS),
        (
            "modversions",
            "yes",
            "symbols are compared by CRC (CONFIG_MODVERSIONS=y): build with its Module.symvers",
        ),
        ("vermagic", "yes", f"'{VERMAGIC}', as /vendor/lib/modules/wlan.ko has it"),
        ("layout", "yes", "structures are not randomised"),
        ("page_size", "yes", "4096 bytes"),
    ]
    assert found.facts["vermagic"] == VERMAGIC
    assert found.facts["as"] == "su 0"


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        (
            device("CONFIG_64BIT=y"),
            Answer("modules", "no", "CONFIG_MODULES is not set: this kernel loads none"),
        ),
        (
            facts(None),
            Answer(
                "modules",
                "unknown",
                "the configuration is unknown: /proc/config.gz is not there",
            ),
        ),
        (
            device(switches={"modules_disabled": "1"}),
            Answer(
                "modules",
                "no",
                "kernel.modules_disabled is 1 until the next boot",
                "reboot the device",
            ),
        ),
        (
            device(user=SHELL),
            Answer(
                "modules",
                "no",
                "the shell has no CAP_SYS_MODULE, u:r:shell:s0, and there is no su",
                ROOT_HINT,
            ),
        ),
        (
            device(user=SHELL, su="/system/bin/su"),
            Answer(
                "modules",
                "no",
                "the shell has no CAP_SYS_MODULE, u:r:shell:s0, and /system/bin/su gives no root",
                ROOT_HINT,
            ),
        ),
        (
            device(shell=ADBD, user=User("adbd", 0, "", 0)),
            Answer("modules", "no", "root (adbd) has no CAP_SYS_MODULE", ROOT_HINT),
        ),
        (
            device(user=SHELL, debuggable=True),
            Answer("modules", "yes", "root (adb root) may load them (CAP_SYS_MODULE, u:r:su:s0)"),
        ),
        (
            device(user=User("shell", 2000, "u:r:shell:s0", EVERYTHING), selinux="permissive"),
            Answer("modules", "yes", "the shell may load them (CAP_SYS_MODULE, u:r:shell:s0)"),
        ),
        (facts(USUAL), Answer("modules", "yes", "CONFIG_MODULES=y")),
    ],
)
def test_whether_and_by_whom(told: Facts, answer: Answer) -> None:
    assert judge(told).answer == answer


def test_of_a_kernel_that_loads_none_no_more_is_said() -> None:
    assert answers(judge(device("CONFIG_64BIT=y"))).keys() == {"modules"}


def test_the_switch_shows_that_there_are_modules() -> None:
    found = answers(judge(device(None, switches={"modules_disabled": "0", "sig_enforce": "N"})))
    assert found["modules"].because == "/proc/sys/kernel/modules_disabled is there"
    assert found["signature"].because == TAINTS
    assert found["modversions"] == Answer("modversions", "unknown", "the configuration is unknown")


FORCED = "CONFIG_MODULE_SIG_FORCE=y\n"
PROTECTED = "CONFIG_MODULE_SIG_PROTECT=y\n"


@pytest.mark.parametrize(
    ("config", "switches", "verdict", "because"),
    [
        (USUAL, {}, "yes", TAINTS),
        ("CONFIG_MODULES=y", {}, "yes", "none is asked for (CONFIG_MODULE_SIG is not set)"),
        (
            USUAL + FORCED,
            {},
            "no",
            "unsigned modules are refused: the kernel takes only signed ones (MODULE_SIG_FO",
        ),
        (
            USUAL,
            {"sig_enforce": "Y"},
            "no",
            "unsigned modules are refused: the kernel was told to take only signed ones (sig_",
        ),
        (USUAL + FORCED, {"sig_enforce": "N"}, "yes", TAINTS),
        (
            USUAL,
            {"lockdown": "none [integrity] confidentiality"},
            "no",
            "unsigned modules are refused: the kernel is lock",
        ),
        (USUAL, {"lockdown": "[none] integrity confidentiality"}, "yes", TAINTS),
        (USUAL, {"lockdown": ""}, "yes", TAINTS),
        (
            USUAL + PROTECTED,
            {"sig_enforce": "N"},
            "yes",
            "unsigned ones load, without access to protected symbols (CONFIG_MODULE_SIG_PROTECT=y)",
        ),
        (None, {}, "unknown", "nothing tells whether modules must be signed"),
    ],
)
def test_signatures(
    config: str | None, switches: dict[str, str], verdict: str, because: str
) -> None:
    told = judge(device(config, switches=switches))
    found = answers(told)["signature"]
    assert found.verdict == verdict
    assert found.because.startswith(because)
    assert ("sign-file" in found.hint) is (verdict == "no")
    if verdict == "no":
        assert (told.answer.verdict, told.answer.because) == ("no", found.because)


@pytest.mark.parametrize(
    "option", ["RANDSTRUCT_FULL", "RANDSTRUCT_PERFORMANCE", "GCC_PLUGIN_RANDSTRUCT"]
)
def test_structures_that_are_shuffled(option: str) -> None:
    told = judge(device(f"{USUAL}CONFIG_{option}=y"))
    assert told.answer.verdict == "no"
    assert f"CONFIG_{option}=y" in told.answer.because
    assert told.answer.hint.startswith("build it in the tree")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {}),
        ("CONFIG_CFI_CLANG=y", {"cfi": "CONFIG_CFI_CLANG=y"}),
        ("CONFIG_CFI=y", {"cfi": "CONFIG_CFI=y"}),
        ("CONFIG_LTO_CLANG=y\nCONFIG_LTO_CLANG_FULL=y", {"lto": "CONFIG_LTO_CLANG_FULL=y"}),
        ("CONFIG_LTO_CLANG=y\nCONFIG_LTO_CLANG_THIN=y", {"lto": "CONFIG_LTO_CLANG_THIN=y"}),
        ("CONFIG_LTO_CLANG=y", {"lto": "CONFIG_LTO_CLANG=y"}),
        ("# CONFIG_LTO_CLANG is not set\n# CONFIG_KASAN is not set", {}),
        (
            "CONFIG_SHADOW_CALL_STACK=y\nCONFIG_KASAN=y",
            {"scs": "CONFIG_SHADOW_CALL_STACK=y", "kasan": "CONFIG_KASAN=y"},
        ),
    ],
)
def test_what_it_must_be_built_with(options: str, expected: dict[str, str]) -> None:
    found = answers(judge(device(USUAL + options)))
    built = {n: found[n].because for n in ("cfi", "lto", "scs", "kasan") if n in found}
    assert {name: because.partition(":")[0] for name, because in built.items()} == expected


@pytest.mark.parametrize(
    ("told", "size"),
    [
        (device(page_size=16384), 16384),
        (device(USUAL + "CONFIG_ARM64_64K_PAGES=y", page_size=0), 65536),
        (facts(USUAL + "CONFIG_ARM64_4K_PAGES=y"), 4096),
        (facts(USUAL + "CONFIG_ARM64_16K_PAGES=y"), 16384),
        (facts(USUAL, machine="x86_64"), 4096),
        (facts(USUAL), None),
    ],
)
def test_the_size_of_a_page(told: Facts, size: int | None) -> None:
    report = judge(told)
    assert report.facts["page_size"] == size
    assert answers(report)["page_size"].because == (f"{size} bytes" if size else "unknown")


def test_a_bundle_knows_the_size_of_a_page(tmp_path: Path) -> None:
    mine = bundle(tmp_path / "mine", page_size=16384)
    assert judge(facts(USUAL, bundle=mine)).facts["page_size"] == 16384


@pytest.mark.parametrize("size", ["4 KiB", "\x1b[2J", [1], {}, -4096, 1e400])
def test_a_bundle_that_says_nonsense_of_it(tmp_path: Path, size: object) -> None:
    mine = bundle(tmp_path / "mine", page_size=size)
    assert judge(facts(USUAL, bundle=mine)).facts["page_size"] is None


def test_a_vermagic_that_is_not_known() -> None:
    found = judge(facts(USUAL))
    because = "no module of this kernel could be looked at"
    assert answers(found)["vermagic"] == Answer("vermagic", "unknown", because)
    assert found.facts["vermagic"] is None
    assert found.answer.verdict == "yes"


def test_a_vermagic_that_nobody_names_the_module_of() -> None:
    found = answers(judge(facts(USUAL, vermagic=VERMAGIC)))
    assert found["vermagic"].because == f"'{VERMAGIC}', as its module has it"


def test_what_a_program_is_told() -> None:
    switches = {"sig_enforce": "N", "lockdown": "[none] integrity", "tainted": "4097"}
    told = judge(device(USUAL + PROTECTED, switches=switches)).facts
    assert told["options"]["CONFIG_MODULES"] == "y"
    assert told["options"]["CONFIG_MODULE_SIG_PROTECT"] == "y"
    assert told["options"]["CONFIG_CFI_CLANG"] == "n"
    assert told["switches"] == switches | {"modules_disabled": None}
    assert set(judge(facts(None)).facts["options"].values()) == {None}


@pytest.mark.parametrize(
    ("version", "verdict", "features"),
    [
        ("3.18", "yes", set()),
        ("4.4", "no", set()),
        ("4.9", "yes", {"cfi", "lto"}),
        ("4.14", "yes", {"cfi", "lto"}),
        ("4.19", "yes", {"cfi", "lto", "scs"}),
        ("5.4", "yes", {"cfi", "lto", "scs"}),
        ("5.10", "yes", {"cfi", "lto", "scs"}),
        ("5.15", "yes", {"cfi", "lto", "scs", "kasan"}),
        ("6.1", "yes", {"cfi", "lto", "scs", "kasan"}),
        ("6.6", "yes", set()),
        ("6.12", "yes", {"cfi", "scs", "kasan"}),
    ],
)
def test_eleven_generations(version: str, verdict: str, features: set[str]) -> None:
    report = judge(device((GOLDEN / version / "config").read_text()))
    assert report.answer.verdict == verdict
    assert answers(report).keys() & {"cfi", "lto", "scs", "kasan"} == features
    if verdict == "no":
        assert "(MODULE_SIG_FORCE)" in report.answer.because
