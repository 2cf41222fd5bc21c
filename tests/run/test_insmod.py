"""What insmod and the kernel say of a module that is refused, and what that means."""

from __future__ import annotations

import pytest

from droidheaders.run.insmod import explain, note

# What 5.10 to 6.12 write, and GKI, which no guest is: insmod's words, the log, what is concluded.
ROWS = [
    (
        "No such file or directory",
        "hello: Unknown symbol pair_answer (err -2)",
        "needs the symbol pair_answer, which neither the kernel nor a loaded module exports",
    ),
    (
        "Invalid argument",
        "hello: disagrees about version of symbol module_layout",
        "its CRC of module_layout is not the kernel's",
    ),
    (
        "Exec format error",
        "hello: version magic '6.1.9 SMP preempt mod_unload modversions aarch64 p2v8' should be"
        " '6.1.9 SMP preempt mod_unload modversions aarch64'",
        "its vermagic has p2v8, unlike the kernel's",
    ),
    (
        "Exec format error",
        "hello: version magic '6.1.9 SMP' should be '6.1.10 SMP'",
        "it was built for 6.1.9, and the kernel is 6.1.10 SMP",
    ),
    (
        "Exec format error",
        "module hello: .gnu.linkonce.this_module section size must match the kernel's built struct"
        " module size at run time",
        "its struct module has another size",
    ),
    (
        "Permission denied",
        "hello: exports protected symbol cfg80211_get_bss",
        "it exports cfg80211_get_bss, which on GKI only",
    ),
    (
        "Permission denied",
        "hello: Protected symbol: vendor_only (err -13)",
        "it uses vendor_only, which GKI keeps from",
    ),
    (
        "Required key not available",
        "",
        "takes only modules with a signature that it knows",
    ),
    ("Key was rejected by service", "", "takes only modules with a signature that it knows"),
    (
        "Key was rejected by service",
        "Loading of unsigned module is rejected",
        "takes only modules with a signature that it knows",
    ),
    ("Operation not permitted", "Lockdown: insmod: unsigned module loading is restricted;", "lock"),
    ("Try again", "hello: starting", "its init returned -EAGAIN"),
    ("Resource temporarily unavailable", "", "its init returned -EAGAIN"),
    (
        "Invalid argument",
        "module hello uses symbol answer from namespace PAIR, but does not import it.",
        "uses answer of the namespace PAIR without importing it",
    ),
    (
        "Invalid argument",
        "hello: `abc' invalid for parameter `times'",
        "its parameter times does not take abc",
    ),
    (
        "Permission denied",
        'audit: avc:  denied  { module_load } for pid=1 comm="insmod"',
        "SELinux denies it (module_load)",
    ),
    ("File exists", "", "a module of its name is loaded already"),
    ("Level 3 reset", "", "said: Level 3 reset"),
    ("", "", "said: no reason given"),
]


@pytest.mark.parametrize(("said", "log", "told"), ROWS)
def test_the_reason_is_found(said: str, log: str, told: str) -> None:
    words = f"insmod: failed to load hello.ko: {said}" if said else ""
    lines = ["[    1.000000] other: nothing", f"[    1.500000] {log}"] if log else []
    assert told in explain(words, lines).because


def test_only_what_the_kernel_never_takes_is_skipped() -> None:
    assert explain("insmod: failed to load x.ko: Exec format error", []).cannot
    assert not explain("insmod: failed to load x.ko: Try again", []).cannot
    assert not explain("insmod: failed to load x.ko: No such device", []).cannot


def test_a_verification_that_failed_is_no_refusal() -> None:
    line = (
        "[    1.0] hello: module verification failed: signature and/or required key missing -"
        " tainting kernel"
    )
    assert note([line]).endswith("which only taints it (E)")
    assert note(["[    1.0] hello: hello"]) == ""
