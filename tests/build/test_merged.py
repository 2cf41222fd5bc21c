"""What is kept of a kernel's symbols: the same as `symvers.of` says, and never of other files."""

from __future__ import annotations

from pathlib import Path

import pytest

from droidheaders.build import symvers
from droidheaders.build.merged import merged
from droidheaders.cache import Bundle, Cache, collected
from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.kernel.exports import Export
from droidheaders.kernel.known import Known, Table
from tests.cache.making import make

LINES = """\
0x00000012\tkfree\tvmlinux\tEXPORT_SYMBOL_GPL\t
0x00000000\t__lshrti3\tvmlinux\tEXPORT_SYMBOL\t
0x00000034\tpair\tdrivers/one-two\tEXPORT_SYMBOL\tPAIR
"""


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def bundle(cache: Cache) -> Bundle:
    return make(cache)


@pytest.fixture
def official(tmp_path: Path) -> Path:
    (tmp_path / "Module.symvers").write_text(LINES)
    return tmp_path / "Module.symvers"


@pytest.mark.parametrize("versioned", [True, False])
def test_it_says_what_its_sources_say(
    cache: Cache, bundle: Bundle, official: Path, versioned: bool
) -> None:
    known = symvers.of(cache, bundle, [official])
    for _ in range(2):  # made, and found again
        kept = merged(cache, bundle, [official], versioned=versioned)
        names = ["kfree", "pair"] if versioned else list(known.symbols)
        assert kept.text() == known.text(names)
        assert (kept.coverage, kept.whole) == (known.coverage, known.whole)
        exports, expected = kept.exports(), known.exports()
        assert dict(exports.symbols) == expected.symbols
        assert (exports.complete, exports.source) == (expected.complete, expected.source)
        assert ("kfree" in exports.symbols, "kfre" in exports.symbols) == (True, False)


def test_other_content_is_another(cache: Cache, bundle: Bundle, official: Path) -> None:
    none = merged(cache, bundle, versioned=True)
    assert (none.text(), dict(none.exports().symbols)) == ("", {})
    first = merged(cache, bundle, [official], versioned=True)
    official.write_text(LINES.replace("0x00000012", "0x00000013"))
    second = merged(cache, bundle, [official], versioned=True)
    assert first.exports().symbols["kfree"].crc == 0x12
    assert second.exports().symbols["kfree"].crc == 0x13
    table = Table("image", {"kfree": Known(Export(0x12), "image", "boot.img")})
    collected.add(cache, bundle, [table])
    assert merged(cache, bundle, versioned=True).coverage["image"] == 1
    # Of the file that contradicts it nothing is kept, though it was taken alone before.
    with pytest.raises(DroidheadersError, match="contradict each other"):
        merged(cache, bundle, [official], versioned=True)
    collected.forget(cache, bundle)
    assert merged(cache, bundle, versioned=True).path == none.path


def test_what_cannot_be_read(cache: Cache, bundle: Bundle, official: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*gone"):
        merged(cache, bundle, [official.with_name("gone")], versioned=True)
    kept = merged(cache, bundle, [official], versioned=True)
    (kept.path / "exports.json").write_text("{")
    with pytest.raises(DroidheadersError, match="is damaged") as e:
        kept.exports()
    assert e.value.hint == f"rm -r {kept.path}"
    (kept.path / "told.json").unlink()
    with pytest.raises(DroidheadersError, match="is damaged"):
        merged(cache, bundle, [official], versioned=True)
