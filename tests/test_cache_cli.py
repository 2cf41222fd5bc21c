"""`droidheaders cache`: what it prints, to whom, and with which status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from droidheaders.cache import Bundle, Cache
from droidheaders.cli.main import run
from tests.cache.making import make

SCHED = "headers/include/linux/sched.h"


class Cli:
    """Runs commands on one cache; stdout, stderr and the status of each."""

    def __init__(self, cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
        self.cache = cache
        self._capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int | str | None, str, str]:
        with pytest.raises(SystemExit) as stop:
            run(["--cache-dir", str(self.cache.root), "cache", *arguments])
        out = self._capsys.readouterr()
        return stop.value.code, out.out, out.err

    def json(self, *arguments: str) -> tuple[int | str | None, Any]:
        status, out, _ = self("--json", *arguments)
        return status, json.loads(out)


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(Cache(tmp_path / "cache"), capsys)


@pytest.fixture
def bundles(cli: Cli) -> list[Bundle]:
    return [make(cli.cache, "6.1.176"), make(cli.cache, "6.1.187")]


def spoil(bundle: Bundle) -> None:
    (bundle.path / SCHED).unlink()
    (bundle.path / SCHED).write_text("spoilt")


def test_list_shows_sizes_and_state(cli: Cli, bundles: list[Bundle]) -> None:
    status, out, err = cli("list")
    assert status == 0
    head, *rows = out.splitlines()
    assert head.split() == ["NAME", "STATE", "FILES", "SIZE", "OWN", "USED"]
    assert [row.split()[0] for row in rows] == [b.name for b in bundles]
    assert "in 2 bundles take" in err
    _, answer = cli.json("list")
    for one in answer["bundles"]:
        assert one["size"]["own"] > 0
    assert answer["size"]["disk"] > sum(one["size"]["own"] for one in answer["bundles"])


def test_what_was_made_of_a_bundle_counts_and_is_shown(cli: Cli, bundles: list[Bundle]) -> None:
    def fill(place: Path) -> None:
        (place / "btf").write_bytes(bytes(1 << 20))

    _, before = cli.json("list")
    place = cli.cache.derived.make(bundles[0], "btf", [], fill)
    _, after = cli.json("list")
    grown = [
        (b["size"]["apparent"] - a["size"]["apparent"], b["size"]["own"] > a["size"]["own"])
        for a, b in zip(before["bundles"], after["bundles"], strict=True)
    ]
    assert grown == [(1 << 20, True), (0, False)]
    assert f"\nmade      {place.name}, 1.0 MiB\n" in cli("show", "6.1.176")[1]
    _, shown = cli.json("show", "6.1.176")
    assert shown["derived"] == {place.name: 1 << 20}
    assert cli("verify")[0] == 0


def test_verify_of_sound_bundles_says_so(cli: Cli, bundles: list[Bundle]) -> None:
    assert cli("verify") == (0, "", "2 of 2 bundles sound\n")
    status, answer = cli.json("verify", "6.1.176")
    assert (status, [b["outcome"] for b in answer["bundles"]]) == (0, ["sound"])


def test_verify_of_an_empty_cache(cli: Cli) -> None:
    assert cli("verify") == (0, "", "0 of 0 bundles sound\n")


def test_verify_names_what_is_damaged(cli: Cli, bundles: list[Bundle]) -> None:
    spoil(bundles[0])
    status, out, err = cli("verify")
    assert (status, out) == (5, f"{bundles[0].name}\n")
    assert f"{bundles[0].name}: {SCHED} has changed" in err
    assert "hint: droidheaders cache verify --repair" in err
    assert cli("verify", bundles[1].name)[0] == 0


def test_repair_may_be_rehearsed(cli: Cli, bundles: list[Bundle]) -> None:
    spoil(bundles[0])
    assert cli("verify", "--repair", "--dry-run")[0] == 5
    assert cli("verify")[0] == 5
    status, answer = cli.json("verify", "--repair")
    assert (status, [b["outcome"] for b in answer["bundles"]]) == (0, ["repaired", "sound"])
    assert cli("verify")[0] == 0


def test_what_cannot_be_repaired_goes(cli: Cli, bundles: list[Bundle]) -> None:
    (bundles[0].path / "bundle.json").unlink()
    assert cli("verify", bundles[0].name)[0] == 5  # by its full name, though it cannot be read
    status, out, err = cli("verify", "--repair")
    assert (status, out) == (5, f"{bundles[0].name}\n")
    assert "error: 1 bundle could not be repaired, and went\nhint: droidheaders pull" in err
    assert cli("verify")[0] == 0


def test_prune_prints_what_went(cli: Cli, bundles: list[Bundle]) -> None:
    status, out, err = cli("prune", "--keep", "1", "--dry-run")
    assert (status, out) == (0, f"{bundles[0].name}\n")
    assert "would remove 1 bundle," in err
    assert len(cli.cache.bundles()) == 2
    status, answer = cli.json("prune", "--max-size", "0")
    assert [one["bundle"] for one in answer["bundles"]] == [b.name for b in bundles]
    assert cli.cache.bundles() == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say what may go"),
        (["--older-than", "soon"], "--older-than takes a number and a unit, not 'soon'"),
        (["--older-than", "30"], "--older-than takes a number and a unit, not '30'"),
        (["--max-size", "-1G"], "--max-size takes a number and a unit, not '-1G'"),
        (["--max-size", "9" * 40], "--max-size takes a number and a unit"),
        (["--keep", "-1"], "-1"),
    ],
)
def test_prune_wrongly_used(
    cli: Cli, bundles: list[Bundle], arguments: list[str], says: str
) -> None:
    status, out, err = cli("prune", *arguments)
    assert (status, out) == (2, "")
    assert says in err
    assert len(cli.cache.bundles()) == 2


@pytest.mark.parametrize("size", ["2G", "2g", "2GiB", "2GB", "0.5T", "3000M", "3000000K"])
def test_sizes_as_people_write_them(cli: Cli, bundles: list[Bundle], size: str) -> None:
    assert cli("prune", "--max-size", size)[:2] == (0, "")
