"""What apt is told, and what is understood of what it says, on output of real hosts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from droidheaders.debian import mirror, packages
from droidheaders.errors import DroidheadersError, UsageError

DEBIAN = """\
http://mirror.example/debian/|Debian|Debian
http://mirror.example/debian/|Debian|Debian
http://security.example/debian-security/|Debian|Debian-Security
"""
DEBIAN_WITHOUT_LISTS = """\
http://security.example/debian-security/|$(ORIGIN)|$(LABEL)
http://mirror.example/pub/debian/|$(ORIGIN)|$(LABEL)
"""
UBUNTU = """\
http://mirror.example/ubuntu/|Ubuntu|Ubuntu
https://other.example/debian/|Some Vendor|Some Vendor
"""
UBUNTU_WITHOUT_LISTS = "http://mirror.example/ubuntu/|$(ORIGIN)|$(LABEL)\n"

DUMP = """\
Acquire "";
Acquire::AllowInsecureRepositories "1";
Acquire::http "";
Acquire::http::Proxy "http://proxy.example:3128";
Acquire::https::CAInfo "/etc/ssl/ours.pem";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::MetaKey "x";
Acquire::GzipIndexes "false";
"""

SHOW = """\
Package: linux-headers-6.1.0-50-cloud-arm64
Source: linux
Version: 6.1.176-1
Architecture: arm64
Depends: linux-headers-6.1.0-50-common (= 6.1.176-1), linux-kbuild-6.1 (>= 6.1.176-1), gcc-12 | cc
Description: Header files for Linux 6.1.0-50-cloud-arm64
 This package provides the architecture-specific kernel header files.
Size: 1435880

"""


@pytest.mark.parametrize(
    ("listing", "url"),
    [
        (DEBIAN, "http://mirror.example/debian"),
        (DEBIAN_WITHOUT_LISTS, "http://mirror.example/pub/debian"),
        (UBUNTU, None),
        (UBUNTU_WITHOUT_LISTS, None),
        ("", None),
    ],
)
def test_the_debian_mirror_is_found_in_what_apt_lists(listing: str, url: str | None) -> None:
    assert mirror.from_targets(listing) == url


def apt_that_prints(directory: Path, listing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = directory / "apt-get"
    fake.write_text(f"#!/bin/sh\ncat <<'END'\n{listing}END\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    monkeypatch.delenv("DROIDHEADERS_MIRROR", raising=False)


def test_a_host_without_a_debian_mirror_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apt_that_prints(tmp_path, UBUNTU, monkeypatch)
    monkeypatch.setattr(mirror, "_DEBOOTSTRAP", tmp_path / "none")
    with pytest.raises(DroidheadersError, match="no Debian mirror") as caught:
        mirror.mirror()
    assert "DROIDHEADERS_MIRROR" in caught.value.hint


def test_debootstrap_knows_a_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt_that_prints(tmp_path, UBUNTU, monkeypatch)
    program = tmp_path / "debootstrap"
    program.write_text(
        '#!/bin/sh\nDEF_MIRROR="http://mirror.example/debian"\nMIRRORS="$DEF_MIRROR"\n'
    )
    monkeypatch.setattr(mirror, "_DEBOOTSTRAP", program)
    assert mirror.mirror() == "http://mirror.example/debian"


@pytest.mark.parametrize(
    "text", ["", 'DEF_MIRROR="$X/debian"', 'DEF_MIRROR="http://mirror.example/ubuntu"', "\0\1"]
)
def test_debootstrap_knows_none(text: str) -> None:
    assert mirror.from_debootstrap(text) is None


def test_what_is_asked_for_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt_that_prints(tmp_path, DEBIAN, monkeypatch)
    assert mirror.mirror() == "http://mirror.example/debian"
    monkeypatch.setenv("DROIDHEADERS_MIRROR", "https://env.example/debian/")
    assert mirror.mirror() == "https://env.example/debian"
    assert mirror.mirror("file:///srv/debian") == "file:///srv/debian"


@pytest.mark.parametrize("url", ["debian", "ftp://x/y", "http://x/y z", "http://x [trusted=yes]"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="a mirror is a URL"):
        mirror.mirror(url)


def test_only_packages_of_the_suites_are_indexed_and_signatures_checked() -> None:
    assert packages.sources("http://m/debian", ["a", "b"], ["amd64", "arm64"]) == (
        "deb [arch=amd64,arm64 target=Packages"
        " signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m/debian a main\n"
        "deb [arch=amd64,arm64 target=Packages"
        " signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://m/debian b main\n"
    )


def test_the_hosts_way_to_the_network_is_kept_and_nothing_else() -> None:
    text = packages.config(Path("/r"), Path("/a"), ["amd64", "arm64"], DUMP)
    lines = text.splitlines()
    assert 'Acquire::http::Proxy "http://proxy.example:3128";' in lines
    assert 'Acquire::https::CAInfo "/etc/ssl/ours.pem";' in lines
    assert 'Acquire::Retries "3";' in lines
    assert "AllowInsecure" not in text
    assert "DEP-11" not in text
    assert 'Dir::Etc::parts "/dev/null";' in lines
    assert 'Dir::Cache::archives "/a";' in lines
    assert 'APT::Architectures {"amd64";"arm64";};' in lines


def test_a_package_is_read() -> None:
    package = packages.parse_show(SHOW)
    assert package.depends == ("linux-headers-6.1.0-50-common", "linux-kbuild-6.1", "gcc-12")
    assert package.size == 1435880
    assert package.file == "linux-headers-6.1.0-50-cloud-arm64_6.1.176-1_arm64.deb"
    epoch = packages.parse_show(SHOW.replace("6.1.176-1\n", "1:2-3\n", 1))
    assert epoch.file == "linux-headers-6.1.0-50-cloud-arm64_1%3a2-3_arm64.deb"
    with pytest.raises(KeyError):
        packages.parse_show("N: Unable to locate package x\n")


def test_a_damaged_package_is_thrown_away(tmp_path: Path) -> None:
    broken = tmp_path / "x_1_all.deb"
    broken.write_bytes(b"!<arch>\nrubbish")
    with pytest.raises(DroidheadersError, match=r"x_1_all\.deb cannot be unpacked"):
        packages.unpack([broken], tmp_path / "root")
    assert not broken.exists()
