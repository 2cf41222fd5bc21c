"""The kernel that a file is for: a device's, one in the cache, or one of which there is a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig

if TYPE_CHECKING:
    from droidheaders.kernel.btf import Btf
    from droidheaders.kernel.compiler import Compiler
    from droidheaders.kernel.exports import Exports


@dataclass(frozen=True)
class Target:
    """What is known of a kernel; None, "" or empty is what is not.

    `name` is how a sentence calls it. Where `exact` is False, the release is only the version that
    a configuration says it is for, such as 6.1.99, or "". `vermagic` is that of a module which this
    kernel has loaded or ships. `btf` is the kernel's own; without it `made_btf` is one made from
    its headers, or `unmade` says why there is none, the end of a sentence. `headers` is a bundle's
    headers/. `switches` is what the running kernel says of itself: sig_enforce ("Y", "N"), lockdown
    (as securityfs writes it), modules_disabled ("0").
    """

    name: str
    kernel: KernelIdentity
    exact: bool = True
    config: Kconfig | None = None
    vermagic: str = ""
    compiler: Compiler | None = None
    exports: Exports | None = None
    btf: Btf | None = None
    made_btf: Btf | None = None
    unmade: str = ""
    headers: Path | None = None
    switches: Mapping[str, str] = field(default_factory=dict)
