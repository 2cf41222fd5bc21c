"""The host's side of the BPF prober: what it builds, and what it makes of what a device says."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.adb import Device
from droidheaders.debian.arch import TRIPLE
from droidheaders.errors import DroidheadersError, UnsupportedError
from droidheaders.headers.clang import Clang
from droidheaders.run import prober, tools
from droidheaders.run.prober import Outcome
from droidheaders.run.tools import FLAGS, compiler
from droidheaders.shipped import emulator_dir
from tests.fake_device import FakeDevice

MACHINE = {"arm64": 183, "x86_64": 62}  # e_machine of elf(5)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DROIDHEADERS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def answer(name: str = "kprobe", load: object = 0, attach: object = 0, log: object = "") -> bytes:
    line = {"type": name, "load": load, "attach": attach, "log": log}
    return json.dumps(line).encode() + b"\n"


def saying(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    return path


@pytest.mark.parametrize("arch", MACHINE)
def test_a_small_program_that_is_built_once(arch: str, cache: Path) -> None:
    place = prober.build(arch)
    data = place.read_bytes()
    assert int.from_bytes(data[18:20], "little") == MACHINE[arch]
    assert len(data) < 64 << 10
    assert [p.name for p in (cache / "tools").iterdir()] == [place.name]
    place.write_bytes(b"as it was left")
    assert prober.build(arch) == place
    assert place.read_bytes() == b"as it was left"


def test_another_source_is_another_program(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prober.build("arm64")
    shutil.copytree(emulator_dir() / "bpf", tmp_path / "bpf")
    monkeypatch.setattr(prober, "emulator_dir", lambda: tmp_path)
    assert prober.build("arm64") == first
    with (tmp_path / "bpf/prober.c").open("a") as source:
        source.write("\n")
    assert prober.build("arm64") != first


@pytest.mark.parametrize("arch", MACHINE)
def test_no_compiler_has_anything_to_say_about_it(arch: str) -> None:
    command = [*compiler(arch, "it"), *FLAGS, *prober._FLAGS, "-Wall", "-Wextra", "-Werror"]
    source = emulator_dir() / "bpf/prober.c"
    subprocess.run([*command, "-o", "/dev/null", str(source)], check=True)
    clang = Clang.find()
    if clang:
        clang_command = [clang.path, f"--target={TRIPLE[arch]}", *command[1:], "-c"]
        clang_command = [flag for flag in clang_command if not flag.startswith("-Wl,")]
        clang_command += ["-Wno-unused-command-line-argument", "-o", "/dev/null", str(source)]
        subprocess.run(clang_command, check=True)


def test_without_a_compiler_its_package_is_named(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    with pytest.raises(DroidheadersError, match="no C compiler for arm64") as caught:
        prober.build("arm64")
    assert caught.value.hint == "sudo apt-get install gcc-aarch64-linux-gnu"
    with pytest.raises(DroidheadersError) as caught:
        prober.build("x86_64")
    assert caught.value.hint == "sudo apt-get install gcc"
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(DroidheadersError) as caught:
        prober.build("x86_64")
    assert caught.value.hint == "sudo apt-get install gcc-x86-64-linux-gnu"
    assert not cache.exists()


def test_clang_is_taken_where_it_has_a_linker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clang = saying(tmp_path / "clang", "echo /usr/lib/llvm-14/bin/ld.lld")
    monkeypatch.setattr(Clang, "find", lambda: Clang(str(clang), "clang version 14", ""))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    clang.chmod(0o755)
    command = [str(clang), "--target=aarch64-linux-gnu", "-fuse-ld=lld"]
    assert compiler("arm64", "it") == command
    saying(clang, "echo ld.lld")
    with pytest.raises(DroidheadersError, match="no C compiler for arm64"):
        compiler("arm64", "it")


def test_a_compiler_that_fails_leaves_nothing(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcc = saying(tmp_path / "gcc", '[ "$1" = --version ] || { echo "no luck" >&2; exit 1; }')
    gcc.chmod(0o755)
    monkeypatch.setattr(tools, "compiler", lambda arch, what: [str(gcc)])
    with pytest.raises(DroidheadersError, match="gcc failed on the BPF prober: no luck"):
        prober.build("arm64")
    assert list((cache / "tools").iterdir()) == []
    monkeypatch.setattr(tools, "compiler", lambda arch, what: [str(tmp_path / "gone")])
    with pytest.raises(DroidheadersError, match=r"cannot run .*gone: No such file"):
        prober.build("arm64")


def test_what_an_outcome_means() -> None:
    assert Outcome(0, 0).works
    assert Outcome(0, None).works
    assert Outcome(0, 0).error == ""
    for outcome, name in (
        (Outcome(errno.EPERM, None), "EPERM"),
        (Outcome(errno.EACCES, None), "EACCES"),
        (Outcome(0, errno.EACCES), "EACCES"),
    ):
        assert (outcome.works, outcome.denied, outcome.error) == (False, True, name)
    for outcome, name in (
        (Outcome(errno.EINVAL, None), "EINVAL"),
        (Outcome(0, 524), "ENOTSUPP"),
        (Outcome(0, errno.EOPNOTSUPP), "EOPNOTSUPP"),
        (Outcome(0, 4000), "errno 4000"),
    ):
        assert (outcome.works, outcome.denied, outcome.error) == (False, False, name)


def test_answers_are_read() -> None:
    said = answer() + answer("lsm", 0, 95, "why\n\x1b[2J") + answer("tc", 22, None)
    assert prober.parse(said) == {
        "kprobe": Outcome(0, 0),
        "lsm": Outcome(0, 95, "why\\n\\x1b[2J"),
        "tc": Outcome(22, None),
    }


@pytest.mark.parametrize(
    "line",
    [
        answer("telepathy"),
        answer(load=-1),
        answer(load=4096),
        answer(load=True),
        answer(load=None),
        answer(attach="0"),
        answer(attach=1.0),
        answer(log=None),
        b'{"type":["kprobe"],"load":0,"attach":0,"log":""}\n',
        b'["kprobe"]\n',
        b"[" * 20000 + b"\n",
        b'{"load":' + b"9" * 5000 + b"}\n",
        b"\xff\xfe\n",
        b"\n",
    ],
)
def test_what_the_prober_does_not_say_is_passed_over(line: bytes) -> None:
    assert prober.parse(line + answer("tc")) == {"tc": Outcome(0, 0)}


def test_an_endless_answer_is_cut_off() -> None:
    said = answer(log="x" * 5000) + b"\n" * (1 << 16) + answer("tc")
    outcomes = prober.parse(said)
    assert list(outcomes) == ["kprobe"]
    assert len(outcomes["kprobe"].log) == 400


@given(st.binary() | st.lists(st.binary(max_size=80)).map(b"\n".join))
def test_any_bytes_are_read(output: bytes) -> None:
    assert set(prober.parse(output)) <= set(prober.TYPES)


@pytest.fixture
def pushed(fake: FakeDevice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands in for the program; the fake device has no sync service, so it is copied."""

    def push(device: Device, source: Path, remote: str, *, mode: int) -> None:
        target = fake.root / remote[1:]
        shutil.copy(source, target)
        target.chmod(mode)

    monkeypatch.setattr(Device, "push", push)
    program = tmp_path / "program"
    monkeypatch.setattr(prober, "build", {"arm64": program}.__getitem__)
    fake.tool("uname", "echo aarch64")
    return program


@pytest.mark.parametrize("root", [False, True])
def test_it_runs_as_whom_it_should_and_is_removed(
    root: bool, device: Device, fake: FakeDevice, pushed: Path
) -> None:
    line = '{"type":"kprobe","load":0,"attach":%d,"log":""}\\n'
    saying(pushed, f"printf '{line}' \"$(id -u)\"")
    if root:
        with device.privileged() as user:
            outcomes = prober.ask(device, user)
    else:
        outcomes = prober.ask(device, device)
    assert outcomes == {"kprobe": Outcome(0, 0 if root else 2000)}
    assert list((fake.root / "data/local/tmp").iterdir()) == []


def test_a_device_that_will_not_run_it(device: Device, fake: FakeDevice, pushed: Path) -> None:
    saying(pushed, "echo 'sh: Exec format error' >&2; exit 126")
    with pytest.raises(DroidheadersError, match=r"did not run .* Exec format error \(status 126"):
        prober.ask(device, device)
    assert list((fake.root / "data/local/tmp").iterdir()) == []


def test_an_architecture_it_is_not_written_for(device: Device, fake: FakeDevice) -> None:
    fake.tool("uname", "printf 'armv8l\\033[2J'")
    with pytest.raises(UnsupportedError, match=r"is armv8l\\x1b\[2J, and BPF is probed on aarch64"):
        prober.ask(device, device)
