"""Tables of exported symbols, collected for a bundle: kept beside it, and gone with it.

    collected/NAME/KIND-DIGEST.json    a table, whole or absent

A bundle is never changed, so they do not lie in it. Of images and modules nothing else is kept:
2 MB in place of 100.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

from droidheaders.cache.bundle import Bundle
from droidheaders.cache.disk import disk_errors, write_atomically
from droidheaders.cache.store import Cache
from droidheaders.kernel.exports import Export
from droidheaders.kernel.known import TRUST, Known, Table, merge

_SCHEMA = 1


def tables(cache: Cache, bundle: Bundle) -> list[Table]:
    """Return what was collected for a bundle; a table that is damaged is none."""
    return decoded(contents(cache, bundle))


def contents(cache: Cache, bundle: Bundle) -> tuple[bytes, ...]:
    """Return the content of the files that were collected for a bundle, as far as they are read."""
    found = []
    with suppress(OSError):
        for file in sorted(_place(cache, bundle).glob("*.json")):
            with suppress(OSError):
                found.append(file.read_bytes())
    return tuple(found)


def decoded(files: Iterable[bytes]) -> list[Table]:
    """Return the tables in the content of such files; a damaged one is none."""
    found = []
    for data in files:
        with suppress(ValueError, KeyError, TypeError, AttributeError):
            found.append(_decoded(json.loads(data)))
    return found


def add(cache: Cache, bundle: Bundle, new: Iterable[Table]) -> None:
    """Keep tables beside a bundle, with what is there.

    Raises ConflictError when one of them contradicts another or what is there, and nothing of them
    is kept then; DroidheadersError when the disk will not have them.
    """
    new = [table for table in new if table.symbols]
    if not new:
        return
    merge([*tables(cache, bundle), *new])
    place = _place(cache, bundle)
    with disk_errors(cache.root):
        place.mkdir(parents=True, exist_ok=True)
        for table in new:
            data = json.dumps(_encoded(table), separators=(",", ":")).encode()
            name = f"{table.kind}-{hashlib.sha256(data).hexdigest()[:12]}.json"
            write_atomically(place / name, data)


def forget(cache: Cache, bundle: Bundle) -> None:
    """Take away what was collected for a bundle."""
    rmtree(_place(cache, bundle), ignore_errors=True)


def _place(cache: Cache, bundle: Bundle) -> Path:
    return cache.collected / bundle.name


def _encoded(table: Table) -> dict[str, Any]:
    sources = list(dict.fromkeys(known.source for known in table.symbols.values()))
    numbers = {source: number for number, source in enumerate(sources)}
    symbols = {
        name: [e.crc, e.namespace, e.gpl, e.module, numbers[known.source]]
        for name, known in table.symbols.items()
        for e in (known.export,)
    }
    return {
        "schema": _SCHEMA,
        "kind": table.kind,
        "whole": table.whole,
        "sources": sources,
        "symbols": symbols,
    }


def _decoded(told: Any) -> Table:
    """Return the table in a file; ValueError, KeyError or TypeError for what was not written so."""
    if told["schema"] != _SCHEMA or told["kind"] not in TRUST:
        raise ValueError
    kind, sources = told["kind"], told["sources"]
    symbols = {
        name: Known(Export(crc, namespace, gpl, module), kind, sources[number])
        for name, (crc, namespace, gpl, module, number) in told["symbols"].items()
    }
    return Table(kind, symbols, told["whole"])
