"""Where Makefiles and host tools come from, and what is none of that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from droidheaders.build import providers, source_tree
from droidheaders.build.providers import Provider
from droidheaders.cache import Cache
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.guest import recipes
from tests.cache.making import make

KERNEL = "6.1.99 (aarch64)"
GLIBC = 'echo "$0: /lib/libc.so.6: version \\`GLIBC_2.38\' not found (required by $0)" >&2'
SHARED = 'echo "$0: error while loading shared libraries: libelf.so.1: cannot open" >&2; exit 127'


def program(provider: Provider, name: str, body: str) -> None:
    path = provider.makefiles / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_it_serves_its_own_version(provider: Provider) -> None:
    provider.check((6, 1), KERNEL, "arm64")


@pytest.mark.parametrize(
    ("spoil", "number", "arch", "says"),
    [
        (lambda p: None, (6, 6), "arm64", r"the Makefiles of 6\.6, and .* is 6\.1"),
        (lambda p: None, (6, 1), "x86", "no arch/x86/Makefile"),
        (
            lambda p: program(p, "scripts/basic/fixdep", GLIBC),
            (6, 1),
            "arm64",
            r"fixdep .* does not run on this host: it needs GLIBC_2\.38, and the C library here",
        ),
        (
            lambda p: program(p, "scripts/mod/modpost.real-lsb-64", SHARED),
            (6, 1),
            "arm64",
            r"modpost\.real-lsb-64 .* does not run on this host: libelf\.so\.1 is not here",
        ),
        (
            lambda p: (p.scripts / "mod/modpost").write_bytes(b"\x7fELF\2\1\1" + bytes(57)),
            (6, 1),
            "arm64",
            "modpost .* does not run on this host: exec format error",
        ),
        (
            lambda p: (p.scripts / "mod/modpost").unlink(),
            (6, 1),
            "arm64",
            "has no scripts/mod/modp",
        ),
    ],
)
def test_what_does_not_serve(
    provider: Provider,
    spoil: Callable[[Provider], object],
    number: tuple[int, int],
    arch: str,
    says: str,
) -> None:
    spoil(provider)
    with pytest.raises(DroidheadersError, match=says) as e:
        provider.check(number, KERNEL, arch)
    assert "--source" in e.value.hint


def test_objtool_is_wanted_where_it_is(provider: Provider) -> None:
    program(provider, "arch/x86/Makefile", "")
    provider.check((6, 1), KERNEL, "x86")
    program(provider, "tools/objtool/objtool", SHARED)
    with pytest.raises(DroidheadersError, match=r"objtool .* libelf\.so\.1 is not here"):
        provider.check((6, 1), KERNEL, "x86")


def test_a_build_directory_leads_to_its_makefiles(provider: Provider, tmp_path: Path) -> None:
    build = tmp_path / "build"
    build.mkdir()
    (build / "Makefile").write_text(f"include {provider.makefiles}/Makefile\n")
    (build / "scripts").symlink_to(provider.scripts)
    found = providers.of_directory(build)
    assert (found.number, found.makefiles) == ((6, 1), provider.makefiles)
    assert found.scripts == build / "scripts"


def test_its_key_is_its_content(provider: Provider) -> None:
    assert providers.of_directory(provider.makefiles).key == provider.key
    program(provider, "scripts/mod/modpost", "true # another")
    assert providers.of_directory(provider.makefiles).key != provider.key


@pytest.mark.parametrize("content", [None, "", "all:\n", "VERSION = 6\n"])
def test_what_is_no_kernel_tree(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "Makefile").write_text(content)
    for find in (providers.of_directory, source_tree.of_tree):
        with pytest.raises(UsageError, match=r"is no (kernel|source) tree"):
            find(tmp_path)


def test_a_source_tree_of_another_version(tmp_path: Path, provider: Provider) -> None:
    cache = Cache(tmp_path / "cache")
    bundle = make(cache, "5.15.100")
    with pytest.raises(UsageError, match=r"the Makefiles of 5\.15, and .* is 6\.1"):
        source_tree.provider(cache, bundle, provider.makefiles, {})
    assert not (cache.root / "tools").exists()


def test_a_source_tree_that_make_cannot_take(tmp_path: Path, provider: Provider) -> None:
    (tmp_path / "a tree").symlink_to(provider.makefiles)
    assert source_tree.of_tree(tmp_path / "a tree").makefiles == provider.makefiles
    provider.makefiles.rename(tmp_path / "my tree")
    with pytest.raises(UsageError, match="no blank and no colon"):
        source_tree.of_tree(tmp_path / "my tree")


def test_host_tools_that_cannot_be_built_leave_nothing(tmp_path: Path, provider: Provider) -> None:
    cache = Cache(tmp_path / "cache")
    header = {"include/linux/kconfig.h": b"", "arch/arm64/include/asm/module.lds.h": b""}
    bundle = make(cache, files=header)
    (provider.makefiles / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\n$(error broken)\n")
    with pytest.raises(DroidheadersError, match=r"host tools of .* cannot be built") as e:
        source_tree.provider(cache, bundle, provider.makefiles, {"CC": "gcc"})
    assert "apt-get install" in e.value.hint
    assert list((cache.root / "tools").iterdir()) == []


@pytest.mark.parametrize("number", [(5, 15), (6, 6), (7, 1)])
def test_debian_does_not_have_every_version(number: tuple[int, int]) -> None:
    with pytest.raises(DroidheadersError, match="Debian has no Makefiles") as e:
        providers.of_debian(number, KERNEL)
    assert "--source" in e.value.hint


def test_nothing_is_fetched_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DROIDHEADERS_GUEST_CACHE", str(tmp_path))
    with pytest.raises(DroidheadersError, match="not here yet"):
        providers.of_debian((6, 1), KERNEL, fetch=False)
    assert list(tmp_path.iterdir()) == []


def test_every_guest_has_one() -> None:
    for name in recipes.names():
        series = recipes.load(name).series
        major, _, minor = series.partition(".")
        assert (int(major), int(minor)) in providers.SUITES
