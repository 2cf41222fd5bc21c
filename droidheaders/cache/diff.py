"""What differs between two kernels: their headers, their configuration, who built them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from droidheaders.cache.bundle import Bundle
from droidheaders.errors import HeadersError
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.ui import printable


@dataclass(frozen=True)
class Changes:
    """The names that only the second side has, only the first, and both with another content."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @classmethod
    def between(cls, a: Mapping[str, str], b: Mapping[str, str]) -> Changes:
        """Return what becomes of `a`'s names in `b`, each sorted."""
        return cls(
            added=tuple(sorted(b.keys() - a.keys())),
            removed=tuple(sorted(a.keys() - b.keys())),
            changed=tuple(sorted(name for name in a.keys() & b.keys() if a[name] != b[name])),
        )

    def __len__(self) -> int:
        return len(self.added) + len(self.removed) + len(self.changed)


@dataclass(frozen=True)
class Difference:
    """What `b` has otherwise than `a`.

    `headers` names files and links below headers/, of which both sides together have `total`.
    `config` is None, and `unknown` says why, when a side has no configuration. `options_a` and
    `options_b` hold each side's options as its config writes them (Kconfig.written): an option that
    is "n" there is off, one that is not there is unknown to that kernel, or hidden.
    """

    a: Bundle
    b: Bundle
    headers: Changes
    total: int
    config: Changes | None
    options_a: Mapping[str, str]
    options_b: Mapping[str, str]
    unknown: str = ""


def diff(a: Bundle, b: Bundle) -> Difference:
    """Compare two bundles by their manifests and configs; no header is read.

    Raises HeadersError when a bundle is damaged so far that it cannot be compared.
    """
    entries_a, entries_b = _entries(a), _entries(b)
    headers, total = Changes.between(entries_a, entries_b), len(entries_a.keys() | entries_b.keys())
    try:
        options_a, options_b = _options(a), _options(b)
    except ValueError as e:
        return Difference(a, b, headers, total, None, {}, {}, str(e))
    config = Changes.between(options_a, options_b)
    return Difference(a, b, headers, total, config, options_a, options_b)


def _entries(bundle: Bundle) -> dict[str, str]:
    """Return what stands for the content of every file and link below headers/."""
    links = {name: f"-> {target}" for name, target in bundle.meta.get("symlinks", {}).items()}
    try:
        return bundle.header_digests() | links
    except (OSError, ValueError) as e:
        why = f"its manifest cannot be read: {e.strerror}" if isinstance(e, OSError) else e
        name = printable(bundle.name)
        raise HeadersError(
            f"the bundle {name} cannot be compared: {why}",
            f"droidheaders cache verify {name} --repair",
        ) from e


def _options(bundle: Bundle) -> Mapping[str, str]:
    """Return the options of the bundle's config; ValueError when there are none."""
    name = printable(bundle.name)
    try:
        return Kconfig.parse((bundle.path / "config").read_bytes()).written
    except FileNotFoundError:
        raise ValueError(f"{name} has no config") from None
    except OSError as e:
        raise ValueError(f"the config of {name} cannot be read: {e.strerror}") from None
    except ValueError as e:
        raise ValueError(f"the config of {name} {e}") from None
