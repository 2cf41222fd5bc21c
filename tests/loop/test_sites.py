"""Who has a device: one test at a time, of all loops of this user."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from droidheaders.adb import Endpoint, Server
from droidheaders.adb.severing import SeverableServer
from droidheaders.loop import sites
from droidheaders.loop.plan import Target

TARGET = Target("mine", serials=("one",), personas=("",))


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def selected(server: Any, selector: Any) -> Any:
        return selector.serial

    monkeypatch.setenv("DROIDHEADERS_STATE", str(tmp_path))
    monkeypatch.setattr(SeverableServer, "select", selected)


def _sites() -> sites.Sites:
    return sites.Sites(Server(Endpoint("127.0.0.1", 1)))


@contextmanager
def _waiting(here: sites.Sites) -> Iterator[threading.Event]:
    """Give what is set once a second thread has the device."""
    has = threading.Event()

    def take() -> None:
        with here.of(TARGET, ""):
            has.set()

    thread = threading.Thread(target=take)
    thread.start()
    yield has
    thread.join()


@pytest.mark.parametrize("other", [False, True])
def test_a_device_is_given_to_one_at_a_time_also_by_another_loop(other: bool) -> None:
    mine = _sites()
    with mine.of(TARGET, "") as site:
        assert str(site.device) == "one"
        waiting = _waiting(_sites() if other else mine)
        has = waiting.__enter__()
        assert not has.wait(0.3)
    assert has.wait(10)
    waiting.__exit__(None, None, None)


def test_who_waits_for_a_device_of_another_loop_ends_with_his_own() -> None:
    mine, other = _sites(), _sites()
    with other.of(TARGET, ""), _waiting(mine) as has:
        assert not has.wait(0.3)
        mine.end()
        assert has.wait(10)
