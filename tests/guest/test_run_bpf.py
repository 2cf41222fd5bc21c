"""BPF programs on real kernels: that they are seen to fire, and what is said when they do not."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from droidheaders.adb import Server
from droidheaders.cache import Cache
from droidheaders.run.job import Job
from droidheaders.running import run_bpf
from tests.guest.running import Running, running
from tests.run_objects import MKDIR, TRIGGER, write

pytestmark = pytest.mark.guest


@pytest.fixture(scope="module")
def guest(adb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(place / "state"))
        patch.setenv("DROIDHEADERS_CACHE", str(place / "cache"))
        with running("6.1-arm64", "su", adb, place) as found:
            yield found


@pytest.fixture(autouse=True)
def left_as_found(guest: Running) -> Iterator[None]:
    """Nothing is left of any run, however it ended."""
    yield
    assert guest.left() == ""


@pytest.fixture
def made(guest: Running) -> str:
    return str(write(guest.place, "made", MKDIR, guest.arch))


def test_it_fires(guest: Running, made: str) -> None:
    done = guest.run(
        *("run", "bpf", made, "--trigger", TRIGGER, "--expect", r"made, wanted \d"),
        *("--set", "wanted=5", "--map", "counts=3:9", "--map", "counts"),
    )
    assert done.returncode == 0, done
    lines = done.stdout.decode().splitlines()
    assert any("made, wanted 5" in line for line in lines)
    assert {"counts[3] = 9", "counts[7] = 1"} <= set(lines)
    said = done.stderr.decode()
    assert "attached tracepoint/syscalls/sys_enter_mkdirat (made)" in said
    assert re.search(r"^pass: all that was expected came, in \d+ lines? of output$", said, re.M)


def test_json_is_a_line_an_event_and_the_verdict(guest: Running, made: str) -> None:
    *events, verdict = guest.json(made, "--trigger", TRIGGER, "--until", "made")
    kinds = [event["type"] for event in events]
    assert kinds[:4] == ["hello", "loaded", "attached", "ready"]
    assert "trace" in kinds
    assert kinds[-1] == "end"
    assert verdict["verdict"] == "pass"


@pytest.mark.parametrize(
    ("body", "word", "message", "hint"),
    [
        (
            'SEC("kprobe/do_sys_openat3") int p(void *c) { return wanted; }',
            "fail",
            r"p cannot be attached to do_sys_openat3 on 6\.1.*: the kernel has no such function",
            r"did you mean do_sys_openat2",
        ),
        (
            'SEC("tracepoint/syscalls/sys_enter_openatt") int p(void *c) { return 0; }',
            "fail",
            r"the kernel has no such tracepoint",
            r"did you mean syscalls:sys_enter_openat\b",
        ),
        (
            'SEC("raw_tp/sched_swtch") int p(void *c) { return 0; }',
            "fail",
            r"the kernel has no such tracepoint",
            r"did you mean sched_switch\?",
        ),
        (
            'SEC("kprobe/kprobe_dispatcher") int p(void *c) { return 0; }',
            "fail",
            r"the kernel has it and does not let it be traced",
            r"name another",
        ),
        (
            'SEC("uprobe//system/bin/nothing:main") int p(void *c) { return 0; }',
            "fail",
            r"there is no such file on the device",
            r"name another",
        ),
        (
            'SEC("kprobe/do_sys_openat2") int p(void *c) { __u32 k = 1;\n'
            "__u64 *v = bpf_map_lookup_elem(&counts, &k);\nreturn *v; }",
            "fail",
            r"the verifier of 6\.1.* refuses p at <stdin>:12: R0 invalid mem access"
            r" 'map_value_or_null'",
            r"",
        ),
        (
            'SEC("fentry/do_sys_openat2") int BPF_PROG(p, int d) { return 0; }',
            "skip",
            r"cannot run this: fentry: CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS is not set",
            r"droidheaders check",
        ),
        (
            'SEC("kprobe.multi/do_sys_open*") int p(void *c) { return 0; }',
            "skip",
            r"cannot run this: kprobe\.multi: CONFIG_FPROBE is not set",
            r"droidheaders check",
        ),
        (
            "static long (*none)(void) = (void *)9999;"
            'SEC("kprobe/do_sys_openat2") int p(void *c) { return none(); }',
            "skip",
            r"p calls helper 9999, which is not there",
            r"droidheaders check",
        ),
        (
            "struct task_struct { int none; } __attribute__((preserve_access_index));"
            'SEC("kprobe/do_sys_openat2") int p(void *c) { int x; struct task_struct *t ='
            " (void *)bpf_get_current_task(); bpf_probe_read_kernel(&x, 4, &t->none); return x; }",
            "skip",
            r"struct task_struct\.none: the kernel has no such thing",
            r"bpf_core_field_exists",
        ),
        (
            'SEC("nothing/x") int p(void *c) { return 0; }',
            "fail",
            r"section nothing/x is no name that libbpf knows",
            r"name it after its type",
        ),
    ],
)
def test_what_is_refused(guest: Running, body: str, word: str, message: str, hint: str) -> None:
    path = write(guest.place, "refused", body, guest.arch)
    verdict = run_bpf(guest.device, Job(path), lambda _: None, lambda: Cache(guest.place / "none"))
    assert verdict.word == word
    assert re.search(message, verdict.message), verdict
    assert re.search(hint, verdict.hint), verdict
    assert guest.device.name in verdict.message


def test_registers_of_another_architecture(guest: Running) -> None:
    body = (
        'SEC("kprobe/do_sys_openat2") int BPF_KPROBE(p, long a) { bpf_printk("%d", a); return 0; }'
    )
    own = str(write(guest.place, "own", body, "arm64"))
    assert guest.json(own, "--for", "0.1")[-1]["verdict"] == "pass"
    verdict = guest.json(str(write(guest.place, "other", body, "x86_64")))[-1]
    assert verdict["verdict"] == "skip"
    assert "reads the registers of x86_64" in verdict["message"]
    assert verdict["hint"].endswith("-D__TARGET_ARCH_arm64")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--map", "cuonts"], "the object has no map named cuonts"),
        (["--set", "wantd=1"], "the object has no variable named wantd"),
        (["--set", "wanted"], "--set wanted is not VAR=VALUE"),
        (["--expect", "["], r"--expect \[ is no regular expression"),
    ],
)
def test_what_is_no_usage(guest: Running, made: str, arguments: list[str], message: str) -> None:
    verdict = guest.json(made, *arguments)[-1]
    assert (verdict["verdict"], verdict["exit_code"]) == ("infra", 2)
    assert re.search(message, verdict["message"])
    assert verdict["error"]["kind"] == "usage"


def test_a_value_that_does_not_fit(guest: Running, made: str) -> None:
    verdict = guest.json(made, "--set", "wanted=abc")[-1]
    assert verdict["verdict"] == "fail"
    assert 'wanted is of 4 bytes and does not take "abc"' in verdict["message"]


def test_who_may_not(guest: Running, made: str) -> None:
    """SELinux, and lack of privilege without it, are told apart."""
    verdict = guest.json(made, "--user", "shell")[-1]
    assert (verdict["verdict"], verdict["exit_code"]) == ("infra", 1)
    assert re.search(r"SELinux keeps .* away from .*u:r:shell:s0", verdict["message"])
    guest.root("setenforce 0")
    try:
        verdict = guest.json(made, "--user", "shell")[-1]
    finally:
        guest.root("setenforce 1")
    assert verdict["verdict"] == "infra"
    assert "uid 2000 may not do this" in verdict["message"]
    assert "it lacks CAP_BPF, CAP_PERFMON" in verdict["message"]


def test_output_that_does_not_come(guest: Running, made: str) -> None:
    verdict = guest.json(made, "--expect", "nothing", "--for", "0.5")[-1]
    assert verdict["verdict"] == "fail"
    assert verdict["message"] == "there was no output, and nothing was expected"
    assert "--trigger" in verdict["hint"]
    verdict = guest.json(
        made, "--expect", "nothing", "--for", "2", "--trigger", f"{TRIGGER}; exit 3"
    )[-1]
    assert verdict["message"].startswith("no line of output matched nothing, of ")
    assert "ended with status 3" in verdict["hint"]
    verdict = guest.json(made, "--until", "nothing", "--for", "0.5")[-1]
    assert (verdict["verdict"], verdict["exit_code"]) == ("timeout", 6)


def test_a_loader_that_is_killed(guest: Running, made: str) -> None:
    verdict = guest.json(made, "--trigger", "kill -9 $(pidof loader)", "--expect", "x")[-1]
    assert verdict["verdict"] == "infra"
    assert "was killed by SIGKILL" in verdict["message"]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted(guest: Running, made: str, how: signal.Signals) -> None:
    with guest.start("run", "bpf", made, "--map", "counts=3:9", "--map", "counts") as run:
        _await_attached(run)
        run.send_signal(how)
        out, _ = run.communicate(timeout=60)
    assert run.returncode == (0 if how == signal.SIGINT else 128 + how)
    if how == signal.SIGINT:  # how a run without an end is ended
        assert b"counts[3] = 9" in out


def test_a_run_that_is_killed(guest: Running, made: str) -> None:
    """The loader ends with its stdin; the next run takes away the rest."""
    with guest.start("run", "bpf", made) as run:
        _await_attached(run)
        run.kill()
    deadline = time.monotonic() + 30
    while guest.root("pidof loader"):
        assert time.monotonic() < deadline
    done = guest.run("run", "bpf", made, "--for", "0.1")
    assert b"an earlier run was cut off: removed /data/local/tmp/droidheaders-" in done.stderr


def test_more_output_than_memory_should_hold(guest: Running) -> None:
    """Lines are passed on as they come, and what nobody takes is not kept."""
    body = """
    SEC("tracepoint/syscalls/sys_enter_mkdirat") int many(void *ctx)
    {
        for (int i = 0; i < 2000; i++) bpf_printk("a line of the many that come at once: %d", i);
        return 0;
    }
    """
    path = str(write(guest.place, "many", body, guest.arch))
    script = "for i in 1 2 3 4 5 6 7 8 9; do mkdir /data/local/tmp/none/none; done"
    with guest.start("run", "bpf", path, "--trigger", script, "--for", "4") as run:
        assert run.stdout
        lines = peak = 0
        status = Path(f"/proc/{run.pid}/status")
        for _ in run.stdout:
            lines += 1
            if lines % 500 == 0:  # not ru_maxrss, which counts what we were when we forked
                peak = max([peak, *map(int, re.findall(r"VmHWM:\s*(\d+)", status.read_text()))])
    assert lines > 1000
    assert 0 < peak < 120_000


def test_a_kernel_without_types(guest: Running) -> None:
    """They are made from its headers, once these are there."""
    body = """
    struct task_struct { int pid; struct task_struct *real_parent; }
        __attribute__((preserve_access_index));
    SEC("tracepoint/syscalls/sys_enter_mkdirat") int p(void *ctx)
    {
        struct task_struct *task = (void *)bpf_get_current_task(), *parent;
        int pid;
        bpf_probe_read_kernel(&parent, sizeof(parent), &task->real_parent);
        bpf_probe_read_kernel(&pid, sizeof(pid), &parent->pid);
        bpf_printk("parent %d", pid);
        return 0;
    }
    """
    path = str(write(guest.place, "core", body, guest.arch))
    arguments = ("--trigger", f"echo $$; {TRIGGER}", "--expect", r"parent [1-9]\d*$")
    assert guest.json(path, *arguments)[-1]["verdict"] == "pass"
    guest.root("mount -t tmpfs none /sys/kernel/btf")
    try:
        verdict = guest.json(path, *arguments)[-1]
        assert verdict["verdict"] == "skip"
        assert "has no types of its own (BTF)" in verdict["message"]
        assert guest.run("pull").returncode == 0
        assert guest.json(path, *arguments)[-1]["verdict"] == "pass"
    finally:
        guest.root("umount /sys/kernel/btf")


def _await_attached(run: subprocess.Popen[bytes]) -> None:
    assert run.stderr
    while b"attached" not in (line := run.stderr.readline()):
        assert line, run.stderr.read()


def test_a_kernel_that_panics(adb: Server, tmp_path: Path, state: Path) -> None:
    with running("6.1-x86_64", "userdebug", adb, tmp_path) as other:
        path = str(write(tmp_path, "made", MKDIR, other.arch))
        *_, verdict = other.json(path, "--trigger", TRIGGER, "--expect", "made")
        assert verdict["verdict"] == "pass"
        *events, verdict = other.json(path, "--trigger", "echo c >/proc/sysrq-trigger")
        assert {"type": "ready"} in events
        assert (verdict["verdict"], verdict["exit_code"]) == ("panic", 6)
        assert "Kernel panic - not syncing" in verdict["message"]
