"""What changes on the disk, which cases that has to do with, and that those alone run again."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.loop import plan as plans
from droidheaders.loop.matrix import cases
from droidheaders.loop.plan import Plan, Target
from droidheaders.loop.rerunning import rerun
from droidheaders.loop.results import Case, Report
from droidheaders.loop.touched import touched
from droidheaders.loop.watching import Changes


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("bpf", "mod/deep", "out", ".git"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("spec.toml", "bpf/a.bpf.c", "bpf/b.o", "mod/m.c", "sh.sh", "Image"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def changes(place: Path) -> Iterator[Changes]:
    with Changes([place], place / "out") as watched:
        yield watched


def plan_of(place: Path) -> Plan:
    return Plan(
        place / "spec.toml",
        (Target("old", "5.10-arm64"), Target("own", "6.1-arm64", place / "Image")),
        (
            plans.Test("bpf", "bpf", place / "bpf/a.bpf.c"),
            plans.Test("object", "bpf", place / "bpf/b.o"),
            plans.Test("module", "module", place / "mod"),
            plans.Test("sh", "script", place / "sh.sh", targets=("old",)),
            plans.Test("host", "host", command="make check", targets=("old",)),
        ),
    )


def found_for(place: Path, *names: str, written: Sequence[str] = ()) -> set[str]:
    plan = plan_of(place)
    found = touched(
        plan,
        cases(plan),
        {place / name for name in names},
        {place / name for name in written},
    )
    return {f"{case.target}/{case.test}" for case in found}


BOTH = {"bpf": {"old/bpf", "own/bpf"}, "module": {"old/module", "own/module"}}
HOST = {"old/host"}
OF_OWN = {"own/bpf", "own/object", "own/module"}
ALL = BOTH["bpf"] | BOTH["module"] | {"old/object", "own/object", "old/sh"}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("bpf/a.bpf.c", BOTH["bpf"]),
        ("bpf/shared.h", BOTH["bpf"]),
        ("bpf/deep/shared.h", BOTH["bpf"]),
        ("bpf/a.bpf.c.txt", set()),
        ("mod/deep/x.h", BOTH["module"]),
        ("mod", BOTH["module"]),
        ("module.c", set()),
        ("sh.sh", {"old/sh"}),
        ("Image", OF_OWN),
        ("spec.toml", ALL),
    ],
)
def test_a_change_touches_what_is_made_of_it(place: Path, name: str, found: set[str]) -> None:
    assert found_for(place, name) == found | HOST
    assert found_for(place, written=[name]) == found


def test_links_are_known_by_both_ends(place: Path) -> None:
    (place / "real.sh").touch()
    (place / "sh.sh").unlink()
    (place / "sh.sh").symlink_to("real.sh")
    assert found_for(place, "real.sh") == found_for(place, "sh.sh") == {"old/sh"} | HOST


def test_files_are_told_however_they_are_written(place: Path, changes: Changes) -> None:
    with (place / "sh.sh").open("a") as file:
        file.write("x")
    assert changes.wait() == {place / "sh.sh"}
    (place / "mod/.m.c.new").write_text("y")
    os.replace(place / "mod/.m.c.new", place / "mod/m.c")
    assert place / "mod/m.c" in changes.wait()
    (place / "mod/m.c").unlink()
    assert changes.wait() == {place / "mod/m.c"}
    (place / "mod/deep/er").mkdir()
    (place / "mod/deep/er/new.h").write_text("z")
    assert {place / "mod/deep/er", place / "mod/deep/er/new.h"} <= changes.wait()
    assert changes.until_now() == set()


def test_what_is_not_for_people_is_no_change(place: Path, changes: Changes) -> None:
    for name in (".git/index", "sh.sh~", "mod/.m.c.swp", "out/results.json", "sh.sh"):
        (place / name).write_text("x")
    (place / "mod/m.c").read_text()
    assert changes.wait() == {place / "sh.sh"}


def test_a_burst_is_one_change(place: Path, changes: Changes) -> None:
    for number in range(300):
        (place / f"mod/{number}.c").write_text("x")
    found = changes.wait()
    assert {place / f"mod/{number}.c" for number in range(300)} <= found
    assert changes.until_now() == set()


def test_a_file_is_watched_without_what_is_beside_it(place: Path) -> None:
    image = place / "Image"
    with Changes([image], place / "out") as changes:
        for number in range(2):  # it is another file the second time
            (place / "beside").write_text("x")
            (place / "new").write_text(f"{number}")
            (place / "new").rename(image)
            assert changes.wait() == {image}


def test_a_directory_that_is_replaced_is_told(place: Path, changes: Changes) -> None:
    shutil.copytree(place / "mod", place / "mod.new")
    shutil.rmtree(place / "mod")
    (place / "mod.new").rename(place / "mod")
    assert place / "mod" in changes.wait()
    changes.until_now()
    (place / "mod/m.c").write_text("x")
    assert changes.wait() == {place / "mod/m.c"}


def test_what_is_not_there_cannot_be_watched(place: Path) -> None:
    threads = threading.active_count()
    with pytest.raises(UsageError, match=r"there is no .*none to watch"):
        Changes([place, place / "none"], place / "out").__enter__()
    with Changes([place], place / "out"):
        assert threading.active_count() > threads
    assert threading.active_count() == threads


class EndedError(Exception):
    """Nothing more changes."""


class Script:
    """Changes by a script, and a loop of which is noted what ran."""

    def __init__(self, place: Path, *told: set[str], written: Sequence[set[str]] = ()) -> None:
        self.place, self.told, self.written = place, [*told], [*written]
        self.ran: list[list[str]] = []
        self.complaints: list[str] = []
        self.broken: list[DroidheadersError | None] = []
        self.interrupted = False

    def wait(self) -> set[Path]:
        if not self.told:
            raise EndedError
        return {self.place / name for name in self.told.pop(0)}

    def until_now(self) -> set[Path]:
        return {self.place / name for name in (self.written.pop(0) if self.written else ())}

    def load(self) -> tuple[Plan, list[Case]]:
        if self.broken and (error := self.broken.pop(0)):
            raise error
        plan = plan_of(self.place)
        return plan, cases(plan, "old/*")

    def run(self, plan: Plan, wanted: Sequence[Case]) -> Report:
        self.ran.append([case.test for case in wanted])
        return Report("s", 0.0, 0.0, len(wanted), (), self.interrupted)

    def loop(self) -> Report:
        return rerun(self, self.load, self.run, lambda e: self.complaints.append(e.message))


EVERY = ["bpf", "object", "module", "sh", "host"]


def test_only_what_a_change_touches_runs_again(place: Path) -> None:
    script = Script(place, {"bpf/a.bpf.c"}, {"Image"}, {"spec.toml"})
    with pytest.raises(EndedError):
        script.loop()
    assert script.ran == [EVERY, ["bpf", "host"], ["host"], EVERY]


def test_a_command_does_not_run_for_what_it_wrote(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Script(place, {"Image"}, written=[{"tool"}, {"bpf/b.o"}, {"tool"}])
    with pytest.raises(EndedError):
        script.loop()
    assert script.ran == [EVERY, ["host"], ["object"]]
    assert "not run again for it: tool; save once more" in capsys.readouterr().err


def test_a_spec_that_is_wrong_for_a_while_loses_no_change(place: Path) -> None:
    script = Script(place, {"mod/m.c"}, {"sh.sh"})
    script.broken = [None, UsageError("is not TOML", "")]
    with pytest.raises(EndedError):
        script.loop()
    assert script.complaints == ["is not TOML"]
    assert script.ran == [EVERY, ["module", "sh", "host"]]


def test_a_spec_that_is_wrong_at_first_ends_it(place: Path) -> None:
    script = Script(place, {"spec.toml"})
    script.broken = [UsageError("is not TOML", "")]
    with pytest.raises(UsageError):
        script.loop()


def test_a_run_that_is_interrupted_is_the_last(place: Path) -> None:
    script = Script(place, {"spec.toml"})
    script.interrupted = True
    assert script.loop().interrupted
    assert script.ran == [EVERY]
