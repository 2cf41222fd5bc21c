"""The loop on real kernels: each kind of test, each verdict, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from droidheaders.adb import Server
from droidheaders.guest import instance
from droidheaders.shipped import emulator_dir

pytestmark = pytest.mark.guest

EXAMPLES = Path(__file__).parents[2] / "docs/examples"

HOW = ("pass", "fail", "skip", "cut", "none")

TARGETS = """
timeout = 120
[targets.arm]
recipe = "6.1-arm64"
[targets.x86]
recipe = "6.1-x86_64"
"""


@dataclass
class Place:
    """A directory with a spec; run() is the command line."""

    path: Path
    adb: Server

    def command(self, *arguments: str) -> list[str]:
        port = str(self.adb.endpoint.port)
        spec = str(self.path / "spec.toml")
        return [sys.executable, "-m", "droidheaders", "-P", port, "loop", spec, *arguments]

    def spec(self, text: str) -> None:
        (self.path / "spec.toml").write_text(TARGETS + text)

    def script(self, name: str, text: str) -> None:
        (self.path / name).write_text(f"#!/system/bin/sh\n{text}\n")

    def run(self, *arguments: str) -> tuple[dict[str, Any], int]:
        """Return the results by name of the case, and the exit status."""
        done = subprocess.run(
            self.command("--json", "--output", str(self.path / "out"), *arguments),
            capture_output=True,
            check=False,
            timeout=400,
        )
        assert done.stdout, done.stderr.decode()
        told = json.loads(done.stdout)
        assert told == json.loads((self.path / "out/results.json").read_text())
        assert told["planned"] == len(told["results"])
        return {one["name"]: one for one in told["results"]}, done.returncode

    def file(self, result: dict[str, Any], what: str, attempt: int = 0) -> str:
        path = str(result["attempts"][attempt]["files"][what])
        return (self.path / "out" / path).read_text()

    def nothing_is_left(self) -> bool:
        return instance.instances() == [] and self.adb.devices() == []


@pytest.fixture
def place(state: Path, adb: Server, tmp_path: Path) -> Place:
    return Place(tmp_path, adb)


def test_every_kind_on_two_kernels(place: Place) -> None:
    place.script("check.sh", 'echo "got $1"; cat /proc/modules; echo oh >&2')
    place.spec(f"""
[tests.unlink]
bpf = "{EXAMPLES}/unlink.bpf.c"
expect = "demo removed"
trigger = "cd /data/local/tmp && touch demo && rm demo"
[tests.hello]
module = "{emulator_dir()}/modules/hello"
param = "who=you"
expect = "hello you"
[tests.sh]
script = "check.sh"
arguments = ["a b"]
[tests.host]
host = 'adb shell true && adb -s "$DROIDHEADERS_SERIAL" shell true && ls "$KDIR"'
""")
    results, status = place.run("--jobs", "2")
    said = {name: (one["verdict"], one["attempts"][0]["message"]) for name, one in results.items()}
    assert status == 0, said
    assert len(said) == 8
    assert {word for word, _ in said.values()} == {"pass"}, said
    assert results["arm/userdebug/sh"]["kernel"].endswith("arm64")
    assert place.file(results["arm/userdebug/sh"], "stdout").startswith("got a b\n")
    assert place.file(results["arm/userdebug/sh"], "stderr") == "oh\n"
    assert "hello: " not in place.file(results["arm/userdebug/sh"], "stdout")
    assert "hello you" in place.file(results["x86/userdebug/hello"], "kernel")
    assert "demo removed" in place.file(results["x86/userdebug/unlink"], "stdout")
    assert "Makefile" in place.file(results["x86/userdebug/host"], "stdout")
    assert {"guest", "headers", "build", "run"} <= set(
        results["arm/userdebug/unlink"]["attempts"][0]["times"]
    )
    assert place.nothing_is_left()


def test_every_verdict(place: Place) -> None:
    place.script("fail.sh", "exit 3")
    place.script("skip.sh", "exit 4")
    place.script("panic.sh", "echo c >/proc/sysrq-trigger; sleep 9")
    late = "(trap '' HUP; echo c >/proc/sysrq-trigger) >/dev/null 2>&1 &"
    place.script("late.sh", late)  # ends well, before the kernel does
    place.script("slow.sh", "sleep 100")
    place.spec(
        f"""
[tests.fail]
script = "fail.sh"
targets = "arm"
[tests.skip]
script = "skip.sh"
targets = "arm"
[tests.panic]
script = "panic.sh"
targets = "arm"
[tests.late]
script = "late.sh"
targets = "arm"
[tests.slow]
script = "slow.sh"
timeout = 4
targets = "arm"
[tests.hang]
host = "sleep 100 & sleep 100"
timeout = 4
targets = "arm"
[tests.lost]
host = '''kill -9 $(pgrep -f "hostfwd=tcp:$DROIDHEADERS_SERIAL-"); true'''
targets = "arm"
[tests.infra]
bpf = "{EXAMPLES}/none.o"
targets = "arm"
[tests.warn]
module = "{emulator_dir()}/modules/trouble"
param = "how=warn"
targets = "arm"
""".replace(f"{EXAMPLES}/none.o", "none.o")
    )
    (place.path / "none.o").write_bytes(b"no object")
    results, status = place.run()
    words = {name.rpartition("/")[2]: one["verdict"] for name, one in results.items()}
    assert words == {
        "fail": "fail",
        "skip": "skip",
        "panic": "panic",
        "late": "panic",
        "slow": "timeout",
        "lost": "lost",
        "hang": "timeout",
        "infra": "infra",
        "warn": "fail",
    }
    assert status == 1
    panic = results["arm/userdebug/panic"]
    assert [one["verdict"] for one in panic["attempts"]] == ["panic", "panic"]
    assert "sysrq triggered crash" in panic["attempts"][0]["message"]
    assert "Kernel panic" in place.file(panic, "console")
    [complaint] = results["arm/userdebug/warn"]["attempts"][0]["complaints"]
    assert complaint["kind"] == "warning"
    assert complaint["frames"][0].startswith("trouble_make+")
    assert results["arm/userdebug/fail"]["attempts"][0]["status"] == 3
    assert len(results["arm/userdebug/infra"]["attempts"]) == 1
    assert place.nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_the_report_and_leaves_no_guest(place: Place, number: int) -> None:
    place.script("slow.sh", "sleep 100")
    place.script("ok.sh", "exit 0")
    place.spec('[tests.ok]\nscript = "ok.sh"\n[tests.slow]\nscript = "slow.sh"\n')
    with subprocess.Popen(
        ["env", "--default-signal=INT", *place.command("--output", str(place.path / "out"))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        stdout = place.path / "out/arm-userdebug-slow/1/stdout"
        for _ in range(600):
            if stdout.exists():
                break
            time.sleep(0.1)
        assert stdout.exists()
        os.kill(child.pid, number)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130, err.decode()
    told = json.loads((place.path / "out/results.json").read_text())
    assert (told["interrupted"], told["planned"]) == (True, 4)
    assert [one["verdict"] for one in told["results"]] == ["pass", None]
    assert b"2 not run" in err
    assert place.nothing_is_left()


def test_devices_that_are_attached_serve_one_test_at_a_time(place: Place) -> None:
    from droidheaders.guest.guest import Guest

    place.script(
        "one.sh", "mkdir /data/local/tmp/busy || exit 1; sleep 1; rmdir /data/local/tmp/busy"
    )
    with Guest.fresh("6.1-arm64", server=place.adb) as guest:
        (place.path / "spec.toml").write_text(
            f'[targets.mine]\nserials = "{guest.serial}"\n[tests.one]\nscript = "one.sh"\n'
        )
        results, status = place.run("--jobs", "3", "--repeat", "3")
    assert [*results] == ["mine/one", "mine/one#2", "mine/one#3"]
    assert status == 0, results
    assert {one["attempts"][0]["serial"] for one in results.values()} == {guest.serial}
    assert place.nothing_is_left()


def test_until_it_fails_and_what_git_bisect_is_told(place: Place) -> None:
    count = 'echo x >>rounds; test "$(wc -l <rounds)" -lt 3'
    place.spec(f"[tests.count]\nhost = '{count}'\ntargets = 'arm'\n")
    results, status = place.run("--until-fail", "--exit-like", "git-bisect", "--timeout", "50")
    assert [(name, one["verdict"]) for name, one in results.items()] == [
        ("arm/userdebug/count", "pass"),
        ("arm/userdebug/count#2", "pass"),
        ("arm/userdebug/count#3", "fail"),
    ]
    assert status == 1
    assert place.nothing_is_left()


def test_a_kernel_that_does_not_boot_tells_git_bisect_nothing(place: Place) -> None:
    from droidheaders.guest import image, recipes

    place.script("ok.sh", "exit 0")
    place.spec('[tests.ok]\nscript = "ok.sh"\n')
    broken = place.path / "Image"
    broken.write_bytes(image.setup(recipes.load("6.1-arm64")).kernel.read_bytes()[:4096])
    results, status = place.run(
        "--kernel", str(broken), "--exit-like", "git-bisect", "--timeout", "5"
    )
    [one] = results.values()
    assert (one["verdict"], status) == ("infra", 125), one
    assert "did not get to 'kernel banner'" in one["attempts"][0]["message"]
    assert place.nothing_is_left()


def test_a_device_that_is_not_ours_is_broken_off_with_and_left_as_it_was(place: Place) -> None:
    from droidheaders.guest.guest import Guest

    place.script("slow.sh", "sleep 1000")
    place.script("panic.sh", "echo c >/proc/sysrq-trigger; sleep 9")
    trouble = f'module = "{emulator_dir()}/modules/trouble"'
    with Guest.fresh("6.1-arm64", server=place.adb) as guest:
        (place.path / "spec.toml").write_text(f"""
[targets.mine]
serials = "{guest.serial}"
[tests.warn]
{trouble}
param = "how=warn"
[tests.calm]
{trouble}
[tests.slow]
script = "slow.sh"
timeout = 3
[tests.long]
{trouble}
for = 1000
timeout = 15
[tests.clean]
script = "clean.sh"
[tests.panic]
script = "panic.sh"
""")
        place.script(
            "clean.sh", "ls /sys/module/trouble 2>/dev/null && exit 1; ls -A /data/local/tmp"
        )
        results, _ = place.run()
    words = {name: [a["verdict"] for a in one["attempts"]] for name, one in results.items()}
    assert words == {
        "mine/warn": ["fail", "fail"],
        "mine/calm": ["pass"],
        "mine/slow": ["timeout", "timeout"],
        "mine/long": ["timeout", "timeout"],
        "mine/clean": ["pass"],
        "mine/panic": ["panic", "infra"],
    }, results
    left = place.file(results["mine/clean"], "stdout").split()
    assert [one for one in left if one.startswith("droidheaders-")] == left[:1], left  # its own
    assert "trouble_make" in place.file(results["mine/warn"], "kernel", 1)
    assert "trouble_make" not in place.file(results["mine/calm"], "kernel")
    assert results["mine/calm"]["attempts"][0]["complaints"] == []


def test_a_complaint_that_is_known_fails_no_test(place: Place) -> None:
    (place.path / "known.toml").write_text("""
[[splat]]
kind = "warning"
frame = "^trouble_"
kernel = "6.1.*"
reason = "as it should"
""")
    (place.path / "bad.toml").write_text('[[line]]\npattern = "goodbye moon"\nreason = "no moon"\n')
    modules = emulator_dir() / "modules"
    (place.path / "spec.toml").write_text(f"""
allow = "known.toml"
deny = "bad.toml"
[targets.arm]
recipe = "6.1-arm64"
[tests.warn]
module = "{modules}/trouble"
param = "how=warn"
[tests.atomic]
module = "{modules}/trouble"
param = "how=atomic"
[tests.moon]
module = "{modules}/hello"
param = "who=moon"
[tests.sun]
module = "{modules}/hello"
param = "who=sun"
""")
    results, _ = place.run()
    words = {name.rpartition("/")[2]: one["verdict"] for name, one in results.items()}
    assert words == {"warn": "pass", "atomic": "fail", "moon": "fail", "sun": "pass"}, results
    [known] = results["arm/userdebug/warn"]["attempts"][0]["complaints"]
    assert known["allowed"] == "as it should"
    moon = results["arm/userdebug/moon"]["attempts"][0]
    assert [one["kind"] for one in moon["complaints"]] == ["denied"]
    assert moon["verdict"] == "fail"
    assert "goodbye moon: no moon" in moon["message"]


def test_results_inside_a_test_are_looked_at(place: Place) -> None:
    tap = "echo TAP version 13; echo 1..2; echo ok 1 first; echo"
    place.script("good.sh", f"{tap} ok 2 second '#' SKIP none")
    place.script("bad.sh", f"{tap} not ok 2 second")
    place.script("short.sh", f"{tap} oh")
    results = f'kunit = "{emulator_dir()}/modules/results"'
    place.spec(
        "".join(f'[tests.{how}]\n{results}\nparam = "how={how}"\ntargets = "arm"\n' for how in HOW)
        + "".join(
            f'[tests.{name}]\nkselftest = "{name}.sh"\ntargets = "arm"\n'
            for name in ("good", "bad", "short")
        )
        + """[tests.host]\nhost = "echo 1..1; echo not ok 1 x"\ntargets = "arm"\n"""
    )
    told, _ = place.run()
    ends = {name.rpartition("/")[2]: one["attempts"][0] for name, one in told.items()}
    said = {name: (one["verdict"], one["message"]) for name, one in ends.items()}
    assert said == {
        "pass": ("pass", "results: 3 ok, 1 skipped"),
        "fail": (
            "fail",
            "1 of 4 results are not ok: results/params/two"
            " (params: EXPECTATION FAILED at results.c:1)",
        ),
        "skip": ("skip", said["skip"][1]),
        "cut": (
            "fail",
            "not all of its results came: results did not end; 2 of 3 results of results came;"
            " 0 of 1 results came",
        ),
        "none": ("fail", "there are no KTAP results in the log"),
        "good": ("pass", "results: 1 ok, 1 skipped"),
        "bad": ("fail", "1 of 2 results are not ok: second"),
        "short": ("fail", "not all of its results came: 1 of 2 results came"),
        "host": ("fail", "1 of 1 results are not ok: x"),
    }
    assert [(one["name"], one["word"]) for one in ends["cut"]["subtests"]] == [
        ("results/simple", "pass"),
        ("results/skipped", "skip"),
    ]
    assert place.nothing_is_left()


def test_what_a_change_touches_is_run_again(place: Place) -> None:
    place.script("a.sh", "exit 0")
    place.script("b.sh", "exit 0")
    place.spec("".join(f'[tests.{n}]\nscript = "{n}.sh"\ntargets = "arm"\n' for n in "ab"))
    words = ("--watch", str(place.path), "--output", str(place.path / "out"))
    with subprocess.Popen(
        ["env", "--default-signal=INT", *place.command(*words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == f"{place.path}/out/1\n".encode()
        time.sleep(1.0)  # it may just begin to look
        place.script("b.sh", "exit 5")
        assert child.stdout.readline() == f"{place.path}/out/2\n".encode()
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
    first, second = (
        {one["name"]: one["verdict"] for one in json.loads(path.read_text())["results"]}
        for path in (place.path / "out/1/results.json", place.path / "out/2/results.json")
    )
    assert first == {"arm/userdebug/a": "pass", "arm/userdebug/b": "pass"}
    assert second == {"arm/userdebug/b": "fail"}
    assert place.nothing_is_left()
