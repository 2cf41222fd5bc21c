"""`droidheaders kdir`, and the options of everything that builds modules."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from droidheaders.cli.flags import Named
from droidheaders.cli.settings import emit, settings
from droidheaders.ui import ui

Source = Annotated[
    Path | None,
    typer.Option(
        "--source", help="Take Makefiles and host tools of this source tree.", metavar="TREE"
    ),
]
Provider = Annotated[
    Path | None,
    typer.Option(
        "--provider", help="Take those of this built tree, headers package or kdir.", metavar="DIR"
    ),
]
Symvers = Annotated[
    list[Path] | None,
    typer.Option("--symvers", help="The kernel's own Module.symvers.", metavar="FILE"),
]
WithoutCrcs = Annotated[
    bool, typer.Option("--without-crcs", help="Leave out CRCs that are not known.")
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", help="Take a compiler that is not sound, a layout that is not the kernel's."
    ),
]


class HostTools(StrEnum):
    """Whose modpost, fixdep and the like are run, where the archive brought its own."""

    archive = "archive"
    provider = "provider"
    qemu = "qemu"


Tools = Annotated[
    HostTools | None,
    typer.Option(
        "--host-tools",
        help="Run the programs that the archive brought, as they are or in QEMU; or not.",
    ),
]


def kdir(
    bundle: Named = None,
    source: Source = None,
    provider: Provider = None,
    symvers: Symvers = None,
    without_crcs: WithoutCrcs = False,
    force: Force = False,
    host_tools: Tools = None,
) -> None:
    """Print a directory in which make builds modules for this kernel: make -C KDIR M=$PWD.

    It is made of the bundle's headers and configuration. Makefiles and host tools of the same
    version come from Debian's packages, else from what --source or --provider name. Where the
    archive brought its own, those are programs from a device: they run when --host-tools says so.

    Examples:

      make -C "$(droidheaders kdir)" M=$PWD

      droidheaders kdir --source ~/linux-6.6 --symvers out/Module.symvers
    """
    from droidheaders.equipping import Wish, equip

    wish = Wish(source, provider, tuple(symvers or ()), without_crcs, force, host_tools or "")
    found = equip(settings.cache(), settings.bundle(bundle), wish)
    ui.say(found.toolchain.said, level=1)
    for concern in found.toolchain.concerns:
        ui.warn(concern)
    emit(found.describe(), str(found.path))
