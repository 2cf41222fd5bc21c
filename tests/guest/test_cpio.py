"""The archive writer against bytes written out by hand, and against cpio itself."""

from __future__ import annotations

import io
import stat
import subprocess

import pytest

from droidheaders.guest.cpio import CpioWriter


def archive() -> bytes:
    out = io.BytesIO()
    cpio = CpioWriter(out)
    cpio.add_dir("/dev")
    cpio.add_node("dev/console", stat.S_IFCHR | 0o600, 5, 1)
    cpio.add_file("init", b"#!/bin/sh\n", mode=0o755)
    cpio.add_file("data/secret", b"", mode=0o600, uid=2000, gid=1000)
    cpio.add_symlink("bin", "system/bin")
    cpio.close()
    return out.getvalue()


def header(*fields: int) -> bytes:
    return b"070701" + b"".join(b"%08X" % field for field in fields)


def test_bytes_are_the_documented_ones() -> None:
    assert archive() == b"".join(
        [
            header(1, 0o040755, 0, 0, 2, 0, 0, 0, 0, 0, 0, 4, 0) + b"dev\0" + b"\0\0",
            header(2, 0o020600, 0, 0, 1, 0, 0, 0, 0, 5, 1, 12, 0) + b"dev/console\0" + b"\0\0",
            header(3, 0o100755, 0, 0, 1, 0, 10, 0, 0, 0, 0, 5, 0) + b"init\0" + b"\0",
            b"#!/bin/sh\n\0\0",
            header(4, 0o100600, 2000, 1000, 1, 0, 0, 0, 0, 0, 0, 12, 0) + b"data/secret\0\0\0",
            header(5, 0o120777, 0, 0, 1, 0, 10, 0, 0, 0, 0, 4, 0) + b"bin\0" + b"\0\0",
            b"system/bin\0\0",
            header(0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11, 0) + b"TRAILER!!!\0" + b"\0\0\0",
        ]
    )


def test_the_same_input_gives_the_same_bytes() -> None:
    assert archive() == archive()


def test_cpio_reads_it() -> None:
    done = subprocess.run(
        ["cpio", "-tv", "--quiet", "--numeric-uid-gid"],
        input=archive(),
        capture_output=True,
        check=True,
        env={"TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin"},
    )
    lines = done.stdout.decode().splitlines()
    assert [line.split(None, 8)[0] for line in lines] == [
        "drwxr-xr-x",
        "crw-------",
        "-rwxr-xr-x",
        "-rw-------",
        "lrwxrwxrwx",
    ]
    assert "2000" in lines[3].split()[2] and "1000" in lines[3].split()[3]
    assert lines[4].endswith("bin -> system/bin")


@pytest.mark.parametrize("path", ["", "/", "a\0b"])
def test_a_path_that_names_nothing_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a path"):
        CpioWriter(io.BytesIO()).add_file(path, b"")
