"""Flags: what each configuration asks for, how they are written, and that they reach a compiler."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from droidheaders.build import formats, pkgconfig
from droidheaders.build.flags import Flags
from droidheaders.cache import Bundle, Cache
from droidheaders.cli.main import run
from tests.build import programs
from tests.build.conftest import Real
from tests.cache.making import make
from tests.kernels import KERNELS

pytestmark = pytest.mark.usefixtures("quiet")
AUTOCONF = "include/generated/autoconf.h"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def flags(cache: Cache, *options: str, release: str = "6.1.176", arch: str = "arm64") -> Flags:
    autoconf = "".join(f"#define CONFIG_{option} 1\n" for option in options)
    more = {f"arch/{arch}/include/asm/own.h": b""}
    bundle = make(cache, release, {AUTOCONF: autoconf.encode(), **more})
    kernel = bundle.kernel
    return Flags.read(bundle.path, arch, kernel, str(bundle.path))


@pytest.mark.parametrize(
    ("options", "arch", "release", "word", "there"),
    [
        (["KASAN_GENERIC"], "arm64", "6.1", "-DKASAN_SHADOW_SCALE_SHIFT=3", True),
        (["KASAN_SW_TAGS"], "arm64", "6.1", "-DKASAN_SHADOW_SCALE_SHIFT=4", True),
        (["KASAN_HW_TAGS"], "arm64", "6.1", "-DKASAN_SHADOW_SCALE_SHIFT=4", False),
        (["KASAN_GENERIC", "64BIT"], "x86", "6.1", "-DKASAN_SHADOW_SCALE_SHIFT=3", False),
        (["X86_KERNEL_IBT", "64BIT"], "x86", "6.1", "-fcf-protection=branch", True),
        (["64BIT"], "x86", "6.1", "-fcf-protection=branch", False),
        (["FUNCTION_TRACER", "64BIT"], "x86", "6.1", "-DCC_USING_FENTRY", True),
        (["64BIT"], "x86", "6.1", "--target=x86_64-linux-gnu", True),
        ([], "x86", "6.1", "--target=i386-linux-gnu", True),
        ([], "arm64", "6.1", "--target=aarch64-linux-gnu", True),
        (["64BIT"], "riscv", "6.1", "-D__TARGET_ARCH_riscv", True),
        ([], "arm64", "6.18.3", "-fms-extensions", False),
        ([], "arm64", "6.19.0-rc1", "-fms-extensions", True),
        ([], "arm64", "6.19.0-rc1", "-Wno-microsoft-anon-tag", True),
        (["CC_IS_GCC"], "arm64", "6.1", "-DCONFIG_CC_IS_CLANG=1", True),
        (["CC_IS_CLANG"], "arm64", "6.1", "-DCONFIG_CC_IS_CLANG=1", False),
    ],
)
def test_what_the_configuration_asks_for(
    cache: Cache, options: list[str], arch: str, release: str, word: str, there: bool
) -> None:
    found = flags(cache, *options, release=release, arch=arch)
    assert (word in found.kernel()) is there


@pytest.mark.parametrize(
    ("release", "there", "gone"),
    [
        ("5.10.1", ["-std=gnu89"], ["-std=gnu11", "-funsigned-char"]),
        ("5.18.0", ["-std=gnu11"], ["-std=gnu89", "-funsigned-char"]),
        ("6.2.0", ["-std=gnu11", "-funsigned-char"], ["-std=gnu89"]),
    ],
)
def test_a_module_is_compiled_as_its_kernel_was(
    cache: Cache, release: str, there: list[str], gone: list[str]
) -> None:
    words = flags(cache, release=release).module()
    assert {"-DMODULE", "-D__KERNEL__", "-mgeneral-regs-only", *there} <= set(words)
    assert not set(gone) & set(words)


def test_no_word_needs_quotes(cache: Cache) -> None:
    found = flags(cache, "KASAN_GENERIC", "CC_IS_GCC", release="6.19.0~rc1+b%-dirty")
    for words in (found.kernel(), found.uapi(), found.core(Path("/x")), found.module()):
        assert formats.survives(words)
        for shell in ("sh", "bash"):
            script = f"cat() {{ printf %s '{formats.shell(words)}'; }}; printf '%s\\n' $(cat)"
            done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True)
            assert done.stdout.splitlines() == words


WORDS = st.lists(st.text(st.characters(exclude_characters="\0\n\r", codec="utf-8"), max_size=9))


@settings(max_examples=40, deadline=None)
@given(WORDS)
def test_quoted_words_are_a_shell_s(words: list[str]) -> None:
    line = f"for w in {formats.shell(words)}; do printf '%s\\n' \"$w\"; done"
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    assert done.stdout.decode().split("\n")[:-1] == words


@settings(max_examples=25, deadline=None)
@given(WORDS)
def test_what_make_includes_reaches_a_recipe(words: list[str]) -> None:
    lines = formats.make({"WORDS": formats.shell(words)})
    makefile = f"{lines}\nall:\n\t@for w in $(WORDS); do printf '%s\\n' \"$$w\"; done\n"
    done = subprocess.run(
        ["make", "-s", "-f", "-"], input=makefile.encode(), capture_output=True, check=True
    )
    assert done.stdout.decode().split("\n")[:-1] == words


@settings(max_examples=25, deadline=None)
@given(st.text(st.characters(exclude_characters="\0\r", codec="utf-8"), max_size=20))
def test_exports_are_evaluated(value: str) -> None:
    text = formats.exports({"ONE": value}, ["TWO"])
    script = f'{text}\nprintf \'%s|%s.\' "$ONE" "${{TWO-none}}"'
    for shell in ("sh", "bash"):
        done = subprocess.run(
            [shell, "-c", script], capture_output=True, check=True, env={**os.environ, "TWO": "2"}
        )
        assert done.stdout.decode() == f"{value}|none."


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as stop:
        run([*arguments])
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


def test_a_path_with_blanks_is_quoted_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = Cache(tmp_path / "it's my $cache")
    bundle = make(cache)
    where = ["--cache-dir", str(cache.root), "flags", "--bundle", bundle.name]
    status, out, err = call(capsys, *where, "--module")
    assert status == 0
    assert shlex.split(out) == Flags.of(bundle).module()
    assert "holds what a shell splits" in err
    status, out, _ = call(capsys, *where, "--module", "--format", "make")
    makefile = f"{out}all:\n\t@printf '%s\\n' $(MODULE_CFLAGS)\n"
    done = subprocess.run(
        ["make", "-s", "-f", "-"], input=makefile, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == Flags.of(bundle).module()
    status, out, _ = call(capsys, *where, "--module", "--format", "json")
    assert json.loads(out)["cflags"] == Flags.of(bundle).module()


def test_one_value_each(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = make(cache)
    where = ["--cache-dir", str(cache.root), "flags", "--bpf", "--bundle", bundle.name]
    said = {name: call(capsys, *where, f"--{name}")[1] for name in ("arch", "target")}
    assert said == {"arch": "arm64\n", "target": "aarch64-linux-gnu\n"}
    assert call(capsys, *where, "--cflags")[1] == call(capsys, *where)[1]
    status, out, _ = call(capsys, *where, "--arch", "--format", "make")
    assert (status, out) == (0, "BPF_ARCH := arm64\n")


def test_the_kdir_that_is_there(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = make(cache)
    where = ["--cache-dir", str(cache.root), "flags", "--bpf", "--bundle", bundle.name]
    status, out, err = call(capsys, *where, "--kdir")
    assert (status, out) == (1, "")  # such a kernel has nothing to build modules with
    assert "hint: " in err
    assert json.loads(call(capsys, *where, "--format", "json")[1])["kdir"] is None
    assert "BPF_KDIR" not in call(capsys, *where, "--format", "make")[1]
    made = cache.derived.make(bundle, "kdir", ["one"], lambda place: None)
    assert call(capsys, *where, "--kdir")[:2] == (0, f"{made}\n")
    assert json.loads(call(capsys, *where, "--format", "json")[1])["kdir"] == str(made)
    assert f"BPF_KDIR := {made}\n" in call(capsys, *where, "--format", "make")[1]
    env = call(capsys, "--cache-dir", str(cache.root), "env", "--bundle", bundle.name)[1]
    assert f"export KDIR={made}\n" in env


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--bpf", "--module"],
        ["--bpf", "--arch", "--kdir"],
        ["--bpf", "x.c"],
        ["--bpf", "--format", "compile-commands"],
    ],
)
def test_usage(cache: Cache, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    where = ["--cache-dir", str(cache.root), "flags", "--bundle", make(cache).name]
    status, out, err = call(capsys, *where, *words)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")


def pkg_config(where: Path, *more: str) -> list[str]:
    """Return what pkg-config makes of the .pc in `where`, each path without its detours."""
    done = subprocess.run(
        ["pkg-config", *more, "--cflags", "droidheaders-bpf"],
        env=os.environ | {"PKG_CONFIG_PATH": str(where)},
        capture_output=True,
        text=True,
        check=True,
    )
    return straight(shlex.split(done.stdout))


def straight(words: list[str]) -> list[str]:
    return [os.path.normpath(word) if word.startswith("/") else word for word in words]


@pytest.mark.guest
@pytest.mark.parametrize("name", KERNELS)
def test_the_pc_file_says_the_same(name: str, real: Real, tmp_path: Path) -> None:
    bundle = real(name)
    assert pkgconfig.NAME in bundle.manifest()
    assert pkg_config(bundle.headers / "..") == straight(Flags.of(bundle).kernel())
    moved = tmp_path / "elsewhere"
    subprocess.run(["cp", "-a", bundle.path, moved], check=True)
    words = pkg_config(moved, f"--define-variable=libbpf={bundle.path}/../.libbpf")
    assert f"{moved}/headers/include" in words
    assert not [word for word in words if word.startswith(str(bundle.path))]


@pytest.mark.guest
@pytest.mark.parametrize("name", KERNELS)
def test_clang_takes_them(name: str, real: Real, real_cache: Cache) -> None:
    """From the .pc as from the command, and llc makes BPF of it where nothing is relocated."""
    bundle = real(name)
    Path("prog.bpf.c").write_text(programs.EITHER)
    Path("mod.c").write_text(MODULE)
    droidheaders = f"droidheaders --cache-dir {real_cache.root} flags --bundle {bundle.name}"
    clang = "clang $FLAGS -c prog.bpf.c -o prog.bc && llc -march=bpf -filetype=obj prog.bc"
    scripts = [
        f"FLAGS=$({droidheaders} --bpf --cflags); {clang}",
        f"FLAGS=$(PKG_CONFIG_PATH={bundle.path} pkg-config --cflags droidheaders-bpf); {clang}",
        f"clang -Wall -Werror $({droidheaders} --module) -c mod.c",
    ]
    for script in scripts:
        path = os.pathsep.join([str(Path(__file__).parents[2] / ".venv/bin"), os.environ["PATH"]])
        done = subprocess.run(
            ["sh", "-ec", script],
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stderr


MODULE = """\
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/netdevice.h>
static int number;
module_param(number, int, 0644);
static int __init begin(void) { pr_info("%d\\n", number); return 0; }
static void __exit end(void) { }
module_init(begin);
module_exit(end);
MODULE_LICENSE("GPL");
"""


@pytest.mark.guest
def test_without_the_shift_kasan_s_headers_do_not_compile(real: Real) -> None:
    words = Flags.of(real("6.1-arm64")).kernel()
    Path("mm.c").write_text("#include <linux/mm.h>\n")
    kasan = [f"-DCONFIG_KASAN_{name}" for name in ("GENERIC=1", "SHADOW_OFFSET=0xdfff80000000000")]
    for more, works in (([], False), (["-DKASAN_SHADOW_SCALE_SHIFT=3"], True)):
        command = ["clang", *words, "-DCONFIG_KASAN=1", *kasan, *more, "-fsyntax-only", "mm.c"]
        assert (subprocess.run(command, capture_output=True, check=False).returncode == 0) is works


def bundle_of(cache: Cache, compiler: str) -> Bundle:
    """Return a bundle whose kernel was built by `compiler`."""
    bundle = make(cache)
    bundle.meta["compiler"] = compiler
    (bundle.path / "bundle.json").write_text(json.dumps(bundle.meta))
    return bundle


@pytest.mark.parametrize(
    ("compiler", "tool", "said", "line"),
    [
        ("gcc (Debian 12.2.0-14) 12.2.0", "aarch64-linux-gnu-gcc", "gcc version 12.2.0",
         "export CROSS_COMPILE=aarch64-linux-gnu-"),
        ("Debian clang version 14.0.6", "clang", "clang version 14.0.6", "export LLVM=1"),
        ("gcc (Debian 12.2.0-14) 12.2.0", "none", "", "unset CROSS_COMPILE"),
    ],
)  # fmt: skip
def test_the_environment(
    cache: Cache,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    compiler: str,
    tool: str,
    said: str,
    line: str,
) -> None:
    bundle = bundle_of(cache, compiler)
    monkeypatch.setattr("os.uname", lambda: os.uname_result(["Linux", "h", "6", "1", "x86_64"]))
    Path("bin").mkdir()
    for name in (tool, "ld.lld"):
        Path("bin", name).write_text(f'#!/bin/sh\necho "{said}"\n')
        Path("bin", name).chmod(0o755)
    monkeypatch.setenv("PATH", str(Path("bin").absolute()))
    monkeypatch.setenv("DROIDHEADERS_GUEST_CACHE", str(Path("no-packages").absolute()))
    status, out, err = call(capsys, "--cache-dir", str(cache.root), "env", "--bundle", bundle.name)
    assert status == 0
    lines = out.splitlines()
    assert line in lines
    for name in ("BCC_KERNEL_SOURCE", "BPFTRACE_KERNEL_SOURCE"):
        assert f"export {name}={bundle.headers}" in lines
    assert "unset KDIR" in lines
    assert "no KDIR to build modules in" in err
    assert "export ARCH=arm64" in lines
    assert ("no compiler is named" in err) is (not said)
