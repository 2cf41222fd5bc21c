"""The pytest plugin: devices, kernels and their logs as fixtures. docs/pytest.md tells of each.

It is imported wherever pytest runs, so it imports nothing before a test asks for a device.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from droidheaders.adb import Device, Server
    from droidheaders.cache import Bundle
    from droidheaders.testing.bpf import Bpf
    from droidheaders.testing.guests import Guests
    from droidheaders.testing.log import KernelLog
    from droidheaders.testing.module import KernelModule
    from droidheaders.testing.requirement import Known

_MARKER = "requires_kernel"
_REQUIREMENT = "_droid_requirement"
_GUESTS: pytest.StashKey[Guests] = pytest.StashKey()
_DEVICE: pytest.StashKey[Device] = pytest.StashKey()
_KNOWN: pytest.StashKey[Known] = pytest.StashKey()
_LOG: pytest.StashKey[KernelLog] = pytest.StashKey()
_ASKING = {"android_device", "_droid_device", _REQUIREMENT}
"""Fixtures that a test gets the session's device by."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("droidheaders", "Android devices")
    group.addoption(
        "--droid-target",
        metavar="RECIPE",
        help="test on a guest of this recipe, started for the tests (default: 6.1-arm64)",
    )
    group.addoption(
        "--droid-serial",
        metavar="SERIAL",
        help="test on this attached device (default: $ANDROID_SERIAL, and without it a guest)",
    )
    group.addoption(
        "--droid-fresh",
        action="store_true",
        help="give every test that uses android_device a guest that nobody has used",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and refuse options that contradict each other."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(version, *, config=[], root=False): skip where the kernel is none such as"
        ' ">=5.10", has not options such as ["CONFIG_X", "CONFIG_Y=y"], or nothing gives root',
    )
    serial = config.getoption("droid_serial")
    for option, given in (
        ("--droid-target", config.getoption("droid_target")),
        ("--droid-fresh", config.getoption("droid_fresh")),
    ):
        if serial and given:
            raise pytest.UsageError(
                f"--droid-serial and {option} contradict each other: one is an attached device,"
                " the other a guest"
            )
    if _serial(config) and len(config.getoption("tx", None) or []) > 1:
        raise pytest.UsageError(
            f"{_serial(config)} is one device, and several workers cannot share it: leave -n out,"
            " or test on guests with --droid-target RECIPE"
        )


def _serial(config: pytest.Config) -> str | None:
    """Return the serial that was given, or that the environment gives, None for guests."""
    import os

    if config.getoption("droid_target") or config.getoption("droid_fresh"):
        return None
    return config.getoption("droid_serial") or os.environ.get("ANDROID_SERIAL") or None


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makeitem() -> Generator[None, Any, Any]:
    """Have a marker that asks nothing be an error where its test is collected."""
    made = yield
    for item in made if isinstance(made, list) else [made]:
        if isinstance(item, pytest.Item):
            for wrong in _wrong_markers(item):
                raise pytest.Collector.CollectError(wrong)
    return made


def _wrong_markers(item: pytest.Item) -> Iterator[str]:
    for mark in item.iter_markers(_MARKER):
        from droidheaders.testing.requirement import Requirement

        try:
            Requirement.of(mark)
        except ValueError as e:
            yield f"{item.nodeid}: wrong {_MARKER}: {e}"


def pytest_itemcollected(item: pytest.Item) -> None:
    """Have a test with the marker ask for the device that it is about, before all else."""
    if item.get_closest_marker(_MARKER) is None:
        return
    for wrong in _wrong_markers(item):
        raise pytest.UsageError(wrong)
    names: list[str] | None = getattr(item, "fixturenames", None)
    if names is None:
        raise pytest.UsageError(f"{item.nodeid}: {_MARKER} is for test functions")
    if _REQUIREMENT not in names:
        names.insert(0, _REQUIREMENT)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have a guest behind the session's device again, when a test has crashed it."""
    device = item.config.stash.get(_DEVICE, None)
    if device is not None and _ASKING & {*getattr(item, "fixturenames", ())}:
        from droidheaders.testing.ending import told

        with told():
            item.config.stash[_GUESTS].renew(device)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test in which a kernel has crashed, or complained."""
    try:
        yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise
    except BaseException as error:
        _check_guests(item, error)
        raise
    _check_guests(item, None)
    if log := item.stash.get(_LOG, None):
        log.check()


def _check_guests(item: pytest.Item, error: BaseException | None) -> None:
    if guests := item.config.stash.get(_GUESTS, None):
        log = item.stash.get(_LOG, None)
        guests.check(item, error, log.allows if log else lambda _: False)


@pytest.fixture(scope="session")
def droid_server() -> Server:
    """The adb server of devices and guests: the one that adb itself would talk to."""
    from droidheaders.adb import Server, resolve_endpoint
    from droidheaders.testing.ending import told

    with told():
        return Server(resolve_endpoint())


@pytest.fixture(scope="session")
def droid_guests(droid_server: Server, pytestconfig: pytest.Config) -> Iterator[Guests]:
    """Guests beside those of the options: `with droid_guests.fresh(RECIPE) as device`."""
    from droidheaders.guest.signals import terminable
    from droidheaders.testing.ending import terminated
    from droidheaders.testing.guests import Guests

    guests = pytestconfig.stash[_GUESTS] = Guests(droid_server)
    with terminable(terminated):
        yield guests


@contextmanager
def _fresh(guests: Guests, config: pytest.Config) -> Iterator[Device]:
    from droidheaders.testing.ending import told

    with ExitStack() as stack:
        with told():
            recipe = config.getoption("droid_target")
            device = stack.enter_context(guests.fresh(*([recipe] if recipe else [])))
        yield device


def _scope(fixture_name: str, config: pytest.Config) -> Any:  # noqa: ARG001  pytest names them
    return "function" if config.getoption("droid_fresh") else "session"


@pytest.fixture(scope=_scope)
def android_device(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[Device]:
    """The device that tests are about, the same for the whole session.

    That of --droid-serial, else of $ANDROID_SERIAL, else a guest of --droid-target. A guest that
    has crashed is replaced before the next test; with --droid-fresh, each test has one of its own.
    """
    if serial := _serial(pytestconfig):
        from droidheaders.adb import Selector
        from droidheaders.testing.ending import told

        with told():
            device = request.getfixturevalue("droid_server").select(Selector(serial=serial))
        yield device
        return
    with _fresh(request.getfixturevalue("droid_guests"), pytestconfig) as device:
        if not pytestconfig.getoption("droid_fresh"):
            pytestconfig.stash[_DEVICE] = device
        yield device


@pytest.fixture
def fresh_device(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[Device]:
    """A guest that nobody has used, for this test alone.

    Skips the test where an attached device was named.
    """
    if serial := _serial(pytestconfig):
        pytest.skip(f"fresh_device is a guest of its own, and {serial} is to be tested")
    with _fresh(request.getfixturevalue("droid_guests"), pytestconfig) as device:
        yield device


@pytest.fixture
def _droid_device(request: pytest.FixtureRequest) -> Device:
    """The device that the other fixtures are about: fresh_device where a test has one."""
    has_fresh = "fresh_device" in request.fixturenames
    device: Device = request.getfixturevalue("fresh_device" if has_fresh else "android_device")
    return device


@pytest.fixture
def _droid_requirement(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> None:
    """Skip a test whose device is not what its markers require."""
    if request.node.get_closest_marker(_MARKER) is None:
        return
    from droidheaders.testing.ending import told
    from droidheaders.testing.requirement import Known, Requirement

    device = request.getfixturevalue("_droid_device")
    known = pytestconfig.stash.setdefault(_KNOWN, Known())
    for mark in request.node.iter_markers(_MARKER):
        with told():
            unmet = Requirement.of(mark).unmet(device, known)
        if unmet:
            pytest.skip(unmet)


@pytest.fixture
def kernel_headers(_droid_device: Device) -> Bundle:
    """The bundle of the device's kernel, out of the cache or pulled; skips where it has none."""
    from droidheaders.cache import Cache
    from droidheaders.pulling import pull
    from droidheaders.testing.ending import told

    with told():
        return pull(_droid_device, Cache.default()).bundle


@pytest.fixture
def bpf(
    _droid_device: Device,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bpf:
    """Build BPF programs for the device's kernel, run them there, and see them fire."""
    from droidheaders.testing.bpf import Bpf

    return Bpf(_droid_device, tmp_path_factory.mktemp("bpf"), request.path.parent)


@pytest.fixture
def kernel_module(
    _droid_device: Device,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
) -> KernelModule:
    """Build modules for the device's kernel, load them there, and see what the kernel says."""
    from droidheaders.testing.module import KernelModule

    return KernelModule(_droid_device, tmp_path_factory.mktemp("module"), request.path.parent)


@pytest.fixture
def kernel_log(_droid_device: Device, request: pytest.FixtureRequest) -> Iterator[KernelLog]:
    """The kernel's log since the test began; what it complains of fails the test."""
    from droidheaders.testing.ending import told
    from droidheaders.testing.log import KernelLog

    with told():
        log = KernelLog(_droid_device)
    request.node.stash[_LOG] = log
    yield log
    log.check()
