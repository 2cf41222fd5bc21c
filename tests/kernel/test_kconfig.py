"""Configurations as Kconfig writes them, and as they arrive."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.kernel.kconfig import Kconfig

GOLDEN = Path(__file__).parent / "golden"

SMALL = """\
#
# Automatically generated file; DO NOT EDIT.
#
CONFIG_BPF=y
CONFIG_IKHEADERS=m
# CONFIG_KASAN is not set
CONFIG_HZ=250
CONFIG_PANIC_TIMEOUT=-1
CONFIG_PHYSICAL_START=0x1000000
CONFIG_LOCALVERSION=""
CONFIG_CMDLINE="console=\\"ttyS0\\" C:\\\\x=\\\\"
"""
VALUES = {
    "CONFIG_BPF": "y",
    "CONFIG_IKHEADERS": "m",
    "CONFIG_KASAN": "n",
    "CONFIG_HZ": "250",
    "CONFIG_PANIC_TIMEOUT": "-1",
    "CONFIG_PHYSICAL_START": "0x1000000",
    "CONFIG_LOCALVERSION": "",
    "CONFIG_CMDLINE": 'console="ttyS0" C:\\x=\\',
}


def test_every_kind_of_value() -> None:
    config = Kconfig.parse(SMALL)
    assert dict(config) == VALUES
    assert len(config) == len(VALUES)


def test_absent_is_not_n() -> None:
    config = Kconfig.parse(SMALL)
    assert config.get("CONFIG_KASAN") == "n"
    assert config.get("CONFIG_KFENCE") is None
    assert "CONFIG_KFENCE" not in config


def test_names_with_and_without_the_prefix() -> None:
    config = Kconfig.parse(SMALL)
    assert config["HZ"] == config["CONFIG_HZ"] == "250"
    assert "HZ" in config
    assert config.get("hz") is None


@pytest.mark.parametrize("content", [SMALL, "\ufeff" + SMALL, SMALL.replace("\n", "\r\n")])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_windows_makes_of_it(content: str, encoding: str) -> None:
    assert dict(Kconfig.parse(content.encode(encoding))) == VALUES
    assert dict(Kconfig.parse(content)) == VALUES


def test_the_last_setting_holds() -> None:
    config = Kconfig.parse("CONFIG_A=y\nCONFIG_B=y\n# CONFIG_A is not set\nCONFIG_B=m\n")
    assert dict(config) == {"CONFIG_A": "n", "CONFIG_B": "m"}


def test_a_file_that_was_cut_off_has_what_came_before() -> None:
    whole = SMALL.encode()
    for end in range(len(whole)):
        try:
            config = Kconfig.parse(whole[:end])
        except ValueError:
            assert b"CONFIG_BPF=y" not in whole[:end]
            continue
        *rest, _last = config.items() if not whole[:end].endswith(b"\n") else [*config.items(), 0]
        assert set(rest) <= set(VALUES.items())


@pytest.mark.parametrize("line", ["CONFIG_B", "CONFIG_B=", 'CONFIG_B="open', "# CONFIG_B is not"])
def test_a_line_that_was_cut_off_says_nothing(line: str) -> None:
    assert dict(Kconfig.parse(f"CONFIG_A=y\n{line}")) == {"CONFIG_A": "y"}


def test_long_values() -> None:
    long = "x" * (64 << 10)
    assert Kconfig.parse(f'CONFIG_EXTRA_FIRMWARE="{long}"\n')["EXTRA_FIRMWARE"] == long


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "holds no configuration"),
        (b"# nothing\n", "holds no configuration"),
        (bytes(range(256)) * 100, "holds no configuration"),
        (b"CONFIG_A=y\n" + b"\x1b[31m\n" * 9, r"is no configuration: line 2 is '\\\\x1b\[31m'"),
        (b"\xff\xfe", "holds no configuration"),
        (b"\0" * (16 << 20) + b"\0", "larger than 16 MiB"),
    ],
    ids=["empty", "comment", "binary", "terminal", "mark", "huge"],
)
def test_what_is_no_configuration(content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Kconfig.parse(content)


def test_a_few_stray_lines_are_passed_over() -> None:
    assert dict(Kconfig.parse("$ zcat /proc/config.gz\nCONFIG_A=y\n$ \n")) == {"CONFIG_A": "y"}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "config-5.10-arm64",
            {
                "CC_VERSION_TEXT": "gcc-10 (Debian 10.2.1-6) 10.2.1 20210110",
                "ARM64_VA_BITS": "48",
                "CMDLINE": "",
                "MODULE_SIG_ALL": "n",
                "BPF_LSM": "y",
                "RANDSTRUCT_NONE": None,
            },
        ),
        (
            "config-6.12-x86_64",
            {
                "PHYSICAL_START": "0x1000000",
                "KASAN": "n",
                "DEBUG_INFO_BTF_MODULES": "y",
                "MODULE_SIG_ALL": None,
                "RANDSTRUCT_NONE": "y",
                "LSM": "landlock,lockdown,yama,loadpin,safesetid,integrity,apparmor,selinux,smack,"
                "tomoyo,bpf,ipe",
            },
        ),
    ],
)
def test_real_ones(file: str, expected: dict[str, str | None]) -> None:
    content = (GOLDEN / file).read_bytes()
    config = Kconfig.parse(content)
    assert {name: config.get(name) for name in expected} == expected
    settings = [line for line in content.decode().splitlines() if "CONFIG_" in line]
    assert [_line(name, value) for name, value in config.written.items()] == settings


def _line(name: str, written: str) -> str:
    return f"# {name} is not set" if written == "n" else f"{name}={written}"


NAMES = st.from_regex(r"CONFIG_[A-Za-z0-9_]{1,40}", fullmatch=True)
STRINGS = st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))
NUMBERS = st.integers().map(str) | st.integers(min_value=0).map(hex)


@given(
    st.dictionaries(
        NAMES,
        st.tuples(st.just(""), st.sampled_from("ymn") | NUMBERS) | st.tuples(st.just('"'), STRINGS),
        min_size=1,
    ),
    st.sampled_from(["utf-8", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_kconfig_writes_is_read_again(
    options: dict[str, tuple[str, str]], encoding: str, end: str
) -> None:
    """Strings are escaped as by escape_string_value() of confdata.c."""
    lines = [
        _line(name, quote + value.replace("\\", "\\\\").replace('"', '\\"') + quote)
        for name, (quote, value) in options.items()
    ]
    config = Kconfig.parse((end.join(lines) + end).encode(encoding))
    assert dict(config) == {name: value for name, (_, value) in options.items()}


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_anything_is_a_configuration_or_a_sentence(content: bytes | str) -> None:
    try:
        config = Kconfig.parse(b"CONFIG_A=y\n" + content if isinstance(content, bytes) else content)
    except ValueError as e:
        assert str(e).isprintable()
    else:
        assert len(config) > 0
