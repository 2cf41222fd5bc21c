"""What headers are good for: asked of made-up trees, hostile trees, and those of real kernels."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from droidheaders.debian.place import cache_dir
from droidheaders.guest import image, kernel, recipes
from droidheaders.headers import clang
from droidheaders.headers.usable import Usability, assess
from tests.kernels import KERNELS

TREE = {
    **{
        f"include/generated/{name}.h": ""
        for name in ("asm-offsets", "bounds", "timeconst", "uapi/linux/version", "utsrelease")
    },
    "include/generated/autoconf.h": "#define CONFIG_64BIT 1\n#define CONFIG_ZRAM_MODULE 1\n",
    "include/linux/kconfig.h": "#include <generated/autoconf.h>\n",
    "include/linux/sched.h": "#include <asm/ptrace.h>\n",
    "include/linux/fs.h": "#include <stdarg.h>\n",
    "include/net/sock.h": "",
    "arch/arm64/include/asm/ptrace.h": "#include <asm/types.h>\n",
    "arch/arm64/include/generated/uapi/asm/types.h": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory below which headers lie, with files beside it that are none of theirs."""
    write(tmp_path / "headers", TREE)
    write(tmp_path, {"secret.h": "#error SECRET\n#define SECRET\n"})
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "headers"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def sched(root: Path, text: str) -> Usability:
    write(root, {"include/linux/sched.h": text})
    return assess(root, "arm64")


def test_whole_headers_are_usable(root: Path) -> None:
    found = assess(root, "arm64")
    assert found.state == "usable"
    assert found.missing == ()
    assert "clang version" in found.checked_with
    assert found.unchecked == ""


@pytest.mark.parametrize("name", [name for name in TREE if "generated" in name])
def test_each_generated_header_is_looked_for(root: Path, name: str) -> None:
    (root / name).unlink()
    found = assess(root, "arm64")
    assert found.state == "partial"
    assert any(Path(name).name in line for line in found.missing)


def test_every_missing_include_is_named_with_who_includes_it(root: Path) -> None:
    found = sched(
        root,
        '#include "../../../../drivers/soc/vendor.h"\n'
        "#include <linux/one.h>\n"
        "#define COMPUTED <vendor/two.h>\n"
        "#include COMPUTED\n"
        '#ifdef NOT_HERE\n#include "never.h"\n#endif\n'
        '#if __has_include("maybe.h")\n#include "maybe.h"\n#endif\n'
        '#include "a b#c$d.h"\n'
        "#include <asm/ptrace.h>\n",
    )
    write(root, {"arch/arm64/include/asm/ptrace.h": "#include <linux/one.h>\n#include <three.h>\n"})
    by = "included by include/linux/sched.h"
    assert found.state == "partial"
    assert found.missing == (
        f"../../../../drivers/soc/vendor.h, {by}",
        f"linux/one.h, {by}",
        f"vendor/two.h, {by}",
        f"a b#c$d.h, {by}",
    )
    assert "three.h, included by arch/arm64/include/asm/ptrace.h" in assess(root, "arm64").missing


def test_what_is_included_first_may_be_missing_itself(root: Path) -> None:
    (root / "include/net/sock.h").unlink()
    assert assess(root, "arm64").missing == ("net/sock.h",)


def test_a_generated_header_is_named_once(root: Path) -> None:
    (root / "include/generated/bounds.h").unlink()
    found = sched(root, "#include <generated/bounds.h>\n")
    assert found.missing == ("generated/bounds.h, included by include/linux/sched.h",)


def test_other_errors_are_named_with_their_place(root: Path) -> None:
    found = sched(root, '#include <gone.h>\n#error "not for you"\n#if VENDOR(3)\n#endif\n')
    assert found.missing == (
        "gone.h, included by include/linux/sched.h",
        'include/linux/sched.h:2: "not for you"',
        "include/linux/sched.h:3: function-like macro 'VENDOR' is not defined",
    )


def test_what_is_named_is_bounded(root: Path) -> None:
    found = sched(root, "".join(f"#include <{i}{'x' * 230}.h>\n" for i in range(50)))
    assert len(found.missing) == 21
    assert found.missing[-1] == "and 30 more"
    assert max(map(len, found.missing)) <= 200


@pytest.mark.parametrize(
    "text",
    [
        '#include "{outside}/secret.h"',
        '#include "../../../secret.h"',
        '#include "../../../../../../../../../../../../{outside}/secret.h"',
        "#include <{outside}/secret.h>",
        '#include_next "{outside}/secret.h"',
        '#import "{outside}/secret.h"',
        '#embed "{outside}/secret.h"',
        '#pragma GCC dependency "{outside}/secret.h"',
        '#if __has_include("{outside}/secret.h")\n#error SECRET\n#endif',
        '#line 1 "{outside}/secret.h"\n#include "secret.h"',
        '#include "{outside}/fifo"',
        '#include "/dev/stdin"',
        '#include "/dev/zero"',
        '#include "/proc/self/environ"',
    ],
)
def test_nothing_outside_the_headers_is_read(
    root: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CPATH", str(root.parent))
    monkeypatch.setenv("SECRET", "SECRET")
    started = time.monotonic()
    found = sched(root, text.format(outside=root.parent) + "\n#ifdef SECRET\n#error SECRET\n#endif")
    assert "SECRET" not in str(found)
    assert found.checked_with
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('#include "sched.h"\n' * 2, "nested too deeply"),
        ('#if __INCLUDE_LEVEL__ < 99\n#include "sched.h"\n#include "sched.h"\n#endif\n', "in 2 s"),
        (
            "#define A(x) x x x x x x x x\n#if " + "A(" * 30 + "1" + ")" * 30 + "\n#endif\n",
            "out of memory",
        ),
        ("#pragma clang __debug crash\n", "failed"),
        ('#error \x1b]0;title\x07"\n#include "\x1b[31m\u202e.h"\n', "title"),
    ],
    ids=["recursion", "endless", "bomb", "crash", "terminal"],
)
def test_hostile_headers_cost_little(
    root: Path, text: str, why: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(clang, "_SECONDS", 2)
    monkeypatch.setattr(clang, "_MEMORY", 1 << 29)
    monkeypatch.setattr("tempfile.tempdir", str(root.parent))
    before = sorted(root.parent.iterdir())
    found = sched(root, text)
    lines = [*found.missing, found.unchecked]
    assert any(why in line for line in lines)
    assert all(line.isprintable() for line in lines)
    assert bool(found.checked_with) != bool(found.unchecked)
    assert sorted(root.parent.iterdir()) == before


def test_output_is_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clang, "_OUTPUT", 1 << 16)
    found = sched(root, "".join(f"#error {i} {'x' * 10000}\n" for i in range(20)))
    assert found.unchecked.endswith("was ended by SIGXFSZ")


def test_errors_cannot_be_told_elsewhere(root: Path) -> None:
    found = sched(root, '#line 7 "/etc/passwd"\n#error hidden\n')
    assert found.missing == ("/etc/passwd:7: hidden",)


def test_headers_that_refuse_this_clang_are_not_to_blame(root: Path) -> None:
    write(
        root,
        {
            "include/linux/compiler-clang.h": "#error your version of Clang is too old\n",
            "include/linux/sched.h": "#include <linux/compiler-clang.h>\n",
        },
    )
    found = assess(root, "arm64")
    assert (found.state, found.checked_with) == ("usable", "")
    assert "too old" in found.unchecked


@pytest.mark.parametrize("arch", ["arm64", "x86", "arm", "riscv"])
@pytest.mark.parametrize("wide", [True, False])
def test_targets(root: Path, arch: str, wide: bool) -> None:
    (root / "arch/arm64").rename(root / "arch" / arch)
    bits = "#if __SIZEOF_POINTER__ != 8\n#error narrow\n#endif\n"
    config = "#define CONFIG_64BIT 1\n" if wide else ""
    write(root, {"include/generated/autoconf.h": config, "include/linux/sched.h": bits})
    found = assess(root, arch)
    assert found.checked_with
    narrow = arch == "arm" or (arch != "arm64" and not wide)
    assert (found.state == "partial") is narrow


def test_what_the_kernels_makefile_defines_is_defined(root: Path) -> None:
    """As asm/ftrace.h of x86 and every second header of arm ask for it."""
    (root / "arch/arm64").rename(root / "arch/x86")
    write(root, {"include/generated/autoconf.h": "#define CONFIG_FUNCTION_TRACER 1\n"})
    text = "#ifndef CC_USING_FENTRY\n#error Compiler does not support fentry?\n#endif\n"
    write(root, {"include/linux/sched.h": text})
    assert assess(root, "x86").missing == ()
    (root / "arch/x86").rename(root / "arch/arm")
    write(root, {"include/generated/autoconf.h": "#define CONFIG_CPU_32v6 1\n"})
    write(root, {"include/linux/sched.h": "#if __LINUX_ARM_ARCH__ != 6\n#error\n#endif\n"})
    assert assess(root, "arm").missing == ()


def test_an_architecture_without_known_flags_is_not_checked(root: Path) -> None:
    (root / "arch/arm64").rename(root / "arch/loongarch")
    found = assess(root, "loongarch")
    assert (found.state, found.checked_with) == ("usable", "")
    assert "no known flags for loongarch" in found.unchecked


def test_a_32_bit_shell_on_a_64_bit_kernel(root: Path) -> None:
    assert assess(root, "arm").state == "usable"


def test_without_clang_the_generated_headers_decide(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    found = sched(root, "#include <gone.h>\n")
    assert found == Usability("usable", (), "", "clang is not on this host")
    (root / "include/generated/bounds.h").unlink()
    found = assess(root, "arm64")
    assert (found.state, found.missing) == ("partial", ("include/generated/bounds.h",))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 1", "is not on this host"),
        ("echo gcc version 12; echo /tmp", "is not on this host"),
        ('case "$1" in --version) echo clang version 11;; -p*) echo @;; *) exit 1;; esac', "fail"),
    ],
)
def test_a_clang_that_is_none(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, why: str
) -> None:
    write(tmp_path, {"bin/clang": f"#!/bin/sh\n{script.replace('@', str(tmp_path))}\n"})
    (tmp_path / "bin/clang").chmod(0o755)
    (tmp_path / "include").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = assess(root, "arm64")
    assert (found.state, found.checked_with) == ("usable", "")
    assert why in found.unchecked


def test_a_full_disk_is_not_the_headers_fault(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(root / "gone"))
    found = assess(root, "arm64")
    assert found.state == "usable"
    assert found.unchecked.endswith("could not be run: No such file or directory")


@pytest.mark.parametrize(
    ("config", "differing"),
    [
        (b"CONFIG_64BIT=y\nCONFIG_ZRAM=m\n# CONFIG_SMP is not set\n", ""),
        (b"CONFIG_64BIT=y\n", ""),
        (b"no configuration", ""),
        (b"# CONFIG_64BIT is not set\n", "1 options differ (CONFIG_64BIT)"),
        (b"CONFIG_ZRAM=y\nCONFIG_HZ=250\n", "2 options differ (CONFIG_ZRAM, CONFIG_HZ)"),
        (b'CONFIG_A="a"\nCONFIG_B=m\nCONFIG_C=1\nCONFIG_D=y\n', "4 options differ (CONFIG_A,"),
    ],
)
def test_headers_of_another_configuration(root: Path, config: bytes, differing: str) -> None:
    found = assess(root, "arm64", config)
    assert (found.state == "partial") is bool(differing)
    assert differing in "".join(found.missing)


@pytest.mark.guest
@pytest.mark.parametrize("name", KERNELS)
def test_real_headers_are_usable(tmp_path: Path, name: str) -> None:
    """With the configuration that the same kernel's /proc/config.gz holds."""
    image.setup(recipes.load(name))
    built = kernel.cached(recipes.load(name), cache_dir())
    assert built
    archive = built.directory / "kheaders.tar.xz"
    subprocess.run(["tar", "xJf", archive, "-C", tmp_path], check=True)
    arch = {"x86_64": "x86"}.get(built.arch, built.arch)
    config = (built.directory / "config").read_bytes()
    found = assess(tmp_path, arch, config)
    assert (found.state, found.missing, found.unchecked) == ("usable", (), "")
    victim = tmp_path / "include/linux/refcount.h"
    victim.unlink()
    assert assess(tmp_path, arch, config).missing[0].startswith("linux/refcount.h, included by ")
