"""The kernels that tests are run on: two by default, every one with --full."""

from __future__ import annotations

import pytest

from droidheaders.guest import recipes

_DEFAULT = ("6.1-arm64", "6.1-x86_64")  # the others take minutes to fetch, build and boot
KERNELS = [
    pytest.param(name, marks=[] if name in _DEFAULT else [pytest.mark.full])
    for name in recipes.names()
]
