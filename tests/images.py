"""Kernel images made for tests, small ones, as the kernel's and Android's builds lay them out."""

from __future__ import annotations

import gzip
import lzma
import struct
import sys

import lz4.block
import lz4.frame

from tests.archives import GOOD, RELEASE, tar, xz

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

VERSION = "#1 SMP PREEMPT Debian 6.1.99-1 (2026-01-01)"
BUILD_ID = bytes(range(20))
CONFIG = b"CONFIG_IKCONFIG=y\nCONFIG_IKHEADERS=y\n"
BTF = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, 4, 4, 6) + b"type\0name\0"
ARCHIVE = xz(tar())
X86 = xz(
    tar(
        {n: d for n, d in GOOD.items() if "ptrace" not in n}
        | {
            "arch/x86/include/asm/ptrace.h": b"struct pt_regs;\n",
            "include/generated/autoconf.h": b"#define CONFIG_64BIT 1\n",
        }
    )
)


def banner(release: str = RELEASE, version: str = VERSION) -> bytes:
    """Return linux_banner."""
    return (
        f"Linux version {release} (me@host) (gcc-12 (Test) 12.2.0, GNU ld) {version}\n\0".encode()
    )


def note(build_id: bytes, name: bytes = b"GNU\0", kind: int = 3) -> bytes:
    """Return an ELF note."""
    padding = bytes(-len(build_id) % 4)
    return struct.pack("<III", len(name), len(build_id), kind) + name + build_id + padding


def elf(*segments: tuple[int, bytes], kind: int = 2, wide: bool = True) -> bytes:
    """Return an ELF file of segments, each a p_type and its content; `kind` is its e_type."""
    start, size = (64, 56) if wide else (52, 32)
    at = start + size * len(segments)
    headers = b""
    for p_type, content in segments:
        if wide:
            headers += struct.pack("<IIQQQQQQ", p_type, 5, at, 0, 0, len(content), 0, 4)
        else:
            headers += struct.pack("<IIIIIIII", p_type, at, 0, 0, len(content), 0, 5, 4)
        at += len(content)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    if wide:
        head = struct.pack(
            "<HHIQQQIHHHHHH", kind, 183, 1, 0, start, 0, 0, 64, 56, len(segments), *[0] * 3
        )
    else:
        head = struct.pack(
            "<HHIIIIIHHHHHH", kind, 40, 1, 0, start, 0, 0, 52, 32, len(segments), *[0] * 3
        )
    return ident + head + headers + b"".join(content for _, content in segments)


# The vdso: an ELF file inside the kernel that has a build-id of its own.
VDSO = elf((1, b"code"), (4, note(b"\xee" * 20)), kind=3)


def ikconfig(config: bytes = CONFIG) -> bytes:
    """Return the configuration as kernel/configs.c has it."""
    return b"IKCFG_ST" + gzip.compress(config, mtime=0) + b"IKCFG_ED"


def kernel(
    archive: bytes = ARCHIVE,
    *,
    banners: bytes | None = None,
    config: bytes | None = None,
    notes: bytes | None = None,
    btf: bytes = BTF,
    before: bytes = b"",
) -> bytes:
    """Return what a kernel's sections hold; `before` lies before the archive."""
    parts = [
        bytes(64),
        # The one of init/version.c, which has no number behind "#" since 6.1.
        banner(version="# SMP"),
        banner() if banners is None else banners,
        VDSO,
        b"cmp \x7fELF\x02\x01\x01" + bytes(80),
        before,
        ikconfig() if config is None else config,
        b"Echo the kernel header\0",
        archive,
        bytes(5),
        b"notes" + (note(b"xen", b"Xen\0", 5) + note(BUILD_ID) if notes is None else notes),
        btf,
        bytes(1000),
    ]
    return b"".join(parts)


def arm64(content: bytes) -> bytes:
    """Return an arm64 Image: Documentation/arch/arm64/booting.rst."""
    return b"MZ@\xfa".ljust(56, b"\0") + b"ARM\x64" + bytes(4) + content


def lz4_legacy(data: bytes) -> bytes:
    """Return data as `lz4 -l` compresses it in the kernel's build."""
    out = b"\x02\x21\x4c\x18"
    for at in range(0, len(data), 8 << 20):
        block = lz4.block.compress(data[at : at + (8 << 20)], store_size=False)
        out += struct.pack("<I", len(block)) + block
    return out


def boot(kernel: bytes, version: int, page: int = 2048, *, field: int | None = None) -> bytes:
    """Return a boot image of that header version; `field` is what stands in the version's place."""
    size = 4096 if version >= 3 else page
    head = bytearray(size)
    stated = 0 if version >= 3 else page
    struct.pack_into("<8sI", head, 0, b"ANDROID!", len(kernel))
    struct.pack_into("<II", head, 36, stated, version if field is None else field)
    return bytes(head) + kernel + bytes(-len(kernel) % size) + b"ramdisk"


def bzimage(payload: bytes, setup: int = 3) -> bytes:
    """Return an x86 bzImage: Documentation/arch/x86/boot.rst."""
    head = bytearray((setup + 1) * 512 + 100)
    head[0x1F1] = setup
    struct.pack_into("<4sH", head, 0x202, b"HdrS", 0x020F)
    struct.pack_into("<II", head, 0x248, 100, len(payload))
    return bytes(head) + payload + bytes(300)


def zboot(payload: bytes) -> bytes:
    """Return an EFI zboot image, as arm64's vmlinuz.efi is one."""
    return (
        struct.pack("<4s4sII16s", b"MZ\0\0", b"zimg", 64, len(payload), b"gzip").ljust(64, b"\0")
        + payload
    )


def appended(compressed: bytes, plain: bytes) -> bytes:
    """Return a payload as scripts/Makefile.lib's size_append makes it."""
    return compressed + struct.pack("<I", len(plain))


IMAGE = arm64(kernel())
VMLINUX = elf((1, kernel(X86)), (4, note(BUILD_ID)))
_ALONE = lzma.compress(VMLINUX, format=lzma.FORMAT_ALONE)

# Every shape of a kernel that is taken, by name: what an import calls it, and the file.
KERNELS: dict[str, tuple[str, bytes]] = {
    "Image": ("kernel image", IMAGE),
    "Image.gz": ("kernel image", gzip.compress(IMAGE)),
    "Image.gz-dtb": ("kernel image", gzip.compress(IMAGE) + b"\xd0\x0d\xfe\xed device tree"),
    "Image.lz4": ("kernel image", lz4_legacy(IMAGE)),
    "Image.lz4, two": ("kernel image", lz4_legacy(IMAGE[:9000]) + lz4_legacy(IMAGE[9000:])),
    "Image.lz4-dtb": ("kernel image", lz4_legacy(IMAGE) + b"\xd0\x0d\xfe\xed device tree"),
    "Image.lz4, a frame": ("kernel image", lz4.frame.compress(IMAGE)),
    "Image.xz": ("kernel image", xz(IMAGE)),
    "boot v0": ("boot image", boot(gzip.compress(IMAGE), 0)),
    "boot v0 of a vendor": ("boot image", boot(gzip.compress(IMAGE), 0, field=123456)),
    "boot v1": ("boot image", boot(IMAGE, 1, 4096)),
    "boot v2": ("boot image", boot(lz4_legacy(IMAGE), 2, 4096)),
    "boot v3": ("boot image", boot(IMAGE, 3)),
    "boot v4": ("boot image", boot(lz4_legacy(IMAGE), 4)),
    "vmlinuz.efi": ("kernel image", zboot(gzip.compress(IMAGE))),
    "riscv Image": ("kernel image", bytes(56) + b"RSC\x05" + bytes(4) + kernel()),
    "arm Image": ("kernel image", b"\0\0\xa0\xe1" * 8 + kernel()),
    "vmlinux": ("kernel image", VMLINUX),
    "vmlinux, 32 bits": ("kernel image", elf((1, kernel()), (1, b"data"), wide=False)),
    "vmlinux.xz": ("kernel image", xz(VMLINUX)),
    "bzImage, gzip": ("kernel image", bzimage(gzip.compress(VMLINUX))),
    "bzImage, lz4": ("kernel image", bzimage(appended(lz4_legacy(VMLINUX), VMLINUX), setup=40)),
    "bzImage, xz": ("kernel image", bzimage(appended(xz(VMLINUX), VMLINUX))),
    "bzImage, lzma": ("kernel image", bzimage(appended(_ALONE, VMLINUX))),
    "bzImage, zstd": ("kernel image", bzimage(appended(zstd.compress(VMLINUX), VMLINUX))),
    "Image.zst": ("kernel image", zstd.compress(IMAGE)),
    "boot v4, bzImage": ("boot image", boot(bzimage(gzip.compress(VMLINUX)), 4)),
}
