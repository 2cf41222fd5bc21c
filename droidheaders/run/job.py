"""What is to be run of a BPF object, and what for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from droidheaders.errors import UsageError
from droidheaders.run.greeting import Who

DEFAULT_TIME = 10.0
"""Seconds that expected output is waited for, where no time is given."""


@dataclass(frozen=True)
class Job:
    """What is to be run, and what for.

    `variables` are VAR=VALUE, `entries` NAME=KEY:VALUE, `dumps` names of maps whose content is told
    at the end, `samples` MAP=STRUCT of buffers. `triggers` are run on the device once all is
    attached, in their order. It is watched for `seconds`; without, until `expect` came
    (DEFAULT_TIME at most), until a line matches `until`, or until Ctrl-C. With
    `bpftool` the device's own loads it.
    """

    object: Path
    variables: tuple[str, ...] = ()
    entries: tuple[str, ...] = ()
    dumps: tuple[str, ...] = ()
    samples: tuple[str, ...] = ()
    interface: str | None = None
    cgroup: str | None = None
    pin: str | None = None
    pid: int | None = None
    triggers: tuple[str, ...] = ()
    expect: tuple[str, ...] = ()
    until: str | None = None
    seconds: float | None = None
    who: Who | None = None
    bpftool: bool = False

    def check_bpftool(self) -> None:
        """Raise UsageError when the device's bpftool is to do what only the loader can."""
        places = (self.pin, self.pid, self.interface, self.cgroup)
        if self.variables or self.entries or self.samples or any(places):
            raise UsageError(
                "--loader bpftool loads, attaches and dumps maps, and does nothing else",
                "leave out --set, --map NAME=KEY:VALUE, --event, and where to attach or pin it",
            )

    def words(self, program: str, path: str, types: str | None) -> list[str]:
        """Return the command line of the loader `program` for the object at `path`."""
        from droidheaders.run.loader import words

        return words(
            program,
            path,
            set_=self.variables,
            maps=self.entries,
            dump=self.dumps,
            events=self.samples,
            btf=types,
            interface=self.interface,
            cgroup=self.cgroup,
            pin=self.pin,
            pid=self.pid,
        )
