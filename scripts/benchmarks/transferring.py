"""Headers off a guest, and onto it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.benchmarks.measuring import (
    DROIDHEADERS,
    Figure,
    empty,
    paired,
    peak_memory,
    run,
    timed,
)

MODULE = "/system_dlkm/lib/modules/$(uname -r)/kernel/kernel/kheaders.ko"


def bench_pull(name: str, serial: str, work: Path, runs: int) -> Iterator[Figure]:
    """Pull from a guest whose shell is root, cold and warm, against adb and tar by hand.

    By hand is insmod, `adb pull`, rmmod and `tar xJf` for the headers, and two more `adb pull` for
    IKCONFIG and BTF, which a pull brings too.
    """
    cache, hand = work / "cache", work / "hand"
    environment = {"DROIDHEADERS_CACHE": str(cache)}

    def pull() -> None:
        run(*DROIDHEADERS, "pull", "-s", serial, env=environment)

    all_by_hand, headers_by_hand = pulls_by_hand(serial, hand)
    cold, all_of_it, headers = paired(
        runs, (empty(cache), pull), (empty(hand), all_by_hand), (empty(hand), headers_by_hand)
    )
    ratios = ((all_of_it, "the same files", 1.0), (headers, "headers alone", None))
    for seconds, files, bound in ratios:
        what = f"cold pull, {name}, to {files} by hand"
        yield Figure(what, cold / seconds, "x", bound, f"{cold:.3f} s to {seconds:.3f} s")
    empty(cache)()
    peak = peak_memory([*DROIDHEADERS, "pull", "-s", serial], environment)
    yield Figure(f"peak memory of a cold pull, {name}", peak, "MB", 120, "")
    (warm,) = paired(runs, (lambda: None, pull))
    yield Figure(f"warm pull, {name}", warm, "s", 0.35, "")


def pulls_by_hand(serial: str, hand: Path) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return what brings everything that a pull does into `hand`, and what brings headers."""

    def headers() -> None:
        adb = ["adb", "-s", serial]
        run(*adb, "shell", f"insmod {MODULE}")
        run(*adb, "pull", "/sys/kernel/kheaders.tar.xz", str(hand / "k.tar.xz"))
        run(*adb, "shell", "rmmod kheaders")
        run("tar", "xJf", str(hand / "k.tar.xz"), "-C", str(hand))

    def everything() -> None:
        headers()
        run("adb", "-s", serial, "pull", "/proc/config.gz", str(hand / "config.gz"))
        run("adb", "-s", serial, "pull", "/sys/kernel/btf/vmlinux", str(hand / "btf"))

    return everything, headers


def bench_push(name: str, serial: str, work: Path) -> Iterator[Figure]:
    """Put a whole tree onto a guest, against `adb push` of the directory, which checks nothing.

    Once each: emulated, making 6,000 files takes minutes.
    """
    environment = {"DROIDHEADERS_CACHE": str(work / "pushed")}
    headers = run(*DROIDHEADERS, "pull", "-s", serial, env=environment).strip()
    push = [*DROIDHEADERS, "push", "headers", "-s", serial]
    sent = timed(lambda: run(*push, env=environment))
    again = timed(lambda: run(*push, env=environment))
    gone = timed(lambda: run(*push, "--remove", env=environment))
    by_hand = timed(lambda: run("adb", "-s", serial, "push", headers, "/data/local/tmp/by-hand"))
    run("adb", "-s", serial, "shell", "rm -r /data/local/tmp/by-hand")
    what = f"push headers, {name}, to adb push of the directory"
    yield Figure(what, sent / by_hand, "x", 1.0, f"{sent:.1f} s to {by_hand:.1f} s")
    yield Figure(f"push headers that are there, {name}", again, "s", None, "every file is read")
    yield Figure(f"push headers --remove, {name}", gone, "s", None, "")
