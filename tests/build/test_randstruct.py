"""Kernels whose structures are shuffled: a module needs the very seed, and its hash tells which."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from droidheaders import equipping
from droidheaders.build import randstruct
from droidheaders.build.providers import Provider
from droidheaders.cache import Cache
from droidheaders.equipping import Wish
from droidheaders.errors import UnsupportedError
from tests.cache.making import make

SEED, OTHER = "0123456789abcdef" * 4, "fedcba9876543210" * 4
NEW = ("CONFIG_RANDSTRUCT_FULL", "randstruct_hash.h", "basic/randstruct.seed", "{}\n")
OLD = (
    "CONFIG_GCC_PLUGIN_RANDSTRUCT",
    "randomize_layout_hash.h",
    "gcc-plugins/randomize_layout_seed.h",
    'const char *randstruct_seed = "{}";\n',
)
Layout = tuple[str, str, str, str]


def put(provider: Provider, layout: Layout, seed: str) -> None:
    file = provider.scripts / layout[2]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(layout[3].format(seed))


def hashed(layout: Layout) -> dict[str, bytes]:
    digest = hashlib.sha256(SEED.encode()).hexdigest()
    define = f'#define RANDSTRUCT_HASHED_SEED "{digest}"\n'
    return {f"include/generated/{layout[1]}": define.encode()}


@pytest.mark.parametrize("layout", [NEW, OLD], ids=["5.19", "4.13"])
def test_the_seed_tells(tmp_path: Path, provider: Provider, layout: Layout) -> None:
    bundle = make(Cache(tmp_path / "cache"), files=hashed(layout))
    config = {layout[0]: "y"}
    for seed, why in ((None, "has no such seed"), (OTHER, "has another seed")):
        if seed:
            put(provider, layout, seed)
        with pytest.raises(UnsupportedError, match=why) as e:
            randstruct.check(bundle, config, provider)
        assert e.value.exit_code == 4
        assert "--provider TREE" in e.value.hint
    randstruct.check(bundle, {}, provider)
    put(provider, layout, SEED)
    randstruct.check(bundle, config, provider)


def test_a_seed_proves_nothing_where_the_headers_tell_no_hash(
    tmp_path: Path, provider: Provider
) -> None:
    put(provider, NEW, SEED)
    with pytest.raises(UnsupportedError, match="has no such seed"):
        randstruct.check(make(Cache(tmp_path / "cache")), {NEW[0]: "y"}, provider)


def test_no_kdir_without_the_seed_unless_forced(tmp_path: Path, provider: Provider) -> None:
    cache = Cache(tmp_path / "cache")
    defines = f"#define {NEW[0]} 1\n#define CONFIG_CC_IS_GCC 1\n".encode()
    files = {
        **hashed(NEW),
        "include/generated/autoconf.h": defines,
        "include/linux/kconfig.h": b"",
        "arch/arm64/include/asm/module.lds.h": b"",
    }
    bundle = make(cache, files=files, compiler="gcc (Debian 12.2.0-14) 12.2.0")
    (bundle.path / "config").unlink()
    with pytest.raises(UnsupportedError, match="secret seed"):
        equipping.equip(cache, bundle, Wish(provider=provider.makefiles))
    forced = equipping.equip(cache, bundle, Wish(provider=provider.makefiles, force=True))
    assert (forced.path / "Makefile").is_file()
    put(provider, NEW, SEED)
    assert equipping.equip(cache, bundle, Wish(provider=provider.makefiles)).path.is_dir()
