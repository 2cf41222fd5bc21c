"""Versions that a test asks for, compared with releases as kernels have them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from droidheaders.testing.requirement import Known, Requirement


class Phone:
    """A device that tells its release and nothing else."""

    name = "device phone"

    def __init__(self, release: str) -> None:
        self.release = release

    def shell(self, script: str) -> Any:
        assert script == "uname -r"
        return SimpleNamespace(stdout=self.release.encode() + b"\n")


GKI = "5.10.198-android13-4-00050-g12f3388846c3-ab11920634"
VERSIONS = [
    (">=5.10", GKI, True),
    ("==5.10", GKI, True),
    ("<=5.10", GKI, True),
    (">5.10", GKI, False),
    ("<5.10", GKI, False),
    ("!=5.10", GKI, False),
    (">=5.10.199", GKI, False),
    ("<5.10.199", GKI, True),
    (">=5.4, <5.10", GKI, False),
    (" >= 5.4,<6 ", GKI, True),
    (">=5.9", GKI, True),
    ("==5", GKI, True),
    ("==6.12.0", "6.12-rc1", False),
    (">=6.12", "6.12-rc1", True),
    (">=5.10", "mainline", False),
    ("<5.10", "", True),
]


@pytest.mark.parametrize(("version", "release", "fits"), VERSIONS)
def test_a_version(version: str, release: str, fits: bool) -> None:
    requirement = Requirement.of(pytest.mark.requires_kernel(version).mark)
    device: Any = Phone(release)
    unmet = requirement.unmet(device, Known())
    assert (unmet == "") == fits
    if not fits:
        assert unmet == f"{version.strip()} is required, and device phone runs {release}"


def test_what_a_device_says_is_made_safe() -> None:
    device: Any = Phone("4\x1b[2J")
    unmet = Requirement.of(pytest.mark.requires_kernel(">=5").mark).unmet(device, Known())
    assert unmet == r">=5 is required, and device phone runs 4\x1b[2J"
