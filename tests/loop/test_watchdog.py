"""What ends a test that takes too long, and does not count what is built for it."""

from __future__ import annotations

import threading
import time

from droidheaders.loop.watchdog import Watchdog


def test_it_calls_when_the_time_is_over() -> None:
    over = threading.Event()
    with Watchdog(0.05, over.set):
        assert over.wait(30)


def test_a_pause_does_not_count_and_an_end_is_an_end() -> None:
    over = threading.Event()
    with Watchdog(0.3, over.set) as dog, dog.paused():
        time.sleep(0.5)
        assert not over.is_set()
    assert not over.wait(0.5)


def test_what_was_left_before_a_pause_counts_after_it() -> None:
    over = threading.Event()
    with Watchdog(0.2, over.set) as dog:
        with dog.paused():
            pass
        assert over.wait(30)
