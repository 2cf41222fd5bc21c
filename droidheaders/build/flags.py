"""The compiler's flags for a bundle's headers: for BPF programs of each kind, for modules.

No word holds a quote or a blank of its own, so that `$(droidheaders flags …)` survives a shell's
word splitting: KBUILD_MODNAME is __FILE__, which is a string without being quoted. -nostdlibinc
leaves clang its own headers, wherever they are, and takes those of the host away.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders.build import libbpf
from droidheaders.errors import UnsupportedError
from droidheaders.headers import layout
from droidheaders.kernel.identity import KernelIdentity

if TYPE_CHECKING:
    from droidheaders.cache import Bundle

UAPI = Path(__file__).with_name("uapi")
"""What headers below include/uapi expect beside them, as `make headers_install` would have it."""

_GNU11 = (5, 18)  # e8c07082a810: -std=gnu11 in place of gnu89
_UNSIGNED_CHAR = (6, 2)  # 3bc753c06dd0: char is unsigned everywhere
_MS_EXTENSIONS = (6, 19)  # for unnamed struct members; KBUILD_CFLAGS in the top Makefile
_BPF = (
    *("-D__BPF_TRACING__", "-fno-stack-protector", "-fno-jump-tables"),
    "-fno-asynchronous-unwind-tables",
)

# KBUILD_CFLAGS of arch/*/Makefile, what clang and gcc both know of it.
_ARCH = {
    "arm64": ("-mgeneral-regs-only",),
    "arm": ("-mabi=aapcs-linux", "-marm", "-msoft-float"),
    "riscv": ("-mcmodel=medany",),
    "x86": ("-mno-sse", "-mno-mmx", "-mno-sse2", "-mno-avx", "-mno-red-zone", "-mcmodel=kernel"),
}
_COMMON = (
    *("-fshort-wchar", "-fno-strict-aliasing", "-fno-common", "-fno-pie"),
    *("-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
)


@dataclass(frozen=True)
class Flags:
    """What the headers below `root` are compiled with.

    `arch` is the kernel's name of the architecture, `target` clang's. `root` and `libbpf`, which
    is the directory that holds bpf/, may begin with a variable of pkg-config's.
    """

    root: str
    libbpf: str
    arch: str
    target: str
    defines: tuple[str, ...]
    config: frozenset[str]
    release: tuple[int, int]

    @classmethod
    def of(cls, bundle: Bundle) -> Flags:
        """Return the flags for a bundle; UnsupportedError for an architecture that has none.

        Raises OSError when the headers cannot be read.
        """
        return cls.read(bundle.path, bundle.meta["arch"], bundle.kernel, str(bundle.path))

    @classmethod
    def read(cls, bundle: Path, arch: str, kernel: KernelIdentity, name: str) -> Flags:
        """Return the flags for what lies in `bundle`, with paths below `name`; as `of`."""
        headers = bundle / "headers"
        arch = layout.real_arch(headers, arch)
        config = layout.defined(headers)
        target = layout.target(arch, config)
        if target is None:
            raise UnsupportedError(f"{kernel} is {arch}, and no flags for that are known")
        defines = target.defines
        if "CONFIG_CC_IS_GCC" in config:  # asm/neon-intrinsics.h
            defines += ("-DCONFIG_CC_IS_CLANG=1",)
        release = kernel.number or (999, 0)
        root, place = f"{name}/headers", libbpf.beside(name)
        return cls(root, place, arch, target.triple, defines, frozenset(config), release)

    def kernel(self) -> list[str]:
        """Return what compiles a BPF program with all of the kernel's headers into LLVM's IR.

        For the target's own triple: the inline assembly in kernel headers is not BPF's.
        """
        # Where the kernel is built with IBT, asm/ibt.h has attributes that this makes known.
        ibt = ["-fcf-protection=branch"] if "CONFIG_X86_KERNEL_IBT" in self.config else []
        return [
            *self._headers(layout.include_order(self.arch), self.libbpf),
            *(f"-D__TARGET_ARCH_{self.arch}", "-DKBUILD_MODNAME=__FILE__"),
            *(*_BPF, *ibt, "-O2", "-g", "-emit-llvm"),
        ]

    def uapi(self) -> list[str]:
        """Return what compiles a BPF program that includes no more than include/uapi."""
        return self._for_bpf([str(UAPI)])

    def core(self, vmlinux: Path | None) -> list[str]:
        """Return what compiles a CO-RE program; `vmlinux` holds vmlinux.h, if it is not its own."""
        # That has what the kernel embeds by its tag, which clang would drop with a warning.
        return [*self._for_bpf([*([str(vmlinux)] if vmlinux else []), str(UAPI)]), *self._unnamed]

    def module(self) -> list[str]:
        """Return what compiles a file of a module as Kbuild would, for an editor or by hand."""
        names = ("KBUILD_MODNAME", "KBUILD_BASENAME", "KBUILD_MODFILE")
        standard = "-std=gnu11" if self.release >= _GNU11 else "-std=gnu89"
        return [
            *self._headers(layout.include_order(self.arch)),
            *("-DMODULE", *(f"-D{name}=__FILE__" for name in names)),
            *("-D__KBUILD_MODNAME=kmod_module", standard, *self._char, *_COMMON),
            *(*_ARCH.get(self.arch, ()), "-O2"),
        ]

    def types(self) -> list[str]:
        """Return what the layout and the signs of types depend on, besides target and defines."""
        return ["-fshort-wchar", *self._char, *self._unnamed]

    @property
    def _char(self) -> list[str]:
        return ["-funsigned-char"] if self.release >= _UNSIGNED_CHAR else []

    @property
    def _unnamed(self) -> list[str]:
        ms = ["-fms-extensions", "-Wno-microsoft-anon-tag"]
        return ms if self.release >= _MS_EXTENSIONS else []

    def _headers(self, order: list[str], *more: str) -> list[str]:
        """Headers of the system, so that clang does not warn of what is in them."""
        return [
            *(f"--target={self.target}", "-nostdlibinc"),
            *_system([*(f"{self.root}/{place}" for place in order), *more]),
            *("-include", f"{self.root}/include/linux/kconfig.h"),
            *("-include", f"{self.root}/include/linux/compiler_types.h"),
            *("-D__KERNEL__", *self.defines, *self._unnamed),
        ]

    def _for_bpf(self, first: list[str]) -> list[str]:
        places = [f"{self.root}/{place}" for place in layout.uapi_order(self.arch)]
        return [
            *("--target=bpf", "-nostdlibinc", *_system([*first, *places, self.libbpf])),
            # Not every header includes what it needs of it.
            *("-include", str(UAPI / "linux/compiler_types.h")),
            # Without it linux/types.h warns of headers that headers_install has not seen.
            *("-D__EXPORTED_HEADERS__", f"-D__TARGET_ARCH_{self.arch}", "-O2", "-g"),
        ]


def _system(places: list[str]) -> list[str]:
    return [word for place in places for word in ("-isystem", place)]
