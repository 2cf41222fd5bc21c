"""What must hold for any bytes at all: each target takes some, and raises when it does not hold.

`scripts/fuzz` drives them by coverage, the tests beside this with what hypothesis thinks of.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from droidheaders.headers.image import read_image
from droidheaders.headers.limits import ArchiveError, Limits, NotInFileError
from droidheaders.headers.module import ModuleFile
from droidheaders.headers.tar import members
from droidheaders.headers.unpack import Unpacked, unpack
from droidheaders.headers.wrapping import unwrap
from droidheaders.headers.xz import XzStream
from droidheaders.kernel.btf import Btf
from droidheaders.kernel.identity import KernelIdentity
from droidheaders.objects.module import parse as parse_module
from droidheaders.preflight import module_file, object_file
from droidheaders.preflight.target import Target
from tests import archives, bpf_objects
from tests.archives import BLOCK, RELEASE, summed

_MEMORY = Path("/dev/shm")
_LIMITS = Limits(file=1 << 16, extension=1 << 12)
SMALL = archives.xz(archives.tar())


def tar(data: bytes) -> None:
    """Read the bytes as a tar archive: as they are, and with every checksum made right."""
    for archive in {data, repaired(data)}:
        unpacked(archive)


def unpacked(archive: bytes) -> dict[str, bytes] | None:
    """Unpack a tar archive in private; return the files, or None when it was refused."""
    home = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None)).resolve()
    root = home / "out"
    root.mkdir()
    done = None
    try:
        with suppress(ArchiveError):
            done = unpack(members(_pieces(archive, 1000), _LIMITS), root, _LIMITS)
        assert os.listdir(home) == ["out"]
        files, links = _tree(root)
        if done is None:
            assert not links
            return None
        _check(done, files, links, root)
        _agree(archive, files)
        return files
    finally:
        shutil.rmtree(home)


def xz(data: bytes) -> None:
    """Read the bytes as an xz stream, in pieces of as many bytes as the first one says."""
    size, data = 1 + (data[0] if data else 0), data[1:]
    stream = XzStream(_pieces(data, size), limits=Limits(dictionary=1 << 24))
    try:
        out = b"".join(stream)
    except ArchiveError:
        return
    assert out == lzma.decompress(data, lzma.FORMAT_XZ)
    assert stream.size == len(data)
    assert stream.sha256 == hashlib.sha256(data).hexdigest()


def module(data: bytes) -> None:
    """Read the bytes as a kernel module, in which SMALL may lie where kheaders has its archive."""
    file = ModuleFile()
    with suppress(ArchiveError, NotInFileError):
        taken = b"".join(file.archive(_pieces(data, 1000)))
        file.tail += taken[len(SMALL) :]
        file.check(len(SMALL), KernelIdentity(RELEASE, "", "aarch64", ""))


def image(data: bytes) -> None:
    """Read the bytes as a kernel image, in whatever it may be wrapped."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as place:
        with suppress(ArchiveError):
            read_image(unwrap(memoryview(data), Path(place)).view)
        assert not os.listdir(place)


def bpf(data: bytes) -> None:
    """Judge the bytes as a BPF object, and a good one by a kernel with these bytes as its BTF."""
    reports = [object_file.judge(data, bpf_objects.target())]
    with suppress(ValueError):
        kernel = replace(bpf_objects.target(), btf=Btf(data))
        reports.append(object_file.judge(bpf_objects.program(*bpf_objects.ALL), kernel))
    for report in reports:
        json.dumps(report.facts)
        assert all(f"{one.because}{one.hint}".isprintable() for one in report.details)


def ko(data: bytes) -> None:
    """Read the bytes as any kernel module, and judge it for a kernel that little is known of."""
    try:
        read = parse_module(data)
    except ValueError as e:
        assert str(e).isprintable()
        assert str(e).startswith(("is ", "has ", "asks "))
        return
    report = module_file.judge(read, Target("a kernel", KernelIdentity(RELEASE, "", "aarch64", "")))
    for answer in (report.answer, *report.details):
        assert (answer.because + answer.hint).isprintable()
    assert json.dumps(report.facts).isprintable()


def repaired(data: bytes) -> bytes:
    """Return the archive with right checksums, so that a mutation gets behind them."""
    blocks = []
    at = 0
    while at < len(data):
        block = data[at : at + BLOCK]
        at += BLOCK
        if len(block) < BLOCK or not any(block):
            blocks.append(block)
            continue
        size = block[124:136].strip(b" \0")
        length = int(size, 8) if size and not size.strip(b"01234567") else 0
        content = data[at : at + -(-length // BLOCK) * BLOCK]
        at += len(content)
        blocks += [summed(block), content]
    return b"".join(blocks)


def _pieces(data: bytes, size: int) -> Iterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


def _tree(root: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Return the files and the links below `root`; there must be nothing else but directories."""
    files, links = {}, {}
    for directory, directories, names in os.walk(root):
        for path in (Path(directory, name) for name in (*directories, *names)):
            name = str(path.relative_to(root))
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                links[name] = os.readlink(path)
            elif stat.S_ISREG(mode):
                assert stat.S_IMODE(mode) & 0o7333 == 0
                files[name] = path.read_bytes()
            else:
                assert stat.S_ISDIR(mode)
    return files, links


def _check(done: Unpacked, files: dict[str, bytes], links: dict[str, str], root: Path) -> None:
    assert done.sha256 == {n: hashlib.sha256(data).hexdigest() for n, data in files.items()}
    assert done.bytes == sum(map(len, files.values()))
    assert done.symlinks == links
    assert set(done.skipped) == set(done.examples)
    for name in (*files, *links):
        assert name.isprintable()
        assert ".." not in name.split("/")
    for name in links:
        assert (root / name).resolve(strict=True).is_relative_to(root)


def _agree(archive: bytes, files: dict[str, bytes]) -> None:
    """Compare with tarfile, which gives up where an owner or time is damaged, and we do not."""
    theirs = {}
    with suppress(tarfile.TarError), tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as other:
        for entry in other:
            if entry.isreg() and not _misread(archive, entry):
                content = other.extractfile(entry)
                assert content is not None
                theirs[entry.name.removeprefix("./")] = content.read()
    assert theirs.items() <= files.items()


def _misread(archive: bytes, entry: tarfile.TarInfo) -> bool:
    """Tell whether tarfile takes a prefix where the format has none."""
    block = archive[entry.offset_data - BLOCK : entry.offset_data]
    return block[345] != 0 and block[257:263] != b"ustar\0"


TARGETS = {"tar": tar, "xz": xz, "module": module, "image": image, "bpf": bpf, "ko": ko}
