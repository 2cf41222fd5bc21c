"""How flags and variables are written down, for a shell and for make."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping

# shlex.quote knows ASCII alone, and quotes a ~ wherever it is, which releases have.
_PLAIN = re.compile(r"[\w@%+=:,./-][\w@%+=:,./~-]*")


def quote(word: str) -> str:
    """Return a word as a shell reads it: as it is, wherever that does."""
    return word if _PLAIN.fullmatch(word) else shlex.quote(word)


def shell(words: Iterable[str]) -> str:
    """Return the words as one line of a shell's."""
    return " ".join(map(quote, words))


def survives(words: Iterable[str]) -> bool:
    """Tell whether an unquoted `$(…)` gives these words: a shell splits it and unquotes nothing."""
    return all(map(_PLAIN.fullmatch, words))


def make(values: Mapping[str, str]) -> str:
    """Return lines for make to include. A value that a recipe is to use is a shell's already."""
    escaped = {name: text.replace("$", "$$").replace("#", r"\#") for name, text in values.items()}
    return "\n".join(f"{name} := {text}" for name, text in escaped.items())


def exports(values: Mapping[str, str], absent: Iterable[str]) -> str:
    """Return what a shell evaluates: `values` exported, the names in `absent` unset."""
    lines = [f"export {name}={quote(value)}" for name, value in values.items()]
    return "\n".join([*lines, *(f"unset {name}" for name in absent)])
