"""`droidheaders devices`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from droidheaders.cli.settings import emit, settings, table
from droidheaders.ui import printable, ui

if TYPE_CHECKING:
    from droidheaders.adb import Attached, Server
    from droidheaders.kernel.probe import Probe


@dataclass(frozen=True)
class _Row:
    attached: Attached
    probed: Probe | None
    headers: str


def devices() -> None:
    """List what is attached: state, kernel, architecture, and whether headers are to be had."""
    from concurrent.futures import ThreadPoolExecutor  # 5 ms, and every command imports this file

    server = settings.server()
    attached = server.devices()
    if not attached:
        ui.say("no devices; start the embedded one: droidheaders emulator start")
    with ThreadPoolExecutor(max_workers=max(1, len(attached))) as pool:
        rows = list(pool.map(lambda one: _look(server, one), attached))
    cells = [("SERIAL", "STATE", "KERNEL", "ARCH", "HEADERS")]
    cells += [
        (
            printable(row.attached.serial),
            printable(row.attached.state),
            printable(row.probed.kernel.release) if row.probed else "-",
            row.probed.kernel.arch if row.probed else "-",
            row.headers,
        )
        for row in rows
    ]
    emit({"devices": [_describe(row) for row in rows]}, table(cells))


def _look(server: Server, attached: Attached) -> _Row:
    from droidheaders.adb import Selector
    from droidheaders.errors import DroidheadersError
    from droidheaders.kernel.probe import probe

    if attached.state != "device":
        return _Row(attached, None, "-")
    try:
        probed = probe(server.select(Selector(serial=attached.serial)))
    except DroidheadersError as e:
        return _Row(attached, None, e.message)
    return _Row(attached, probed, _headers(probed))


def _headers(probed: Probe) -> str:
    """Say in a word or two how headers are to be had."""
    if settings.cache().lookup(probed.kernel) is not None:
        return "cached"
    archive = probed.archive
    if archive is not None:
        return "archive" if archive.state == "readable" else "archive, needs root"
    if probed.modules:
        return "module" if probed.uid == 0 else "module, needs root"
    return "none seen" if probed.uid == 0 else "none seen without root"


def _describe(row: _Row) -> dict[str, Any]:
    kernel = row.probed.kernel if row.probed else None
    return {
        "serial": row.attached.serial,
        "state": row.attached.state,
        "model": row.attached.model,
        "headers": row.headers,
        "kernel": vars(kernel) if kernel else None,
        "arch": kernel.arch if kernel else None,
    }
