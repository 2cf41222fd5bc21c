"""What two kernels have otherwise: told by bundles, and shown to people and programs."""

from __future__ import annotations

import json
import re

import pytest

from droidheaders.cache import Bundle, Cache
from droidheaders.cache.diff import Changes, diff
from droidheaders.cli.main import run
from droidheaders.errors import HeadersError
from tests.cache.making import make

MANY = {f"include/linux/dir{i % 3}/{i}.h": b"a" for i in range(90)}


def pair(
    cache: Cache,
    a: dict[str, bytes],
    b: dict[str, bytes],
    configs: tuple[str, str] | None = None,
) -> tuple[Bundle, Bundle]:
    bundles = make(cache, "6.1.1", a), make(cache, "6.1.2", b)
    for bundle, config in zip(bundles, configs or (), strict=False):
        (bundle.path / "config").write_text(config)
    return bundles


def test_headers_by_their_digests(cache: Cache) -> None:
    same = {"include/same.h": b"same"}
    a = {**same, "include/gone.h": b"x", "include/changed.h": b"a"}
    b = {**same, "include/new.h": b"x", "include/changed.h": b"b"}
    found = diff(*pair(cache, a, b))
    assert found.headers == Changes(
        added=("include/new.h",),
        removed=("include/gone.h",),
        changed=("include/changed.h", "include/own.h"),  # each release has its own
    )
    assert found.total == len({*a, *b}) + 6  # GOOD, own.h and a link


def test_links_are_headers_too(cache: Cache) -> None:
    a, b = pair(cache, {}, {})
    links = a.meta["symlinks"]
    moved = Bundle(b.path, b.meta | {"symlinks": {**links, "include/linux/task.h": "fs.h"}})
    assert diff(a, moved).headers.changed == ("include/linux/task.h", "include/own.h")
    without = Bundle(b.path, {k: v for k, v in b.meta.items() if k != "symlinks"})
    assert diff(a, without).headers.removed == ("include/linux/task.h",)
    copied = Bundle(a.path, {**a.meta, "symlinks": {"include/own.h": "sched.h"}})
    assert diff(a, copied).headers.changed == ("include/own.h",)


def test_options_that_are_off_and_options_that_are_absent(cache: Cache) -> None:
    same = "# CONFIG_E is not set\nCONFIG_A=y\n"
    configs = (
        same + "CONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=1\n",
        same + "# CONFIG_B is not set\nCONFIG_D=0x1\nCONFIG_F=n\n",
    )
    found = diff(*pair(cache, {}, {}, configs))
    assert found.config == Changes(("CONFIG_F",), ("CONFIG_C",), ("CONFIG_B", "CONFIG_D"))
    assert (found.options_a["CONFIG_B"], found.options_b["CONFIG_B"]) == ("m", "n")


def test_a_bundle_without_config_is_said(cache: Cache) -> None:
    a, b = pair(cache, {}, {})
    (b.path / "config").unlink()
    found = diff(a, b)
    assert (found.config, found.unknown) == (None, f"{b.name} has no config")
    (b.path / "config").write_text("none")
    assert diff(b, a).unknown == f"the config of {b.name} holds no configuration"


@pytest.mark.parametrize("content", [None, "damaged\n", ""])
def test_a_damaged_manifest_is_an_error(cache: Cache, content: str | None) -> None:
    a, b = pair(cache, {}, {})
    (b.path / "manifest").unlink()
    if content is not None:
        (b.path / "manifest").write_text(content)
    with pytest.raises(HeadersError, match=f"{re.escape(b.name)} cannot be compared: ") as error:
        diff(a, b)
    assert error.value.hint == f"droidheaders cache verify {b.name} --repair"


def show(
    cache: Cache, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int | str | None, str, str]:
    with pytest.raises(SystemExit) as stop:
        run(["--cache-dir", str(cache.root), *arguments, "cache", "diff", "6.1.1", "6.1.2"])
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


def test_what_a_person_sees(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    configs = (
        '# CONFIG_A is not set\nCONFIG_GONE=y\nCONFIG_L="a"\n',
        'CONFIG_A=m\n# CONFIG_NEW is not set\nCONFIG_L=""\n',
    )
    a, b = pair(cache, {"include/gone.h": b""}, {"include/new.h": b""}, configs)
    status, out, err = show(cache, capsys)
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "1 added, 1 removed, 1 changed of 8 headers; 4 config options differ",
        f"bundle    {a.name} -> {b.name}",
        "release   6.1.1 -> 6.1.2",
        f"build-id  {a.kernel.build_id} -> {b.kernel.build_id}",
        "",
        "~ CONFIG_A  n -> m",
        '~ CONFIG_L  "a" -> ""',
        "- CONFIG_GONE  y",
        "+ CONFIG_NEW  n",
        "",
        "~ include/own.h",
        "- include/gone.h",
        "+ include/new.h",
    ]


def test_many_headers_are_counted_by_directory(
    cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    deep = {f"include/d{i}/x/y.h": b"" for i in range(50)}
    pair(cache, MANY, {**dict.fromkeys(MANY, b"b"), **deep})
    status, out, err = show(cache, capsys)
    assert status == 0
    assert out.splitlines()[-5:] == [
        "~ include/  1",
        "~ include/linux/dir0/  30",
        "~ include/linux/dir1/  30",
        "~ include/linux/dir2/  30",
        "+ include/  50",
    ]
    assert err == "every name: droidheaders --json cache diff 6.1.1 6.1.2\n"


def test_json_names_everything(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = pair(
        cache, MANY, {}, ("CONFIG_A=y\nCONFIG_B=y\n", "# CONFIG_A is not set\nCONFIG_B=y\n")
    )
    status, out, err = show(cache, capsys, "--json")
    answer = json.loads(out)
    assert (status, err) == (0, "")
    assert answer["config"] == [{"name": "CONFIG_A", "a": "y", "b": "n"}]
    assert answer["config_unknown"] == ""
    assert answer["headers"] == {
        "total": len(MANY) + 6,
        "added": [],
        "removed": sorted(MANY),
        "changed": ["include/own.h"],
    }
    assert answer["a"] == {
        "bundle": a.name,
        "release": "6.1.1",
        "version": "#1 SMP",
        "machine": "aarch64",
        "build_id": a.kernel.build_id,
        "compiler": "",
    }
    (b.path / "config").unlink()
    answer = json.loads(show(cache, capsys, "--json")[1])
    assert (answer["config"], answer["config_unknown"]) == (None, f"{b.name} has no config")


def test_colour_follows_stdout_unless_it_is_asked_for(
    cache: Cache, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pair(cache, {}, {})
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert "\x1b" not in show(cache, capsys)[1]
    assert "\x1b[33m~ include/own.h\x1b[0m" in show(cache, capsys, "--color")[1]


def test_a_bundle_and_itself(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    make(cache, "6.1.1")
    with pytest.raises(SystemExit) as stop:
        run(["--cache-dir", str(cache.root), "cache", "diff", "6.1.1", "6.1.1"])
    assert stop.value.code == 0
    summary = "0 added, 0 removed, 0 changed of 6 headers; 0 config options differ\n"
    assert capsys.readouterr().out == summary


def test_values_cannot_reach_the_terminal(cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    pair(cache, {}, {}, ('CONFIG_A="\x1b[31m"\n', "CONFIG_A=y\n"))
    assert "\x1b" not in show(cache, capsys)[1]
