"""What a kernel knows of BPF by name: from its BTF, from its header, or by its release."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property

from droidheaders.preflight.target import Target

_HEADER = "include/uapi/linux/bpf.h"
_LIMIT = 4 << 20  # a real one has 250 KB


class BpfEnums:
    """The enumerators of a kernel's BPF interface."""

    def __init__(self, target: Target) -> None:
        """Ask this kernel."""
        self._target = target
        self.release = target.kernel.number

    def enum(self, name: str) -> Mapping[str, int]:
        """Return an enum of the kernel, such as bpf_prog_type; empty when nothing has it."""
        if self._target.btf and (found := self._target.btf.enum(name)):
            return found
        return _enum(self._header, name)

    def source(self, name: str) -> str:
        """Return where `enum` has it from, for a sentence."""
        if self._target.btf and self._target.btf.enum(name):
            return "by its BTF"
        if _enum(self._header, name):
            return f"by its {_HEADER}"
        return f"by its release, {self.release[0]}.{self.release[1]}" if self.release else ""

    def has(self, enum: str, enumerator: str, since: tuple[int, int]) -> bool | None:
        """Tell whether the kernel has an enumerator, which came with a release; None: unclear."""
        known = self.enum(enum)
        if known:
            return enumerator in known
        return None if self.release is None else self.release >= since

    @cached_property
    def _header(self) -> str:
        if self._target.headers is None:
            return ""
        try:
            with open(self._target.headers / _HEADER, "rb") as file:
                text = file.read(_LIMIT).decode("utf-8", "replace")
        except OSError:
            return ""
        return re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.DOTALL)


def _enum(header: str, name: str) -> dict[str, int]:
    """Return an enum as C writes it; that of helpers is a list for a macro, FN(name[, id, …])."""
    if name == "bpf_func_id":
        found = re.search(r"BPF_FUNC_MAPPER\(FN.*?\)((?:[^\n]*\\\n)*[^\n]*)", header)
        names = re.findall(r"\bFN\((\w+)", found[1], re.ASCII) if found else []
        return {f"BPF_FUNC_{one}": number for number, one in enumerate(names)}
    found = re.search(rf"\benum\s+{name}\s*\{{([^}}]*)\}}", header)
    return dict(_enumerators(found[1])) if found else {}


def _enumerators(body: str) -> Iterator[tuple[str, int]]:
    known: dict[str, int] = {}
    number = -1
    for one in body.split(","):
        name, _, value = (part.strip() for part in one.partition("="))
        if not re.fullmatch(r"\w+", name, re.ASCII):
            continue
        if value.isascii() and value.isdigit() and len(value) < 12:
            number = int(value)
        else:
            number = known[value] if value in known else number + 1
        known[name] = number
        yield name, number
