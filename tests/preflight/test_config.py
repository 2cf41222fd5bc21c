"""Are options set as somebody wants them: one by one, and by a fragment."""

from __future__ import annotations

import pytest

from droidheaders.errors import UsageError
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.config import Wanted, fragment, judge
from tests.preflight.facts import answers, facts

CONFIG = """\
#
# Automatically generated file; DO NOT EDIT.
# Linux/arm64 6.1.99 Kernel Configuration
#
CONFIG_IKHEADERS=m
CONFIG_IKCONFIG=y
# CONFIG_KASAN is not set
CONFIG_HZ=250
CONFIG_ILLEGAL_POINTER_VALUE=0xdead000000000000
CONFIG_LOCALVERSION="-4k"
CONFIG_CMDLINE="a=\\"b\\" c"
CONFIG_CC_VERSION_TEXT="clang \x1b[2J"
CONFIG_EMPTY=""
"""
PATH = "/proc/config.gz"
# In the manner of AOSP's kernel/configs, android-base.config.
FRAGMENT = b"""\
# KEEP ALPHABETICALLY SORTED
# CONFIG_KASAN is not set
# CONFIG_OABI_COMPAT is not set

CONFIG_IKCONFIG=y
CONFIG_IKHEADERS=m
CONFIG_LOCALVERSION="-4k"
CONFIG_NET=y
"""


@pytest.mark.parametrize(
    ("query", "name", "value"),
    [
        ("IKHEADERS", "CONFIG_IKHEADERS", "set"),
        ("CONFIG_IKHEADERS", "CONFIG_IKHEADERS", "set"),
        (" CONFIG_IKHEADERS=m\n", "CONFIG_IKHEADERS", "m"),
        ("HZ=250", "CONFIG_HZ", "250"),
        ("LOCALVERSION=-4k", "CONFIG_LOCALVERSION", "-4k"),
        ('CONFIG_LOCALVERSION="-4k"', "CONFIG_LOCALVERSION", "-4k"),
        ("CONFIG_EMPTY=", "CONFIG_EMPTY", ""),
        ("CMDLINE=console=tty0 quiet", "CONFIG_CMDLINE", "console=tty0 quiet"),
        ("64BIT=y", "CONFIG_64BIT", "y"),
    ],
)
def test_questions(query: str, name: str, value: str) -> None:
    assert Wanted.parse(query) == Wanted(name, value)


@pytest.mark.parametrize(
    "query", ["", "=y", "CONFIG-X", "a b", "X\ny=1", "\x1b[2J", "CONFIG_Ä", "--x"]
)
def test_what_is_no_question(query: str) -> None:
    with pytest.raises(UsageError, match="is no option of a kernel's configuration") as raised:
        Wanted.parse(query)
    assert raised.value.message.isprintable()
    assert raised.value.hint == "droidheaders check --config CONFIG_IKHEADERS"


@pytest.mark.parametrize(
    ("query", "verdict", "because"),
    [
        ("IKHEADERS", "yes", "m"),
        ("IKHEADERS=m", "yes", "m"),
        ("IKHEADERS=y", "no", "m"),
        ("IKHEADERS=n", "no", "m"),
        ("IKCONFIG=m", "yes", "y"),
        ("IKCONFIG=y", "yes", "y"),
        ("KASAN", "no", "n"),
        ("KASAN=n", "yes", "n"),
        ("KASAN=y", "no", "n"),
        ("ABSENT", "no", "not named"),
        ("ABSENT=n", "yes", "not named"),
        ("ABSENT=m", "no", "not named"),
        ("ABSENT=1", "no", "not named"),
        ("HZ=250", "yes", "250"),
        ("HZ=0250", "no", "250"),
        ("HZ", "yes", "250"),
        ("ILLEGAL_POINTER_VALUE=0xdead000000000000", "yes", "0xdead000000000000"),
        ("ILLEGAL_POINTER_VALUE=0xdead", "no", "0xdead000000000000"),
        ("LOCALVERSION=-4k", "yes", '"-4k"'),
        ("LOCALVERSION=", "no", '"-4k"'),
        ("EMPTY=", "yes", '""'),
        ('CMDLINE=a="b" c', "yes", r'"a=\"b\" c"'),
        ("CC_VERSION_TEXT=gcc", "no", r'"clang \x1b[2J"'),
    ],
)
def test_answers(query: str, verdict: str, because: str) -> None:
    wanted = Wanted.parse(query)
    answer = wanted.answer(Kconfig.parse(CONFIG), PATH)
    more = f", wanted {wanted.value}" if verdict == "no" and wanted.value != "set" else ""
    assert answer == Answer(wanted.name, verdict, f"{because} in {PATH}{more}")  # type: ignore[arg-type]


def test_a_question_is_made_safe() -> None:
    answer = Wanted.parse("HZ=\x1b[2J").answer(Kconfig.parse(CONFIG), PATH)
    assert answer.because == rf"250 in {PATH}, wanted \x1b[2J"


def test_a_fragment() -> None:
    assert fragment(FRAGMENT, "android-base.config") == [
        Wanted("CONFIG_KASAN", "n"),
        Wanted("CONFIG_OABI_COMPAT", "n"),
        Wanted("CONFIG_IKCONFIG", "y"),
        Wanted("CONFIG_IKHEADERS", "m"),
        Wanted("CONFIG_LOCALVERSION", "-4k"),
        Wanted("CONFIG_NET", "y"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        FRAGMENT.replace(b"\n", b"\r\n"),
        FRAGMENT.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + FRAGMENT,
    ],
)
def test_a_fragment_from_windows(content: bytes) -> None:
    assert fragment(content, "f") == fragment(FRAGMENT, "f")


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"\x7fELF" + bytes(range(256)) * 9])
def test_what_is_no_fragment(content: bytes) -> None:
    with pytest.raises(UsageError, match=r"^f holds no configuration"):
        fragment(content, "f")


def test_what_a_fragment_lacks_is_listed() -> None:
    report = judge(facts(CONFIG), fragment(FRAGMENT, "f"))
    because = f"1 of 6 options are not as wanted in {PATH}"
    assert report.answer == Answer("config", "no", because)
    assert {name for name, a in answers(report).items() if a.verdict == "no"} == {"CONFIG_NET"}
    assert report.facts["path"] == PATH
    assert report.facts["options"] == 9
    assert report.facts["asked"]["CONFIG_NET"] == {"value": None, "wanted": "y"}
    assert report.facts["asked"]["CONFIG_KASAN"] == {"value": "n", "wanted": "n"}
    assert report.facts["asked"]["CONFIG_LOCALVERSION"] == {"value": "-4k", "wanted": "-4k"}


def test_all_as_wanted() -> None:
    report = judge(facts(CONFIG), [Wanted.parse("IKCONFIG=y"), Wanted.parse("HZ=250")])
    assert report.answer == Answer("config", "yes", f"as wanted in {PATH}")


def test_nothing_wanted() -> None:
    report = judge(facts(CONFIG), [])
    assert report.answer == Answer("config", "yes", f"9 options in {PATH}")
    assert report.details == ()
    assert report.facts["asked"] == {}


def test_no_configuration() -> None:
    report = judge(facts(None), [Wanted.parse("HZ")])
    assert report.answer == Answer("config", "unknown", f"{PATH} is not there")
    assert answers(report) == {"CONFIG_HZ": Answer("CONFIG_HZ", "unknown", f"{PATH} is not there")}
    assert report.facts == {
        "path": None,
        "options": None,
        "asked": {"CONFIG_HZ": {"value": None, "wanted": "set"}},
        "disputed": [],
    }


@pytest.mark.parametrize(
    ("disputed", "told"),
    [
        (("CONFIG_HZ",), "1 option is otherwise in the cached headers: CONFIG_HZ"),
        (tuple("abcd"), "4 options are otherwise in the cached headers: a, b, c, …"),
    ],
)
def test_two_sources_that_disagree(disputed: tuple[str, ...], told: str) -> None:
    report = judge(facts(CONFIG, disputed=disputed), [])
    assert report.answer.verdict == "risky"
    assert answers(report)["disputed"] == Answer(
        "disputed", "risky", told, "droidheaders pull --refresh"
    )
    assert report.facts["disputed"] == list(disputed)
