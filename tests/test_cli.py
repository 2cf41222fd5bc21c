"""The command line itself: where options may stand, what goes where, that the manual is true."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from droidheaders import __version__
from droidheaders.cli.main import app, hoist, run
from droidheaders.errors import DroidheadersError

MANUAL = Path(__file__).parent.parent / "docs/droidheaders.1"


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int | str | None, str, str]:
    with pytest.raises(SystemExit) as stop:
        run(list(arguments))
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


@pytest.mark.parametrize(
    ("given", "hoisted"),
    [
        (["pull", "--json"], ["--json", "pull"]),
        (["pull", "-s", "abc", "--refresh"], ["-s", "abc", "pull", "--refresh"]),
        (["cache", "list", "--cache-dir=/x", "-v"], ["--cache-dir=/x", "-v", "cache", "list"]),
        (["pull", "-vv", "-P5038"], ["-vv", "-P5038", "pull"]),
        (["pull", "-s"], ["-s", "pull"]),
        (["run", "--", "--json", "-s", "x"], ["run", "--", "--json", "-s", "x"]),
        (["-s", "pull", "pull"], ["-s", "pull", "pull"]),
    ],
)
def test_global_options_may_stand_behind_the_command(given: list[str], hoisted: list[str]) -> None:
    assert hoist(given) == hoisted


def test_no_command_uses_a_global_letter() -> None:
    """Or an option of its own could never reach it."""
    group = typer.main.get_command(app)
    taken = {flag for p in group.params for flag in (*p.opts, *p.secondary_opts)} - {"-h", "--help"}
    for path, command in commands(group):
        own = {flag for p in command.params for flag in (*p.opts, *p.secondary_opts)}
        assert not own & taken, path


def commands(group: object, above: str = "") -> list[tuple[str, typer.core.TyperCommand]]:
    found = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        path = f"{above} {name}".strip()
        if hasattr(command, "commands"):
            found += commands(command, path)
        else:
            found.append((path, command))
    return found


def test_the_manual_has_every_command_and_option() -> None:
    manual = re.sub(r"\\f[BIPR]|\\|\"", "", MANUAL.read_text())
    for path, command in commands(typer.main.get_command(app)):
        assert re.search(rf"^\.BI?R? {path}\b", manual, re.MULTILINE), path
        for parameter in command.params:
            for flag in (*parameter.opts, *parameter.secondary_opts):
                if flag.startswith("--") and flag != "--help":
                    assert flag in manual, f"{path} {flag}"
    for parameter in typer.main.get_command(app).params:
        for flag in (*parameter.opts, *parameter.secondary_opts):
            assert flag in manual or flag in ("-h", "--help"), flag


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "--version")[:2] == (0, f"droidheaders {__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [["pul"], ["pull", "--nonsense"], ["--timeout", "soon", "devices"], ["cache", "path"]],
)
def test_usage(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (2, "")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error", "hint"]
    assert "--help" in err


@pytest.mark.parametrize("arguments", [[], ["cache"], ["emulator"]])
def test_a_group_alone_shows_its_help(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    status, out, err = call(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("Usage: droidheaders")


@pytest.mark.parametrize(
    ("ended", "status", "said"),
    [(KeyboardInterrupt(), 130, "interrupted\n"), (SystemExit(143), 143, "")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_what_goes_wrong_while_interrupted_is_an_interrupt(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    ended: BaseException,
    status: int,
    said: str,
) -> None:
    def interrupted(*_: object) -> None:
        try:
            raise ended
        finally:
            raise DroidheadersError("the device is gone, so nothing could be undone")

    monkeypatch.setattr("droidheaders.cli.settings.Settings.cache", interrupted)
    assert call(capsys, "cache", "list") == (status, "", said)


def test_usage_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = call(capsys, "pull", "--nonsense", "--json")
    assert status == 2
    assert json.loads(out)["error"]["kind"] == "usage"


def test_a_bad_environment_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "many")
    status, _, err = call(capsys, "devices")
    assert status == 2
    assert "ANDROID_ADB_SERVER_PORT" in err


def test_empty_cache(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, out, err = call(capsys, "cache", "list", "--cache-dir", str(tmp_path / "none"))
    assert status == 0
    assert out.splitlines() == ["NAME  STATE  FILES  SIZE  OWN  USED"]
    assert "droidheaders pull" in err
    status, _, err = call(capsys, "cache", "path", "6.1", "--cache-dir", str(tmp_path / "none"))
    assert status == 2
    assert "no bundle named" in err


def test_help_imports_nothing_heavy() -> None:
    """Start-up is part of every `$(droidheaders …)`; these cost 30 to 140 ms each."""
    code = (
        "import sys, contextlib, io\n"
        "from droidheaders.cli.main import run\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    run(['--help'])\n"
        "print(*sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "typer" in loaded
    assert not loaded & {"adbutils", "requests", "PIL", "tqdm", "pydantic", "platformdirs"}


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    command = (
        f"{sys.executable} -m droidheaders --help | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0"
    assert "Traceback" not in done.stderr
