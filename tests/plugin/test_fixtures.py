"""Headers, programs, modules and the kernel's log in a test: passing, failing and skipping."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from droidheaders.shipped import emulator_dir
from tests.plugin.conftest import Inner, failure

pytestmark = pytest.mark.guest

ON_BOTH = pytest.mark.parametrize("recipe", ["6.1-arm64", "6.1-x86_64"])

PROGRAM = """
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
const volatile int wanted;
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 8);
         __type(key, __u32); __type(value, __u64); } counts SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_mkdirat")
int made(void *ctx)
{
    __u32 key = 7;
    __u64 one = 1;
    bpf_map_update_elem(&counts, &key, &one, 0);
    bpf_printk("made, wanted %d", wanted);
    RESULT;
}
"""
BPF = """
import pytest

TRIGGER = "mkdir /data/local/tmp/made; rmdir /data/local/tmp/made"

def test_headers(kernel_headers, android_device):
    release = android_device.shell("uname -r").stdout.decode().strip()
    assert kernel_headers.kernel.release == release
    assert (kernel_headers.headers / "include/linux/sched.h").is_file()

def test_fires(bpf):
    done = bpf.run("made.bpf.c", trigger=TRIGGER, expect=["made", "wanted 5"], variables="wanted=5")
    assert done.verdict.word == "pass"
    assert any("made, wanted 5" in line for line in done.lines)
    assert {"hello", "attached", "trace"} <= {event["type"] for event in done.events}

def test_built_once_and_watched(bpf, tmp_path):
    made = bpf.build("made.bpf.c", "-DUNHEARD_OF")
    assert made.read_bytes().startswith(b"\\x7fELF")
    done = bpf.run(made, trigger=TRIGGER, dumps="counts", seconds=0.5)
    assert "counts[7] = 1" in done.lines
    assert [*tmp_path.iterdir()] == []

def test_unmet(bpf):
    bpf.run("made.bpf.c", trigger=TRIGGER, expect="wanted 6", seconds=0.5)

def test_does_not_compile(bpf):
    bpf.build("broken.bpf.c")

def test_refused(bpf):
    bpf.run("refused.bpf.c")

def test_refusal_is_what_is_tested(bpf):
    done = bpf.run("refused.bpf.c", verdict="fail")
    assert "the verifier of" in done.verdict.message

def test_no_refusal(bpf):
    bpf.run("made.bpf.c", seconds=0.1, verdict="fail")

def test_not_for_the_shell(bpf):
    bpf.run("made.bpf.c", user="shell")

def test_no_such_file(bpf):
    bpf.run("none.bpf.o")

def test_not_on_this_kernel(bpf):
    bpf.run("other.bpf.c")
"""


def _write_programs(place: Path) -> None:
    made = PROGRAM.replace("RESULT", "return 0")
    (place / "made.bpf.c").write_text(made)
    (place / "broken.bpf.c").write_text(PROGRAM.replace("RESULT", "retrun 0"))
    refused = PROGRAM.replace("RESULT", "return *(int *)bpf_map_lookup_elem(&counts, &key)")
    (place / "refused.bpf.c").write_text(refused)
    calls = "static long (*later)(void) = (void *)9999;\nSEC("
    other = (
        made.replace("SEC(", calls, 3)
        .replace(calls, "SEC(", 2)
        .replace("return 0", "return later()")
    )
    (place / "other.bpf.c").write_text(other)


@ON_BOTH
def test_programs(inner: Inner, recipe: str) -> None:
    _write_programs(inner.pytester.path)
    result = inner.run("--droid-target", recipe, test_it=BPF)
    result.assert_outcomes(passed=4, failed=6, skipped=1)
    expected = {
        "test_unmet": ("fail: no line of output matched wanted 6", "made, wanted 0"),
        "test_does_not_compile": (
            "broken.bpf.c does not compile",
            "undeclared identifier 'retrun'",
        ),
        "test_refused": ("fail: the verifier of", "map_value_or_null", "hint: "),
        "test_no_refusal": ("pass: it ran, with ", ", and fail was expected"),
        "test_not_for_the_shell": ("infra: SELinux keeps ", "hint: "),
        "test_no_such_file": ("infra: cannot read ", "none.bpf.o", "hint: give a BPF object"),
    }
    for test, parts in expected.items():
        said = failure(result, test)
        assert [part for part in parts if part not in said] == []
        assert "\n>       bpf." in said  # the line of the test, and nothing of ours
        assert said.count("\n>") == 1
    result.stdout.fnmatch_lines(["SKIPPED *test_it.py:*cannot run this: *"])
    assert inner.is_as_found()


MODULES = """
from pathlib import Path

import pytest

@pytest.fixture
def clean():
    before = sorted(Path("hello").iterdir())
    yield
    assert sorted(Path("hello").iterdir()) == before

def test_greets(kernel_module, kernel_log, clean):
    done = kernel_module.run("hello", params=["who=me", "times=2"], expect="hello me, 2 of 2")
    assert any("hello me, 1 of 2" in line for line in done.lines)
    assert any("hello me, 2 of 2" in line for line in kernel_log.lines)
    assert not [line for line in kernel_log.lines if "Linux version" in line]

def test_built_before(kernel_module):
    giver_taker = kernel_module.build("pair")
    assert sorted(path.name for path in giver_taker) == ["giver.ko", "taker.ko"]
    kernel_module.run(giver_taker, params="taker.question=42", expect="the answer is 43")

def test_triggered(kernel_module):
    kernel_module.run("chardev", trigger="echo some words >/dev/chardev", expect="some words")

def test_unmet(kernel_module):
    kernel_module.run("hello", expect="good bye", seconds=0.5)

def test_does_not_build(kernel_module):
    kernel_module.build("broken")

def test_warns(kernel_module):
    kernel_module.run("trouble", params="how=warn")

def test_warning_is_what_is_tested(kernel_module, kernel_log):
    kernel_log.allow(kind="warning", title="trouble_")
    kernel_module.run("trouble", params="how=warn", verdict="fail")

def test_only_the_log_minds(kernel_module, kernel_log):
    kernel_module.run("trouble", params="how=warn", verdict="fail")

def test_panics(kernel_module, kernel_log):
    kernel_module.run("trouble", params="how=panic")

def test_next(kernel_module, kernel_log):
    kernel_module.run("hello", expect="hello")
"""


@ON_BOTH
def test_modules(inner: Inner, recipe: str) -> None:
    place = inner.pytester.path
    for name in ("hello", "pair", "chardev", "trouble"):
        shutil.copytree(emulator_dir() / "modules" / name, place / name)
    (place / "broken").mkdir()
    (place / "broken/Kbuild").write_text("obj-m := broken.o\n")
    (place / "broken/broken.c").write_text("#include <linux/none.h>\n")
    result = inner.run("--droid-target", recipe, test_it=MODULES)
    result.assert_outcomes(passed=5, failed=5)
    expected = {
        "test_unmet": ("fail: ", "good bye"),
        "test_does_not_build": ("broken does not build for 6.1", "linux/none.h: No such file"),
        "test_warns": ("fail: warning on 6.1", "trouble_init"),
        "test_only_the_log_minds": ("complained: WARNING: ", "kernel_log.allow(kind='warning')"),
        "test_panics": ("panic: panic on 6.1", "Kernel panic - not syncing: trouble: as asked for"),
    }
    for test, parts in expected.items():
        said = failure(result, test)
        assert [part for part in parts if part not in said] == []
    assert inner.is_as_found()


LOG = """
import pytest

def write(device, text):
    with device.privileged() as root:
        assert root.shell(f"echo '<4>{text}' >/dev/kmsg").status == 0

WARNING = "WARNING: CPU: 0 PID: 1 at kernel/x.c:1 one+0x1/0x2"
KASAN = "BUG: KASAN: use-after-free in two+0x1/0x2"

def test_before(android_device):
    write(android_device, WARNING)

def test_lines(android_device, kernel_log):
    assert kernel_log.lines == []
    write(android_device, "some \\033[2Jwords")
    [line] = kernel_log.lines
    assert line.startswith("[") and "some " in line and line.isprintable()

def test_fails(android_device, kernel_log):
    write(android_device, WARNING)

def test_fails_in_its_teardown(android_device, kernel_log, late):
    pass

@pytest.fixture
def late(android_device):
    yield
    write(android_device, KASAN)

def test_another_kind(android_device, kernel_log):
    kernel_log.allow(kind="warning")
    write(android_device, WARNING)
    write(android_device, KASAN)

def test_another_title(android_device, kernel_log):
    kernel_log.allow(kind="kasan", title="in three")
    write(android_device, KASAN)

def test_allowed(android_device, kernel_log):
    kernel_log.allow(kind="warning")
    kernel_log.allow(title="in t[w]o")
    write(android_device, WARNING)
    write(android_device, KASAN)

def test_wrongly_allowed(kernel_log):
    for wrong in ({}, {"kind": "warnings"}):
        with pytest.raises(ValueError, match="give a title, or a kind"):
            kernel_log.allow(**wrong)

def test_fails_for_itself(android_device, kernel_log):
    write(android_device, WARNING)
    assert not kernel_log.lines, "its own reason"
"""


def test_the_log(inner: Inner) -> None:
    result = inner.run(test_it=LOG)
    result.assert_outcomes(passed=5, failed=4, errors=2)
    said = failure(result, "test_fails")
    assert "complained: WARNING: CPU: 0 PID: 1 at kernel/x.c:1 one+0x1/0x2" in said
    assert "hint: where that is meant: kernel_log.allow(kind='warning')" in said
    late = failure(result, "test_fails_in_its_teardown")
    assert "complained: BUG: KASAN: use-after-free in two" in late
    for test in ("test_another_kind", "test_another_title"):
        assert "complained: BUG: KASAN" in failure(result, test)
    reports = "\n".join(result.outlines)
    assert "its own reason" in reports
    assert "ERROR at teardown of test_fails_for_itself" in reports


REQUIRED = """
import pytest

requires = pytest.mark.requires_kernel

@requires(">=5.10, <99", config=["CONFIG_BPF=y", "BPF_SYSCALL", "CONFIG_NONE_SUCH=n"], root=True)
def test_all():
    pass

@requires(">=99")
def test_newer():
    raise AssertionError

@requires(config=["CONFIG_BPF", "CONFIG_NONE_SUCH=m"])
def test_configured():
    raise AssertionError

@requires(root=True)
def test_root():
    pass

@pytest.mark.parametrize("one", [1, pytest.param(2, marks=requires("<5"))])
def test_parameters(one):
    assert one == 1

@requires(">=5")
class TestClass:
    def test_it(self, fresh_device):
        assert fresh_device.shell("uname -r").stdout

    @requires("<5")
    def test_both(self):
        raise AssertionError

@requires("<5")
def test_before_any_other_fixture(expensive):
    pass

@pytest.fixture
def expensive():
    raise AssertionError
"""
PERSONA = """
import pytest

@pytest.fixture(scope="session")
def android_device(droid_guests):
    with droid_guests.fresh("6.1-arm64", persona="user") as device:
        yield device
"""


def test_what_is_required(inner: Inner) -> None:
    result = inner.run(test_it=REQUIRED)
    result.assert_outcomes(passed=4, skipped=5)
    text = result.stdout.str()
    assert ">=99 is required, and device 127.0.0.1:" in text
    assert "CONFIG_NONE_SUCH is required: not named in /proc/config.gz, wanted m, of 6.1" in text
    inner.pytester.makeconftest(PERSONA)
    result = inner.run("test_it.py")
    result.assert_outcomes(passed=2, skipped=7)
    assert "root is required, and 6.1" in result.stdout.str()
    assert "has only the shell" in result.stdout.str()
    log = inner.run("test_log.py", test_log="def test_it(kernel_log): pass")
    log.assert_outcomes(errors=1)
    assert "gives no root" in failure(log, "test_it")
    assert inner.is_as_found()
