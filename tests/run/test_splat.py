"""What the kernel complains of: real logs of six guests, others' formats, and hostile ones.

The files below golden/ are what `emulator/modules/trouble` made of guests: of /dev/kmsg, and of the
console where the guest panicked.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.run.splat import KINDS, Splat, Splats, has_addresses, splats, symbolised

GOLDEN = Path(__file__).parent / "golden"
KERNELS = [f"{series}-{arch}" for series in ("5.10", "6.1", "6.12") for arch in ("arm64", "x86_64")]
# The kind, how its title begins, and the functions that its frames begin with.
SEEN = {
    "warn": ("warning", "WARNING: CPU: ", ["trouble_make", "trouble_init", "do_one_initcall"]),
    "null": ("oops", "", ["trouble_null", "trouble_init", "do_one_initcall"]),
    "nullproc": ("oops", "", ["trouble_null", "trouble_show", "seq_read_iter"]),
    "atomic": ("atomic", "BUG: scheduling while atomic: insmod", ["__schedule", "schedule"]),
    "list": ("list", "list_del corruption. ", ["__list_del_entry", "trouble_list", "trouble_make"]),
    "panic": ("panic", "Kernel panic - not syncing: trouble: as", ["trouble_make", "trouble_init"]),
}


@pytest.mark.parametrize("how", SEEN)
@pytest.mark.parametrize("kernel", KERNELS)
def test_real_ones(kernel: str, how: str) -> None:
    kind, title, functions = SEEN[how]
    log = (GOLDEN / f"{kernel}-{how}.log").read_text().splitlines()
    first, *others = splats(log)
    assert first.kind == kind
    assert first.title.startswith(title or ("Unable to", "BUG: kernel NULL pointer"))
    for seen, wanted in zip(first.functions, functions, strict=False):
        assert seen.startswith(wanted)
    assert first.module == "trouble"
    # on arm64, lists that are corrupt in a task leave a CPU's idle loop complaining as well
    assert [other.kind for other in others] in ([], ["warning"] if how == "list" else [])


MADE = {
    "kasan": """\
==================================================================
BUG: KASAN: slab-use-after-free in reader+0x44/0x90 [probe]
Read of size 4 at addr ffff88800a1b2c40 by task insmod/77
Call Trace:
 <TASK>
 dump_stack_lvl+0x36/0x50
 print_report+0xc2/0x600
 reader+0x44/0x90 [probe]
 </TASK>
""",
    "kfence": """\
BUG: KFENCE: out-of-bounds read in reader+0x44/0x90 [probe]
Out-of-bounds read at 0x00000000deadbeef (1B left of kfence-#12):
 reader+0x44/0x90 [probe]
""",
    "ubsan": """\
UBSAN: array-index-out-of-bounds in drivers/probe.c:12:9
index 4 is out of range for type 'int [4]'
Call Trace:
 <TASK>
 dump_stack_lvl+0x36/0x50
 ubsan_epilogue+0x5/0x30
 reader+0x44/0x90 [probe]
""",
    "lockdep": """\
======================================================
WARNING: possible circular locking dependency detected
6.1.9 #1 Tainted: G           O
------------------------------------------------------
Call trace:
 dump_backtrace+0x1/0x2
 reader+0x44/0x90 [probe]
""",
    "hang": """\
INFO: task insmod:77 blocked for more than 120 seconds.
      Not tainted 6.1.9 #1
Call trace:
 reader+0x44/0x90 [probe]
""",
    "stall": """\
rcu: INFO: rcu_sched self-detected stall on CPU
rcu: 	0-....: (2 ticks this GP) idle=1
Call trace:
 reader+0x44/0x90 [probe]
""",
    "lockup": """\
watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [insmod:77]
pc : reader+0x44/0x90 [probe]
""",
    "cfi": """\
CFI failure at do_one_initcall+0x1/0x2 (target: reader+0x44/0x90 [probe]; expected type: 0x1)
Internal error: Oops - CFI: 0 [#1] PREEMPT SMP
pc : reader+0x44/0x90 [probe]
""",
    "oops": """\
Internal error: Oops - BUG: 0 [#1] PREEMPT SMP
PC is at reader+0x44/0x90 [probe]
""",
}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("prefix", ["", "[   12.345678] ", "[   12.345678][  T123] ", "<4>[1.2] "])
def test_formats_that_no_guest_makes(kind: str, prefix: str) -> None:
    """As the kernel's documentation shows them: Documentation/dev-tools, Documentation/locking."""
    [found] = splats(prefix + line for line in MADE[kind].splitlines())
    assert found.kind == kind
    if kind != "kfence":  # its frames stand in a list without a heading
        assert found.frames[-1] == "reader+0x44/0x90 [probe]"
    assert found.module == "probe"


@pytest.mark.parametrize(
    "line",
    [
        "probe: WARNING: the battery is low",
        "thermal: panic is not what this is",
        "probe: Internal error: 7",
        "---[ end Kernel panic - not syncing: x ]---",
        "systemd: BUG in a unit's file",
        "audit: INFO: task x blocked for more than 1 seconds",
    ],
)
def test_drivers_say_much(line: str) -> None:
    assert splats([line]) == []


def test_addresses_are_told_by_kallsyms() -> None:
    log = [
        "WARNING: CPU: 0 PID: 1 at probe.c:3 0xffffffffc0001010",
        "Call trace:",
        " [<ffffffffc0001010>]",
        " ffffffff81000020",
        " ffffffff00000001",
        "---[ end trace 0 ]---",
    ]
    found = splats(log)
    assert has_addresses(found)
    kallsyms = (
        b"ffffffff81000000 T start\nffffffff81000100 t next\n"
        b"ffffffffc0001000 t reader\t[probe]\nffffffffc0001040 t more\t[probe]\n"
    )
    [told] = symbolised(found, kallsyms)
    assert told.frames == ("reader+0x10/0x40 [probe]", "start+0x20/0x100", "ffffffff00000001")
    assert not has_addresses(splats([]))
    hidden = b"0000000000000000 T start\n0000000000000000 t next\n"
    assert symbolised(found, hidden) == found


def test_what_is_kept_is_bounded() -> None:
    finder = Splats()
    for _ in range(1000):
        finder.see("BUG: KASAN: wild-access in x+0x1/0x2 " + "y" * 5000)
        finder.see("Call Trace:")
        for _ in range(100):
            finder.see(" f+0x1/0x2")
            finder.see(" g+0x1/0x2")
        finder.see("---[ end trace 0 ]---")
    assert len(finder.found) == 16
    assert all(len(one.frames) <= 32 and len(one.title) <= 300 for one in finder.found)


WORDS = st.sampled_from(
    [
        "Call trace:",
        " f+0x1/0x2",
        "pc : g+0x1/0x2 [m]",
        "BUG: KASAN: x",
        "---[ end trace 0 ]---",
        "WARNING: CPU: 0 PID: 1 at a:1 f+0x1/0x2",
        "Kernel panic - not syncing: \x1b[2J",
        "\0",
        " ? f",
    ]
)


@given(st.lists(st.one_of(WORDS, st.text(max_size=60)), max_size=60), st.binary(max_size=200))
def test_anything_may_be_in_a_log(lines: list[str], kallsyms: bytes) -> None:
    found = splats(lines)
    kinds = {kind for kind, _ in KINDS}
    for one in symbolised(found, kallsyms):
        assert isinstance(one, Splat)
        assert one.kind in kinds
        assert one.title.isprintable()
        assert all(frame.isprintable() and frame for frame in one.frames)
