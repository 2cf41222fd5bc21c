"""`droidheaders cache verify` and `cache prune`: keep what is on the disk right, and small."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from droidheaders.cli.cache import names as complete
from droidheaders.cli.settings import emit, mebibytes, report, settings
from droidheaders.errors import HeadersError, UsageError
from droidheaders.ui import printable, ui

_SHOWN = 5  # damaged files a bundle, before a person is told "and so many more"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_BYTES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


def verify(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Bundles; all when none is named.", autocompletion=complete),
    ] = None,
    mend: Annotated[
        bool, typer.Option("--repair", help="Make damaged bundles whole again, or remove them.")
    ] = False,
    dry_run: DryRun = False,
) -> None:
    """Compare every file of the bundles with their manifests.

    Prints the names of the damaged bundles; exit status 5 when one is, or could not be repaired.

    Examples:

      droidheaders cache verify

      droidheaders cache verify 6.1.99-android14 --repair
    """
    from droidheaders.cache.verify import Inode, damage, repair

    cache = settings.cache()
    paths = [cache.locate(name) for name in names] if names else cache.directories()
    seen: dict[Inode, str] = {}
    results: list[dict[str, Any]] = []
    with ui.bar("verifying", len(paths), unit="bundle") as bar:
        for path in paths:
            wrong = damage(path, seen)
            outcome = "damaged" if wrong else "sound"
            _say_damage(path.name, wrong)
            if wrong and mend and not dry_run:
                outcome = "repaired" if repair(cache, path) else "removed"
                ui.say(f"{printable(path.name)}: {outcome}")
            results.append({"bundle": path.name, "outcome": outcome, "damage": wrong})
            bar.update(1)
    if mend and not dry_run:
        cache.index.forget(cache.kernels)
    found = [r["bundle"] for r in results if r["damage"]]
    ui.say(f"{len(results) - len(found)} of {_bundles(len(results))} sound")
    emit({"root": str(cache.root), "bundles": results}, "\n".join(found))
    _fail(results)


def _say_damage(name: str, wrong: dict[str, str]) -> None:
    for file, what in sorted(wrong.items())[:_SHOWN]:
        ui.say(f"{printable(name)}: {printable(file)} {what}")
    if len(wrong) > _SHOWN:
        ui.say(f"{printable(name)}: and {len(wrong) - _SHOWN} more")


def _fail(results: list[dict[str, Any]]) -> None:
    for outcome, what, hint in (
        ("removed", "could not be repaired, and went", "droidheaders pull"),
        ("damaged", "damaged", "droidheaders cache verify --repair"),
    ):
        count = sum(r["outcome"] == outcome for r in results)
        if count:
            report(HeadersError(f"{_bundles(count)} {what}", hint))
            raise typer.Exit(HeadersError.exit_code)


def _bundles(count: int) -> str:
    return "1 bundle" if count == 1 else f"{count} bundles"


def prune(
    keep: Annotated[
        int | None, typer.Option("--keep", min=0, help="Keep the N bundles used last.", metavar="N")
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than", help="Remove what was not used for so long: 12h, 30d.", metavar="AGE"
        ),
    ] = None,
    max_size: Annotated[
        str | None,
        typer.Option(
            "--max-size", help="Remove until the rest takes at most this: 500M, 2G.", metavar="SIZE"
        ),
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Remove bundles, the longest unused first; several criteria remove what any of them names.

    Prints the names of what went.

    Examples:

      droidheaders cache prune --older-than 30d --max-size 2G

      droidheaders cache prune --keep 3 --dry-run
    """
    from droidheaders.cache.prune import prune as prune_cache

    if keep is None and older_than is None and max_size is None:
        raise UsageError("say what may go", "droidheaders cache prune --older-than 30d --dry-run")
    cache = settings.cache()
    pruned = prune_cache(
        cache,
        keep=keep,
        older_than=_amount(older_than, _SECONDS, "--older-than", "30d"),
        max_size=_amount(max_size, _BYTES, "--max-size", "2G"),
        dry_run=dry_run,
    )
    freed = sum(one.freed for one in pruned)
    verb = "would remove" if dry_run else "removed"
    ui.say(f"{verb} {_bundles(len(pruned))}, {mebibytes(freed)} on the disk")
    emit(
        {
            "root": str(cache.root),
            "dry_run": dry_run,
            "freed": freed,
            "bundles": [{"bundle": one.name, "freed": one.freed} for one in pruned],
        },
        "\n".join(one.name for one in pruned),
    )


def _amount(text: str | None, units: dict[str, int], option: str, example: str) -> int | None:
    """Return what a number with a unit says, such as 30d or 2G."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)([A-Za-z]?)(?:i?[bB])?", text)
    unit = next((u for u in units if match and u.lower() == match[2].lower()), None)
    if match is None or unit is None:
        raise UsageError(f"{option} takes a number and a unit, not {text!r}", f"{option} {example}")
    return int(float(match[1]) * units[unit])
