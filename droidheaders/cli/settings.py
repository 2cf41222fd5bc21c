"""What the global options said, and the few things every command makes from them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from droidheaders.errors import DroidheadersError
from droidheaders.ui import ui

if TYPE_CHECKING:
    from droidheaders.adb import Device, Server
    from droidheaders.cache import Bundle, Cache

SCHEMA = 1


@dataclass
class Settings:
    """The global options, as given; None where they were not."""

    serial: str | None = None
    transport_id: int | None = None
    usb: bool = False
    tcp: bool = False
    host: str | None = None
    port: int | None = None
    socket: str | None = None
    json: bool = False
    timeout: float | None = None
    cache_dir: str | None = None

    def server(self) -> Server:
        """Return the adb server that the options and the environment name."""
        from droidheaders.adb import Server, resolve_endpoint

        endpoint = resolve_endpoint(self.host, self.port, self.socket)
        return Server(endpoint, timeout=30.0 if self.timeout is None else self.timeout)

    def device(self) -> Device:
        """Return the one device that is meant; NoDeviceError when there is none, or several."""
        from droidheaders.adb import Selector

        selector = Selector.from_flags(self.serial, self.transport_id, self.usb, self.tcp)
        return self.server().select(selector)

    def bundle(self, name: str | None) -> Bundle:
        """Return the bundle that `name`, else the device, else the last use means.

        No adb server is started for this.
        """
        from droidheaders.choosing import choose

        return choose(self.cache(), name, self.attached)

    def attached(self) -> Device | None:
        """Return the device that is meant, None when none is named and none attached.

        No adb server is started for this. Raises what `choosing.attached` raises.
        """
        from droidheaders.adb import Selector
        from droidheaders.choosing import attached

        selector = Selector.from_flags(self.serial, self.transport_id, self.usb, self.tcp)
        return attached(self.server(), selector)

    def cache(self) -> Cache:
        """Return the cache that the options and the environment name."""
        from droidheaders.cache import Cache

        return Cache.default(self.cache_dir)


settings = Settings()


def emit(data: dict[str, Any], text: str) -> None:
    """Write a command's result to stdout: `data` as one JSON object with --json, else `text`.

    An empty text is no line at all.
    """
    line = json.dumps({"schema": SCHEMA, **data}) if settings.json else text
    print(line, end="\n" if line else "", flush=True)


def report(error: DroidheadersError) -> None:
    """Tell the person on stderr what is wrong and what to type next."""
    print(f"{ui.paint('error:', '31;1')} {error.message}", file=sys.stderr)
    if error.hint:
        print(f"{ui.paint('hint:', '36')} {error.hint}", file=sys.stderr)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Return rows as left-aligned columns; the first row is the heading."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def mebibytes(size: int) -> str:
    """Return a size in bytes as people read it, in MiB."""
    return f"{size / (1 << 20):.1f} MiB"
