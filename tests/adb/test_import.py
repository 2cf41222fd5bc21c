"""What importing the room and adbutils does to the process; each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(code: str, **env: str) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def test_room_imports_without_adbutils() -> None:
    code = "import sys, droidheaders.adb; print('adbutils' in sys.modules, 'PIL' in sys.modules)"
    assert run(code) == "False False\n"


def test_adbutils_comes_without_requests() -> None:
    code = "import sys, droidheaders.adb._adbutils; print('requests' in sys.modules)"
    assert run(code) == "False\n"


def test_requests_still_works_for_everybody() -> None:
    code = """
import adbutils.install as install  # by way of the room's import
import requests, requests.adapters
assert requests.get.__module__ == "requests.api"
assert install.requests.get is requests.get
assert install.requests is not requests
print("ok")
"""
    assert run("import droidheaders.adb._adbutils" + code) == "ok\n"


def test_requests_loaded_before_is_left_alone() -> None:
    code = """
import requests, sys
import droidheaders.adb._adbutils
import adbutils.install
assert sys.modules["requests"] is requests is adbutils.install.requests
print("ok")
"""
    assert run(code) == "ok\n"


def test_requests_used_by_another_thread_meanwhile() -> None:
    code = """
import sys
from droidheaders.adb import _adbutils
with _adbutils._requests_on_demand():
    import requests
    import requests.adapters
    assert requests.get.__module__ == "requests.api"
import requests
assert requests.__file__ and sys.modules["requests"] is requests
print("ok")
"""
    assert run(code) == "ok\n"


@pytest.mark.parametrize("port", ["nonsense", "²", "", "5038"])
def test_port_variable_cannot_break_the_import(port: str) -> None:
    code = """
import os
import droidheaders.adb._adbutils
print(os.environ["ANDROID_ADB_SERVER_PORT"])
"""
    assert run(code, ANDROID_ADB_SERVER_PORT=port) == f"{port}\n"
