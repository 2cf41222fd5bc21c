"""The plugin where no test asks for a device, and where what asks makes no sense."""

from __future__ import annotations

import subprocess
import sys

import pytest

from droidheaders.adb import Endpoint, Server
from tests.plugin.conftest import Inner, failure, free_port

HEAVY = ("adbutils", "tqdm", "typer", "elftools", "droidheaders.adb", "droidheaders.guest")
LISTING = f"""
import sys

import pytest

@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    names = {("droidheaders", *HEAVY)!r}
    print("imported", *[one for one in sorted(sys.modules) if one.startswith(names)])
"""


def test_nothing_is_imported_or_started_before_a_test_asks(
    inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Server(Endpoint("127.0.0.1", free_port()))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(others.endpoint.port))
    inner.pytester.makeconftest(LISTING)
    result = inner.run(test_it="def test_nothing(): pass")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["plugins: *droidheaders-*", "*imported droidheaders*"])
    [line] = [line for line in result.outlines if "imported droidheaders" in line]
    assert line.split() == ["imported", "droidheaders", "droidheaders.pytest_plugin"]
    assert not others.listens()


def test_it_is_no_burden_to_those_without_pytest() -> None:
    """Nothing but the plugin imports it."""
    code = "import sys, droidheaders.cli.main, droidheaders.running; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"False\n"


def test_what_it_has_is_told(inner: Inner) -> None:
    result = inner.run("--help")
    result.stdout.fnmatch_lines(
        [
            "Android devices:",
            "  --droid-target=RECIPE",
            "  --droid-serial=SERIAL",
            "  --droid-fresh *",
        ]
    )
    inner.run("--markers").stdout.fnmatch_lines(["@pytest.mark.requires_kernel(version, *"])
    names = (
        "android_device",
        "fresh_device",
        "kernel_headers",
        "bpf",
        "kernel_module",
        "kernel_log",
    )
    fixtures = inner.run("--fixtures").stdout.str()
    for name in names:
        assert f"\n{name}" in fixtures
    assert "_droid" not in fixtures


CONTRADICTIONS = [
    (["--droid-target", "6.1-arm64"], "--droid-serial and --droid-target contradict each other"),
    (["--droid-fresh"], "--droid-serial and --droid-fresh contradict each other"),
    (["-n", "2"], "a:1 is one device, and several workers cannot share it"),
]


@pytest.mark.parametrize(("words", "said"), CONTRADICTIONS)
def test_options_that_contradict_each_other(inner: Inner, words: list[str], said: str) -> None:
    result = inner.run("--droid-serial", "a:1", *words, test_it="def test_nothing(): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


def test_a_device_of_the_environment_is_not_shared_either(
    inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_SERIAL", "a:1")
    test = "def test_nothing(): pass"
    assert inner.run("-n", "2", test_it=test).ret == pytest.ExitCode.USAGE_ERROR
    inner.run("-n", "1", test_it=test).assert_outcomes(passed=1)
    inner.run("-n", "2", "--droid-fresh", test_it=test).assert_outcomes(passed=1)


WRONG = {
    "": "it takes a version, config= and root=, and has ()",
    "510": "510 is no version such as",
    "'5.10'": "'5.10' is no version such as",
    "'>=5.10,'": "'>=5.10,' is no version such as",
    "'>=5.10', '<6'": "it takes a version, config= and root=, and has ('>=5.10', '<6')",
    "'>=5.10', roots=True": "it takes a version, config= and root=, and has ('>=5.10', roots=True)",
    "root='yes'": "root= is True or False, and not 'yes'",
    "config='CONFIG_BPF'": "config= is a list such as [\"CONFIG_BPF=y\"], and not 'CONFIG_BPF'",
    "config=['BPF or so']": "'BPF or so' is no option of a kernel's configuration",
}


def test_markers_that_ask_nothing_are_errors_where_they_are_collected(inner: Inner) -> None:
    marked = "import pytest\n@pytest.mark.requires_kernel({})\ndef test_it(): pass"
    files = {f"test_{number}": marked.format(words) for number, words in enumerate(WRONG)}
    result = inner.run(**files)
    result.assert_outcomes(errors=len(WRONG))
    text = result.stdout.str()
    for number, said in enumerate(WRONG.values()):
        assert f"test_{number}.py::test_it: wrong requires_kernel: {said}" in text
    shared = inner.run("-n", "2", "test_0.py")
    shared.assert_outcomes(errors=1)
    shared.stdout.fnmatch_lines(["*test_0.py::test_it: wrong requires_kernel: *"])


def test_a_marker_on_one_of_several_parameters_and_on_a_unittest(inner: Inner) -> None:
    wrong = "pytest.mark.requires_kernel('6')"
    one = f"import pytest\n@pytest.mark.parametrize('a', [1, pytest.param(2, marks={wrong})])\n"
    result = inner.run(test_one=f"{one}def test_it(a): pass")
    result.stdout.fnmatch_lines(["*test_one.py::test_it[[]2[]]: wrong requires_kernel: *"])
    case = f"import pytest, unittest\n@{wrong}\nclass Test(unittest.TestCase):\n"
    result = inner.run("test_case.py", test_case=f"{case}    def test_it(self): pass")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "test_case.py::Test::test_it: wrong requires_kernel: " in result.stderr.str()


def test_devices_that_cannot_be_had(inner: Inner) -> None:
    """In a sentence and a hint, without how our code got there."""
    test = "def test_it(android_device): pass"
    result = inner.run("--droid-serial", "none:1", test_it=test)
    result.assert_outcomes(errors=1)
    said = failure(result, "test_it").strip().splitlines()
    assert said[0] == "no device is attached, so serial none:1 cannot be found"
    assert said[1].startswith("hint: connect one")
    assert len(said) == 2
    result = inner.run("--droid-target", "6.1-arm46", test_it=test)
    result.assert_outcomes(errors=1)
    assert "6.1-arm46" in failure(result, "test_it")
    assert inner.is_as_found()


def test_a_fresh_device_is_no_attached_one(inner: Inner) -> None:
    result = inner.run("--droid-serial", "none:1", test_it="def test_it(fresh_device): pass")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["*fresh_device is a guest of its own, and none:1 is to be tested"])
