"""`droidheaders emulator`: the embedded device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from droidheaders.cli.settings import emit, settings, table
from droidheaders.errors import UsageError
from droidheaders.ui import ui

if TYPE_CHECKING:
    from droidheaders.guest.guest import How, MakeImage
    from droidheaders.guest.instance import Instance
    from droidheaders.guest.recipes import Recipe

app = typer.Typer(help="The embedded device: an Android-like guest in QEMU.", no_args_is_help=True)


@app.command()
def setup(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Recipes; without, 6.1-arm64.")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Debian mirror, else $DROIDHEADERS_MIRROR, else apt's."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Take a newer kernel if the suite has one.")
    ] = False,
) -> None:
    """Fetch and build what guests are made of; what is there is not fetched again."""
    from droidheaders.guest import image, recipes

    done = []
    for recipe in [recipes.load(name) for name in names or [recipes.DEFAULT]]:
        built = image.setup(recipe, mirror, update=update)
        ui.say(f"{recipe.name}: {built.release} is set up")
        done.append({"recipe": recipe.name, "arch": recipe.arch, "release": built.release})
    if settings.json:
        emit({"recipes": done}, "")


Name = Annotated[str, typer.Argument(help="Recipe.")]
Persona = Annotated[str, typer.Option(help="What the shell may: user, userdebug, su or root.")]
Kernel = Annotated[
    Path | None, typer.Option(metavar="IMAGE", help="Boot this kernel, not the recipe's.")
]
Modules = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Its modules: lib/modules/RELEASE.")
]
Extra = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Files laid over the guest's root.")
]
Memory = Annotated[
    int | None, typer.Option(metavar="MB", min=128, help="Memory in MB, else the recipe's: 512.")
]
Cpus = Annotated[int, typer.Option(min=1, max=64, help="Number of CPUs.")]


@app.command()
def start(
    name: Name = "6.1-arm64",
    persona: Persona = "userdebug",
    kernel: Kernel = None,
    modules: Modules = None,
    initrd_extra: Extra = None,
    memory: Memory = None,
    cpus: Cpus = 2,
    from_snapshot: Annotated[
        bool,
        typer.Option("--from-snapshot", help="Begin where such a guest was once it had booted."),
    ] = False,
) -> None:
    """Start a guest and print its serial once its shell answers, within --timeout (60 s).

    With --from-snapshot that takes a tenth of the time; the snapshot is made where there is none
    of this kernel, persona and machine.

    Examples:

      droidheaders emulator start 6.1-x86_64 --persona user

      droidheaders emulator start --from-snapshot

      droidheaders emulator start --kernel out/arch/arm64/boot/Image --from-snapshot
    """
    from droidheaders.guest.guest import Guest

    how = _how(name, persona, kernel, modules, initrd_extra, memory, cpus)
    guest = (Guest.fresh if from_snapshot else Guest.start)(name, **how)
    emit(_describe(guest.instance), guest.serial)


@app.command()
def snapshot(
    name: Name = "6.1-arm64",
    persona: Persona = "userdebug",
    kernel: Kernel = None,
    modules: Modules = None,
    initrd_extra: Extra = None,
    memory: Memory = None,
    cpus: Cpus = 2,
) -> None:
    """Boot a guest once, keep it for `start --from-snapshot`, and print where it is kept.

    It is made by itself when it is needed first, or something has changed; this makes it anew.
    """
    from droidheaders.guest.guest import Guest

    place = Guest.save(name, **_how(name, persona, kernel, modules, initrd_extra, memory, cpus))
    emit({"recipe": name, "persona": persona, "path": str(place)}, str(place))


def _how(
    name: str,
    persona: str,
    kernel: Path | None,
    modules: Path | None,
    extra: Path | None,
    memory: int | None,
    cpus: int,
) -> How:
    from droidheaders.guest.guest import DEFAULT_TIMEOUT
    from droidheaders.guest.recipes import load

    return {
        "persona": persona,
        "server": settings.server(),
        "timeout": DEFAULT_TIMEOUT if settings.timeout is None else settings.timeout,
        "memory": memory,
        "cpus": cpus,
        "make": _own(load(name), kernel, modules, extra),
    }


def _own(
    recipe: Recipe, kernel: Path | None, modules: Path | None, extra: Path | None
) -> MakeImage | None:
    """Return how to make an image around a person's own kernel, if there is one."""
    if kernel is None:
        if modules or extra:
            raise UsageError(
                "--modules and --initrd-extra belong to a kernel of your own",
                hint="droidheaders emulator start --kernel IMAGE",
            )
        return None
    from droidheaders.guest import image

    own = kernel
    return lambda into: image.custom(own, recipe, into, modules_dir=modules, extra=extra)


@app.command(name="list")
def list_() -> None:
    """List guests, running and stale, and the recipes there are."""
    from droidheaders.guest import image, recipes
    from droidheaders.guest.instance import instances

    guests = instances()
    known = [recipes.load(name) for name in recipes.names()]
    ready = {recipe.name: image.cached(recipe) for recipe in known}
    rows = [("GUEST", "STATE", "SERIAL", "PERSONA", "PID")]
    rows += [(one.name, one.state, one.serial, one.persona, str(one.pid)) for one in guests]
    text = [table(rows), ""] if guests else []
    recipe_rows = [("RECIPE", "SET UP", "")]
    for recipe in known:
        built = ready[recipe.name]
        recipe_rows.append((recipe.name, built.release if built else "-", recipe.about))
    listed = [
        {
            "name": recipe.name,
            "arch": recipe.arch,
            "about": recipe.about,
            "release": built.release if (built := ready[recipe.name]) else None,
        }
        for recipe in known
    ]
    emit(
        {"guests": [_describe(one) for one in guests], "recipes": listed},
        "\n".join([*text, table(recipe_rows)]),
    )


@app.command()
def stop(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME|SERIAL]...", help="Which guests.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
) -> None:
    """End guests; the only one there is needs no name."""
    from droidheaders.guest import guest
    from droidheaders.guest.instance import find, instances

    if everything and names:
        raise UsageError("--all leaves no guest to name.", hint="droidheaders emulator stop --all")
    chosen = [find(name) for name in names or []]
    if not names:
        chosen = instances()
        if not chosen:
            ui.say("no guest is running")
        if len(chosen) > 1 and not everything:
            raise UsageError(
                f"there are {len(chosen)} guests: {', '.join(one.name for one in chosen)}",
                hint=f"droidheaders emulator stop {chosen[0].name}",
            )
    for one in dict.fromkeys(chosen):
        guest.stop(one)
        ui.say(f"{one.name} ended")
    if settings.json:
        emit({"stopped": [one.name for one in chosen]}, "")


@app.command()
def console(
    name: Annotated[str | None, typer.Argument(help="Guest; without, the only one.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until it ends.")] = False,
) -> None:
    """Print what a guest wrote to its serial console."""
    from droidheaders.guest.console import stream
    from droidheaders.guest.instance import find, instances

    if name is None:
        there = instances()
        if not there:
            raise UsageError("no guest is running", hint="droidheaders emulator start")
        if len(there) > 1:
            raise UsageError(
                f"there are {len(there)} guests: {', '.join(one.name for one in there)}",
                hint=f"droidheaders emulator console {there[0].name}",
            )
        name = there[0].name
    one = find(name)
    for line in stream(one.console, (lambda: one.alive) if follow else (lambda: False)):
        print(line, flush=follow)


def _describe(one: Instance) -> dict[str, object]:
    return {
        "name": one.name,
        "recipe": one.recipe,
        "arch": one.arch,
        "persona": one.persona,
        "serial": one.serial,
        "state": one.state,
        "pid": one.pid,
        "accel": one.accel,
        "console": str(one.console),
    }
