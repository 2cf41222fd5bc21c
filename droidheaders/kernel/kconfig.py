"""A kernel's configuration as Kconfig writes it: .config, IKCONFIG, /boot/config-*."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from droidheaders.kernel.text import decode
from droidheaders.ui import printable

_LIMIT = 16 << 20  # real ones are 100 to 300 KB
_STRAY = 8  # lines that are no configuration: a cut off end, what a terminal left
_PREFIX = "CONFIG_"
_UNSET = re.compile(r"# (CONFIG_\w+) is not set", re.ASCII)
_SET = re.compile(r'(CONFIG_\w+)=("[^"\\]*(?:\\.[^"\\]*)*"|[^"\s][^"]*)', re.ASCII)

RANDSTRUCT = ("RANDSTRUCT_FULL", "RANDSTRUCT_PERFORMANCE", "GCC_PLUGIN_RANDSTRUCT", "RANDSTRUCT")


@dataclass(frozen=True, eq=False)
class Kconfig(Mapping[str, str]):
    """The options of one kernel, by name; it iterates over full names, such as CONFIG_BPF.

    A value is "y", "m", "n" for what the file says is not set, a number as it is written, or the
    content of a string. An option that the file does not name is absent: this kernel does not have
    it, or what it depends on is off. Names are taken with or without CONFIG_. `written` has the
    values as the file has them: strings with their quotes.
    """

    written: dict[str, str]

    @classmethod
    def parse(cls, config: bytes | str) -> Kconfig:
        r"""Return the configuration in a file's content; of an option set twice, the last holds.

        The format is what conf_read_simple() of scripts/kconfig/confdata.c reads, the same from
        3.18 on. Lines may end in CRLF, and bytes may be UTF-16, as Windows' shells write them.
        Raises ValueError, the end of a sentence about the file, when it is no configuration.
        """
        written: dict[str, str] = {}
        stray = []
        for number, text in enumerate(_text(config).split("\n"), 1):
            line = text.strip()
            if found := _SET.fullmatch(line):
                written[found[1]] = found[2]
            elif found := _UNSET.fullmatch(line):
                written[found[1]] = "n"
            elif line and not line.startswith("#"):
                stray.append((number, line))
        if not written:
            raise ValueError("holds no configuration")
        if len(stray) > _STRAY:
            number, line = stray[0]
            raise ValueError(f"is no configuration: line {number} is {printable(line, 60)!r}")
        return cls(written)

    def __getitem__(self, name: str) -> str:
        value = self.written[name if name.startswith(_PREFIX) else _PREFIX + name]
        return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value

    def __iter__(self) -> Iterator[str]:
        return iter(self.written)

    def __len__(self) -> int:
        return len(self.written)


def shuffled(config: Mapping[str, str] | None) -> str:
    """Return the option, without CONFIG_, by which structures are laid out at random, or "".

    A plugin's of 4.13 to 5.18, the compiler's since 5.19 (035f7f87b729).
    """
    options = config or {}
    return next((name for name in RANDSTRUCT if options.get(f"CONFIG_{name}") == "y"), "")


def _text(config: bytes | str) -> str:
    if len(config) > _LIMIT:
        raise ValueError(f"is larger than {_LIMIT >> 20} MiB")
    return config.removeprefix("\ufeff") if isinstance(config, str) else decode(config)
