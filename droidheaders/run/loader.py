"""The BPF loader, emulator/bpf/loader: built here, and listened to while it runs on a device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders.debian.arch import TRIPLE
from droidheaders.debian.sysroot import sysroot
from droidheaders.run.events import Event, parse
from droidheaders.run.tools import FLAGS, Tool
from droidheaders.shipped import emulator_dir

if TYPE_CHECKING:
    from droidheaders.adb import Session

LONGEST = 1 << 20
"""Bytes of a line; the loader's own are shorter."""

_FLAGS = (
    *("-ffunction-sections", "-fdata-sections", "-nostdlib"),
    *("-Wl,--gc-sections", "-Wl,-z,noseparate-code"),  # smaller
)
_LIBRARIES = ("-lbpf", "-lelf", "-lz", "-Wl,--start-group", "-lc", "-lgcc", "-Wl,--end-group")


def build(arch: str) -> Path:
    """Return the loader for `arch` (arm64, x86_64), built on first use and kept in the cache.

    Raises DroidheadersError when this host has no compiler for it, the compiler fails, or the
    libraries cannot be had.
    """
    place = emulator_dir() / "bpf/loader"
    root = sysroot(arch)
    lib = root / "usr/lib" / TRIPLE[arch]
    # Not the compiler's own crtbegin.o, which counts on what small.lds leaves out.
    start, end = [str(lib / "crt1.o"), str(lib / "crti.o")], [str(lib / "crtn.o")]
    tool = Tool(
        "loader",
        "the BPF loader",
        sorted(place.iterdir()),
        [*FLAGS, *_FLAGS, f"--sysroot={root}", f"-Wl,-T,{place}/small.lds", *start],
        [*_LIBRARIES, *end],
        inputs=root.name,
    )
    return tool.build(arch)


class Loader:
    """A loader that runs in `session`: what it says, as events, and its status.

    Lines that are none of the loader's, or too long, are passed over and counted.
    """

    def __init__(self, session: Session) -> None:
        self.passed_over = 0
        self.stderr = bytearray()  # the last 4 KiB, of whatever could not start it
        self._session = session
        self._line = bytearray()
        self._skipping = False

    @property
    def status(self) -> int | None:
        """Its exit status, None while it runs; 128 + N for signal N."""
        return self._session.status

    def read(self, timeout: float | None = None) -> Sequence[Event]:
        """Return the events that came, after waiting at most `timeout` seconds for anything.

        None when nothing whole came in time, or it has ended. Raises what `Session.read` raises.
        """
        events: list[Event] = []
        for piece in self._session.read(timeout):
            if piece.error:
                self.stderr += piece.data
                del self.stderr[:-4096]
            else:
                events += self._take(piece.data)
        return events

    def parse(self, line: bytes) -> Event | None:
        """Return the event of a line, None for one that is not its own."""
        return parse(line)

    def close_stdin(self) -> None:
        """Ask it to detach, to dump the maps, and to end."""
        self._session.close_stdin()

    def _take(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            whole = bytes(self._line) + line
            if self._skipping or len(whole) > LONGEST:
                self.passed_over += 1
            elif event := self.parse(whole):
                events.append(event)
            else:
                self.passed_over += 1
            self._line.clear()
            self._skipping = False
        self._line += rest
        if len(self._line) > LONGEST:
            self._line.clear()
            self._skipping = True
        return events


def words(
    program: str,
    object_path: str,
    *,
    set_: Sequence[str] = (),
    maps: Sequence[str] = (),
    dump: Sequence[str] = (),
    events: Sequence[str] = (),
    btf: str | None = None,
    interface: str | None = None,
    cgroup: str | None = None,
    pin: str | None = None,
    pid: int | None = None,
    trace: bool = True,
) -> list[str]:
    """Return the command line of a loader at `program` on the device, a word each."""
    many = {"--set": set_, "--map": maps, "--dump": dump, "--event": events}
    one = {"--btf": btf, "--interface": interface, "--cgroup": cgroup, "--pin": pin}
    return [
        program,
        *(word for name, values in many.items() for value in values for word in (name, value)),
        *(word for name, value in one.items() if value is not None for word in (name, value)),
        *(["--pid", str(pid)] if pid is not None else []),
        *([] if trace else ["--no-trace"]),
        *("--", object_path),
    ]
