from __future__ import annotations

from pathlib import Path

import pytest

from droidheaders.build import symvers
from droidheaders.build.symvers import Symvers
from droidheaders.cache import Cache, collected
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.kernel.exports import Export, of_symvers
from droidheaders.kernel.known import Known, Table
from tests.cache.making import make

LINES = (
    "0x00000022\tclk_get\tvmlinux\tEXPORT_SYMBOL_GPL\tCLK\n"
    "0x00000011\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n"
    "0x00000000\tmemcpy\tvmlinux\tEXPORT_SYMBOL\t\n"
    "0x00000033\tnew\tdrivers/a-b\tEXPORT_SYMBOL_GPL\t\n"
)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def official(tmp_path: Path) -> Path:
    (tmp_path / "Module.symvers").write_text(LINES)
    return tmp_path / "Module.symvers"


def known(**symbols: Export) -> dict[str, Known]:
    return {name: Known(export, "image", "boot") for name, export in symbols.items()}


def test_nothing_known(cache: Cache) -> None:
    none = symvers.of(cache, make(cache))
    assert (none.symbols, none.text(), none.whole) == ({}, "", False)
    assert none.coverage == {"symbols": 0, "crcs": 0}


def test_official_and_collected(cache: Cache, official: Path) -> None:
    bundle = make(cache)
    table = Table("image", known(kfree=Export(0x11), kmalloc=Export(0x44, "", False, "vmlinux")))
    collected.add(cache, bundle, [table])
    both = symvers.of(cache, bundle, [official])
    assert both.coverage == {"symbols": 5, "crcs": 4, "official": 4, "image": 1}
    assert both.whole
    assert both.symbols["kfree"].source == str(official)
    assert both.symbols["kmalloc"].source == "boot"
    assert both.exports().source == "its Module.symvers and its image"
    keys = {symvers.read(cache, bundle, files).key for files in ([official], [], [official])}
    assert len(keys) == 2
    assert both.text(["kmalloc"]) == "0x00000044\tkmalloc\tvmlinux\tEXPORT_SYMBOL\t\n"


def test_text_is_what_was_read(cache: Cache, official: Path) -> None:
    text = symvers.of(cache, make(cache), [official]).text()
    assert text == LINES.replace("drivers/a-b", "a_b")
    assert of_symvers(text).symbols == of_symvers(LINES).symbols


@pytest.mark.parametrize(
    ("release", "line"),
    [
        ("5.2.1", "0x00000022\tclk_get\tvmlinux\tEXPORT_SYMBOL_GPL\n"),
        ("5.4.28-a", "0x00000022\tclk_get\tCLK\tvmlinux\tEXPORT_SYMBOL_GPL\n"),
        ("5.4.61-android12", "0x00000022\tclk_get\tvmlinux\tEXPORT_SYMBOL_GPL\tCLK\n"),
        ("5.5.0", "0x00000022\tclk_get\tCLK\tvmlinux\tEXPORT_SYMBOL_GPL\n"),
        ("5.10.223", "0x00000022\tclk_get\tvmlinux\tEXPORT_SYMBOL_GPL\tCLK\n"),
        ("6.12-rc1", "0x00000022\tclk_get\tvmlinux\tEXPORT_SYMBOL_GPL\tCLK\n"),
        ("mine", "0x00000022\tclk_get\tvmlinux\tEXPORT_SYMBOL_GPL\tCLK\n"),
    ],
)
def test_columns_by_release(release: str, line: str) -> None:
    symbols = known(clk_get=Export(0x22, "CLK", True, "vmlinux"))
    assert Symvers(symbols, release, whole=True).text() == line


def test_what_is_not_known_is_for_all_and_vmlinuxs() -> None:
    symbols = {"kfree": Known(Export(1), "versions", "a.ko")}
    line = "0x00000001\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n"
    assert Symvers(symbols, "6.1", whole=False).text() == line


def test_lacking(cache: Cache, official: Path) -> None:
    names = ["memcpy", "kfree", "nosuch"]
    told = symvers.of(cache, make(cache), [official])
    assert told.lacking(names) == {"memcpy": "no CRC", "nosuch": "not exported by the kernel"}
    assert told.lacking(names, crcs=False) == {"nosuch": "not exported by the kernel"}
    assert Symvers({}, "6.1", whole=False).lacking(["a"]) == {"a": "not known"}


def test_conflict_names_both(cache: Cache, official: Path) -> None:
    bundle = make(cache)
    collected.add(cache, bundle, [Table("image", known(kfree=Export(0x12)))])
    with pytest.raises(DroidheadersError) as e:
        symvers.of(cache, bundle, [official])
    assert f"kfree has CRC 0x00000011 in {official}, and 0x00000012 in boot" in e.value.message
    assert str(bundle.kernel) in e.value.message
    assert "--forget" in e.value.hint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has no symbols"),
        (b"#include\n", "is no Module.symvers: line 1"),
        (None, "cannot read"),
    ],
)
def test_no_module_symvers(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "other"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        symvers.of_file(file)
