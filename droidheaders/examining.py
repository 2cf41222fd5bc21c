"""What the files are that `check` was given: made for a kernel, or telling of one."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from droidheaders.errors import UsageError
from droidheaders.headers import inflate, wrapping
from droidheaders.headers.image import KernelImage, read_kernel
from droidheaders.headers.limits import ArchiveError
from droidheaders.kernel import ikconfig
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.objects.elf import EM_BPF
from droidheaders.recognising import copied, unwrapped
from droidheaders.ui import printable

Kind = Literal["module", "bpf", "config", "image", "symvers"]

_HEAD = 64 << 10
_TEXT = 64 << 20  # configurations have 300 KB, a Module.symvers 2 MB
_SYMVERS = re.compile(rb"0x[0-9a-f]{8}\t\S+\t")
_OPTION = re.compile(b"CONFIG_|C\0O\0N\0F\0I\0G\0_|\0C\0O\0N\0F\0I\0G\0_")
_HINT = "give a .ko, a BPF object, a .config, a config.gz, a kernel image or a Module.symvers"


@dataclass(frozen=True)
class Examined:
    """A file that was recognised, and what is in it: of an image `image`, of a config `config`."""

    path: Path
    kind: Kind
    content: memoryview
    config: Kconfig | None = None
    image: KernelImage | None = None

    @property
    def name(self) -> str:
        """Return the path, fit for a sentence."""
        return printable(str(self.path), 500)


def examine(files: Sequence[Path]) -> list[Examined]:
    """Say what each file is, by its content.

    Raises UsageError when one cannot be read, or is nothing that is known here.
    """
    with tempfile.TemporaryDirectory(prefix="droidheaders-") as workshop:
        return [_examine(file, Path(workshop)) for file in files]


def _examine(file: Path, workshop: Path) -> Examined:
    name = printable(str(file), 500)
    try:
        copy = copied(file, workshop)
        view = copy.view
        head = bytes(view[:_HEAD])
        if kind := _kind(head):
            return Examined(file, kind, view)
        if _is_configuration(view, head):
            text = _plain(view)
            return Examined(file, "config", memoryview(text), config=Kconfig.parse(text))
        inner = unwrapped(copy, workshop)
        if inner.content == wrapping.MODULE:  # its reader takes the wrapping off
            return Examined(file, "module", view)
        if inner.content == wrapping.IMAGE:
            image = read_kernel(inner.view)
            config = Kconfig.parse(image.config) if image.config is not None else None
            return Examined(file, "image", inner.view, config=config, image=image)
    except (ArchiveError, ValueError) as e:
        raise UsageError(f"{name} {e}", _HINT) from e
    raise UsageError(
        f"{name} is headers, and nothing to check",
        f"droidheaders cache import {shlex.quote(name)}",
    )


def _kind(head: bytes) -> Kind | None:
    if head.startswith(b"\x7fELF") and wrapping.is_module(head):
        return "bpf" if int.from_bytes(head[18:20], "little") == EM_BPF else "module"
    return "symvers" if _SYMVERS.match(head) else None


def _is_configuration(view: memoryview, head: bytes) -> bool:
    """Tell whether this is a configuration, as text or compressed as /proc/config.gz is."""
    if inflate.name(head) == "gzip":
        with suppress(ArchiveError):
            head = next(inflate.inflated(view) or iter(()), b"")[:_HEAD]
    return _OPTION.search(head) is not None and not head.startswith(b"\x7fELF")


def _plain(view: memoryview) -> bytes:
    if inflate.name(bytes(view[:6])) == "gzip":
        return ikconfig.decompress(bytes(view))
    return bytes(view[:_TEXT])
