"""Words after `--` that belong to another program."""

from __future__ import annotations

from typing import Any

import typer.core

KEY = "droidheaders.tail"


class WithTail(typer.core.TyperCommand):
    """A command that finds what stands behind `--` in the context's meta, under KEY.

    Click itself would count it among the arguments before.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the tail off before the rest is parsed."""
        end = args.index("--") if "--" in args else len(args)
        ctx.meta[KEY] = args[end + 1 :]
        return super().parse_args(ctx, args[:end])
