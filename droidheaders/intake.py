"""From unpacked headers to a bundle: what a pull and an import have in common.

Above the rooms rather than in one: the reader of archives must not know the cache.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from droidheaders import __version__
from droidheaders.build import pkgconfig
from droidheaders.cache import Bundle, Cache, Staging
from droidheaders.headers import artifacts, verify
from droidheaders.headers.artifacts import Artifacts, inventory
from droidheaders.headers.unpack import Unpacked
from droidheaders.headers.usable import Usability, assess
from droidheaders.kernel import btf, compiler, ikconfig
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.kernel.probe import BTF, CONFIG
from droidheaders.ui import printable, ui


def keep_extras(extras: dict[str, bytes], staging: Staging) -> list[str]:
    """Write IKCONFIG and BTF, given by path as on a device, beside the headers.

    Returns a warning for each that is damaged and left out: headers without them are headers still.
    """
    warnings = []
    for path, data in extras.items():
        try:
            if path == CONFIG:
                (staging.path / "config").write_bytes(ikconfig.decompress(data))
            elif path == BTF:
                btf.check(data)
                (staging.path / "btf").write_bytes(data)
        except ValueError as e:
            warnings.append(f"{path} {e}, and is left out")
    return warnings


def commit(
    cache: Cache,
    staging: Staging,
    kernel: KernelIdentity,
    unpacked: Unpacked,
    *,
    source: str,
    archive: dict[str, Any],
    sources: dict[str, str],
    banner: str = "",
    warnings: list[str],
    replace: bool,
    **facts: Any,
) -> Bundle:
    """Judge what is staged, and make it the bundle of `kernel`; return that.

    `source` is what warnings to the person begin with. `archive` and `facts` go into bundle.json as
    they are, and of `sources` (by part) what is there; `banner` is a /proc/version for a tree that
    does not name its compiler. Raises what Cache.commit raises.
    """
    for rule, count in unpacked.skipped.items():
        warnings.append(f"left out {count} x {rule}, such as {unpacked.examples[rule]!r}")
    for warning in warnings:
        ui.warn(f"{source}: {printable(warning)}")
    if built := artifacts.find(staging.headers):
        facts = facts | {"artifacts": _told(built, source)}
        sources = sources | _keep_config(built, staging, archive["path"])
    named = compiler.of_banner(banner)
    pkgconfig.write(staging.path, kernel)
    meta = {
        "arch": kernel.arch,
        "compiler": verify.compiler(staging.headers) or (named.text if named else ""),
        "archive": archive,
        "headers": _counts(unpacked),
        "symlinks": unpacked.symlinks,
        "sources": {p: s for p, s in sources.items() if (staging.path / p).exists()},
        **asdict(_usability(staging, kernel)),
        **facts,
        "pulled": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "droidheaders": __version__,
        "warnings": warnings,
    }
    return cache.commit(staging, kernel, meta, unpacked.sha256, replace=replace)


def _usability(staging: Staging, kernel: KernelIdentity) -> Usability:
    config = staging.path / "config"
    content = config.read_bytes() if config.exists() else None
    return assess(staging.headers, kernel.arch, content)


def _told(built: Artifacts, source: str) -> dict[str, Any]:
    """Say what the archive holds besides headers, and return that for bundle.json."""
    described = built.describe()
    ui.say(f"{source}: the archive holds what modules are built by: {inventory(described)}")
    return described


def _keep_config(built: Artifacts, staging: Staging, archive: str) -> dict[str, str]:
    """Take the archive's .config where no other came, and return its source."""
    place = staging.path / "config"
    if place.exists() or ".config" not in built.parts:
        return {}
    content = (built.root / ".config").read_bytes()
    try:
        Kconfig.parse(content)
    except ValueError:
        return {}
    place.write_bytes(content)
    return {"config": f"{archive}: .config"}


def _counts(unpacked: Unpacked) -> dict[str, Any]:
    return {
        "files": unpacked.files,
        "bytes": unpacked.bytes,
        "directories": unpacked.directories,
        "symlinks": len(unpacked.symlinks),
        "skipped": unpacked.skipped,
    }
