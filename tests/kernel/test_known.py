from __future__ import annotations

import pytest

from droidheaders.kernel.exports import Export
from droidheaders.kernel.known import ConflictError, Kind, Known, Table, merge


def table(kind: Kind, source: str, **symbols: Export) -> Table:
    return Table(kind, {name: Known(export, kind, source) for name, export in symbols.items()})


def test_the_most_trusted_counts_and_others_fill_what_it_does_not_say() -> None:
    found = merge(
        [
            table("versions", "b.ko", kfree=Export(1), seen=Export(7)),
            table("exports", "a.ko", own=Export(3, "NS", True, "a"), kfree=Export(1, gpl=False)),
            table("image", "boot", kfree=Export(None, "", None, "vmlinux")),
        ]
    )
    assert found["kfree"] == Known(Export(1, "", False, "vmlinux"), "exports", "a.ko")
    assert found["own"] == Known(Export(3, "NS", True, "a"), "exports", "a.ko")
    assert found["seen"] == Known(Export(7), "versions", "b.ko")


def test_a_crc_keeps_the_name_of_who_told_it() -> None:
    official = table("official", "Module.symvers", kfree=Export(1, gpl=True))
    found = merge([table("image", "boot", kfree=Export(1, "NS", True, "vmlinux")), official])
    assert found["kfree"].source == "Module.symvers"
    assert found["kfree"].export == Export(1, "NS", True, "vmlinux")


@pytest.mark.parametrize(
    ("kind", "said"), [("exports", "__kcrctab of a.ko"), ("versions", "__versions of a.ko")]
)
def test_both_sides_of_a_conflict_are_named(kind: Kind, said: str) -> None:
    with pytest.raises(ConflictError) as e:
        merge([table(kind, "a.ko", kfree=Export(2)), table("image", "boot\x1b", kfree=Export(1))])
    assert str(e.value) == rf"kfree has CRC 0x00000001 in boot\x1b, and 0x00000002 in {said}"
