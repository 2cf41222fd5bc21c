"""What is chosen on a PATH made up for the test, what is refused, and the words for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from droidheaders.build import toolchain
from droidheaders.cache import Bundle
from droidheaders.errors import DroidheadersError
from droidheaders.kernel.identity import KernelIdentity
from tests.cache.making import meta
from tests.compilers import GCC_12, R450784E, R487747C, Install, installer

install = installer


def bundle(
    place: Path,
    text: str,
    *options: str,
    release: str = "6.1.75",
    machine: str = "aarch64",
    arch: str = "arm64",
    config: bool = True,
) -> Bundle:
    """Lay out what is read of a bundle: options in its configuration, or in autoconf.h."""
    path = place / "bundle"
    generated = path / "headers/include/generated"
    generated.mkdir(parents=True)
    (path / "headers/arch" / arch).mkdir(parents=True)
    if config:
        lines = [f"CONFIG_{option}=y" for option in ("MODULES", *options)]
        (path / "config").write_text("\n".join(lines))
    else:
        lines = [f"#define CONFIG_{option} 1" for option in ("MODULES", *options)]
        (generated / "autoconf.h").write_text("\n".join(lines))
    kernel = KernelIdentity(release, "#1", machine, "")
    return Bundle(path, {**meta("0" * 64, compiler=text, arch=arch), "kernel": vars(kernel)})


def test_the_same_compiler(install: Install, tmp_path: Path) -> None:
    install("aarch64-linux-gnu-gcc", "aarch64-linux-gnu-gcc (Debian 13.2.0-4) 13.2.0")
    twelve = install("aarch64-linux-gnu-gcc-12", "aarch64-linux-gnu-gcc-12 (Debian) 12.2.0")
    chosen = toolchain.choose(bundle(tmp_path, GCC_12, "GCC_PLUGIN_STACKLEAK"))
    assert chosen.variables == {
        "ARCH": "arm64",
        "CROSS_COMPILE": "aarch64-linux-gnu-",
        "CC": "aarch64-linux-gnu-gcc-12",
    }
    said = "aarch64-linux-gnu-gcc-12 is gcc 12.2.0, as was the compiler of 6.1.75 (aarch64)"
    assert chosen.describe() == {
        "name": "aarch64-linux-gnu-gcc-12",
        "path": str(twelve),
        "family": "gcc",
        "version": "12.2.0",
        "exact": True,
        "make": chosen.variables,
        "said": said,
        "concerns": [],
    }


def test_the_nearest(install: Install, tmp_path: Path) -> None:
    install("gcc-12", GCC_12)
    install("gcc-13", "gcc-13 (Debian 13.2.0-4) 13.2.0")
    chosen = toolchain.choose(bundle(tmp_path, "gcc (GCC) 10.2.1", machine="x86_64", arch="x86"))
    assert chosen.variables == {"ARCH": "x86", "CC": "gcc-12"}
    assert chosen.said == (
        "gcc-12 is gcc 12.2.0, the nearest here to gcc 10.2.1, which built 6.1.75 (x86_64)"
    )


def test_an_older_one_is_taken_with_a_word(install: Install, tmp_path: Path) -> None:
    install("aarch64-linux-gnu-gcc", GCC_12)
    chosen = toolchain.choose(bundle(tmp_path, "gcc (GCC) 13.2.0"))
    assert chosen.concerns == ("gcc 12.2.0 may refuse flags that Kconfig found gcc 13.2.0 to take",)
    assert chosen.said.endswith(f"(aarch64): {chosen.concerns[0]}")


CLANGS = "clang is clang 17.0.2, and clang 14.0.7 built 6.1.75 (aarch64)"
GCCS = "aarch64-linux-gnu-gcc is gcc 12.2.0, and gcc 11.4.0 built 6.1.75 (aarch64)"


@pytest.mark.parametrize("config", [True, False])
@pytest.mark.parametrize(
    ("here", "built_by", "option", "says"),
    [
        (R487747C, R450784E, "LTO_CLANG", f"{CLANGS}: LTO_CLANG: ld.lld must be of the same LLVM"),
        (R487747C, R450784E, "CFI_CLANG", f"{CLANGS}: CFI_CLANG: both compilers must hash types"),
        (R487747C, R450784E, "SHADOW_CALL_STACK", f"{CLANGS}: SHADOW_CALL_STACK: both must keep"),
        (GCC_12, "gcc (GCC) 11.4.0", "GCC_PLUGIN_STACKLEAK", f"{GCCS}: GCC_PLUGIN_STACKLEAK: a"),
        (GCC_12, "gcc (GCC) 11.4.0", "KASAN_GENERIC", f"{GCCS}: KASAN: each gcc describes"),
    ],
)
def test_what_is_refused_unless_forced(
    install: Install,
    tmp_path: Path,
    here: str,
    built_by: str,
    option: str,
    says: str,
    config: bool,
) -> None:
    install("clang" if "clang" in here else "aarch64-linux-gnu-gcc", here)
    install("ld.lld")
    made = bundle(tmp_path, built_by, option, config=config)
    with pytest.raises(DroidheadersError) as refused:
        toolchain.choose(made)
    assert refused.value.message.startswith(says)
    assert refused.value.hint.startswith(("sudo apt-get install clang-14 lld-14", "sudo apt-get"))
    assert refused.value.hint.endswith(", or --force to take what is here")
    forced = toolchain.choose(made, force=True)
    assert forced.concerns
    assert forced.concerns[0] in forced.said


def test_the_other_family(install: Install, tmp_path: Path) -> None:
    install("aarch64-linux-gnu-gcc", GCC_12)
    made = bundle(tmp_path, "clang version 14.0.6, LLD 14.0.6")
    with pytest.raises(DroidheadersError) as refused:
        toolchain.choose(made)
    assert refused.value.message == (
        "no module can be built for 6.1.75 (aarch64): no clang for arm64 is on PATH"
    )
    assert refused.value.hint == "sudo apt-get install clang-14 lld-14 llvm-14"
    assert toolchain.choose(made, force=True).said == (
        "aarch64-linux-gnu-gcc is gcc 12.2.0, the nearest here to clang 14.0.6, which built 6.1.75"
        " (aarch64): gcc refuses flags that a kernel built by clang is made with"
    )


def test_a_clang_without_its_linker_is_none(install: Install, tmp_path: Path) -> None:
    install("clang", "Debian clang version 14.0.6")
    made = bundle(tmp_path, "clang version 14.0.6, LLD 14.0.6")
    for force in (False, True):
        with pytest.raises(DroidheadersError, match=r"clang is 14.0.6, without its ld.lld") as no:
            toolchain.choose(made, force)
        assert no.value.hint == "sudo apt-get install clang-14 lld-14 llvm-14"


def test_nothing_names_the_compiler(install: Install, tmp_path: Path) -> None:
    install("aarch64-linux-gnu-gcc", GCC_12)
    made = bundle(tmp_path, "")
    with pytest.raises(DroidheadersError, match="nothing names the compiler that built it") as no:
        toolchain.choose(made)
    assert no.value.hint == "--force to take what is here"
    chosen = toolchain.choose(made, force=True)
    assert chosen.said == (
        "aarch64-linux-gnu-gcc is gcc 12.2.0, taken for 6.1.75 (aarch64):"
        " nothing names the compiler that built it"
    )


def test_headers_tell_what_a_32_bit_shell_does_not(install: Install, tmp_path: Path) -> None:
    install("aarch64-linux-gnu-gcc", GCC_12)
    made = bundle(tmp_path, GCC_12, machine="armv8l")
    assert toolchain.choose(made).variables["ARCH"] == "arm64"
