"""The configuration that Makefiles read, which a device says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from droidheaders.build import autoconf
from droidheaders.cache import Cache
from droidheaders.errors import HeadersError
from droidheaders.kernel.kconfig import Kconfig
from tests.cache.making import make

AUTOCONF = "include/generated/autoconf.h"
NAMES = st.from_regex(r"CONFIG_[A-Z0-9_]{1,12}(_VERSION_TEXT)?", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), max_size=20)


@pytest.mark.parametrize(
    ("number", "line"),
    [
        ((5, 10), 'CONFIG_BUILD_SALT="a b"'),
        ((5, 16), 'CONFIG_BUILD_SALT="a b"'),
        ((5, 17), "CONFIG_BUILD_SALT=a b"),
        ((6, 12), "CONFIG_BUILD_SALT=a b"),
    ],
)
def test_the_style_that_makefiles_read(number: tuple[int, int], line: str) -> None:
    options = {"CONFIG_BUILD_SALT": '"a b"', "CONFIG_A": "m", "CONFIG_HZ": "250"}
    text = autoconf.auto_conf(options, number)
    assert text == f"CONFIG_A=m\n{line}\nCONFIG_HZ=250\n"


@pytest.mark.parametrize(
    ("name", "value", "safe"),
    [
        ("X", "y", True),
        ("X", "0xffffffffc0000000", True),
        ("X", "-1", True),
        ("X", '""', True),
        ("CC_VERSION_TEXT", '"gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0"', True),
        (
            "CC_VERSION_TEXT",
            '"Android (8508608, based on r450784e) clang version 14.0.7 (https://a.b/c d0)"',
            True,
        ),
        ("CC_IMPLICIT_FALLTHROUGH", '"-Wimplicit-fallthrough=5"', True),
        ("CC_IMPLICIT_FALLTHROUGH", '"-fplugin=/tmp/x.so"', False),
        ("CC_IMPLICIT_FALLTHROUGH", '"-Wp,-include,/etc/passwd"', False),
        ("CC_IMPLICIT_FALLTHROUGH", '"-Wimplicit-fallthrough=5 -wrapper x"', False),
        ("CC_VERSION_TEXT", '"gcc `id`"', False),
        ("CC_VERSION_TEXT", '"gcc $(id)"', False),
        ("DEFAULT_HOSTNAME", '"(none)"', False),
        ("X", '"$(shell id)"', False),
        ("X", '"a;b"', False),
        ("X", '"a\\"b"', False),
        ("X", "$(shell id)", False),
        ("SHELL", '"/tmp/x"', False),
    ],
)
def test_what_is_left_out(name: str, value: str, safe: bool) -> None:
    assert bool(autoconf.safe({f"CONFIG_{name}": value})) is safe


@settings(max_examples=25, deadline=None)
@given(
    options=st.dictionaries(NAMES, TEXTS | TEXTS.map(lambda text: f'"{text}"'), max_size=20),
    number=st.sampled_from([(5, 10), (6, 1)]),
)
def test_make_reads_each_value_as_it_is(options: dict[str, str], number: tuple[int, int]) -> None:
    safe = autoconf.safe(options)
    lines = "".join(f"$(info $({name}))\n" for name in sorted(safe))
    text = f"{autoconf.auto_conf(safe, number)}{lines}all: ;\n"
    done = subprocess.run(
        ["make", "-s", "-f", "-"], input=text.encode(), capture_output=True, check=False
    )
    values = [safe[name] for name in sorted(safe)]
    said = values if number < (5, 17) else [value.strip('"') for value in values]
    assert done.stdout.decode().split("\n")[:-1] == [one.lstrip() for one in said]
    assert (done.returncode, done.stderr) == (0, b"")


def test_hostile_options_run_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    texts = (f"$(shell touch {touched})", f"`touch {touched}`", f'";touch {touched};"')
    config = "".join(f'CONFIG_{i}="{text}"\n' for i, text in enumerate(texts))
    safe = autoconf.safe(Kconfig.parse(f"CONFIG_Y=y\n{config}").written)
    makefile = autoconf.auto_conf(safe, (6, 1)) + 'all:\n\techo "$(CONFIG_0)$(CONFIG_1)$(CONFIG_2)"'
    subprocess.run(["make", "-f", "-"], input=makefile.encode(), capture_output=True, check=True)
    assert not touched.exists()
    assert safe == {"CONFIG_Y": "y"}


def test_of_the_headers_where_there_is_no_ikconfig(tmp_path: Path) -> None:
    header = '#define CONFIG_A 1\n#define CONFIG_B_MODULE 1\n#define CONFIG_S "t"\n'
    header += "#define CONFIG_N 7\n"
    cache = Cache(tmp_path / "cache")
    bundle = make(cache, files={AUTOCONF: header.encode()})
    assert autoconf.options(bundle.path) == {"CONFIG_IKHEADERS": "y"}
    (bundle.path / "config").unlink()
    found = autoconf.options(bundle.path)
    assert found == {"CONFIG_A": "y", "CONFIG_B": "m", "CONFIG_S": '"t"', "CONFIG_N": "7"}


def test_a_damaged_configuration(tmp_path: Path) -> None:
    bundle = make(Cache(tmp_path / "cache"))
    (bundle.path / "config").write_bytes(b"\0\1\2")
    with pytest.raises(HeadersError, match="holds no configuration"):
        autoconf.options(bundle.path)
