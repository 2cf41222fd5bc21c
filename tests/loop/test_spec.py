"""Specs: what they come to, and what is said of those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from droidheaders.errors import UsageError
from droidheaders.loop import memory
from droidheaders.loop import plan as plans
from droidheaders.loop.matrix import cases
from droidheaders.loop.own_kernel import on_kernel
from droidheaders.loop.plan import Plan, Target
from droidheaders.loop.spec import load

GOOD = """
personas = ["user", "su"]
timeout = 5
allow = ["Image", "lib"]
deny = "sh.sh"
[targets.old]
recipe = "5.10-arm64"
[targets.own]
recipe = "6.1-x86_64"
kernel = "Image"
modules = "lib"
personas = "root"
memory = 700
[targets.phones]
serials = ["A", "B"]
[tests.trace]
bpf = "trace.bpf.c"
expect = "seen"
trigger = ["one", "two"]
set = "uid=1"
for = 2.5
user = "root"
[tests.load]
module = "lib"
param = "x=1"
targets = "phones"
[tests.sh]
script = "sh.sh"
arguments = ["a b"]
timeout = 9
[tests.there]
host = "make check"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "lib").mkdir()
    for name in ("Image", "trace.bpf.c", "sh.sh"):
        (tmp_path / name).touch()
    return tmp_path


def written(place: Path, text: str) -> Path:
    (place / "spec.toml").write_text(text)
    return place / "spec.toml"


def test_a_spec_is_read(place: Path) -> None:
    plan = load(written(place, GOOD))
    old, own, phones = plan.targets
    assert (plan.name, plan.timeout) == ("spec", 5.0)
    assert (plan.allow, plan.deny) == ((place / "Image", place / "lib"), (place / "sh.sh",))
    assert old == Target("old", "5.10-arm64", personas=("user", "su"))
    assert (own.kernel, own.modules, own.memory) == (place / "Image", place / "lib", 700)
    assert (own.personas, phones.personas) == (("root",), ("",))
    assert phones.serials == ("A", "B")
    trace, module, script, host = plan.tests
    assert trace == plans.Test(
        "trace",
        "bpf",
        place / "trace.bpf.c",
        variables=("uid=1",),
        expect=("seen",),
        triggers=("one", "two"),
        seconds=2.5,
        user="root",
    )
    assert (module.parameters, module.targets) == (("x=1",), ("phones",))
    assert (script.arguments, script.timeout) == (("a b",), 9.0)
    assert (host.command, host.source) == ("make check", None)


def test_tests_that_tell_results_of_their_own(place: Path) -> None:
    text = '[tests.unit]\nkunit = "lib"\nmore = "Image"\n[tests.self]\nkselftest = "sh.sh"\n'
    unit, program = load(written(place, GOOD[: GOOD.index("[tests")] + text)).tests
    assert (unit.kind, unit.source, unit.more) == ("kunit", place / "lib", (place / "Image",))
    assert (program.kind, program.source) == ("kselftest", place / "sh.sh")


def test_each_test_on_each_target_as_each_persona(place: Path) -> None:
    plan = load(written(place, GOOD))
    names = [case.name for case in cases(plan)]
    assert names[:3] == ["old/user/trace", "old/user/sh", "old/user/there"]
    assert names[-4:] == ["phones/trace", "phones/load", "phones/sh", "phones/there"]
    assert len(names) == 6 + 3 + 4
    assert [case.name for case in cases(plan, "own/*/sh", 2)] == ["own/root/sh", "own/root/sh#2"]
    assert [case.name for case in cases(plan, "load")] == ["phones/load"]
    with pytest.raises(UsageError, match=r"no case of .* is called lod, such as old/user/trace is"):
        cases(plan, "lod")


WRONG = [
    ("personas = ]", r"is not TOML: .*line 1"),
    (GOOD.replace("expect", "exspect"), r"tests\.trace\.exspect is unknown.*nearest key is expect"),
    (
        GOOD.replace("personas", "personae"),
        r"personae is unknown here; the nearest key is personas",
    ),
    (GOOD.replace("for = 2.5", 'for = "long"'), r"tests\.trace\.for is not a number of seconds"),
    (GOOD.replace("for = 2.5", "for = nan"), r"tests\.trace\.for is not a number of seconds"),
    (
        GOOD.replace("memory = 700", "memory = 7"),
        r"targets\.own\.memory is not a whole number, 128",
    ),
    (GOOD.replace('deny = "sh.sh"', 'deny = "no.toml"'), r"deny is not there: .*no\.toml"),
    (
        GOOD.replace('script = "sh.sh"', 'script = "none.sh"'),
        r"tests\.sh\.script is not there: .*none\.sh",
    ),
    (GOOD.replace("5.10-arm64", "5.1-arm64"), r"recipe is none: 5\.1-arm64; there is 5\.10-arm64"),
    (GOOD.replace('recipe = "5.10-arm64"', ""), r"targets\.old\.recipe is missing"),
    (GOOD.replace('kernel = "Image"', ""), r"targets\.own\.kernel is missing"),
    (GOOD.replace('"su"]', '"shell"]'), r"personas has shell; root, su, user, userdebug"),
    (GOOD.replace('targets = "phones"', 'targets = "phone"'), r"has phone, which is no target"),
    (GOOD.replace("arguments", "expect"), r"tests\.sh\.expect is unknown here"),
    (
        GOOD.replace('host = "make check"', ""),
        r"has nothing to run; one of bpf, host, kselftest, kunit, module",
    ),
    (GOOD.replace('user = "root"', 'user = "me"'), r"tests\.trace\.user is not one of root, shell"),
    (GOOD.replace('param = "x=1"', 'script = "sh.sh"'), r"is two kinds of test: module and script"),
    ("[tests.a]\nhost = 'true'", r"targets has nothing in it"),
    ("[targets.a]\nserials = 'A'", r"tests has nothing in it"),
    ("targets = 3", r"targets is not a table of tables"),
]


@pytest.mark.parametrize(("text", "said"), WRONG, ids=[row[1][:40] for row in WRONG])
def test_what_is_wrong_is_named(place: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        load(written(place, text))
    assert "spec.toml" in caught.value.message


def test_a_spec_that_cannot_be_read(place: Path) -> None:
    for path in (place, place / "none.toml"):
        with pytest.raises(UsageError, match=f"cannot read {path}"):
            load(path)


def test_more_guests_than_fit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Plan(Path("s.toml"), (Target("a", "6.1-arm64"), Target("p", serials=("A",))), ())
    monkeypatch.setattr(memory, "available", lambda: 4000)
    memory.check(plan, 6)
    with pytest.raises(UsageError, match=r"7 guests of 612 MB need 4284 MB .* has 4000 MB") as told:
        memory.check(plan, 7)
    assert told.value.hint == "--jobs 6"
    memory.check(Plan(Path("s.toml"), (Target("p", serials=("A",)),), ()), 1000)


def test_this_host_has_some_memory() -> None:
    assert 100 < memory.available() < 10**7


def test_an_order_for_each_seed(place: Path) -> None:
    plan = load(written(place, GOOD))
    orders = [cases(plan, seed=seed) for seed in (None, 1, 1, 2)]
    assert orders[1] == orders[2]
    assert len({tuple(one) for one in orders}) == 3
    assert {frozenset(one) for one in orders} == {frozenset(orders[0])}


ARM, X86 = bytes(56) + b"ARM\x64" + bytes(500), bytes(0x202) + b"HdrS" + bytes(20)


def test_the_tests_on_a_kernel_of_ones_own(place: Path) -> None:
    plan = load(written(place, GOOD))
    image = place / "mine"
    image.write_bytes(ARM)
    own = on_kernel(plan, image, place / "lib")
    assert [(t.name, t.kernel, t.modules) for t in own.targets] == [("old", image, place / "lib")]
    assert [test.name for test in own.tests] == ["trace", "sh", "there"]
    image.write_bytes(X86)
    assert [target.name for target in on_kernel(plan, image, None).targets] == ["own"]
    image.write_bytes(b"no kernel")
    with pytest.raises(UsageError, match="mine is no kernel that a guest boots"):
        on_kernel(plan, image, None)
    image.write_bytes(ARM)
    only = load(written(place, "[targets.x]\nrecipe = '6.1-x86_64'\n[tests.a]\nhost = 'true'"))
    with pytest.raises(UsageError, match=r"mine is of arm64, and no guest of .* is"):
        on_kernel(only, image, None)
    with pytest.raises(UsageError, match="cannot read"):
        on_kernel(only, place / "none", None)
    with pytest.raises(UsageError, match="there is no directory"):
        on_kernel(plan, image, place / "none")
