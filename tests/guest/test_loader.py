"""The BPF loader in real kernels: each kind of program is attached, and is seen to fire."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from droidheaders.adb import Selector, Server
from droidheaders.guest.guest import Guest
from tests.kernels import KERNELS
from tests.loading import PLACE, Place, of, variables

pytestmark = pytest.mark.guest

RMDIR = "mkdir /data/local/tmp/d && rmdir /data/local/tmp/d"


@pytest.fixture(scope="module", params=KERNELS)
def kernel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def place(kernel: str, adb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(tmp_path_factory.mktemp("state")))
        with (
            Guest.start(kernel, persona="su", server=adb) as guest,
            adb.select(Selector(serial=guest.serial)).privileged() as root,
        ):
            yield Place(root.device, root)


def attached(events: list[dict[str, Any]]) -> dict[str, str]:
    assert not of(events, "error"), of(events, "error") + of(events, "log")
    assert of(events, "end"), events
    return {event["program"]: event["to"] for event in of(events, "attached")}


def test_probes_and_events(place: Place) -> None:
    # Long enough for a clock that ticks in idle processors too.
    trigger = f"{RMDIR}; ls / >/dev/null; sleep 0.2"
    events = place.run("probes", trigger, dump=["all"])
    assert attached(events) == {
        "on_kprobe": "security_inode_rmdir",
        "on_kretprobe": "security_inode_rmdir",
        "on_tracepoint": "sched/sched_process_exec",
        "on_raw_tracepoint": "sched_process_exec",
        "on_clock": "cpu-clock at 99 Hz",
        "on_uprobe": "libc.so.6:rmdir",
        "on_uretprobe": "libc.so.6:rmdir",
        "on_offset": "libc.so.6:rmdir+0x0",
    }
    seen = variables(events)
    assert seen["kprobed"] == seen["kretprobed"] == 1
    assert not [name for name, number in seen.items() if not number]


def test_sockets_and_control_groups(place: Place) -> None:
    trigger = "cat /proc/sys/kernel/hostname; head -c 1 /dev/zero; nc -w 1 127.0.0.1 9 || true"
    events = place.run("sockets", trigger, dump=["all"], cgroup="/sys/fs/cgroup")
    assert set(attached(events).values()) == {"packets of every interface", "/sys/fs/cgroup"}
    seen = variables(events)
    assert not [name for name, number in seen.items() if not number]


def test_interfaces(place: Place, kernel: str) -> None:
    place.insert("sch_ingress", "cls_bpf")
    trigger = "nc -w 1 127.0.0.1 9 || true"
    events = place.run("interfaces", trigger, dump=["all"], interface="lo")
    assert attached(events) == {
        "on_xdp": "lo",
        "on_ingress": "lo ingress",
        "on_egress": "lo egress",
    }
    seen = variables(events)
    assert not [name for name, number in seen.items() if not number]
    # Nothing holds them any more; before 6.6 the filters' own qdisc did.
    place.said("rmmod cls_bpf sch_ingress")
    (error,) = of(place.run("interfaces", interface="none"), "error")
    assert (error["stage"], error["error"]) == ("attach", "ENODEV")


LOW = "/sys/class/net/lo/queues/rx-0/rps_cpus"
TARGET = "/data/local/tmp/target"


def test_what_libbpf_leaves_to_the_loader(place: Place) -> None:
    place.push_target()
    # Packets are dissected when they are spread over the processors.
    trigger = f"echo 3 >{LOW}; echo abc | {TARGET}; nc -w 1 127.0.0.1 9; echo 0 >{LOW}"
    events = place.run("anywhere", trigger, dump=["all"], cgroup="/sys/fs/cgroup")
    assert attached(events) == {
        "on_call": "execve",
        "on_usdt": f"{TARGET}:droid:fired",
        "on_work": f"{TARGET}:work",
        "on_clock": "cpu-clock at 99 Hz",
        "on_operation": "/sys/fs/cgroup",
        "on_lookup": "/proc/self/ns/net",
        "on_flow": "/proc/self/ns/net",
    }
    seen = variables(events)
    assert (seen["fired"], seen["entered"], seen["given"]) == (4, 4, 42)
    assert not [name for name, number in seen.items() if not number]


def test_one_process_only(place: Place) -> None:
    place.push_target()
    fifo = "/data/local/tmp/fifo"
    pid = int(place.said(f"mkfifo {fifo}; {TARGET} <>{fifo} >/dev/null 2>&1 & echo $!"))
    place.said(f"until [ $(readlink /proc/{pid}/exe) = {TARGET} ]; do sleep 0.1; done")
    try:
        trigger = f"echo abcde | {TARGET}; echo abc >{fifo}; sleep 0.5"
        events = place.run("anywhere", trigger, dump=["all"], pid=pid)
    finally:
        place.said(f"kill {pid}; rm {fifo}")
    assert {"on_usdt", "on_work", "on_clock"} <= set(attached(events))
    seen = variables(events)
    assert (seen["fired"], seen["entered"]) == (4, 4)


def test_many_functions_at_once(place: Place, kernel: str) -> None:
    # With 2, as Android has it, there are no addresses to match a pattern by.
    restricted = "/proc/sys/kernel/kptr_restrict"
    before = place.said(f"cat {restricted}").strip()
    place.said(f"echo 1 >{restricted}")
    try:
        events = place.run("multi", RMDIR, dump=["all"])
    finally:
        place.said(f"echo {before} >{restricted}")
    if kernel != "6.12-x86_64":  # which alone has CONFIG_FPROBE
        assert of(events, "error", stage="attach", program="on_entry")
        return
    assert attached(events) == {
        "on_entry": "security_inode_rmdir",
        "on_return": "security_inode_rmdir",
        "on_pattern": "security_inode_*dir",
    }
    assert variables(events) == {"entered": 1, "left": 1, "matched": 2}
    if before == "2":
        (error,) = of(place.run("multi"), "error", stage="attach")
        assert error["program"] == "on_pattern"


def test_the_lsm_of_a_control_group(place: Place, kernel: str) -> None:
    events = place.run(
        "guarded", "nc -w 1 127.0.0.1 9; true", dump=["all"], cgroup="/sys/fs/cgroup"
    )
    if kernel.startswith("5.10"):  # since 6.0 (69fd337a975c)
        assert of(events, "error", stage="load", error="EINVAL")
        return
    if kernel == "6.1-arm64":
        assert of(events, "error", stage="attach", error="ENOTSUPP")
        return
    assert attached(events) == {"on_create": "/sys/fs/cgroup"}
    assert variables(events)["created"] > 0


def test_the_lsm(place: Place, kernel: str) -> None:
    events = place.run("guard", RMDIR, dump=["all"])
    if kernel in ("5.10-arm64", "6.1-arm64"):
        assert of(events, "error", stage="attach", error="ENOTSUPP")
        return
    assert attached(events) == {"on_rmdir": "path_rmdir"}
    assert variables(events) == {"asked": 0 if kernel == "5.10-x86_64" else 1}


def test_without_a_place_they_are_only_loaded(place: Place) -> None:
    events = place.run("sockets")
    assert list(attached(events)) == ["on_packet"]
    assert {event["reason"] for event in of(events, "unattached")} == {"needs --cgroup"}


def test_programs_by_btf(place: Place) -> None:
    events = place.run("traced", "ls / >/dev/null", dump=[".bss"])
    assert attached(events) == {"on_exec": "sched_process_exec", "each_task": "task"}
    assert variables(events)["traced"] > 0
    lines = [event["text"] for event in of(events, "iter", program="each_task")]
    assert "task 1 init" in lines


def test_trampolines(place: Place, kernel: str) -> None:
    events = place.run("trampolined", RMDIR, dump=["all"])
    if kernel in ("5.10-arm64", "6.1-arm64"):  # since 6.4 (2aa6ac03516d)
        (error,) = of(events, "error", stage="attach", error="ENOTSUPP")
        assert (error["program"], error["section"]) == ("on_entry", "fentry/security_inode_rmdir")
        return
    assert attached(events) == {
        "on_entry": "security_inode_rmdir",
        "on_exit": "security_inode_rmdir",
        "on_result": "security_inode_rmdir",
    }
    assert variables(events) == {"entered": 1, "left": 1, "modified": 1}


def test_struct_ops(place: Place, kernel: str) -> None:
    known = "cat /proc/sys/net/ipv4/tcp_available_congestion_control"
    if kernel == "5.10-arm64":  # has no trampolines: since 6.0 (efc9909fdce0)
        assert of(place.run("congestion"), "error", stage="attach", error="ENOTSUPP")
        return
    with place.loading("congestion") as running:
        running.until("ready")
        assert "bpf_droid" in place.said(known)
        assert attached(running.end()) == {"droid": "droid"}
    assert "bpf_droid" not in place.said(known)


def test_data(place: Place) -> None:
    events = place.run(
        "data",
        RMDIR,
        set_=[
            *("wanted=0x2a", "loud=true", "colour=GREEN", "name=Zoë"),
            *("small=-3", "config.one=10", "config.in.two=5000000000"),
        ],
        maps=[
            "hash=5:010000000200000061620000000000000000000000000000",
            "each=1:77",
            "untyped=1:0102030405ff",
            "words=seven:GREEN",
            "jumps=1:jump",
        ],
        dump=["hash", "each", "untyped", "words", ".bss", "large"],
    )
    assert set(attached(events)) == {"on_rmdir", "on_mkdir", "jump"}
    (trace,) = of(events, "trace")
    assert trace["text"].endswith("bpf_trace_printk: Zoë is 7, 7")
    text = '{.number = 7, .wanted = 42, .comm = "rmdir"}'
    assert [event["text"] for event in of(events, "record", map="ring", size=24)] == [text]
    assert of(events, "record", map="perf", text=text)
    assert of(events, "record", map="perf", text="a line of text")
    (raw,) = of(events, "record", map="ring", size=3)
    assert base64.b64decode(raw["data"]) == b"\x01\x02\x03"
    assert "text" not in raw
    dumps = {event["name"]: event["entries"] for event in of(events, "map")}
    assert {entry["key_text"]: entry["value_text"] for entry in dumps["hash"]} == {
        "7": text,
        "5": '{.number = 1, .wanted = 2, .comm = "ab"}',
    }
    assert [(entry["key_text"], entry["cpu"], entry["value_text"]) for entry in dumps["each"]] == [
        ("0", 0, "0"),
        ("0", 1, "0"),
        ("1", 0, "77"),
        ("1", 1, "77"),
    ]
    assert [entry["value"] for entry in dumps["untyped"]] == ["0" * 12, "0102030405ff"]
    (word,) = dumps["words"]
    assert (word["key_text"], word["value_text"]) == ('"seven"', "GREEN")
    assert variables(events)["jumped"] >= 2
    (large,) = of(events, "map", name="large")
    assert large["truncated"]
    assert len(large["entries"]) > 5000


OFF = "echo 0 >/sys/kernel/tracing/tracing_on"
ON = "echo 1 >/sys/kernel/tracing/tracing_on"


GONE = "while ls -l /proc/[0-9]*/exe 2>/dev/null | grep -q /tmp/loader; do sleep 0.1; done; "
# What the kernel holds of BPF, and what the loader may change.
LOOK = (
    "cat /proc/mounts; ls /sys/fs/bpf /data/local/tmp;"
    " cat /proc/sys/net/ipv4/tcp_available_congestion_control; lsmod;"
    " cat /proc/[1-9]*/fdinfo/[0-9]* 2>/dev/null | grep -E '^(prog|map|link)_id';"
    " find /sys/fs/cgroup -type d; cat /sys/kernel/debug/kprobes/list;"
    " cd /sys/kernel/tracing && cat kprobe_events uprobe_events tracing_on enabled_functions;"
    " cut -d' ' -f1 buffer_size_kb; true"
)


def kinds(kernel: str) -> list[str]:
    """Objects with all kinds of programs that a kernel has."""
    trampolines = ["trampolined"] if kernel not in ("5.10-arm64", "6.1-arm64") else []
    structs = ["congestion"] if kernel != "5.10-arm64" else []
    return ["data", "anywhere", "interfaces", *trampolines, *structs]


def test_nothing_is_left(place: Place, kernel: str) -> None:
    place.push_target()
    place.insert("sch_ingress", "cls_bpf")
    for name in kinds(kernel):
        place.push(name)
    place.said(OFF)
    try:
        before = place.said(GONE + LOOK)
        attached(place.run("data", RMDIR))
        assert place.said(GONE + LOOK) == before
        for name in kinds(kernel):
            with place.loading(name, cgroup="/sys/fs/cgroup", interface="lo") as running:
                running.until("ready")
                pid = running.of("hello")[0]["pid"]
                place.said(f"kill -KILL -{pid} || kill -KILL {pid}")
                running.rest()
                assert running.loader.status == 128 + 9
        assert place.said(GONE + LOOK) == before
    finally:
        place.said(f"{ON}; rmmod cls_bpf sch_ingress")


def test_the_trace_of_a_kernel_that_does_not_trace(place: Place) -> None:
    """Switched off, and tracefs mounted nowhere that the loader sees."""
    hidden = (
        "unshare -m sh -c 'for d in debug/tracing debug tracing; do umount /sys/kernel/$d; done;"
        """ exec "$@"' sh"""
    )
    place.said(OFF)
    mounts = place.said("cat /proc/mounts")
    try:
        with place.loading("printing", hidden) as running:
            running.until("ready")
            place.said(RMDIR)
            events = running.end()
        (trace,) = of(events, "trace")
        assert trace["text"].endswith("a directory is removed")
        assert place.said("cat /sys/kernel/tracing/tracing_on").strip() == "0"
        assert place.said("cat /proc/mounts") == mounts
    finally:
        place.said(ON)


def test_another_reader_of_the_trace(place: Place) -> None:
    reader = "echo $$ >/data/local/tmp/reader; exec cat /sys/kernel/tracing/trace_pipe"
    with place.root.session(reader):
        place.said(
            "until ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q trace_pipe; do sleep 0.1; done"
        )
        events = place.run("printing", RMDIR)
        place.said("cd /data/local/tmp; kill $(cat reader); rm reader")  # it waits for lines
    attached(events)
    words = [event["text"] for event in of(events, "log", source="loader")]
    busy = "/sys/kernel/tracing/trace_pipe cannot be read: EBUSY, another program reads it"
    assert words == [busy]


def test_types_from_a_file(place: Place) -> None:
    types = "/data/local/tmp/types"
    place.said(f"cat /sys/kernel/btf/vmlinux >{types}")
    events = place.run("probes", RMDIR, dump=["all"], btf=types)
    attached(events)
    assert variables(events)["parent"] > 0
    # These are others, without what is asked for.
    events = place.run("probes", btf=place.push("refused"))
    assert of(events, "error", stage="load", program="on_kprobe")


def test_signals_end_it_cleanly(place: Place) -> None:
    place.push("data")
    before = place.said(GONE + LOOK)
    for signal in ("TERM", "HUP", "PIPE"):
        with place.loading("data", dump=["each"]) as running:
            running.until("ready")
            if signal == "TERM":
                assert "prog_id" in place.said(LOOK)
            place.said(f"kill -{signal} {running.of('hello')[0]['pid']}")
            events = running.rest()
            assert running.loader.status == 0
        assert events[-1] == {"type": "end", "reason": "signal", "dropped": 0}
        assert of(events, "map", name="each")
    assert place.said(GONE + LOOK) == before


def test_a_device_that_hangs_up_ends_it(place: Place) -> None:
    with place.loading("probes") as running:
        running.until("ready")
        pid = running.of("hello")[0]["pid"]
    place.said(f"for i in $(seq 100); do [ -e /proc/{pid} ] || exit 0; sleep 0.1; done; exit 1")


@pytest.mark.parametrize("samples", [False, True])
def test_a_flood_is_bounded(place: Place, samples: bool) -> None:
    """Nobody reads for a while; then what is there is less than what was written, and counted."""
    with place.loading("flood", set_=[f"samples={samples:d}"], dump=[".bss"]) as running:
        running.until("ready")
        pid = running.of("hello")[0]["pid"]
        place.said("cd /data/local/tmp && mkdir $(seq 20) && rmdir $(seq 20); sleep 1")
        peak = int(place.said(f"grep VmHWM /proc/{pid}/status").split()[1])
        events = running.end()
    assert peak < 24 << 10  # KiB
    (end,) = of(events, "end")
    assert variables(events)["written"] == 20480
    lost = sum(event["count"] for event in of(events, "lost"))
    came = len(of(events, "record" if samples else "trace"))
    assert came > 2000
    if samples:
        assert end["dropped"] == 20480 - came > 0
    else:  # what was dropped may have been the word of how many were lost
        assert lost + end["dropped"] > 0
        assert end["dropped"] or lost + came == 20480


def test_a_refusal_comes_with_the_verifiers_words(place: Place) -> None:
    events = place.run("refused")
    (error,) = of(events, "error")
    assert (error["stage"], error["program"], error["error"]) == ("load", "refused", "EACCES")
    assert error["section"] == "kprobe/security_inode_rmdir"
    words = [event["text"] for event in of(events, "log", source="verifier", program="refused")]
    assert any("invalid mem access" in line for line in words), words
    assert any("bpf_get_current_task" in line for line in words)


@pytest.mark.parametrize(
    ("options", "stage", "error", "said"),
    [
        ({"set_": ["nothing=1"]}, "set", "ENOENT", "no variable named nothing"),
        ({"set_": ["wanted"]}, "set", "EINVAL", "--set wanted is not NAME=VALUE"),
        ({"set_": ["wanted=many"]}, "set", "EINVAL", 'does not take "many"'),
        ({"set_": ["wanted=2147483648"]}, "set", "EINVAL", "does not take"),
        ({"set_": ["loud=2"]}, "set", "EINVAL", "does not take"),
        ({"set_": ["colour=BLUE"]}, "set", "EINVAL", "does not take"),
        ({"set_": ["name=far too long"]}, "set", "EINVAL", "does not take"),
        ({"set_": ["config.three=1"]}, "set", "ENOENT", "no member named three"),
        ({"maps": ["none=1:2"]}, "map", "ENOENT", "no map named none"),
        ({"maps": ["each=1"]}, "map", "EINVAL", "is not NAME=KEY:VALUE"),
        ({"maps": ["each=9:1"]}, "map", "E2BIG", "did not take the entry 9"),
        ({"maps": ["untyped=1:01"]}, "map", "EINVAL", 'and "01" is none'),
        ({"maps": ["jumps=1:nobody"]}, "map", "EINVAL", 'and "nobody" is none'),
        ({"dump": ["none"]}, "map", "ENOENT", "no map named none"),
        ({"events": ["ring=what"]}, "map", "ENOENT", "no type named what"),
        ({"btf": "/init.rc"}, "btf", None, "holds no BTF"),
        ({"pin": "/data/local/tmp/pins"}, "attach", None, "nothing can be pinned"),
    ],
)
def test_what_cannot_be(
    place: Place, options: dict[str, Any], stage: str, error: str | None, said: str
) -> None:
    events = place.run("data", **options)
    assert events[-1]["type"] == "error"
    assert events[-1]["stage"] == stage
    assert said in events[-1]["message"]
    if error:
        assert events[-1]["error"] == error


def test_no_object(place: Place) -> None:
    place.said("echo nonsense >/data/local/tmp/nonsense.o")
    for name in ("nonsense", "missing"):
        result = place.root.shell(f"/data/local/tmp/loader /data/local/tmp/{name}.o")
        assert result.status == 1
        assert b'"stage":"open"' in result.stdout.splitlines()[-1]


def test_what_is_pinned_stays(place: Place, kernel: str) -> None:
    events = place.run("printing", pin="/sys/fs/bpf/kept")
    attached(events)
    kept = place.said("ls /sys/fs/bpf/kept").split()
    assert {"counts", "each", "on_rmdir", "on_packet"} <= set(kept)
    # Links of probes can be pinned since 5.15 (b89fbfbb854c).
    assert ("link_on_rmdir" in kept) == (not kernel.startswith("5.10"))
    place.said(f"{RMDIR}; rm -r /sys/fs/bpf/kept")


def test_maps_larger_than_the_limit_of_locked_memory(place: Place) -> None:
    """Before 5.11 they count against RLIMIT_MEMLOCK, 64 KiB, which root may raise."""
    with place.loading("large", "sh -c 'ulimit -l 64 && exec \"$@\"' sh") as running:
        running.until("ready")
        assert set(attached(running.end())) == {"on_create"}


@pytest.mark.full
def test_a_hundred_megabytes(place: Place) -> None:
    """In samples of 8 KiB: what comes and what does not is all of it, and nobody's memory grows."""
    with place.loading("large", dump=[".bss"]) as running:
        running.until("ready")
        pid = running.of("hello")[0]["pid"]
        # A megabyte each; the ring holds sixteen, and is emptied meanwhile.
        place.said(
            f"mkdir {PLACE}/d && cd {PLACE}/d && for i in $(seq 100); do : >$i;"
            " n=0; while [ $n -lt 100 ]; do n=$((n+1)); done; done; sleep 1; rm -r ../d"
        )
        peak = int(place.said(f"grep VmHWM /proc/{pid}/status").split()[1])
        events = running.end()
    seen = variables(events)
    assert (seen["written"] + seen["refused"]) * 8192 >= 100 << 20
    assert seen["written"] * 8192 > 16 << 20  # more than the ring holds at once
    assert peak < 48 << 10  # KiB, of which 32 are the ring, mapped twice (kernel/bpf/ringbuf.c)
    (end,) = of(events, "end")
    came = len(of(events, "record"))
    assert came > 100
    assert seen["written"] == came + end["dropped"]
