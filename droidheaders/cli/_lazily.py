"""Commands that are imported and built when they are asked for: to build them all takes 40 ms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import typer
import typer.core


class _Commands(Mapping[str, Any]):
    """click's commands by name, made of what `homes` names: "module:function", "module:app"."""

    def __init__(self, homes: Mapping[str, str]) -> None:
        self._homes = homes
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = _build(name, self._homes[name])
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


def _build(name: str, home: str) -> Any:
    module, _, attribute = home.partition(":")
    found = getattr(import_module(f"droidheaders.cli.{module}"), attribute)
    around = typer.Typer(rich_markup_mode=None)
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name=name)(found)
    return typer.main.get_group(around).commands[name]


def group(homes: Mapping[str, str]) -> type[typer.core.TyperGroup]:
    """Return the class of a group whose commands are at `homes`, in that order."""

    class Group(typer.core.TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings | {"commands": _Commands(homes)})

    return Group
