"""BTF that is made, and C of it: of good headers and bad ones, and by tools that fail."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from droidheaders.build import bpftool, btf, tools
from droidheaders.build.btf import kernel_btf, vmlinux_h
from droidheaders.build.flags import Flags
from droidheaders.cache import Bundle, Cache
from droidheaders.cli.main import run
from droidheaders.errors import DroidheadersError, HeadersError, UnsupportedError, UsageError
from droidheaders.headers.clang import Clang
from droidheaders.kernel.btf import STRUCT, Btf
from tests.archives import WHOLE
from tests.bpf_objects import KERNEL, compiled, encoded, program
from tests.cache.making import make

SCHED = """
#include <generated/autoconf.h>
typedef unsigned int u32;
struct list_head { struct list_head *next, *prev; };
struct task_struct { int pid; unsigned bits : 3; struct list_head tasks; char comm[16]; };
struct packed { char a; long b; } __attribute__((packed));
enum colour { RED = 3, GREEN = -1 };
"""
HEADERS = WHOLE | {"include/linux/sched.h": SCHED.encode()}
OWN = encoded(KERNEL)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def headers(cache: Cache, more: dict[str, str] | None = None, **meta: Any) -> Bundle:
    """Return a bundle of headers that have some types, without BTF."""
    files = {**HEADERS, **{name: text.encode() for name, text in (more or {}).items()}}
    return make(cache, files=files, btf=b"", **meta)


def fake(directory: Path, name: str, script: str) -> None:
    directory.mkdir(exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def tools_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is looked into first, and nowhere but in PATH besides."""
    monkeypatch.setattr(tools, "_BESIDES", ("/usr/sbin",))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "bin"


def test_types_of_headers(cache: Cache) -> None:
    found = kernel_btf(headers(cache), cache)
    assert found.made_from_headers
    assert found.left_out == {}
    assert "clang version" in found.tools[0]
    assert found.tools[1].startswith("pahole 1.")
    types = Btf(found.path.read_bytes())
    (task,) = types.find("task_struct", STRUCT)
    members = {one.name: (one.offset, one.bits) for one in types.members(task)}
    assert members == {"pid": (0, 0), "bits": (32, 3), "tasks": (64, 0), "comm": (192, 0)}
    assert types.size_of_struct("packed") == 9
    assert types.enum("colour") == {"RED": 3, "GREEN": -1}


def test_they_are_made_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = headers(cache)
    first, directory = kernel_btf(bundle, cache), vmlinux_h(bundle, cache)
    monkeypatch.delattr(Clang, "compile")
    monkeypatch.setattr(bpftool, "run", None)
    assert kernel_btf(bundle, cache) == first
    assert vmlinux_h(bundle, cache) == directory
    assert [path.name for path in directory.iterdir()] == ["vmlinux.h"]
    assert sorted(path.name for path in first.path.parent.iterdir()) == ["btf", "made.json"]


def test_the_kernels_own_comes_first(cache: Cache) -> None:
    bundle = make(cache, files=HEADERS, btf=OWN)
    found = kernel_btf(bundle, cache)
    assert found == btf.KernelBtf(bundle.path / "btf", made_from_headers=False)
    assert "colour" in (vmlinux_h(bundle, cache) / "vmlinux.h").read_text()


def test_one_that_is_damaged_is_not_made_up_for(cache: Cache) -> None:
    bundle = make(cache, files=HEADERS, btf=OWN[:-1])
    with pytest.raises(HeadersError, match="is cut off") as caught:
        kernel_btf(bundle, cache)
    assert caught.value.hint.startswith("droidheaders cache verify --repair")


@pytest.mark.parametrize("name", ["btf", "vmlinux"])
def test_a_program_compiles_with_it(cache: Cache, tmp_path: Path, name: str) -> None:
    bundle = headers(cache) if name == "btf" else make(cache, files=HEADERS, btf=OWN)
    source = '#include "vmlinux.h"\nint f(struct task_struct *t) { return t->pid; }\n'
    command = [
        "clang",
        "--target=bpf",
        "-O2",
        "-g",
        "-x",
        "c",
        "-c",
        "-",
        "-o",
        str(tmp_path / "o"),
    ]
    command += [f"-I{vmlinux_h(bundle, cache)}"]
    subprocess.run(command, input=source.encode(), check=True)


def test_structures_that_are_embedded_by_their_tag(cache: Cache, tmp_path: Path) -> None:
    """As kernels from 6.19 on do; without -fms-extensions clang leaves them out."""
    text = SCHED.replace("{ int pid;", "{ struct list_head; int pid;")
    files = {**HEADERS, "include/linux/sched.h": text.encode()}
    bundle = make(cache, "6.19.1", files, btf=b"")
    found = kernel_btf(bundle, cache)
    types = Btf(found.path.read_bytes())
    (task,) = types.find("task_struct", STRUCT)
    assert [(one.name, one.offset) for one in types.members(task)][:2] == [("", 0), ("pid", 128)]
    source = '#include "vmlinux.h"\nvoid *f(struct task_struct *t) { return t->next; }\n'
    command = ["clang", *Flags.of(bundle).core(vmlinux_h(bundle, cache)), "-Werror", "-x", "c"]
    command += ["-c", "-", "-o", str(tmp_path / "o")]
    subprocess.run(command, input=source.encode(), check=True)


def test_headers_that_do_not_compile_are_left_out(cache: Cache) -> None:
    more = {
        "include/linux/fs.h": "struct file { int flags; struct inode *inode; };\n",
        "include/linux/tcp.h": "#include <vendor/gone.h>\nstruct tcp_sock { int window; };\n",
        "include/linux/udp.h": "struct udp_sock { struct nowhere sock; };\n",
    }
    found = kernel_btf(headers(cache, more), cache)
    assert {name: why.partition("error: ")[2] for name, why in found.left_out.items()} == {
        "linux/tcp.h": "'vendor/gone.h' file not found",
        "linux/udp.h": "field has incomplete type 'struct nowhere'",
    }
    types = Btf(found.path.read_bytes())
    assert types.find("file", STRUCT)
    assert not types.find("tcp_sock", STRUCT)


@pytest.mark.parametrize(
    ("more", "meta", "error", "says"),
    [
        ({"include/generated/autoconf.h": ""}, {}, HeadersError, "there is no include/generated"),
        (
            {},
            {"missing": ["include/generated/autoconf.h of the kernel's configuration: 2 options"]},
            HeadersError,
            "configuration: 2 options",
        ),
        (
            {"include/generated/autoconf.h": "#define CONFIG_RANDSTRUCT_FULL 1\n"},
            {},
            UnsupportedError,
            "shuffled (CONFIG_RANDSTRUCT_FULL), by a seed",
        ),
        (
            {"include/linux/sched.h": "#include <gone.h>\n"},
            {},
            HeadersError,
            "clang says include/linux/sched.h:1:10: fatal error: 'gone.h' file not found",
        ),
        (
            {"include/linux/tcp.h": '_Static_assert(sizeof(int) == 5, "other");\n'},
            {},
            HeadersError,
            "clang says include/linux/tcp.h:1:1: error: static",
        ),
        (
            {"include/linux/sched.h": "struct other { int a; } ;\n"},
            {},
            HeadersError,
            "no struct tas",
        ),
        (
            {"arch/loongarch/include/asm/types.h": ""},
            {"arch": "loongarch"},
            UnsupportedError,
            "is loongarch, and no flags for that are known",
        ),
        ({"include/linux/sched.h": "#pragma clang __debug crash\n"}, {}, HeadersError, "failed"),
    ],
)
def test_headers_that_are_no_good(
    cache: Cache,
    more: dict[str, str],
    meta: dict[str, Any],
    error: type[DroidheadersError],
    says: str,
) -> None:
    bundle = headers(cache, more, **meta)
    with pytest.raises(error) as caught:
        kernel_btf(bundle, cache)
    assert says in caught.value.message
    assert cache.derived.made(bundle.name) == []


@pytest.mark.parametrize(
    "text",
    [
        '#include "{secret}"',
        "#include <../../../../../../../../../../../..{secret}>",
        '#line 1 "{secret}"\n#error x',
        'struct a {{ char x[__has_include("{secret}") ? -1 : 1]; }};',
    ],
)
def test_nothing_but_the_headers_is_read(cache: Cache, tmp_path: Path, text: str) -> None:
    secret = tmp_path / "secret.h"
    secret.write_text("struct SECRET { int SECRET; } SECRET;\n#error SECRET\n")
    line = text.format(secret=secret)
    found = kernel_btf(headers(cache, {"include/linux/tcp.h": line + "\n"}), cache)
    assert "SECRET" not in str(found.left_out)
    assert b"SECRET" not in found.path.read_bytes()


def test_code_in_headers_does_not_get_out(cache: Cache, tmp_path: Path) -> None:
    """The object that .incbin puts it into is gone; only types are kept."""
    (tmp_path / "secret").write_bytes(b"SECRET" * 99)
    line = f'__asm__(".section .secret; .incbin \\"{tmp_path}/secret\\"");\n'
    found = kernel_btf(headers(cache, {"include/linux/tcp.h": line}), cache)
    assert not [path for path in found.path.parent.iterdir() if b"SECRET" in path.read_bytes()]


@pytest.mark.parametrize(
    ("name", "script", "says", "hint"),
    [
        ("pahole", "echo v1.20", "pahole 1.20 is too old: 1.22 is needed", "install dwarves"),
        ("pahole", "exit 1", "does not tell its version", "install dwarves"),
        ("pahole", "[ $# = 1 ] && echo v1.25", "pahole made is too short", "cache show"),
        ("pahole", "[ $# = 1 ] && echo v1.25 || kill -9 $$", "ended by SIGKILL", "cache show"),
        ("bpftool", "echo bpftool for kernel 6.1 not found >&2; exit 2", "tell its", "bpftool"),
        ("bpftool", "[ $# = 1 ] && echo bpftool v9.1 || exit 3", "ended with status 3", "bpftool"),
        ("bpftool", "[ $# = 1 ] && echo v9.1 || echo Error: no >&2", "BTF of 6.1.1", "bpftool"),
        ("bpftool", "[ $# = 1 ] && echo v9.1 || kill -9 $$", "bpftool was ended by", "bpftool"),
    ],
)
def test_tools_that_fail(
    cache: Cache, tools_in: Path, name: str, script: str, says: str, hint: str
) -> None:
    fake(tools_in, name, script)
    with pytest.raises(DroidheadersError) as caught:
        vmlinux_h(headers(cache), cache)
    assert says in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("name", "package"), [("clang", "clang"), ("pahole", "dwarves"), ("bpftool", "bpftool")]
)
def test_tools_that_are_not_there(
    cache: Cache, tools_in: Path, monkeypatch: pytest.MonkeyPatch, name: str, package: str
) -> None:
    tools_in.mkdir()
    for tool in {"pahole": "/usr/bin", "bpftool": "/usr/sbin", "clang": "/usr/bin"}.items():
        if tool[0] != name:
            (tools_in / tool[0]).symlink_to(f"{tool[1]}/{tool[0]}")
    monkeypatch.setenv("PATH", str(tools_in))
    monkeypatch.setattr(tools, "_BESIDES", ())
    with pytest.raises(DroidheadersError, match=f"{name} is not on this host") as caught:
        vmlinux_h(headers(cache), cache)
    assert caught.value.hint == f"sudo apt-get install {package}"


def test_debians_bpftool_is_found_where_only_root_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert tools.find("bpftool").path.endswith("sbin/bpftool")


WIDE = "enum wide { HUGE = 0x123456789abcdef0ull } e; struct task_struct { int pid; } t;"


def test_a_bpftool_that_does_not_know_a_kind_of_type(cache: Cache, tools_in: Path) -> None:
    bundle = headers(cache, {"include/linux/mm.h": WIDE.partition(";")[0].removesuffix(" e") + ";"})
    fake(tools_in, "bpftool", "[ $# = 1 ] && echo bpftool v5.10.223 || exit 1")
    with pytest.raises(DroidheadersError) as caught:
        vmlinux_h(bundle, cache)
    assert "bpftool 5.10.223 cannot read the BTF of 6.1.176" in caught.value.message
    assert caught.value.message.endswith("of kind ENUM64, which take bpftool 7.0")
    assert caught.value.hint == "sudo apt-get install bpftool, of a newer release"


@pytest.mark.parametrize("name", [b"ta\nk_struct", b'ta"k_struct', b"ta;k_struct", b"ta#k_struct"])
def test_names_that_are_code_do_not_become_c(cache: Cache, name: bytes) -> None:
    bundle = make(cache, files=HEADERS, btf=OWN.replace(b"task_struct", name))
    assert not kernel_btf(bundle, cache).made_from_headers
    with pytest.raises(HeadersError, match="has names that are none in C"):
        vmlinux_h(bundle, cache)


class Cli:
    def __init__(self, cache: Cache, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._cache = cache
        self._captured = capfdbinary

    def __call__(self, *arguments: str | Path) -> tuple[int | str | None, bytes, str]:
        with pytest.raises(SystemExit) as stop:
            run(["--cache-dir", str(self._cache.root), "btf", *map(str, arguments)])
        out = self._captured.readouterr()
        return stop.value.code, out.out, out.err.decode()


@pytest.fixture
def cli(cache: Cache, capfdbinary: pytest.CaptureFixture[bytes]) -> Cli:
    return Cli(cache, capfdbinary)


def test_the_command_writes_to_stdout(cli: Cli, cache: Cache) -> None:
    bundle = headers(cache)
    status, out, said = cli("--bundle", bundle.name)
    assert (status, out) == (0, (vmlinux_h(bundle, cache) / "vmlinux.h").read_bytes())
    assert said.splitlines()[-1].startswith("made from the headers: fentry, lsm, iter")
    status, out, _ = cli("--bundle", bundle.name, "--format", "raw")
    assert (status, out) == (0, kernel_btf(bundle, cache).path.read_bytes())
    own = make(cache, "6.1.177", HEADERS, btf=OWN)
    assert cli("--bundle", own.name, "--format", "raw") == (0, OWN, "")


def test_the_command_writes_a_file(cli: Cli, cache: Cache, tmp_path: Path) -> None:
    bundle = headers(cache)
    file = tmp_path / "vmlinux.h"
    file.write_text("old")
    assert cli("--bundle", bundle.name, "-o", file)[:2] == (0, f"{file}\n".encode())
    assert file.read_text().startswith("#ifndef __VMLINUX_H__")
    status, out, said = cli("--bundle", bundle.name, "-o", tmp_path / "no/where")
    assert (status, out) == (1, b"")
    assert "cannot write to the directory" in said
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_command_cuts_btf_to_an_object(cli: Cli, cache: Cache, tmp_path: Path) -> None:
    bundle = headers(cache)
    task = "struct task_struct { int pid; };"
    (tmp_path / "prog.o").write_bytes(program("x = t->pid", task))
    (tmp_path / "plain.o").write_bytes(compiled("int x;", "-O2"))
    status, out, _ = cli("--bundle", bundle.name, "--format", "min", tmp_path / "prog.o")
    assert status == 0
    types = Btf(out)
    (found,) = types.find("task_struct", STRUCT)
    assert [one.name for one in types.members(found)] == ["pid"]
    assert not types.find("packed", STRUCT)
    for name, says in (
        ("plain.o", "has no relocations"),
        ("gone.o", "cannot be read: No such file"),
        (".", "cannot be read: Is a directory"),
        ("cache/kernels/" + bundle.name + "/config", "is no ELF file"),
    ):
        status, _, said = cli("--bundle", bundle.name, "--format", "min", tmp_path / name)
        assert (status, says in said) == (2, True), said


def test_the_command_as_json(cli: Cli, cache: Cache, tmp_path: Path) -> None:
    bundle = headers(cache)
    status, out, _ = cli("--bundle", bundle.name, "--json")
    told = json.loads(out)
    made = kernel_btf(bundle, cache)
    assert status == 0
    assert told["schema"] == 1
    assert (told["format"], told["source"]) == ("c", "headers")
    assert Path(told["path"]).stat().st_size == told["size"]
    assert told["types"] == len(Btf(made.path.read_bytes())) - 1
    assert told["tools"] == list(made.tools)
    status, out, _ = cli("--bundle", bundle.name, "--json", "--format", "raw", "-o", tmp_path / "b")
    assert json.loads(out)["path"] == str(tmp_path / "b")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--format", "min"], "objects and --format min go together"),
        (["x.o"], "objects and --format min go together"),
        (["--format", "min", "--json", "x.o"], "it needs a file"),
        (["--format", "pdf"], "pdf"),
    ],
)
def test_wrong_usage(cli: Cli, cache: Cache, arguments: list[str], says: str) -> None:
    status, out, said = cli("--bundle", headers(cache).name, *arguments)
    assert status == UsageError.exit_code
    assert says in said + out.decode()


@pytest.mark.parametrize("arguments", [["--format", "raw"], ["--format", "min", "x.o"]])
def test_a_terminal_gets_no_btf(
    cli: Cli, cache: Cache, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    status, out, said = cli("--bundle", headers(cache).name, *arguments)
    assert (status, out) == (2, b"")
    assert "BTF is no text for a terminal" in said


def test_check_judges_relocations_by_it(
    cache: Cache, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    bundle = headers(cache)
    task = "struct task_struct { int {}; };"
    for name in ("pid", "gone"):
        file = tmp_path / f"{name}.o"
        file.write_bytes(program(f"READS(&x, 4, &t->{name})", task.replace("{}", name)))
    files = [str(tmp_path / f"{name}.o") for name in ("pid", "gone")]
    with pytest.raises(SystemExit):
        run(["--cache-dir", str(cache.root), "check", "--json", "--bundle", bundle.name, *files])
    told = json.loads(capfdbinary.readouterr().out)["files"]
    assert [one["relocations"]["by"] for one in told] == ["headers", "headers"]
    answers = [
        next(answer for answer in one["answers"] if answer["name"] == "co-re") for one in told
    ]
    assert [answer["verdict"] for answer in answers] == ["yes", "no"]
    assert answers[0]["because"] == "all 1 relocations fit BTF made from its headers"
    assert "struct task_struct.gone: the kernel has no such thing" in answers[1]["because"]
