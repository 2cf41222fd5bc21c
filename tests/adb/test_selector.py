from __future__ import annotations

from typing import Any

import pytest

from droidheaders.adb import Attached, Selector
from droidheaders.adb.selector import choose
from droidheaders.errors import NoDeviceError, UsageError

USB = Attached("usb1", "device", 1, "oriole", "Pixel_6", "oriole", "usb:1-4")
TCP = Attached("127.0.0.1:6000", "device", 2, "p", "Guest", "g")
EMULATOR = Attached("emulator-5554", "device", 3)
LOCKED = Attached("locked", "no permissions", 4, usb="usb:1-2", note="(not in group)")


def test_the_only_one() -> None:
    assert choose([TCP], Selector()) is TCP


@pytest.mark.parametrize(
    ("selector", "found"),
    [
        (Selector(serial="usb1"), USB),
        (Selector(serial="usb:1-4"), USB),
        (Selector(serial="product:oriole"), USB),
        (Selector(serial="model:Pixel_6"), USB),
        (Selector(serial="device:g"), TCP),
        (Selector(serial="127.0.0.1"), TCP),
        (Selector(transport_id=3), EMULATOR),
        (Selector(usb=True), USB),
    ],
)
def test_choice(selector: Selector, found: Attached) -> None:
    assert choose([USB, TCP, EMULATOR, LOCKED], selector) is found


def test_tcp_means_emulators_too() -> None:
    assert choose([USB, EMULATOR], Selector(tcp=True)) is EMULATOR
    with pytest.raises(NoDeviceError, match="2 devices"):
        choose([USB, TCP, EMULATOR], Selector(tcp=True))


def test_forbidden_ones_are_passed_over() -> None:
    assert choose([LOCKED, TCP], Selector()) is TCP


def test_several_are_listed() -> None:
    with pytest.raises(NoDeviceError, match="there are 3 devices") as caught:
        choose([USB, TCP, EMULATOR], Selector())
    assert "-s usb1 (Pixel_6), -s 127.0.0.1:6000 (Guest), -s emulator-5554" in caught.value.hint


def test_twins_are_told_apart_by_transport_id() -> None:
    twin = Attached("usb1", "offline", 9, usb="usb:1-5")
    with pytest.raises(NoDeviceError) as caught:
        choose([USB, twin], Selector(serial="usb1"))
    assert "-t 1 (Pixel_6), -t 9 (offline)" in caught.value.hint


def test_none_at_all() -> None:
    with pytest.raises(NoDeviceError, match="no device is attached") as caught:
        choose([], Selector())
    assert "droidheaders emulator start" in caught.value.hint


def test_none_at_all_names_what_was_wanted() -> None:
    with pytest.raises(NoDeviceError, match="serial gone cannot be found"):
        choose([], Selector(serial="gone"))


def test_not_among_them() -> None:
    with pytest.raises(NoDeviceError, match="no serial gone among the 1") as caught:
        choose([TCP], Selector(serial="gone"))
    assert "-s 127.0.0.1:6000" in caught.value.hint
    with pytest.raises(NoDeviceError, match="no transport id 77"):
        choose([TCP], Selector(transport_id=77))
    with pytest.raises(NoDeviceError, match="no USB device"):
        choose([TCP], Selector(usb=True))
    with pytest.raises(NoDeviceError, match="no emulator or TCP device"):
        choose([USB], Selector(tcp=True))


@pytest.mark.parametrize(
    ("state", "message", "hint"),
    [
        ("offline", "is offline", "reconnect"),
        ("unauthorized", "has not authorised", "accept the USB debugging dialog"),
        ("authorizing", "is still authorising", "wait-for-device"),
        ("connecting", "is still connecting", "wait-for-device"),
        ("no permissions", "may not be opened by you over USB: why", "plugdev"),
        ("sideload", "is in state sideload", "reboot"),
        ("bootloader", "is in state bootloader", "reboot"),
    ],
)
def test_unusable_states(state: str, message: str, hint: str) -> None:
    note = "why" if state == "no permissions" else ""
    with pytest.raises(NoDeviceError, match=f"device x {message}") as caught:
        choose([Attached("x", state, 1, note=note)], Selector())
    assert hint in caught.value.hint
    assert caught.value.exit_code == 3


def test_recovery_has_a_shell() -> None:
    recovery = Attached("x", "recovery", 1)
    assert choose([recovery], Selector()) is recovery


def test_serials_are_escaped_for_terminal_and_shell() -> None:
    nasty = Attached("a;\x1b[31mb", "device", 1)
    with pytest.raises(NoDeviceError) as caught:
        choose([nasty, USB], Selector())
    assert "\x1b" not in caught.value.hint
    assert "-s 'a;" in caught.value.hint


def test_environment_only_without_flags() -> None:
    env = {"ANDROID_SERIAL": "from-env"}
    assert Selector.from_flags(env=env) == Selector(serial="from-env")
    assert Selector.from_flags(serial="s", env=env) == Selector(serial="s")
    assert Selector.from_flags(transport_id=3, env=env) == Selector(transport_id=3)
    assert Selector.from_flags(usb=True, env=env) == Selector(usb=True)
    assert Selector.from_flags(tcp=True, env=env) == Selector(tcp=True)
    assert Selector.from_flags(env={"ANDROID_SERIAL": ""}) == Selector()


@pytest.mark.parametrize(
    "flags",
    [
        {"usb": True, "tcp": True},
        {"serial": "s", "usb": True},
        {"transport_id": 1, "tcp": True},
        {"serial": "s", "transport_id": 1},
    ],
)
def test_contradictory_flags(flags: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="contradict"):
        Selector.from_flags(**flags, env={})


def test_transport_ids_start_at_one() -> None:
    with pytest.raises(UsageError, match="-t"):
        Selector.from_flags(transport_id=0, env={})
