"""What a kernel exports to modules, as far as one source of it tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Export:
    """One exported symbol; None is what the source does not tell.

    `namespace` is "" for a symbol in none; `module` is "vmlinux" or the module that exports it.
    """

    crc: int | None = None
    namespace: str | None = None
    gpl: bool | None = None
    module: str | None = None


@dataclass(frozen=True)
class Exports:
    """Exports by name. When `complete`, a name that is not among them is not exported.

    `source` says where they are from, for a sentence.
    """

    symbols: Mapping[str, Export]
    complete: bool
    source: str
