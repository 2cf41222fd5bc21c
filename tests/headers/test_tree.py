"""Kernel trees: which files of which directory become the archive, and of which kernel it is."""

from __future__ import annotations

import io
import lzma
import os
import tarfile
from pathlib import Path

import pytest

from droidheaders.headers.limits import ArchiveError, Limits, RefusedError
from droidheaders.headers.survey import survey
from droidheaders.headers.tree import KernelTree
from droidheaders.ui import ui
from tests.archives import RELEASE
from tests.images import BUILD_ID, VERSION, elf, note

UTS = f'#define UTS_RELEASE "{RELEASE}"\n'
SOURCE = {
    "include/linux/sched.h": "struct task_struct; /* a comment */\n",
    "include/linux/Kconfig": "no header\n",
    "include/generated/stale.h": "of a build in the source\n",
    "include/generated/autoconf.h": "stale\n",
    "arch/arm64/include/asm/ptrace.h": "struct pt_regs;\n",
    "arch/x86/include/asm/ptrace.h": "another's\n",
    "drivers/a.h": "elsewhere\n",
    "Makefile": "VERSION = 6\n",
}
OBJECTS = {
    "include/generated/utsrelease.h": UTS,
    "include/generated/autoconf.h": "#define CONFIG_64BIT 1\n",
    "include/generated/utsversion.h": f'#define UTS_VERSION "{VERSION}"\n',
    "arch/arm64/include/generated/asm/unistd.h": "\n",
    ".config": "CONFIG_64BIT=y\nCONFIG_ARM64=y\n",
}


def lay_out(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = lay_out(tmp_path / "source", SOURCE)
    (root / "include/dt-bindings").mkdir()
    (root / "include/dt-bindings/task.h").symlink_to("../linux/sched.h")
    return root


@pytest.fixture
def objects(tmp_path: Path, source: Path) -> Path:
    root = lay_out(tmp_path / "out", OBJECTS)
    (root / "source").symlink_to("../source")
    return root


def archive(tree: KernelTree, limits: Limits | None = None) -> bytes:
    with ui.bar("", None) as bar:
        return b"".join(tree.archive(bar, limits))


def content(packed: bytes) -> dict[str, str]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(lzma.decompress(packed))) as tar:
        for info in tar:
            file = tar.extractfile(info) if info.isfile() else None
            found[info.name] = file.read().decode() if file else f"-> {info.linkname}"
            assert (info.mtime, info.uid, info.uname) == (0, 0, "")
    return found


EXPECTED = {
    "arch/arm64/include/asm/ptrace.h": "struct pt_regs;\n",
    "arch/arm64/include/generated/asm/unistd.h": "\n",
    "include/dt-bindings/task.h": "-> ../linux/sched.h",
    "include/generated/autoconf.h": "#define CONFIG_64BIT 1\n",
    "include/generated/stale.h": "of a build in the source\n",
    "include/generated/utsrelease.h": UTS,
    "include/linux/sched.h": "struct task_struct; /* a comment */\n",
}


def test_headers_of_source_and_objects(objects: Path) -> None:
    tree = KernelTree.find(objects)
    packed = archive(tree)
    assert content(packed) == EXPECTED
    assert list(content(packed)) == sorted(EXPECTED)
    known = survey(memoryview(packed))
    assert (known.size, known.release, known.machine) == (len(packed), RELEASE, "aarch64")
    assert lzma.LZMADecompressor().decompress(packed, 0) == b""
    assert tree.config() == OBJECTS[".config"].encode()
    assert tree.version() == VERSION


def test_the_same_headers_make_the_same_archive(objects: Path, source: Path) -> None:
    first = archive(KernelTree.find(objects))
    for path in (source / "include/linux/sched.h", objects / "include/generated/utsrelease.h"):
        text = path.read_text()
        path.unlink()
        path.write_text(text)
        path.chmod(0o600)
        os.utime(path, (1, 1))
    (objects / "include/generated/utsversion.h").write_text('#define UTS_VERSION "#2 SMP"\n')
    assert archive(KernelTree.find(objects)) == first


def test_a_build_in_the_source_itself(tmp_path: Path, source: Path) -> None:
    lay_out(source, OBJECTS)
    assert content(archive(KernelTree.find(source))) == EXPECTED


@pytest.mark.parametrize("included", ["../source", "{source}"])
def test_a_makefile_leads_to_the_source(objects: Path, source: Path, included: str) -> None:
    (objects / "source").unlink()
    path = included.format(source=source)
    (objects / "Makefile").write_text(f"# Automatically generated\ninclude {path}/Makefile\n")
    assert KernelTree.find(objects).source.samefile(source)


def test_the_source_may_be_said(objects: Path, source: Path, tmp_path: Path) -> None:
    (objects / "source").unlink()
    (objects / "source").symlink_to("/build/of/another/machine")
    with pytest.raises(RefusedError, match=r"has no source: .*/out/source holds no include/linux/"):
        KernelTree.find(objects)
    assert content(archive(KernelTree.find(objects, source))) == EXPECTED
    with pytest.raises(RefusedError, match=r"has no source: .*/none holds no") as raised:
        KernelTree.find(objects, tmp_path / "none")
    assert "--source DIR" in raised.value.hint


def test_a_tree_that_was_not_built(source: Path) -> None:
    with pytest.raises(RefusedError, match="is no built kernel tree: it has no") as raised:
        KernelTree.find(source)
    assert "make prepare" in raised.value.hint


@pytest.mark.parametrize(
    ("config", "arch"), [("\nCONFIG_X86=y\n", "x86"), ("\nCONFIG_ARM64=y\n", "arm64"), ("", "")]
)
def test_the_configuration_decides_between_architectures(
    objects: Path, config: str, arch: str
) -> None:
    lay_out(objects, {"arch/x86/include/generated/asm/unistd.h": "", ".config": config})
    if arch:
        assert KernelTree.find(objects).arch == arch
    else:
        with pytest.raises(RefusedError, match=r"has no arch/.*, or several"):
            KernelTree.find(objects)


def test_without_generated_headers_of_the_architecture(objects: Path) -> None:
    (objects / "arch/arm64/include/generated/asm/unistd.h").unlink()
    with pytest.raises(RefusedError, match="has no arch/"):
        KernelTree.find(objects)


@pytest.mark.parametrize(
    ("files", "version"),
    [
        ({"include/generated/utsversion.h": "", "include/generated/compile.h": ""}, ""),
        (
            {
                "include/generated/utsversion.h": "",
                "include/generated/compile.h": '#define UTS_VERSION "#3 SMP"\n',
            },
            "#3 SMP",
        ),
        ({"include/generated/utsversion.h": f'#define UTS_VERSION "{"x" * 99}"\n'}, "x" * 64),
        ({"include/generated/utsversion.h": '#define UTS_VERSION "\x1b[2J"\n'}, ""),
    ],
)
def test_the_version(objects: Path, files: dict[str, str], version: str) -> None:
    assert KernelTree.find(lay_out(objects, files)).version() == version


@pytest.mark.parametrize(
    ("vmlinux", "build_id"),
    [
        (elf((1, bytes(99)), (4, note(b"xen", b"Xen\0", 5) + note(BUILD_ID))), BUILD_ID.hex()),
        (elf((1, b"x"), (4, note(BUILD_ID)), wide=False), BUILD_ID.hex()),
        (elf((4, note(BUILD_ID)))[:-10], ""),
        (elf((1, b"x")), ""),
        (b"\x7fELF\x02\x01\x01" + b"\xff" * 57, ""),
        (b"\x7fELF\x02\x01\x01" + bytes(25) + b"\xff" * 8 + bytes(14) + b"\x38\0\x01\0\0\0", ""),
        (b"", ""),
    ],
)
def test_the_build_id_of_vmlinux(objects: Path, vmlinux: bytes, build_id: str) -> None:
    (objects / "vmlinux").write_bytes(vmlinux)
    assert KernelTree.find(objects).build_id() == build_id


def test_what_is_not_there(objects: Path) -> None:
    (objects / ".config").unlink()
    tree = KernelTree.find(objects)
    assert (tree.config(), tree.build_id()) == (None, "")


def test_nothing_waits_for_a_pipe_or_follows_a_link(objects: Path, tmp_path: Path) -> None:
    os.mkfifo(objects / "include/pipe.h")
    os.mkfifo(objects / "vmlinux")
    outside = lay_out(tmp_path / "outside", {"secret.h": "secret"})
    (objects / "include/secret.h").symlink_to(outside / "secret.h")
    (objects / "include/all").symlink_to(outside)
    tree = KernelTree.find(objects)
    assert content(archive(tree)) == EXPECTED | {
        "include/secret.h": f"-> {outside}/secret.h",
    }
    assert tree.build_id() == ""


def test_a_header_is_bounded(objects: Path) -> None:
    (objects / "include/generated/big.h").write_bytes(bytes(5000))
    with pytest.raises(ArchiveError, match=r"has a big\.h of more than 4000 bytes"):
        archive(KernelTree.find(objects), Limits(file=4000))


def test_what_may_not_be_read_is_an_error(objects: Path) -> None:
    (objects / ".config").unlink()
    (objects / ".config").symlink_to(".config")
    with pytest.raises(OSError, match="symbolic links"):
        KernelTree.find(objects).config()
