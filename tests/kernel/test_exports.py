"""What the sources of a kernel's exports tell, and what they do not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.kernel.exports import Export, Exports, merge, of_kallsyms, of_symvers, of_versions


@pytest.mark.parametrize(
    ("line", "name", "export"),
    [
        (  # until 5.3
            "0xf7370f56\tsystem_state\tvmlinux\tEXPORT_SYMBOL",
            "system_state",
            Export(0xF7370F56, "", False, "vmlinux"),
        ),
        (  # 5.4 and 5.5
            "0x1\tusb_stor_reset\tUSB_STORAGE\tdrivers/usb/storage/usb-storage\tEXPORT_SYMBOL_GPL",
            "usb_stor_reset",
            Export(1, "USB_STORAGE", True, "usb_storage"),
        ),
        (
            "0x00000001\tusb_stor_reset\tdrivers/usb/usb-storage\tEXPORT_SYMBOL_GPL\tUSB_STORAGE",
            "usb_stor_reset",
            Export(1, "USB_STORAGE", True, "usb_storage"),
        ),
        (
            "0x00000000\tmemcpy\tvmlinux\tEXPORT_SYMBOL\t\r",
            "memcpy",
            Export(None, "", False, "vmlinux"),
        ),
        (
            "0x1\tx\tfs/x.ko\tEXPORT_UNUSED_SYMBOL_GPL\t",
            "x",
            Export(1, "", True, "x"),
        ),
    ],
)
def test_lines_of_every_module_symvers(line: str, name: str, export: Export) -> None:
    found = of_symvers(f"{line}\n")
    assert found.symbols == {name: export}
    assert found.complete == (export.module == "vmlinux")


def test_the_first_line_of_a_symbol_holds() -> None:
    text = "0x1\ta\tvmlinux\tEXPORT_SYMBOL\t\n0x2\ta\tvmlinux\tEXPORT_SYMBOL\t\n"
    assert of_symvers(text).symbols["a"].crc == 1


@pytest.mark.parametrize(
    "text",
    [
        "0x1 a vmlinux EXPORT_SYMBOL\n",
        "0x123456789\ta\tvmlinux\tEXPORT_SYMBOL\n",
        "1\ta\tvmlinux\tEXPORT_SYMBOL\n",
        "0x1\t\tvmlinux\tEXPORT_SYMBOL\n",
        "0x1\ta\tvmlinux\n",
        "0x1\ta\tvmlinux\tEXPORTED\t\n",
        "0x1\ta\tb\tc\td\te\n",
        f"0x1\t{'a' * 512}\tvmlinux\tEXPORT_SYMBOL\t\n",
        "\x1b[31m\n",
    ],
)
def test_what_is_no_module_symvers_is_refused_with_its_line(text: str) -> None:
    good = "0x1\ta\tvmlinux\tEXPORT_SYMBOL\t\n"
    with pytest.raises(ValueError, match=r"^is no Module\.symvers: line 2 is '[ -~…]*'$"):
        of_symvers(good + text)


def test_an_empty_module_symvers_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^has no symbols$"):
        of_symvers("\r\n\n")


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert of_symvers(text).symbols
    except ValueError as e:
        assert str(e).startswith(("is no Module.symvers: line ", "has no symbols"))


KALLSYMS = b"""\
0000000000000000 T _printk
0000000000000000 r __ksymtab__printk
ffffffff82a3c0b4 R __ksymtab_kfree
ffffffff82a3c0b4 r __start___ksymtab_gpl
0000000000000000 r __ksymtab_odd.5ca0b6f0e1
0000000000000000 r __ksymtab_failover_register\t[failover]
0000000000000000 t failover_init\t[failover]
"""


def test_kallsyms_tells_who_exports_what_whatever_the_addresses() -> None:
    found = of_kallsyms(KALLSYMS)
    assert {name: export.module for name, export in found.symbols.items()} == {
        "_printk": "vmlinux",
        "kfree": "vmlinux",
        "odd": "vmlinux",
        "failover_register": "failover",
    }
    assert found.complete
    assert found.symbols["kfree"] == Export(None, None, None, "vmlinux")


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"0000000000000000 T _printk\n0000000000000000 D jiffies\n",  # no KALLSYMS_ALL
        b"0000000000000000 r __ksymtab_x\t[only_a_module]\n",
        b"grep: /proc/kallsyms: Permission denied\n",
        b"\xff\xfe __ksymtab_\n__ksymtab_x\n",
    ],
)
def test_without_the_kernel_s_own_table_absence_proves_nothing(lines: bytes) -> None:
    assert not of_kallsyms(lines).complete


@given(st.binary(max_size=300))
def test_any_lines_are_read(lines: bytes) -> None:
    assert of_kallsyms(b"0 r __ksymtab_x\n" + lines).symbols["x"].module == "vmlinux"


def test_crcs_of_modules_tell_a_part_and_a_dispute_tells_nothing() -> None:
    found = of_versions([{"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 0}, {"b": 2}])
    assert found.symbols == {"a": Export(1), "b": Export(None), "c": Export(None)}
    assert not found.complete


def test_sources_are_merged_by_trust_and_each_adds_what_it_knows() -> None:
    symvers = Exports({"a": Export(1, "", False, "vmlinux")}, complete=False, source="one")
    expected = Exports({"a": Export(2), "b": Export(3)}, complete=False, source="two")
    kallsyms = Exports({"b": Export(module="vmlinux")}, complete=True, source="three")
    nothing = Exports({}, complete=False, source="four")
    found = merge(symvers, expected, kallsyms, nothing)
    assert found.symbols == {
        "a": Export(1, "", False, "vmlinux"),
        "b": Export(3, None, None, "vmlinux"),
    }
    assert found.complete
    assert found.source == "one and two and three"
