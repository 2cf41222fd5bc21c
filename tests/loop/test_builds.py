"""Steps of a spec: run once for the same inputs, told when they fail, ended when the loop is."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from droidheaders.cache import Bundle, Cache
from droidheaders.errors import DroidheadersError
from droidheaders.loop.builds import Builds
from droidheaders.loop.plan import Build
from tests.cache.making import make

COUNT = "echo run >>runs; echo building; cat src/* >$OUT/all"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a").write_text("a\n")
    return tmp_path


@pytest.fixture
def builds(cache: Cache, place: Path) -> Builds:
    return Builds(cache, place, threading.Event())


@pytest.fixture
def cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("cache"))


def _step(
    builds: Builds,
    place: Path,
    run: str = COUNT,
    *,
    inputs: str = "src",
    bundle: Bundle | None = None,
    also: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Path:
    build = Build("all", run, (inputs,), timeout=timeout)
    log = place / f"log{threading.get_ident()}"
    return builds.step(build, bundle, {**os.environ, **(also or {})}, log)


def _runs(place: Path) -> int:
    return len((place / "runs").read_text().splitlines())


def test_it_is_run_once_for_the_same_inputs(builds: Builds, cache: Cache, place: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        outs = set(pool.map(lambda _: _step(builds, place), range(8)))
    [out] = outs
    assert (out / "all").read_text() == "a\n"
    assert _runs(place) == 1
    assert _step(Builds(cache, place, threading.Event()), place) == out
    assert _runs(place) == 1
    assert (place / f"log{threading.get_ident()}").read_text() == "building\n"


def test_it_is_run_anew_for_others(builds: Builds, cache: Cache, place: Path) -> None:
    outs = [_step(builds, place)]
    (place / "src/a").write_text("b\n")
    outs.append(_step(builds, place))
    (place / "src/more").mkdir()
    (place / "src/more/c").touch()
    (place / "src/b").write_text("c\n")
    outs.append(_step(builds, place, inputs="src/**/*", run=f"{COUNT} 2>/dev/null || true"))
    outs.append(_step(builds, place, also={"CFLAGS": "-g"}, run=f"{COUNT} || true"))
    assert len(set(outs)) == _runs(place) == 4
    assert [(out / "all").read_text() for out in outs] == ["a\n", "b\n", "b\nc\n", "b\nc\n"]
    assert _step(builds, place, also={"PWD": "/x", "CFLAGS": "-g"}, run=f"{COUNT} || true") in outs


def test_each_kernel_has_its_own(builds: Builds, cache: Cache, place: Path) -> None:
    bundle = make(cache)
    out = _step(builds, place, bundle=bundle)
    assert out != _step(builds, place)
    assert cache.derived.of(bundle.name) in out.parents
    assert _runs(place) == 2


def test_a_failure_is_told_to_all_and_not_tried_again(
    builds: Builds, cache: Cache, place: Path
) -> None:
    run = "echo run >>runs; seq 30; printf 'bad\\033[31m' >&2; exit 7"

    def fail(_: int) -> DroidheadersError:
        with pytest.raises(DroidheadersError, match="build all ended with status 7") as caught:
            _step(builds, place, run)
        return caught.value

    with ThreadPoolExecutor(4) as pool:
        errors = [*pool.map(fail, range(8))]
    assert _runs(place) == 1
    for error in errors:
        assert len(error.__notes__) == 20
        assert error.__notes__[-1] == "bad\\x1b[31m"
    assert len({id(error) for error in errors}) == 8
    fail(0)
    assert (place / f"log{threading.get_ident()}").read_text().endswith("30\nbad\\x1b[31m\n")
    (place / "src/a").write_text("b\n")
    fail(0)
    assert _runs(place) == 2
    assert cache.derived.made(".host") == []


def test_one_that_hangs_or_has_no_inputs(builds: Builds, place: Path) -> None:
    with pytest.raises(DroidheadersError, match=r"build all still ran after 0\.2 seconds"):
        _step(builds, place, "sleep 100", timeout=0.2)
    with pytest.raises(DroidheadersError, match=r"is \*\.c, which is an input of a build"):
        _step(builds, place, inputs="*.c")


def test_one_that_is_interrupted_is_no_failure(cache: Cache, place: Path) -> None:
    stopped = threading.Event()
    builds = Builds(cache, place, stopped)
    threading.Timer(0.2, stopped.set).start()
    with pytest.raises(DroidheadersError, match="build all was interrupted"):
        _step(builds, place, "sleep 100; true")
    stopped.clear()
    assert _step(builds, place, "true").is_dir()
