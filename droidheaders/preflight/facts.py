"""What is known of the kernel that is asked about, and who said it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from droidheaders.preflight.target import Target

if TYPE_CHECKING:
    from droidheaders.cache import Bundle
    from droidheaders.kernel.compiler import Compiler
    from droidheaders.kernel.inquiry import Inquiry


@dataclass(frozen=True)
class Facts:
    """One kernel with what is known of it.

    `inquiry` is None for a kernel that no device was asked about; `bundle` is what the cache has of
    exactly this build, `relatives` are bundles of its release that are of another one, or may be.
    `config_path` says where the configuration is from, and `config_problem`, the end of a sentence
    about that, why there is none. `disputed` has the options that a second source has otherwise.
    `compilers` are by what names them, most trusted first.
    """

    target: Target
    inquiry: Inquiry | None = None
    bundle: Bundle | None = None
    relatives: tuple[str, ...] = ()
    config_path: str = ""
    config_problem: str = ""
    disputed: tuple[str, ...] = ()
    compilers: Mapping[str, Compiler] = field(default_factory=dict)

    def option(self, name: str) -> str | None:
        """Return the value of an option: "n" when it is off or not named, None when unknown."""
        return None if self.target.config is None else self.target.config.get(name, "n")
