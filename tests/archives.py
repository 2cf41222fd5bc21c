"""Archives made for tests: good ones, and every kind of bad one."""

from __future__ import annotations

import io
import lzma
import tarfile

RELEASE = "6.1.99-test"
GOOD = {
    "include/generated/utsrelease.h": f'#define UTS_RELEASE "{RELEASE}"\n'.encode(),
    "include/generated/compile.h": b'#define LINUX_COMPILER "gcc-12 (Test) 12.2.0, GNU ld 2.40"\n',
    "include/linux/sched.h": b"struct task_struct;\n",
    "arch/arm64/include/asm/ptrace.h": b"struct pt_regs;\n",
}


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    """Return a tar header."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def tar(
    files: dict[str, bytes] | None = None,
    *,
    links: dict[str, str] | None = None,
    extra: list[tuple[tarfile.TarInfo, bytes]] | None = None,
    kind: int = tarfile.GNU_FORMAT,
) -> bytes:
    """Return a tar archive; by default one that a pull would accept."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as archive:
        for name, data in (GOOD if files is None else files).items():
            info = member(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            archive.addfile(member(name, tarfile.SYMTYPE, target))
        for info, data in extra or []:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def xz(data: bytes) -> bytes:
    """Return data as `xz` would compress it in the kernel's build: CRC64."""
    return lzma.compress(data, check=lzma.CHECK_CRC64)
