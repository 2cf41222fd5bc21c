"""The one error type people see: a sentence, a hint, an exit code."""

from __future__ import annotations


class DroidheadersError(Exception):
    """Something a person has to know; never a bug of ours.

    `message` is one sentence naming the device and the kernel, `hint` is the command to type next,
    `exit_code` is the documented status. `kind` is the stable name used in `--json`.
    """

    exit_code = 1
    kind = "failed"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    def describe(self) -> dict[str, str | int]:
        """Return the error as `--json` shows it."""
        return {
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "exit_code": self.exit_code,
        }


class UsageError(DroidheadersError):
    """The command line, or the environment it reads, makes no sense."""

    exit_code = 2
    kind = "usage"


class NoDeviceError(DroidheadersError):
    """No device, or it is unclear which, or the device cannot be talked to yet."""

    exit_code = 3
    kind = "no-device"


class UnsupportedError(DroidheadersError):
    """This kernel cannot do it; nothing the person types will change that (KSFT_SKIP is 4 too)."""

    exit_code = 4
    kind = "unsupported"


class HeadersError(DroidheadersError):
    """Headers exist but cannot be had, or what came is not usable."""

    exit_code = 5
    kind = "headers"


class UnusableHeadersError(HeadersError):
    """Headers came whole, and are those of another kernel, or good for nothing."""

    kind = "unusable"

    def describe(self) -> dict[str, str | int]:
        """Return the error as `--json` shows it, with the state that a bundle would have."""
        return super().describe() | {"state": "unusable"}


class DeviceLostError(DroidheadersError):
    """The device or the adb server went away in the middle."""

    exit_code = 6
    kind = "lost"


class DeviceTimeoutError(DeviceLostError):
    """The device is there and did not answer in time."""

    kind = "timeout"


class OverrunError(DroidheadersError):
    """What was run took longer than it was given, and was ended."""

    exit_code = 6
    kind = "timeout"
