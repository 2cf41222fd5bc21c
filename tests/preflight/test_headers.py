"""Every state that a kernel's headers can be in, and what is said of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from droidheaders.kernel.log import Denial
from droidheaders.kernel.probe import BTF
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.headers import judge
from droidheaders.preflight.privilege import ROOT_HINT
from tests.preflight.facts import (
    ADBD,
    ARCHIVE,
    DENIAL,
    MAGISK,
    MODULE,
    SHELL,
    SU,
    answers,
    bundle,
    facts,
)

PULL = "droidheaders pull"
ANOTHER_WAY = "droidheaders cache import FILE: kheaders.ko, image or tree of this very build"
Y, M, N = "CONFIG_IKHEADERS=y", "CONFIG_IKHEADERS=m", "# CONFIG_IKHEADERS is not set"
NOWHERE = "no archive in /sys/kernel or /proc"
DENIED = {ARCHIVE: "denied"}
READABLE = {ARCHIVE: "readable"}


def source(told: Facts) -> Answer:
    return answers(judge(told))["source"]


@pytest.mark.parametrize(
    ("told", "verdict", "because", "hint"),
    [
        (facts(Y, shell=SHELL, sees=READABLE), "yes", f"{ARCHIVE}, which the shell may read", PULL),
        (
            facts(Y, user=SU, sees=DENIED, root_sees=READABLE),
            "yes",
            f"{ARCHIVE}, which root (su 0) may read",
            PULL,
        ),
        (
            facts(M, user=MAGISK, sees=DENIED, root_sees=READABLE, loaded=True),
            "yes",
            f"{ARCHIVE}, which root (su -c) may read",
            PULL,
        ),
        (
            facts(M, user=SU, root_sees={MODULE: "readable"}),
            "yes",
            f"{MODULE}, which root (su 0) may read",
            PULL,
        ),
        (
            facts(M, shell=SHELL, sees={MODULE: "readable"}),
            "yes",
            f"{MODULE}, which the shell may read",
            PULL,
        ),
        (
            facts(Y, shell=ADBD, sees=READABLE),
            "yes",
            f"{ARCHIVE}, which root (adbd) may read",
            PULL,
        ),
        (
            facts(M, user=SU),
            "no",
            f"{NOWHERE}, CONFIG_IKHEADERS=m, and there is no kheaders.ko on the device",
            ANOTHER_WAY,
        ),
        (facts(N, user=SU), "no", f"{NOWHERE}, and CONFIG_IKHEADERS is not set", ANOTHER_WAY),
        (facts("", shell=SHELL), "no", f"{NOWHERE}, and CONFIG_IKHEADERS is not set", ANOTHER_WAY),
        (
            facts(Y, user=SU),
            "no",
            f"{NOWHERE}, though CONFIG_IKHEADERS=y: is /sys mounted?",
            ANOTHER_WAY,
        ),
        (
            facts(M, shell=SHELL),
            "unknown",
            f"{NOWHERE}, and only root sees whether a kheaders module is on the device",
            ROOT_HINT,
        ),
        (
            facts(None, shell=SHELL, debuggable=True),
            "unknown",
            f"{NOWHERE}, and only root sees whether a kheaders module is on the device",
            PULL,
        ),
        (
            facts(None, user=SU),
            "no",
            f"{NOWHERE}, and no kheaders module on the device",
            ANOTHER_WAY,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_on_a_device(told: Facts, verdict: str, because: str, hint: str) -> None:
    found = judge(told)
    assert found.answer == Answer("headers", verdict, because, hint)  # type: ignore[arg-type]
    assert source(told).verdict == verdict
    assert found.alternatives


def test_what_a_program_is_told() -> None:
    told = facts(M, user=SU, sees=DENIED, root_sees=READABLE, loaded=True, denials=(DENIAL,))
    assert judge(told).facts == {
        "config": "m",
        "path": ARCHIVE,
        "readable_as": "su 0",
        "loaded": True,
        "selinux": "enforcing",
        "context": "u:r:shell:s0",
        "uid": 2000,
        "denials": [
            {
                "permissions": ["getattr"],
                "scontext": "u:r:shell:s0",
                "tcontext": "u:object_r:sysfs:s0",
                "tclass": "file",
                "path": ARCHIVE,
            }
        ],
        "cached": None,
        "state": None,
        "relatives": [],
    }


@pytest.mark.parametrize(
    ("device", "refusal"),
    [
        ({}, "uid 2000 (u:r:shell:s0, SELinux enforcing) may not read it"),
        (
            {"denials": (DENIAL,)},
            "uid 2000 (u:r:shell:s0, SELinux enforcing) may not read it; "
            "avc: denied { getattr } on u:object_r:sysfs:s0",
        ),
        (
            {"su": "/system/xbin/su", "selinux": "permissive"},
            "uid 2000 (u:r:shell:s0, SELinux permissive) may not read it; "
            "there is a su that gives no root",
        ),
        (
            {"shell": replace(SHELL, uid=10123, context=""), "selinux": ""},
            "uid 10123 (no context, SELinux unknown) may not read it",
        ),
    ],
)
def test_which_permission_stands_in_the_way(device: dict[str, object], refusal: str) -> None:
    told = facts(Y, **{"shell": SHELL, "sees": DENIED, **device})  # type: ignore[arg-type]
    because = f"{ARCHIVE} is there, and {refusal}"
    assert source(told) == Answer("source", "no", because, ROOT_HINT)
    assert judge(told).answer == Answer("headers", "no", because, ANOTHER_WAY)


def test_adb_root_would_do_where_su_does_not() -> None:
    told = facts(Y, shell=SHELL, sees=DENIED, debuggable=True)
    assert source(told).verdict == "yes"
    assert source(told).because.startswith(f"{ARCHIVE}, which `adb root` may read; uid 2000 (")
    assert judge(told).answer.hint == PULL
    assert judge(told).facts["readable_as"] is None


def test_words_of_a_log_are_made_safe() -> None:
    nasty = Denial(("\x1b[2J",), "\x07", "\x9b31m", "file", "", "a\nb", False)
    found = judge(facts(Y, shell=SHELL, sees=DENIED, denials=(nasty,)))
    assert found.answer.because.isprintable()
    [denial] = found.facts["denials"]
    assert denial["permissions"] == [r"\x1b[2J"]
    assert denial["path"] == r"a\nb"


def test_an_archive_that_the_shell_may_read_is_preferred_to_root_s_module() -> None:
    told = facts(M, user=SU, sees=READABLE, root_sees={MODULE: "readable", **READABLE})
    assert source(told).because == f"{ARCHIVE}, which the shell may read"


@pytest.mark.parametrize(
    ("config", "verdict", "because"),
    [
        (Y, "yes", "CONFIG_IKHEADERS=y in /proc/config.gz"),
        (M, "yes", "CONFIG_IKHEADERS=m in /proc/config.gz"),
        (N, "no", "CONFIG_IKHEADERS is not set in /proc/config.gz"),
        ("", "no", "CONFIG_IKHEADERS is not named in /proc/config.gz"),
        ("CONFIG_IKHEADERS_PROC=m", "yes", "CONFIG_IKHEADERS_PROC=m in /proc/config.gz"),
        (None, "unknown", "the configuration is unknown: /proc/config.gz is not there"),
    ],
)
def test_what_the_configuration_says(config: str | None, verdict: str, because: str) -> None:
    assert answers(judge(facts(config, shell=SHELL)))["configured"] == Answer(
        "configured",
        verdict,  # type: ignore[arg-type]
        because,
    )


@pytest.mark.parametrize(
    ("config", "verdict"),
    [(Y, "yes"), ("CONFIG_IKHEADERS_PROC=y", "yes"), (M, "unknown"), (N, "no"), (None, "unknown")],
)
def test_of_a_configuration_alone(config: str | None, verdict: str) -> None:
    found = judge(facts(config))
    assert found.answer.verdict == verdict
    assert found.answer.hint == ("" if verdict == "yes" else ANOTHER_WAY)
    assert answers(found).keys() == {"configured"}
    assert found.facts["uid"] is None
    assert found.facts["denials"] == []


def test_the_older_option_is_as_good_as_the_newer() -> None:
    told = facts("CONFIG_IKHEADERS_PROC=y", user=SU)
    assert "though CONFIG_IKHEADERS_PROC=y" in source(told).because


def test_cached(tmp_path: Path) -> None:
    mine = bundle(tmp_path / "6.1.99-aarch64-0123", "btf", state="usable")
    found = judge(facts(M, shell=SHELL, bundle=mine))
    shown = f"droidheaders cache show {mine.name}"
    assert found.answer == Answer("headers", "yes", "cached, usable", shown)
    told = answers(found)
    assert told["cached"] == Answer("cached", "yes", f"{mine.name}, usable")
    assert told["btf"].because == "the kernel's own BTF is in the cache"
    assert (found.facts["cached"], found.facts["state"]) == (mine.name, "usable")


def test_cached_and_not_whole(tmp_path: Path) -> None:
    mine = bundle(tmp_path / "6.1.99-aarch64-0123", state="partial")
    mine.meta["missing"] = ["../drivers/x.h, included by \x1b.h", "and more"]
    found = judge(facts(None, bundle=mine))
    lacks = r"cached, partial; missing: ../drivers/x.h, included by \x1b.h"
    assert (found.answer.verdict, found.answer.because) == ("risky", lacks)
    told = answers(found)
    assert told["cached"] == Answer("cached", "risky", f"{mine.name}, partial")
    assert "btf" not in told


def test_cached_of_another_build() -> None:
    names = ("6.1.99-a", "6.1.99-b", "6.1.99-c", "6.1.99-d")
    found = judge(facts(M, user=SU, relatives=names))
    assert found.answer.verdict == "no"
    assert answers(found)["cached"] == Answer(
        "cached",
        "no",
        "not this build, though one of its release: 6.1.99-a, 6.1.99-b, 6.1.99-c",
        "droidheaders cache show 6.1.99-a",
    )
    assert found.facts["relatives"] == list(names)


@pytest.mark.parametrize(
    ("release", "machine", "build"),
    [
        ("5.10.149-android13-4-00003-g05231a35ff43-ab9850636", "aarch64", "9850636/kernel_aarch64"),
        ("6.1.57-android14-11-g0123456789ab-ab11525972-4k", "aarch64", "11525972/kernel_aarch64"),
        ("6.6.30-android15-8-gf988247102d3-ab12345678", "x86_64", "12345678/kernel_x86_64"),
        ("6.12.1-android16-0-maybe-dirty-ab99999", "riscv64", "99999/kernel_riscv64"),
    ],
)
def test_where_a_gki_build_has_its_module(release: str, machine: str, build: str) -> None:
    told = judge(facts(M, release, machine, user=SU))
    url = f"https://ci.android.com/builds/submitted/{build}/latest"
    assert told.answer.hint == (
        f"take kheaders.ko or boot.img of {url}, then droidheaders cache import FILE"
    )


@pytest.mark.parametrize(
    "release",
    [
        "6.1.99",
        "4.19.113-perf-g0123456789ab",
        "6.1.57-android14-11-dirty",
        "6.1.57-android14-11-ab12",
        "6.1.57-android14-ab1234567/../../x",
        "6.1.57-ab11525972",
        "the/kernel+of-somebody",
    ],
)
def test_a_release_that_is_no_gki_build(release: str) -> None:
    assert judge(facts(M, release, user=SU)).answer.hint == ANOTHER_WAY


@pytest.mark.parametrize(("state", "more"), [("readable", ""), ("denied", ", which needs root")])
def test_types_remain_where_there_are_no_headers(state: str, more: str) -> None:
    told = facts(N, shell=SHELL, sees={BTF: state})
    because = f"{BTF}{more}: CO-RE programs need no headers"
    assert answers(judge(told))["btf"] == Answer("btf", "yes", because)
    assert judge(told).answer.verdict == "no"
