"""Programs on a real device, as if they ran here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from droidheaders.adb import Server
from droidheaders.errors import DroidheadersError
from tests.guest.running import Running, running
from tests.run_objects import MKDIR, write

pytestmark = pytest.mark.guest

SOURCE = """
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void caught(int number) { printf("got %d\\n", number); fflush(stdout); _exit(42); }
int main(int count, char **word)
{
    const char *what = count > 1 ? word[1] : "";
    char some[65536];
    ssize_t size;
    if (!strcmp(what, "cat")) {
        while ((size = read(0, some, sizeof(some))) > 0)
            for (ssize_t done = 0; done < size;) done += write(1, some + done, size - done);
        return 7;
    }
    if (!strcmp(what, "wait")) signal(SIGINT, caught);
    if (!strcmp(what, "stubborn"))
        for (int i = 1; i < 32; i++) signal(i, SIG_IGN);
    if (!strcmp(what, "wait") || !strcmp(what, "stubborn")) {
        puts("ready"); fflush(stdout);
        for (;;) pause();
    }
    if (!strcmp(what, "abort")) abort();
    printf("%d", getuid());
    for (int i = 1; i < count; i++) printf(" [%s]", word[i]);
    fprintf(stderr, "to stderr");
    return 3;
}
"""


@pytest.fixture(scope="module")
def guest(adb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    place = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(place / "state"))
        with running("6.1-arm64", "userdebug", adb, place) as found:
            yield found


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    return built(tmp_path_factory.mktemp("program") / "test program", "-static")


def built(path: Path, *flags: str, compiler: str = "aarch64-linux-gnu-gcc") -> str:
    command = [compiler, "-x", "c", "-", "-o", str(path), *flags]
    subprocess.run(command, input=SOURCE.encode(), check=True, capture_output=True)
    return str(path)


def test_words_streams_and_status(guest: Running, program: str) -> None:
    words = ["a", "b c", "d'e", "$HOME", "", "--json"]
    done = guest.run("run", "exec", program, "--", *words)
    told = " ".join(f"[{word}]" for word in words)
    assert (done.stdout.decode(), done.stderr, done.returncode) == (f"0 {told}", b"to stderr", 3)
    done = guest.run("run", "exec", "--user", "shell", program)
    assert (done.stdout, done.returncode) == (b"2000", 3)
    assert guest.run("run", "exec", program, "--", "abort").returncode == 128 + signal.SIGABRT
    assert guest.left() == ""


def test_bytes_both_ways(guest: Running, program: str) -> None:
    sent = os.urandom(1 << 20)
    done = guest.run("run", "exec", program, "--", "cat", stdin=sent)
    assert done.returncode == 7
    assert done.stdout == sent


def test_a_script(guest: Running, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/system/bin/sh\necho $1 $(id -u); exit 9\n")
    done = guest.run("run", "exec", str(script), "--", "hello")
    assert (done.stdout, done.returncode) == (b"hello 0\n", 9)


def test_what_cannot_run_there(guest: Running, tmp_path: Path) -> None:
    other = built(tmp_path / "other", "-static", compiler="gcc")
    linked = built(tmp_path / "linked", "-Wl,--dynamic-linker=/none/ld.so")
    source = tmp_path / "source.c"
    source.write_text(SOURCE)
    for path, status, said in (
        (other, 4, b"X86-64, and device"),
        (linked, 4, b"is started by /none/ld.so, which device"),
        (str(source), 2, b"is no program"),
        (str(tmp_path / "none"), 2, b"No such file"),
    ):
        done = guest.run("run", "exec", path)
        assert (done.returncode, said in done.stderr) == (status, True), done
        assert done.stdout == b""


def test_ctrl_c_reaches_it(guest: Running, program: str) -> None:
    with guest.start("run", "exec", program, "--", "wait") as run:
        assert run.stdout
        assert run.stdout.readline() == b"ready\n"
        run.send_signal(signal.SIGINT)
        out, _ = run.communicate(timeout=60)
    assert (out, run.returncode) == (b"got 2\n", 42)


@pytest.mark.parametrize("how", ["twice", "SIGTERM", "--for"])
def test_one_that_ignores_every_signal_ends(guest: Running, program: str, how: str) -> None:
    given = ["--for", "1"] if how == "--for" else []
    with guest.start("run", "exec", *given, program, "--", "stubborn") as run:
        assert run.stdout
        assert run.stdout.readline() == b"ready\n"
        if how == "SIGTERM":
            run.terminate()
        elif how == "twice":
            run.send_signal(signal.SIGINT)
            assert run.stderr
            assert b"once more" in run.stderr.readline()
            run.send_signal(signal.SIGINT)
        run.communicate(timeout=60)
    assert run.returncode == {"twice": 130, "SIGTERM": 143, "--for": 6}[how]
    assert guest.root("ps -A -o ARGS").count("stubborn") == 0
    assert guest.left() == ""


def test_the_next_run_ends_what_a_killed_one_left(guest: Running, program: str) -> None:
    with guest.start("run", "exec", program, "--", "stubborn") as run:
        assert run.stdout
        run.stdout.readline()
        run.kill()
    assert "stubborn" in guest.root("ps -A -o ARGS")
    done = guest.run("run", "exec", program)
    assert b"an earlier run was cut off" in done.stderr
    assert "stubborn" not in guest.root("ps -A -o ARGS")
    assert guest.left() == ""


def test_a_device_that_is_lost(guest: Running, program: str, tmp_path: Path) -> None:
    """The last one, for its guest does not come back: a program runs there, and a BPF object."""
    made = str(write(tmp_path, "made", MKDIR, guest.arch))
    with (
        guest.start("run", "exec", "--lost-status", "99", program, "--", "wait") as run,
        guest.start("run", "bpf", made, "--json") as bpf,
    ):
        assert run.stdout
        run.stdout.readline()
        assert bpf.stdout
        while b"ready" not in bpf.stdout.readline():
            assert bpf.poll() is None
        with suppress(DroidheadersError):
            guest.root("echo b >/proc/sysrq-trigger")
        _, err = run.communicate(timeout=60)
        out, _ = bpf.communicate(timeout=120)
    assert run.returncode == 99
    assert b"was lost" in err
    verdict = json.loads(out.splitlines()[-1])
    assert (verdict["verdict"], bpf.returncode) == ("lost", 6)
    assert guest.device.name in verdict["message"]
