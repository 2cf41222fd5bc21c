"""What an archive from a device may cost before it is refused."""

from __future__ import annotations

from dataclasses import dataclass

from droidheaders.errors import HeadersError, UnusableHeadersError

MIB = 1 << 20


class ArchiveError(Exception):
    """The archive breaks a rule; the text says which, as the end of a sentence about it."""

    def of(self, archive: str, hint: str) -> HeadersError:
        """Return the error that people see, about what `archive` describes."""
        return HeadersError(f"{archive} {self}", hint)


class UnusableError(ArchiveError):
    """The archive is whole, and what it holds is no headers of that kernel."""

    def of(self, archive: str, hint: str) -> HeadersError:
        """Return the error that people see, about what `archive` describes."""
        return UnusableHeadersError(f"{archive} {self}", hint)


class RefusedError(ArchiveError):
    """A file that we know and cannot take; `hint` says what to do instead."""

    def __init__(self, text: str, hint: str) -> None:
        super().__init__(text)
        self.hint = hint

    def of(self, archive: str, hint: str) -> HeadersError:
        """Return the error that people see, with this error's own hint."""
        return HeadersError(f"{archive} {self}", self.hint)


class NotInFileError(Exception):
    """A module's file has no archive in it as it is, or may not be read; loading it may help."""


@dataclass(frozen=True)
class Limits:
    """Upper bounds in bytes and counts; generous for real archives, tight for hostile ones.

    Measured: real archives hold 31 to 60 MB of tar in 6,000 to 20,000 files (19,000 directories in
    the largest vendor one), compressed 8:1; `xz -9` needs 65 MiB to decompress; the largest header
    has 0.3 MB, the largest host tool of the first layout 2 MB. Dictionary and file are what the
    reader's memory is made of: 111 MB at both limits.
    """

    compressed: int = 128 * MIB
    tar: int = 1024 * MIB
    ratio: int = 100
    file: int = 4 * MIB
    entries: int = 200_000
    name: int = 1024
    component: int = 255
    depth: int = 64
    dictionary: int = 66 * MIB
    extension: int = 64 * 1024
