"""Whether what an object says of its licence and version suits a kernel."""

from __future__ import annotations

from collections.abc import Iterator

from droidheaders.objects.bpf import BpfObject
from droidheaders.preflight.answer import Answer
from droidheaders.preflight.licences import GPL_COMPATIBLE
from droidheaders.preflight.object_file.enums import BpfEnums
from droidheaders.preflight.object_file.externs import version_code
from droidheaders.preflight.object_file.numbers import GPL_ONLY, HELPERS
from droidheaders.preflight.object_file.programs import sections_of
from droidheaders.preflight.program_types import PROGRAM_TYPES
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

_ANY_VERSION_SINCE = (5, 0)  # 6c4fc209fcf9: kern_version is not compared any more


def licence(file: BpfObject) -> Iterator[Answer]:
    """Yield whether its licence lets it use what is for the GPL only."""
    called = printable(file.license, 60)
    if file.license in GPL_COMPATIBLE:
        yield Answer("license", "yes", called)
        return
    what = f"its license is {called!r}" if file.license else "it has no license"
    names = sorted(
        f"bpf_{HELPERS[number][0]}"
        for number in file.helpers()
        if HELPERS.get(number, ("",))[0] in GPL_ONLY
    )
    kinds = sorted(
        {s.kind for _, _, s in sections_of(file) if s and s.kind in ("lsm", "struct_ops")}
    )
    if names or kinds:
        needs = ", ".join((*names[:6], *(f"{kind} programs" for kind in kinds)))
        hint = 'add: char LICENSE[] SEC("license") = "GPL";'
        yield Answer("license", "no", f"{what}, and {needs} need one compatible with the GPL", hint)
    else:
        yield Answer("license", "yes", f"{what}, and none that it uses is known to need the GPL")


def version(file: BpfObject, target: Target, enums: BpfEnums) -> Iterator[Answer]:
    """Yield whether its version suits: before 5.0, bpf_prog_load() compared that of kprobes."""
    probes = any(
        PROGRAM_TYPES[section.kind].enumerator == "BPF_PROG_TYPE_KPROBE"
        for _, _, section in sections_of(file)
        if section
    )
    if not probes or file.version is None or not enums.release:
        return
    if enums.release < _ANY_VERSION_SINCE and file.version != version_code(target):
        made = f"{file.version >> 16}.{file.version >> 8 & 0xFF}.{file.version & 0xFF}"
        because = f"its version section is of {made}, and a kernel before 5.0 takes only its own"
        yield Answer("version", "no", because, "leave the section out: libbpf fills it in")
