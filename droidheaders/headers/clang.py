"""The host's clang, asked which includes of headers lead nowhere, and what types there are.

The headers come from a device and steer clang: an `#include "/etc/shadow"` in them reads that file,
and errors quote what was read. So clang sees nothing but the tree and its own headers: through a
file system overlay without fall-through, at a path nobody can guess. It runs within bounds
(bounded.py).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from droidheaders.headers.bounded import Bounds, ProgramError, Ran, run
from droidheaders.headers.layout import include_order
from droidheaders.ui import printable

NAMES = (*(f"clang-{version}" for version in range(22, 13, -1)), "clang")
_SECONDS = 20  # 0.15 is usual
_MEMORY = 2 << 30
_OUTPUT = 32 << 20  # 3.5 MB are usual
_ERRORS = 20
_DASH_I = " /* clang -E -dI */"
_COMPILING = Bounds(seconds=120, memory=3 << 30, output=256 << 20)  # 3 s, 200 MB and 3 MB are usual


class ClangError(ProgramError):
    """Clang did not come to a judgement; the text says why, and nothing about the headers."""


@dataclass(frozen=True)
class Findings:
    """What preprocessing met, in clang's order.

    `missing` holds the includer, as a path below the tree or "" for what was asked for, by the name
    of each include that was not found. `errors` holds every other error, with file and line.
    """

    missing: dict[str, str]
    errors: tuple[str, ...]


@dataclass(frozen=True)
class Clang:
    """A clang on this host: where it is, the first line of its --version, its own headers."""

    path: str
    version: str
    builtin: str

    @classmethod
    def find(cls) -> Clang | None:
        """Return the newest clang on PATH that answers, or None."""
        return _find(os.environ.get("PATH", os.defpath))

    def preprocess(
        self, root: Path, arch: str, target: str, defines: tuple[str, ...], includes: list[str]
    ) -> Findings:
        """Preprocess `includes` as kernel code for `target` would include them from below `root`.

        `defines` are -D arguments. Raises ClangError when clang is no judge of that. Takes 0.15 s,
        twice when something is missing.
        """
        view = f"/{os.urandom(8).hex()}"
        common = [*self._flags(view, arch, target), *defines]
        for include in includes:
            common += ["-include", include]
        # -MG: what does not exist is listed as it was written, and not the end of it.
        ran = self._run(root, view, [*common, "-M", "-MG", "-"])
        errors = _errors(ran.err, view)
        if not ran.out.startswith("-.o:") or (ran.status and not errors):
            raise ClangError(f"failed: {ran.err.partition(chr(10))[0]}")
        # What does exist is listed with the path at which clang saw it.
        missing = {name: "" for name in _prerequisites(ran.out) if not name.startswith(view)}
        if missing:
            traced = [*common, "-E", "-dI", "-MD", "-MF", "/dev/null", "-Xclang", "-MG", "-"]
            with suppress(ClangError):  # hostile headers only: then nobody knows the includers
                missing |= _includers(self._run(root, view, traced).out, missing, view)
        return Findings(missing, errors)

    def compile(
        self,
        root: Path,
        arch: str,
        target: str,
        flags: tuple[str, ...],
        source: str,
        output: Path,
    ) -> dict[int, str]:
        """Compile `source` as kernel code for `target`, with all types, into the object `output`.

        Returns the first error that each line of `source` brings, by its number from 1: none where
        there is an object. Raises ClangError for what no line of it is to blame for.
        """
        view = f"/{os.urandom(8).hex()}"
        unit = f"{view}.source/unit.c"
        common = [*self._flags(view, arch, target), *flags, "-ferror-limit=0"]
        types = ["-O2", "-g", "-gdwarf-4", "-fno-eliminate-unused-debug-types"]
        # Clang looks for what it is to compile where -ivfsoverlay does not count.
        command = [*common, *types, "-c", "-include", unit, "-", "-o", str(output)]
        ran = self._run(root, view, command, source, _COMPILING)
        blamed = _blamed(ran.err, unit, view) if ran.status else {}
        if ran.status and not blamed:
            raise ClangError(f"failed: {ran.err.partition(chr(10))[0].replace(view, '')}")
        return blamed

    def _flags(self, view: str, arch: str, target: str) -> list[str]:
        return [
            *("-x", "c", f"--target={target}", "-nostdinc", "-isystem", f"{view}.clang"),
            *(f"-I{view}/{place}" for place in include_order(arch)),
            *("-include", "linux/kconfig.h", "-D__KERNEL__", "-D__BPF_TRACING__"),
            *(f"-D__TARGET_ARCH_{arch}", '-DKBUILD_MODNAME="droidheaders"'),
            *("-w", "-fno-caret-diagnostics", "-fno-color-diagnostics", "-fno-crash-diagnostics"),
            "-fms-extensions",  # for unnamed members: KBUILD_CFLAGS of 6.19
            f"-ferror-limit={_ERRORS}",
        ]

    def _run(
        self,
        root: Path,
        view: str,
        arguments: list[str],
        source: str = "",
        most: Bounds | None = None,
    ) -> Ran:
        """Run clang, which sees `root` as `view`, and `source` as VIEW.source/unit.c.

        Raises ClangError when it does not end by itself.
        """
        bounds = most or Bounds(_SECONDS, _MEMORY, _OUTPUT)
        try:
            with tempfile.TemporaryDirectory(prefix="droidheaders-") as place:
                (Path(place) / "source").mkdir()
                (Path(place) / "source/unit.c").write_text(source)
                seen = {view: str(root.absolute()), f"{view}.clang": self.builtin}
                seen[f"{view}.source"] = f"{place}/source"
                overlay = Path(place, "overlay.json")
                overlay.write_bytes(_overlay(seen))
                command = [self.path, f"-ivfsoverlay{overlay}", *arguments]
                return run(command, Path(place), bounds)
        except OSError as e:
            raise ClangError(f"could not be run: {e.strerror}") from e
        except ProgramError as e:
            raise ClangError(str(e)) from e


@cache
def _find(path: str) -> Clang | None:
    for name in NAMES:
        found = shutil.which(name, path=path)
        if not found:
            continue
        version = _ask(found, "--version").partition("\n")[0]
        resources = Path(_ask(found, "-print-resource-dir").strip())
        if "clang version" in version and (resources / "include").is_dir():
            return Clang(found, printable(version), str(resources / "include"))
    return None


def _ask(clang: str, question: str) -> str:
    try:
        answer = subprocess.run(
            [clang, question],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.decode("utf-8", "replace")


def _overlay(remaps: dict[str, str]) -> bytes:
    """Return an overlay in which these directories are all there is (LLVM's VirtualFileSystem.h).

    Clang 14 is the first that knows directory-remap.
    """
    roots = [
        {"type": "directory-remap", "name": name, "external-contents": directory}
        for name, directory in remaps.items()
    ]
    how = {"version": 0, "case-sensitive": "true", "use-external-names": "false"}
    overlay = {**how, "fallthrough": "false", "roots": roots}
    return json.dumps(overlay, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _prerequisites(rule: str) -> list[str]:
    """Return the names in the Makefile rule that -M writes."""
    words = re.findall(r"(?:\\.|\S)+", rule.replace("\\\n", " "))
    return [re.sub(r"\\([ #])", r"\1", word).replace("$$", "$") for word in words[1:]]


def _includers(traced: str, missing: dict[str, str], view: str) -> dict[str, str]:
    """Return the first file that includes each of `missing`, by the output of -E -dI."""
    found: dict[str, str] = {}
    file = ""
    for line in traced.splitlines():
        if line.startswith("# ") and (marker := re.match(r'# \d+ "(.*)"', line)):
            file = marker[1]
        elif line.endswith(_DASH_I):
            name = line.removesuffix(_DASH_I).partition(" ")[2][1:-1]
            if name in missing and file.startswith(view):
                found.setdefault(name, _plain(file, view))
    return found


def _errors(said: str, view: str) -> tuple[str, ...]:
    """Return the errors that have a place, each once: file, as a path below the tree, line, text.

    An error without a place is about clang and not about headers. `#line` in a header makes up
    places, so they are not looked at.
    """
    found = re.findall(r"^(.+?:\d+):\d+: (?:fatal )?error: (.*)$", said, re.MULTILINE)
    return tuple(dict.fromkeys(_plain(f"{at}: {text}", view) for at, text in found))


def _blamed(said: str, unit: str, view: str) -> dict[int, str]:
    """Return the first error by the line of `unit` that includes where it is.

    Clang says where a file is included from before the first of what it says about that file.
    """
    found: dict[int, str] = {}
    line = 0
    for text in said.splitlines():
        if at := re.match(rf"(?:In file included from )?{re.escape(unit)}:(\d+)[:,]", text):
            line = int(at[1])
        if line and re.search(r":\d+:\d+: (?:fatal )?error: ", text):
            found.setdefault(line, _plain(text, view))
    return found


def _plain(text: str, view: str) -> str:
    return text.replace(f"{view}/", "").replace(f"{view}.clang/", "clang's ")
