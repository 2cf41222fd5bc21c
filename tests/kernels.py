"""The kernels that tests are run on: two by default, every one with --full."""

from __future__ import annotations

import pytest

from droidheaders.guest import recipes

_DEFAULT = ("6.1-arm64", "6.1-x86_64")  # the others take minutes to fetch, build and boot
NAMES = [name for name in recipes.names() if recipes.load(name).kernel == name]
PERSONAS = ("user", "userdebug", "su")
# Each persona on one kernel or the other by default: a boot takes three to seven seconds.
_PAIRS = {("6.1-arm64", "user"), ("6.1-arm64", "userdebug"), ("6.1-x86_64", "su")}
GUESTS = [
    pytest.param(name, persona, marks=[] if (name, persona) in _PAIRS else [pytest.mark.full])
    for name in NAMES
    for persona in PERSONAS
]
KERNELS = [
    pytest.param(name, marks=[] if name in _DEFAULT else [pytest.mark.full]) for name in NAMES
]
