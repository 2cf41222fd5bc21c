"""What modules and images tell, those that are not of this kernel, and hostile ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.build.symvers import Symvers
from droidheaders.build.tables import ModuleTables, of_image
from droidheaders.headers.wrapping import IMAGE, MODULE, Unwrapped
from droidheaders.kernel.exports import Export, of_symvers
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.known import ConflictError, merge
from tests import images
from tests.images import note
from tests.ksymtabs import SYMBOLS, image
from tests.modules import RELEASE, module

KERNEL = KernelIdentity(RELEASE, images.VERSION, "aarch64", images.BUILD_ID.hex())


def test_modules() -> None:
    told = ModuleTables(RELEASE)
    told.add("a.ko", module(exports={"own": (3, "NS", True)}, versions={"kfree": 1, "zero": 0}))
    told.add("b.ko", module(versions={"own": 3, "kfree": 1, "printk": 5}))
    told.add("c.ko.xz", b"\xfd7zXZ\0")
    told.add("d.ko", module(info=("vermagic=6.1.98-other SMP", "name=d"), versions={"kfree": 9}))
    exports, versions = told.tables()
    assert exports.symbols["own"].export == Export(3, "NS", True, "probe")
    assert str(exports.symbols["own"]) == "__kcrctab of a.ko"
    assert {n: k.export.crc for n, k in versions.symbols.items()} == {
        "kfree": 1,
        "own": 3,
        "printk": 5,
    }
    assert told.left_out() == [
        f"d.ko is of another kernel than {RELEASE}",
        "c.ko.xz is compressed, and cut off",
    ]


def test_a_module_of_another_release_that_the_kernel_has_loaded() -> None:
    vendors = ("vermagic=6.1.98-vendor SMP", "name=d")
    data = module(
        info=vendors, versions={"kfree": 9}, sections={".note.gnu.build-id": note(b"\xab" * 20)}
    )
    for loaded, known in (({"ab" * 20}, {"kfree"}), ({"cd" * 20}, set()), ({""}, set())):
        told = ModuleTables(RELEASE, loaded)
        told.add("d.ko", data)
        assert {name for table in told.tables() for name in table.symbols} == known


def test_modules_that_are_much_when_decompressed() -> None:
    """Each may be as large as a module may, and all together not so large as all of that."""
    told = ModuleTables(RELEASE)
    for number in range(80):
        told.add(f"{number}.ko.xz", b"\xfd7zXZ\0")
    told.add("a.ko", module(versions={"kfree": 1}))
    assert told.tables() == ()
    assert told.left_out() == [
        "0.ko.xz is compressed, and cut off, and 63 more are no good",
        "17 modules come behind 16 GiB of others",
    ]


def test_modules_that_contradict_each_other() -> None:
    told = ModuleTables(RELEASE)
    told.add("a.ko", module(versions={"kfree": 1}))
    with pytest.raises(ConflictError, match=r"in __versions of a.ko, and 0x00000002 in .* b.ko"):
        told.add("b.ko", module(versions={"kfree": 2}))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9)))
def test_names_are_words_or_left_out(names: list[str]) -> None:
    """A Module.symvers can be read again, whatever the names in a module are."""
    told = ModuleTables(RELEASE)
    safe = [name.replace("\0", "") for name in names]
    told.add("a.ko", module(exports={name: (1, name, True) for name in safe if name}))
    symbols = merge(told.tables())
    text = Symvers(symbols, RELEASE, whole=False).text()
    if symbols:
        assert of_symvers(text).symbols.keys() == symbols.keys()


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        (KERNEL, ""),
        (KernelIdentity(RELEASE, "", "aarch64", ""), ""),
        (KernelIdentity(RELEASE, images.VERSION, "aarch64", "ee" * 20), "its build-id is 0001"),
        (KernelIdentity("6.1.98", "", "aarch64", ""), f"it is {RELEASE}"),
        (KernelIdentity(RELEASE, "#2 SMP", "aarch64", ""), "and not #2 SMP"),
    ],
)
def test_image_of_this_kernel(kernel: KernelIdentity, says: str) -> None:
    data = image(before=images.kernel(banners=images.banner(RELEASE)))
    opened = Unwrapped(IMAGE, IMAGE, memoryview(data))
    if says:
        with pytest.raises(ValueError, match=f"another kernel than .*{says}"):
            of_image(opened, kernel, "boot")
    else:
        table = of_image(opened, kernel, "boot")
        assert table.whole
        assert len(table.symbols) == len(SYMBOLS)


def test_no_image() -> None:
    with pytest.raises(ValueError, match="is no kernel image"):
        of_image(Unwrapped(MODULE, MODULE, memoryview(b"")), KERNEL, "a")
