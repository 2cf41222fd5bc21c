"""The Kbuild directory: modules from it are those of a distribution's own headers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from droidheaders import equipping
from droidheaders.build import autoconf, kdir, linker_script
from droidheaders.build.providers import Provider
from droidheaders.cache import Cache
from droidheaders.equipping import Equipment, Wish
from droidheaders.errors import DroidheadersError, HeadersError, UnsupportedError, UsageError
from droidheaders.kernel.kconfig import Kconfig
from tests.build import distribution
from tests.build.conftest import Real
from tests.cache.making import make
from tests.kernels import KERNELS

pytestmark = pytest.mark.usefixtures("quiet")
AUTOCONF = "include/generated/autoconf.h"
PROJECTS = Path(__file__).with_name("projects")


def equipped(name: str, real: Real, cache: Cache) -> Equipment:
    symvers = distribution.distribution(name).symvers
    return equipping.equip(cache, real(name), Wish(symvers=(symvers,)))


@pytest.mark.parametrize("name", KERNELS)
def test_a_module_is_the_one_of_the_distributions_headers(
    name: str, real: Real, real_cache: Cache, tmp_path: Path
) -> None:
    theirs, ours = distribution.distribution(name), equipped(name, real, real_cache)
    variables = {"CC": " ".join(kdir.compiler(ours.toolchain.variables))}
    words = [f"{n}={v}" for n, v in {**ours.toolchain.variables, **variables}.items()]
    words.append("CONFIG_DEBUG_INFO_BTF_MODULES=")  # some of them have a vmlinux
    for side, place, arguments in (("ours", ours.path, []), ("theirs", theirs.kdir, words)):
        shutil.copytree(PROJECTS, tmp_path / side)
        said = distribution.build(place, tmp_path / side / "features", *arguments)
        symbols = f"KBUILD_EXTRA_SYMBOLS={tmp_path / side}/features/Module.symvers"
        said += distribution.build(place, tmp_path / side / "user", symbols, *arguments)
        assert "BTF" not in said
        assert "undefined" not in said
    for module in ("features/features.ko", "features/single.ko", "user/user.ko"):
        pair = [distribution.loaded(tmp_path / side / module) for side in ("ours", "theirs")]
        assert len(pair[0]) > 10
        assert pair[0] == pair[1], module


@pytest.mark.parametrize("name", KERNELS)
def test_configuration_and_linker_script_are_the_distributions(
    name: str, real: Real, real_cache: Cache
) -> None:
    theirs, bundle = distribution.distribution(name), real(name)
    number = bundle.kernel.number
    assert number
    written = Kconfig.parse((theirs.kdir / ".config").read_bytes()).written
    options = {option: value for option, value in written.items() if value != "n"}
    expected = set((theirs.kdir / "include/config/auto.conf").read_text().splitlines())
    made = set(autoconf.auto_conf(autoconf.safe(options), number).splitlines())
    assert made < expected
    missing = {line.partition("=")[0] for line in expected - made if line.startswith("CONFIG_")}
    assert missing <= {"CONFIG_DEBUG_INFO_BTF_MODULES", "CONFIG_DEFAULT_HOSTNAME"}
    # Without an IKCONFIG they are told from the headers; an int of 1 is all that differs.
    told = autoconf.options(bundle.path)
    assert told.keys() == options.keys()
    assert {told[o] for o in told if told[o] != options[o]} <= {"y"}
    ours = equipped(name, real, real_cache).path / "scripts/module.lds"
    script = (theirs.kdir / "arch" / theirs.arch / "module.lds").read_text()
    assert ours.read_text().split() == script.split()


def test_it_is_made_once(real: Real, real_cache: Cache) -> None:
    first = equipped("6.1-arm64", real, real_cache)
    made = (first.path / "Makefile").stat().st_mtime_ns
    assert equipped("6.1-arm64", real, real_cache).path == first.path
    assert (first.path / "Makefile").stat().st_mtime_ns == made
    shutil.rmtree(first.path)
    assert equipped("6.1-arm64", real, real_cache).path == first.path
    assert (first.path / "Makefile").is_file()


def test_another_kdir_is_a_provider(real: Real, real_cache: Cache, tmp_path: Path) -> None:
    theirs = distribution.distribution("6.1-x86_64")
    for place in (theirs.kdir, equipped("6.1-x86_64", real, real_cache).path):
        wish = Wish(provider=place, symvers=(theirs.symvers,))
        ours = equipping.equip(real_cache, real("6.1-x86_64"), wish)
        assert ours.path != place
        build = tmp_path / place.name
        shutil.copytree(PROJECTS / "user", build)
        said = distribution.build(ours.path, build, "KBUILD_MODPOST_WARN=1")
        assert "features_sum" in said
        assert (build / "user.ko").is_file()


def test_no_crc_is_an_error_and_a_choice(real: Real, real_cache: Cache, tmp_path: Path) -> None:
    bundle = real("6.1-x86_64")
    with pytest.raises(DroidheadersError, match="MODVERSIONS") as e:
        equipping.equip(real_cache, bundle, Wish())
    assert (e.value.exit_code, "--without-crcs" in e.value.hint) == (1, True)
    ours = equipping.equip(real_cache, bundle, Wish(without_crcs=True))
    shutil.copytree(PROJECTS / "user", tmp_path / "user")
    assert "undefined" in distribution.build(ours.path, tmp_path / "user")
    assert (tmp_path / "user/user.ko").is_file()


def test_the_usual_one_is_the_last_where_it_cannot_be_made(real: Real, real_cache: Cache) -> None:
    bundle = real("6.1-arm64")
    made = equipped("6.1-arm64", real, real_cache)
    os.utime(made.path)
    assert equipping.last(real_cache, bundle) == made.path
    assert equipping.usual(real_cache, bundle) == made.path
    real_cache.derived.forget(bundle.name)
    assert equipping.last(real_cache, bundle) is None
    with pytest.raises(DroidheadersError, match="MODVERSIONS"):
        equipping.usual(real_cache, bundle)


@pytest.mark.parametrize("name", ["a blank", "co:lon"])
def test_a_cache_that_make_cannot_take(tmp_path: Path, provider: Provider, name: str) -> None:
    cache = Cache(tmp_path / name)
    with pytest.raises(UsageError, match="no blank and no colon"):
        kdir.make(cache, make(cache), kdir.Recipe(provider, "", {}))


def test_no_configuration_at_all(tmp_path: Path, provider: Provider) -> None:
    cache = Cache(tmp_path / "cache")
    bundle = make(cache)
    (bundle.path / "config").unlink()
    with pytest.raises(HeadersError, match="no IKCONFIG, and no include/generated/autoconf"):
        kdir.make(cache, bundle, kdir.Recipe(provider, "", {}))


@pytest.mark.parametrize("release", ["6.1.1 $(id)", "6.1.1`id`", "generic"])
def test_a_release_that_is_none(tmp_path: Path, provider: Provider, release: str) -> None:
    cache = Cache(tmp_path / "cache")
    with pytest.raises(HeadersError, match="no modules can be built for"):
        kdir.make(cache, make(cache, release), kdir.Recipe(provider, "", {}))


@pytest.mark.parametrize("arch", ["../arch/arm64", ""])
def test_an_architecture_that_is_none(tmp_path: Path, provider: Provider, arch: str) -> None:
    cache = Cache(tmp_path / "cache")
    bundle = make(cache, arch=arch)
    with pytest.raises(HeadersError, match="no architecture that is known"):
        kdir.make(cache, bundle, kdir.Recipe(provider, "", {}))


def test_a_kernel_older_than_its_linker_script(tmp_path: Path, provider: Provider) -> None:
    cache = Cache(tmp_path / "cache")
    with pytest.raises(UnsupportedError, match=r"older than 5\.10"):
        kdir.make(cache, make(cache, "5.4.210"), kdir.Recipe(provider, "", {}))


@pytest.mark.parametrize(("option", "strict"), [("MODVERSIONS", None), ("MODULES", False)])
def test_without_crcs_nothing_is_lost_where_none_count(
    tmp_path: Path, provider: Provider, option: str, strict: bool | None
) -> None:
    cache = Cache(tmp_path / "cache")
    header = f"#define CONFIG_{option} 1\n#define CONFIG_CC_IS_GCC 1\n".encode()
    headers = {
        AUTOCONF: header,
        "include/linux/kconfig.h": b"",
        "arch/arm64/include/asm/module.lds.h": b"",
    }
    bundle = make(cache, files=headers, compiler="gcc (Debian 12.2.0-14) 12.2.0")
    (bundle.path / "config").unlink()
    wish = Wish(provider=provider.makefiles)
    if strict is None:
        with pytest.raises(DroidheadersError, match="MODVERSIONS"):
            equipping.equip(cache, bundle, wish)
        return
    made = equipping.equip(cache, bundle, wish).path
    assert "KBUILD_MODPOST_WARN" in (made / "Makefile").read_text()
    assert (made / "Module.symvers").read_bytes() == b""


def said_by_make(place: Path, *arguments: str, **environment: str) -> dict[str, str]:
    done = subprocess.run(
        ["make", "-s", "-C", str(place), *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], **environment},
    )
    return dict(line.split("=", 1) for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        ([], {}, ("arm64", "aarch64-linux-gnu-", "my-gcc")),
        ([], {"CC": "cc"}, ("arm64", "aarch64-linux-gnu-", "my-gcc")),  # as the kernel's own does
        (["CC=other"], {}, ("arm64", "aarch64-linux-gnu-", "other")),
        (["ARCH=arm"], {}, ("arm", "aarch64-linux-gnu-", "my-gcc")),
        (["CROSS_COMPILE=x-"], {}, ("arm64", "x-", "x-gcc")),
        ([], {"CROSS_COMPILE": "x-"}, ("arm64", "x-", "x-gcc")),
        ([], {"LLVM": "1"}, ("arm64", "aarch64-linux-gnu-", "aarch64-linux-gnu-gcc")),
    ],
)
def test_who_says_what_it_is_built_with(
    tmp_path: Path,
    arguments: list[str],
    environment: dict[str, str],
    expected: tuple[str, str, str],
) -> None:
    variables = {"ARCH": "arm64", "CROSS_COMPILE": "aarch64-linux-gnu-", "CC": "my-gcc"}
    (tmp_path / "Makefile").write_text(kdir.makefile(variables, strict=True))
    (tmp_path / "kernel.mk").write_text(
        "ARCH ?= host\nCC = $(CROSS_COMPILE)gcc\nall:\n"
        "\t@echo ARCH=$(ARCH); echo CROSS_COMPILE=$(CROSS_COMPILE); echo CC=$(CC)\n"
    )
    said = said_by_make(tmp_path, *arguments, **environment)
    assert tuple(said.values()) == expected


def test_clang_is_named_as_kbuild_names_it() -> None:
    for variables, cc in (
        ({"LLVM": "1"}, "clang"),
        ({"LLVM": "-14"}, "clang-14"),
        ({"LLVM": "/opt/llvm/bin/"}, "/opt/llvm/bin/clang"),
        ({"LLVM": "1", "CC": "clang-12"}, "clang-12"),
    ):
        assert kdir.compiler(variables) == [cc]
    text = kdir.makefile({"ARCH": "arm64", "LLVM": "1", "CC": "clang-12"}, strict=True)
    assert "ifeq ($(CROSS_COMPILE)|$(LLVM),|1)" in text.splitlines()


def test_a_provider_of_another_version(real: Real, real_cache: Cache, provider: Provider) -> None:
    recipe = kdir.Recipe(provider, "", {})
    bundle = make(real_cache, "6.6.99")
    with pytest.raises(UsageError, match=r"6\.6\.99.* of 6\.6, and .* is 6\.1"):
        kdir.make(real_cache, bundle, recipe)


@pytest.mark.parametrize(
    ("number", "options", "there", "absent"),
    [
        ((5, 10), {"LTO_CLANG", "CFI_CLANG"}, ["ALIGN(PAGE_SIZE)", "*(.eh_frame)"], ["kcfi"]),
        ((5, 15), {"LTO_CLANG"}, ["*(.bss..L*)", "text.__cfi_check"], ["ALIGN(PAGE_SIZE)"]),
        ((6, 1), {"CFI_CLANG", "ARCH_USES_CFI_TRAPS"}, ["__kcfi_traps"], ["__cfi_check"]),
        ((6, 12), {"LTO_CLANG"}, ["*(.data..L*) CODETAG_SECTIONS()"], ["*(.text"]),
        ((6, 12), set(), ["*(.export_symbol)", "codetag.lds.h"], ["..L*"]),
    ],
)
def test_sections_of_clang(
    number: tuple[int, int], options: set[str], there: list[str], absent: list[str]
) -> None:
    script = linker_script.source(number, frozenset(f"CONFIG_{name}" for name in options))
    assert all(text in script for text in there)
    assert not any(text in script for text in absent)
