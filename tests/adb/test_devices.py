from __future__ import annotations

import pytest

from droidheaders.adb import Attached, parse_devices

HELP = "see [http://developer.android.com/tools/device.html]"
GOLDEN = (
    "0A1B2C3D               device usb:1-4.2 product:oriole model:Pixel_6 device:oriole "
    "transport_id:1\n"
    "emulator-5554          offline transport_id:12\n"
    "192.168.1.5:5555       device product:x model:A_B device:x transport_id:3\n"
    "ZY22                   unauthorized usb:1-3 transport_id:4\n"
    f"nop1                   no permissions (user in plugdev group; are your udev rules wrong?); "
    f"{HELP} usb:1-2 transport_id:5\n"
    f"nop2                   no permissions; {HELP} usb:1-1 transport_id:6\n"
    "nop3                   no permissions usb:3-1 transport_id:7\n"
    f"(no serial number)     no permissions (user bob is not in the plugdev group); {HELP} "
    "usb:3-2 transport_id:8\n"
    "a-serial-that-is-longer-than-22-columns recovery usb:2-1 product:p model:m device:d "
    "transport_id:9\n"
    "side                   sideload usb:2-2 transport_id:10\n"
    "boot                   bootloader usb:2-3\n"
    "vsock:3:5555           connecting transport_id:13\n"
    "auth                   authorizing transport_id:14\n"
    "spaced                 device product:a b model:M device:d transport_id:15\n"
)


def by_serial() -> dict[str, Attached]:
    return {line.serial: line for line in parse_devices(GOLDEN)}


def test_every_line_is_a_device() -> None:
    assert len(parse_devices(GOLDEN)) == GOLDEN.count("\n")


def test_usb_device() -> None:
    assert by_serial()["0A1B2C3D"] == Attached(
        "0A1B2C3D", "device", 1, "oriole", "Pixel_6", "oriole", "usb:1-4.2"
    )


@pytest.mark.parametrize(
    ("serial", "state", "transport_id", "usb"),
    [
        ("emulator-5554", "offline", 12, ""),
        ("192.168.1.5:5555", "device", 3, ""),
        ("ZY22", "unauthorized", 4, "usb:1-3"),
        ("nop1", "no permissions", 5, "usb:1-2"),
        ("nop2", "no permissions", 6, "usb:1-1"),
        ("nop3", "no permissions", 7, "usb:3-1"),
        ("(no serial number)", "no permissions", 8, "usb:3-2"),
        ("a-serial-that-is-longer-than-22-columns", "recovery", 9, "usb:2-1"),
        ("side", "sideload", 10, "usb:2-2"),
        ("boot", "bootloader", 0, "usb:2-3"),
        ("vsock:3:5555", "connecting", 13, ""),
        ("auth", "authorizing", 14, ""),
    ],
)
def test_states(serial: str, state: str, transport_id: int, usb: str) -> None:
    line = by_serial()[serial]
    assert (line.state, line.transport_id, line.usb) == (state, transport_id, usb)


def test_notes_are_kept() -> None:
    lines = by_serial()
    assert lines["nop1"].note == (f"(user in plugdev group; are your udev rules wrong?); {HELP}")
    assert lines["nop2"].note == f"; {HELP}"
    assert lines["nop3"].note == ""
    assert lines["0A1B2C3D"].note == ""


def test_values_with_spaces() -> None:
    assert by_serial()["spaced"].product == "a b"


@pytest.mark.parametrize("text", ["", "\n", "garbage\n", "* daemon started successfully *x\n" * 0])
def test_no_device(text: str) -> None:
    assert parse_devices(text) == []


@pytest.mark.parametrize(
    ("serial", "host"),
    [
        ("192.168.1.5:5555", "192.168.1.5"),
        ("phone.lan:5555", "phone.lan"),
        ("[fe80::1]:5555", "fe80::1"),
        ("127.0.0.1:6000", ""),
        ("localhost:6000", ""),
        ("[::1]:6000", ""),
        ("emulator-5554", ""),
        ("0A1B2C3D", ""),
        ("vsock:3:5555", ""),
        ("odd:name", ""),
    ],
)
def test_remote_host(serial: str, host: str) -> None:
    assert Attached(serial, "device").remote_host == host
