"""Complaints of kernels: told apart, counted, allowed and denied."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from droidheaders.errors import UsageError
from droidheaders.loop import known
from droidheaders.loop.complaints import complaints
from droidheaders.loop.fingerprint import fingerprint
from droidheaders.loop.known import Known
from droidheaders.loop.results import Complaint
from droidheaders.run.splat import Splat


def _complaints(log: str, what: Known | None = None, release: str = "") -> tuple[Complaint, ...]:
    return complaints(log.split("\n"), what or Known(), release)


WARNING = """\
[ {t}.100000] ------------[ cut here ]------------
[ {t}.100001] WARNING: CPU: {cpu} PID: 7{cpu} at {where}/x.c:65 make+0x{off}/0x164 [x]
[ {t}.100002] Call trace:
[ {t}.100003]  make+0x{off}/0x164 [x]
[ {t}.100004]  init+0xd0/0x1000 [x]
[ {t}.100005] ---[ end trace 0000000000000000 ]---
"""


def test_a_complaint_is_counted_once_each() -> None:
    log = "".join(WARNING.format(t=10 + n, cpu=n, where=f"/tmp/{n}", off=70 + n) for n in range(3))
    [one] = _complaints(log)
    assert (one.count, one.kind, one.module) == (3, "warning", "x")
    other = WARNING.format(t=1, cpu=0, where="/tmp", off=70).replace("init+", "exit+")
    assert len(_complaints(log + other)) == 2
    bare = ["[ 1.000000] BUG: scheduling while atomic: a/12/0x0002", "[ 2.000000] x"]
    again = ["[ 1.000000] BUG: scheduling while atomic: a/77/0x0009"]
    [first], [second] = _complaints("\n".join(bare)), _complaints("\n".join(again))
    assert first.fingerprint == second.fingerprint


def test_a_fingerprint_outlives_builds_and_boots() -> None:
    one = Splat("oops", "a", ("f.constprop.0+0x1/0x9", "ffff800008123456", "g+0x2/0x9 [m]"))
    two = Splat("oops", "b", ("f.isra.3+0x7/0x9", "g.llvm.1234567+0x3/0x9 [m 12ab]"))
    assert fingerprint(one) == fingerprint(two)
    assert fingerprint(one) != fingerprint(Splat("warning", "a", one.frames))
    addresses = Splat("oops", "at 0xdead", ("ffff800008123456",))
    assert fingerprint(addresses) == fingerprint(Splat("oops", "at 0xbeef", ("ffff80000fedcba9",)))


def test_more_than_a_run_keeps_are_counted() -> None:
    log = "".join(WARNING.format(t=10 + n, cpu=n, where="/tmp", off=70) for n in range(40))
    [one] = _complaints(log)
    assert one.count == 40


LOG = WARNING.format(t=1, cpu=0, where="/tmp", off=70)


def _known(place: Path, allow: str = "", deny: str = "") -> Known:
    (place / "allow.toml").write_text(allow)
    (place / "deny.toml").write_text(deny)
    return known.load([place / "allow.toml"], [place / "deny.toml"])


@pytest.mark.parametrize(
    ("entry", "allowed"),
    [
        ('kind = "warning"', True),
        ('kind = "oops"', False),
        ('title = "x\\\\.c:\\\\d+"', True),
        ('title = "^x"', False),
        ('frame = "^init$"', True),
        ('frame = "^ini$"', False),
        ('frame = "init"\nkernel = "5.10.*"', True),
        ('frame = "init"\nkernel = "5.1"', False),
        ('frame = "init"\nkind = "oops"', False),
        ('fingerprint = "@"', True),
        ('fingerprint = "000000000000"', False),
    ],
)
def test_what_is_known_is_allowed(tmp_path: Path, entry: str, allowed: bool) -> None:
    [mark] = [one.fingerprint for one in _complaints(LOG)]
    entry = entry.replace("@", mark)
    what = _known(tmp_path, f'[[splat]]\nreason = "old"\n{entry}\n')
    [one] = _complaints(LOG, what, "5.10.101")
    assert one.allowed == ("old" if allowed else "")


def test_one_that_is_not_allowed_is_not_hidden_by_one_that_is(tmp_path: Path) -> None:
    what = _known(tmp_path, '[[splat]]\nreason = "old"\ntitle = "/tmp/x"\n')
    [one] = _complaints(LOG + WARNING.format(t=2, cpu=0, where="/lib", off=70), what)
    assert (one.count, one.allowed) == (2, "")
    assert "/lib/" in one.title


def test_a_line_that_is_denied_is_a_complaint(tmp_path: Path) -> None:
    what = _known(
        tmp_path, deny='[[line]]\npattern = "clock \\\\w+ unstable"\nreason = "bad board"'
    )
    [one] = _complaints("[ 1.0] clock a unstable\x1b\n[ 1.1] fine\n[ 1.2] clock b unstable", what)
    assert (one.kind, one.count, one.allowed) == ("denied", 2, "")
    assert one.title == r"[ 1.0] clock a unstable\x1b: bad board"


@pytest.mark.parametrize(
    ("allow", "deny", "said"),
    [
        ("[[splat]]\nkind = 1", "", "splat[1].kind is not one of atomic, cfi,"),
        ('[[splat]]\nkind = "warning"', "", "splat[1].reason is missing"),
        ('[[splat]]\nreason = "x"\nkernel = "6*"', "", "splat[1].kind is missing, and title,"),
        ('[[splat]]\nreason = "x"\ntitel = "y"', "", "splat[1].titel is unknown here; the nearest"),
        ('[[splat]]\nreason = "x"\ntitle = "("', "", "splat[1].title is no regular expression"),
        ('[[splat]]\nreason = "x"\nfingerprint = "12"', "", "fingerprint is not 12 hex digits"),
        ("[splat]", "", "splat is not a list of tables"),
        ("[[splats]]", "", "splats is unknown here; the nearest key is splat"),
        ("", '[[line]]\nreason = "x"', "line[1].pattern is missing"),
        ("", '[[line]]\npattern = "x"\nreason = "x"\nkind = "x"', "line[1].kind is unknown"),
        ("", "line =", "is not TOML"),
    ],
)
def test_a_file_that_is_wrong_is_told_with_its_key(
    tmp_path: Path, allow: str, deny: str, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        _known(tmp_path, allow, deny)
    assert said in caught.value.message
    assert ("deny.toml" if deny else "allow.toml") in caught.value.message


@given(st.lists(st.text(max_size=80), max_size=40))
def test_anything_may_be_in_a_log(lines: list[str]) -> None:
    for one in complaints(lines, Known(), "6.1"):
        assert one.count >= 1
        assert one.title.isprintable()
