"""Compilers on a PATH made up for a test."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

GCC_12 = "gcc-12 (Debian 12.2.0-14) 12.2.0"
R450784E = "Android (8508608, based on r450784e) clang version 14.0.7 (https://x), LLD 14.0.7"
R487747C = (
    "Android (10087095, +pgo, based on r487747c) clang version 17.0.2 (https://x), LLD 17.0.2"
)

Install = Callable[..., Path]


@pytest.fixture(name="install")
def installer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return what puts a program that says `text` into a directory of PATH; PATH has no other."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "h", "6", "#1", "x86_64")))

    def add(name: str, text: str = "", directory: str = "bin") -> Path:
        path = tmp_path / directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {shlex.quote(text)}\n")
        path.chmod(0o755)
        if str(path.parent) not in os.environ["PATH"].split(":"):
            before = os.environ["PATH"]
            monkeypatch.setenv("PATH", f"{before}:{path.parent}" if before else str(path.parent))
        return path

    return add
