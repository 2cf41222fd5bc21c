"""BPF programs compiled for real kernels, and what is said when they cannot be."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from droidheaders.build import bpf, libbpf, sources
from droidheaders.cache import Bundle, Cache
from droidheaders.cli.main import run
from droidheaders.objects.bpf import BpfObject, read_bpf
from droidheaders.objects.btf_ext import Lines, relocations
from tests.build import programs
from tests.build.conftest import Real
from tests.kernels import KERNELS

pytestmark = [pytest.mark.guest, pytest.mark.usefixtures("quiet")]
ARM = "6.1-arm64"


@pytest.fixture
def arm(real: Real, real_cache: Cache) -> Bundle:
    return real(ARM)


def source(text: str, name: str = "prog.bpf.c") -> Path:
    file = Path(name)
    file.write_text(text)
    return file


def compiled(bundle: Bundle, cache: Cache, file: Path, *arguments: str) -> bpf.Built:
    compiler = bpf.Compiler.of(bundle, cache, [file], arguments)
    [built] = bpf.build(compiler, bpf.outputs([file], None))
    return built


def loaded(built: bpf.Built) -> BpfObject:
    assert built.error is None, built.said
    assert built.said == ""
    return read_bpf(built.output.read_bytes())


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as stop:
        run([*arguments])
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (programs.KERNEL, sources.KERNEL),
        (programs.USER, sources.USER),
        (programs.EITHER, sources.KERNEL),
        (programs.CORE, sources.CORE),
    ],
    ids=["kernel", "uapi", "either", "co-re"],
)
@pytest.mark.parametrize("name", KERNELS)
def test_each_kind_compiles(name: str, text: str, kind: str, real: Real, real_cache: Cache) -> None:
    bundle = real(name)
    built = compiled(bundle, real_cache, source(text))
    assert built.kind == kind
    made = loaded(built)
    assert made.btf
    assert made.license == "GPL"
    names = {one.name for one in made.programs}
    assert names <= {"opened", "done", "pass", "switched"}
    lines = Lines(made.ext, made.btf)
    for program in made.programs:
        section = made.code[program.section].name
        assert lines.line(section, program.start).startswith("prog.bpf.c:")
    if "BPF_CORE_READ" in text:
        reads = [one.access for one in relocations(made.ext, made.btf)]
        assert reads, "BPF_CORE_READ is to be relocated"
    if "maps" in text:
        assert [one.name for one in made.maps] == ["seen"]
    bpftool = shutil.which("bpftool", path="/usr/sbin:/usr/bin") or "bpftool"
    dump = [bpftool, "btf", "dump", "file", str(built.output)]
    shown = subprocess.run(dump, capture_output=True, text=True, check=True)
    assert "FUNC" in shown.stdout


def test_lines_name_the_file_where_it_is(arm: Bundle, real_cache: Cache) -> None:
    Path("src").mkdir()
    made = loaded(compiled(arm, real_cache, source(programs.KERNEL, "src/prog.bpf.c")))
    assert made.btf
    assert f"{Path.cwd()}/src/prog.bpf.c".encode() in Path("prog.bpf.o").read_bytes()


def test_the_registers_are_those_of_the_architecture(real: Real, real_cache: Cache) -> None:
    """PT_REGS_PARM1 is at 0 of arm64's user_pt_regs, and at 112 of pt_regs of x86_64."""
    for name, offset in (("6.1-arm64", 0), ("6.1-x86_64", 112)):
        for text in (programs.KERNEL, programs.USER):
            made = loaded(compiled(real(name), real_cache, source(text)))
            [program] = [one for one in made.programs if one.name == "opened"]
            code = made.code[program.section].instructions
            loads = {one.offset for one in code if one.code == 0x79 and one.source in (1, 6)}
            assert offset in loads, (name, loads)


def test_files_of_ones_own_are_followed(arm: Bundle, real_cache: Cache) -> None:
    Path("inc").mkdir()
    Path("inc/deep.h").write_text("#include <net/sock.h>\nstatic int deep(struct sock *s);\n")
    Path("near.h").write_text('#include "deep.h"\n')
    text = '#include <linux/bpf.h>\n#include "near.h"\nint x = sizeof(struct sock);\n'
    built = compiled(arm, real_cache, source(text), "-Iinc")
    assert (built.error, built.kind) == (None, sources.KERNEL)


def test_a_vmlinux_h_of_ones_own_counts(
    arm: Bundle, real_cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", _only("clang"))  # nothing that could make one
    Path("vmlinux.h").write_text("typedef int mine;\n")
    built = compiled(arm, real_cache, source('#include "vmlinux.h"\nmine x;\n'))
    assert (built.error, built.kind) == (None, sources.CORE)


def _only(*tools: str) -> str:
    place = Path("bin").absolute()
    place.mkdir()
    for tool in tools:
        (place / tool).symlink_to(shutil.which(tool) or "")
    return str(place)


def test_includes_in_comments_are_none(arm: Bundle, real_cache: Cache) -> None:
    text = (
        '// #include "vmlinux.h"\n/*\n#include <net/sock.h>\n*/\n#include <linux/bpf.h>\nint x;\n'
    )
    assert compiled(arm, real_cache, source(text)).kind == sources.USER


def test_words_for_clang(arm: Bundle, real_cache: Cache) -> None:
    file = source(programs.KERNEL.replace("bpf_printk", "NAMED"))
    built = compiled(arm, real_cache, file, "-DNAMED=bpf_printk", "-mcpu=v3", "-Wall")
    assert built.error is None, built.said


def test_the_command(arm: Bundle, real_cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    first, second = source(programs.USER, "a.bpf.c"), source(programs.KERNEL, "b.c")
    where = ["--cache-dir", str(real_cache.root), "build", "bpf", "--bundle", arm.name]
    status, out, err = call(capsys, *where, str(first), str(second), "-o", "out", "--", "-O2")
    assert (status, out, err) == (0, "out/a.bpf.o\nout/b.o\n", "")
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.bpf.o", "b.o"]
    status, out, _ = call(capsys, *where, str(first), "--json")
    answer = json.loads(out)
    assert (status, answer["schema"], answer["errors"]) == (0, 1, [])
    assert answer["built"] == [{"source": "a.bpf.c", "output": "a.bpf.o", "headers": "uapi"}]


def test_errors_pass_through_with_their_places(
    arm: Bundle, real_cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = source(programs.KERNEL.replace("u32 pid = 0;", "u32 pid = nobody;"), "bad.bpf.c")
    good = source(programs.USER, "good.bpf.c")
    Path("bad.bpf.o").write_text("of yesterday")
    where = ["--cache-dir", str(real_cache.root), "build", "bpf", "--bundle", arm.name]
    status, out, err = call(capsys, *where, str(bad), str(good))
    assert (status, out) == (1, "good.bpf.o\n")
    line = 1 + bad.read_text().splitlines().index("\tu32 pid = nobody;")
    assert f"bad.bpf.c:{line}:12: error: use of undeclared identifier 'nobody'" in err
    assert [text for text in err.splitlines() if text.startswith(("error: ", "hint: "))] == [
        f"error: bad.bpf.c does not compile for {arm.kernel}",
        "hint: correct what clang names; droidheaders -v build bpf bad.bpf.c prints its commands",
    ]
    left = ["bad.bpf.c", "bad.bpf.o", "good.bpf.c", "good.bpf.o"]
    assert sorted(path.name for path in Path().iterdir()) == left
    assert Path("bad.bpf.o").read_text() == "of yesterday"


def test_of_two_ways_to_fail_the_one_that_tells_is_told(arm: Bundle, real_cache: Cache) -> None:
    either = source(programs.EITHER.replace("int pid = 0;", "int pid = nobody;"))
    assert _errors(compiled(arm, real_cache, either)) == ["use of undeclared identifier 'nobody'"]
    user = source(programs.USER.replace("__u32 key = 0;", "__u32 key = nobody;"))
    assert _errors(compiled(arm, real_cache, user)) == ["use of undeclared identifier 'nobody'"]


def _errors(built: bpf.Built) -> list[str]:
    assert built.error
    return [line.partition("error: ")[2] for line in built.said.splitlines() if "error: " in line]


@pytest.mark.parametrize(
    ("include", "says", "hint"),
    [
        ("<linux/gone.h>", "have no linux/gone.h", "droidheaders cache show 6.1"),
        ("<bpf/gone.h>", "libbpf's headers here do not have", "apt-get install libbpf-dev"),
    ],
)
def test_a_header_that_is_not_there(
    arm: Bundle, real_cache: Cache, include: str, says: str, hint: str
) -> None:
    built = compiled(arm, real_cache, source(f"#include {include}\nint x;\n"))
    assert built.error
    assert says in built.error.message
    assert hint in built.error.hint
    assert f"prog.bpf.c:1:10: fatal error: '{include[1:-1]}' file not found" in built.said


@pytest.mark.parametrize(
    ("script", "says", "hint"),
    [
        (
            "echo \"error: unable to create target: 'No available targets are compatible with"
            ' triple \\"bpf\\"\'" >&2; exit 1',
            "was built without a back end for BPF",
            "--print-targets",
        ),
        (
            '[ "$1" = --version ] && echo clang version 11.0.1; exit 1',
            "is version 11, and 13 is the oldest",
            "clang-14",
        ),
        ("exit 1", "is no clang", "sudo apt-get install clang"),
    ],
)
def test_a_clang_that_cannot(
    arm: Bundle,
    real_cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    says: str,
    hint: str,
) -> None:
    Path("bin").mkdir()
    Path("bin/clang").write_text(f"#!/bin/sh\n{script}\n")
    Path("bin/clang").chmod(0o755)
    monkeypatch.setenv("PATH", str(Path("bin").absolute()))
    built = compiled(arm, real_cache, source(programs.USER))
    assert built.error
    assert says in built.error.message
    assert hint in built.error.hint
    assert not Path("prog.bpf.o").exists()


def test_no_clang_at_all(
    arm: Bundle,
    real_cache: Cache,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(Path("nothing").absolute()))
    where = ["--cache-dir", str(real_cache.root), "build", "bpf", "--bundle", arm.name]
    status, out, err = call(capsys, *where, str(source(programs.USER)))
    assert (status, out) == (1, "")
    assert err == (
        "error: no clang is on PATH, and BPF is compiled with it\n"
        "hint: sudo apt-get install clang\n"
    )


def test_usage(arm: Bundle, real_cache: Cache, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--cache-dir", str(real_cache.root), "build", "bpf", "--bundle", arm.name]
    prog = str(source(programs.USER))
    Path("more").mkdir()
    other = str(source(programs.USER, "more/prog.bpf.c"))
    for words, says in (
        (["gone.c"], "cannot read gone.c: No such file"),
        ([prog, other], "would both be prog.bpf.o"),
        ([prog, other, "-o", "x.o"], "is no directory for 2 objects"),
        ([prog, "-o", "none/x.o"], "there is no directory none"),
        ([prog, "-o", prog], "cannot be the object"),
    ):
        status, out, err = call(capsys, *where, *words)
        assert (status, out) == (2, ""), err
        assert says in err


def test_what_a_header_prints_is_made_safe(arm: Bundle, real_cache: Cache) -> None:
    Path("own.h").write_text("#error \x1b]0;title\x07 \u202e\n", "utf-8")
    built = compiled(arm, real_cache, source('#include "own.h"\n'))
    assert built.error
    assert "title" in built.said
    assert "\x1b]" not in built.said
    assert "\x07" not in built.said


def test_libbpf_s_headers_are_linked_once(real_cache: Cache, arm: Bundle) -> None:
    assert libbpf.link(real_cache, "arm64", fetch=False)
    place = real_cache.kernels / ".libbpf"
    assert [path.name for path in place.iterdir()] == ["bpf"]
    assert (place / "bpf/bpf_helpers.h").is_file()
    names = {bundle.name for bundle in real_cache.bundles()}
    assert arm.name in names
    assert ".libbpf" not in names


def test_clangd_understands_the_source(
    arm: Bundle, real_cache: Cache, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--cache-dir", str(real_cache.root), "flags", "--bpf", "--bundle", arm.name]
    texts = {"a.bpf.c": programs.KERNEL, "b.bpf.c": programs.USER, "c.bpf.c": programs.CORE}
    files = [str(source(text, name)) for name, text in texts.items()]
    status, out, _ = call(capsys, *where, "--format", "compile-commands", *files)
    assert status == 0
    Path("compile_commands.json").write_text(out)
    for file in files:
        done = subprocess.run(
            ["clangd", f"--check={file}"], capture_output=True, text=True, check=False
        )
        assert "All checks completed, 0 errors" in done.stderr, done.stderr


@pytest.mark.parametrize("text", [programs.KERNEL, programs.USER], ids=["kernel", "uapi"])
def test_no_file_of_the_host_gets_into_an_object(arm: Bundle, real_cache: Cache, text: str) -> None:
    file = source(text + 'asm(".section stolen\\n.incbin \\"/etc/passwd\\"");\n')
    built = compiled(arm, real_cache, file)
    assert built.error is not None
    assert "have the assembler do .section" in built.error.message
    assert not built.output.exists()
