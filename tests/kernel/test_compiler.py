"""Banners of real kernels."""

from __future__ import annotations

import pytest

from droidheaders.kernel.compiler import of_banner


@pytest.mark.parametrize(
    ("banner", "compiler"),
    [
        (
            "Linux version 6.1.0-50-cloud-arm64 (debian-kernel@lists.debian.org) (gcc-12 (Debian"
            " 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP Debian"
            " 6.1.176-1 (2026-07-02)",
            "gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40",
        ),
        (
            "Linux version 5.10.107-android13-4-00003-g1 (build-user@build-host) (Android (8508608,"
            " based on r450784e) clang version 14.0.7 (https://example.org/llvm 4c6), LLD 14.0.7)"
            " #1 SMP PREEMPT Thu May 19 07:09:42 UTC 2022",
            "Android (8508608, based on r450784e) clang version 14.0.7"
            " (https://example.org/llvm 4c6), LLD 14.0.7",
        ),
        ("Linux version 6.1", ""),
        ("", ""),
    ],
)
def test_of_banner(banner: str, compiler: str) -> None:
    assert of_banner(banner) == compiler
