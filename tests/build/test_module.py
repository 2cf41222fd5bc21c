"""`build module`: what comes out, where, and what is said when nothing does."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from droidheaders.build import module
from droidheaders.cache import Bundle, Cache, collected
from droidheaders.cli.main import run
from droidheaders.errors import UsageError
from droidheaders.kernel.exports import Export
from droidheaders.kernel.known import Known, Table
from tests.build import distribution
from tests.build.conftest import Real

pytestmark = pytest.mark.usefixtures("quiet")
PROJECTS = Path(__file__).with_name("projects")
NAME = "6.1-x86_64"
HELLO = """\
#include <linux/module.h>
static int __init hello_init(void) { pr_info("hello\\n"); return 0; }
module_init(hello_init);
MODULE_LICENSE("GPL");
"""


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as stop:
        run([*arguments])
    out = capsys.readouterr()
    return stop.value.code, out.out, out.err


class Command:
    """`droidheaders build module` for one kernel of the cache, with its own symvers."""

    def __init__(self, cache: Cache, bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
        self.where = ["--cache-dir", str(cache.root)]
        self.bundle, self.capsys = bundle, capsys
        self.symvers = ["--symvers", str(distribution.distribution(NAME).symvers)]

    def __call__(
        self, *words: str, symvers: Sequence[str] | None = None, front: Sequence[str] = ()
    ) -> tuple[object, str, str]:
        end = words.index("--") if "--" in words else len(words)
        options = ["--bundle", self.bundle.name, *(self.symvers if symvers is None else symvers)]
        command = [*self.where, *front, "build", "module", *words[:end], *options, *words[end:]]
        return call(self.capsys, *command)


@pytest.fixture
def command(real: Real, real_cache: Cache, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(real_cache, real(NAME), capsys)


def source(name: str, text: str, kbuild: str = "") -> Path:
    Path(name).mkdir()
    Path(name, "Kbuild").write_text(kbuild or f"obj-m := {name}.o\n")
    Path(name, f"{name}.c").write_text(text)
    return Path(name)


def test_the_source_stays_clean(command: Command) -> None:
    shutil.copytree(PROJECTS / "features", "features")
    before = sorted(Path("features").rglob("*"))
    status, out, err = command("features", "-o", "out")
    place = Path("out").absolute()
    assert (status, out) == (0, f"{place}/features.ko\n{place}/single.ko\n")
    assert "CC [M]" in err
    assert "warning: " not in err.replace("warning: the compiler differs", "")
    assert sorted(Path("features").rglob("*")) == before
    # What is built is built again only where the source is another.
    Path("features/second.c").write_text("int features_second(void);\n#error \x1b[2Jgone\n")
    status, out, err = command("features", "-o", "out")
    assert (status, out) == (1, "")
    assert "second.c:2:2: error: #error" in err
    assert "\x1b" not in err
    assert err.count("CC [M]") == 1
    assert "does not build for 6.1" in err.splitlines()[-2]
    assert err.splitlines()[-1].startswith("hint: ")


def test_there_and_as_json(command: Command) -> None:
    place = source("hello", HELLO).absolute()
    status, out, err = command("hello", "--", "V=1", front=["--json"])
    said = json.loads(out)
    assert (status, said["built"]) == (0, [f"{place}/hello.ko"])
    assert said["toolchain"]["make"]["ARCH"] == "x86"
    assert said["symvers"]["official"] > 10_000
    [check] = said["checks"]
    answers = {answer["name"]: answer["verdict"] for answer in check["answers"]}
    assert {answers[n] for n in ("architecture", "release", "symbols", "crcs")} == {"yes"}
    assert "-DKBUILD_MODNAME" in err  # V=1
    assert command("hello", "--", "clean")[:2] == (0, "")
    assert not Path("hello/hello.ko").exists()


def test_another_kernel_s_environment_does_not_count(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    source("hello", HELLO)
    for name, value in (("ARCH", "arm"), ("LLVM", "1"), ("CROSS_COMPILE", "nothing-")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MAKEFLAGS", "n")
    status, out, _ = command("hello", "-o", "out")
    assert (status, Path(out.strip()).is_file()) == (0, True)


def test_symbols_that_nothing_exports(command: Command) -> None:
    text = HELLO.replace(
        "pr_info(", "extern int no_such(void), no_other(void);\nno_such() + no_other() ? pr_info("
    )
    text = text.replace('\\n");', '\\n") : 0;')
    source("asking", text)
    status, out, err = command("asking")
    assert (status, out) == (1, "")
    assert (
        "does not export: no_such, no_other" in err or "does not export: no_other, no_such" in err
    )
    assert "KBUILD_EXTRA_SYMBOLS" in err.splitlines()[-1]


def test_crcs_that_are_not_known(command: Command, real_cache: Cache) -> None:
    source("hello", HELLO)
    status, out, err = command("hello", symvers=[])
    assert (status, out) == (1, "")
    assert "CONFIG_MODVERSIONS" in err
    # A part of them, as modules of a device tell: of the rest it is not known whether they are.
    lines = distribution.distribution(NAME).symvers.read_text().splitlines()
    crcs = {line.split("\t")[1]: int(line.split("\t")[0], 16) for line in lines}
    told = {name: crcs[name] for name in ("module_layout", "kfree")}
    exports = {name: Export(crc, "", False, "vmlinux") for name, crc in told.items()}
    known = {name: Known(export, "versions", "one") for name, export in exports.items()}
    collected.add(real_cache, command.bundle, [Table("versions", known)])
    try:
        status, out, err = command("hello", symvers=[])
        assert (status, out) == (1, "")
        assert "whose CRCs are not known: __fentry__, _printk" in err.splitlines()[-2]
        # Its modules have told what they can: the image knows more.
        assert err.splitlines()[-1].startswith("hint: droidheaders symvers --image boot.img, or ")
        status, out, err = command("hello", "--without-crcs", symvers=[])
        assert (status, out) == (0, f"{Path('hello/hello.ko').absolute()}\n")
        assert 'WARNING: modpost: "_printk"' in err
    finally:
        collected.forget(real_cache, command.bundle)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing"], "has no Kbuild and no Makefile"),
        (["a blank"], "make takes no blank"),
        (["hello", "-o", "an out"], "make takes no blank"),
        (["hello", "-o", "a=b"], "no = in a path, such as in "),
        (["hello", "--source", "x", "--provider", "y"], "--source and --provider"),
        (["hello", "--source", "hello"], "is no source tree"),
        (["hello", "--provider", "hello"], "is no kernel tree"),
    ],
)
def test_usage(command: Command, words: list[str], says: str) -> None:
    source("hello", HELLO)
    source("a blank", HELLO)
    status, out, err = command(*words)
    assert (status, out) == (2, "")
    assert says in err


def test_a_mirror_follows_its_source(tmp_path: Path) -> None:
    place, build = tmp_path / "source", tmp_path / "source/out"
    (place / "deep").mkdir(parents=True)
    for name in (
        "Kbuild",
        "a.c",
        "deep/b.c",
        "a.o",
        "a.ko",
        "a.mod.c",
        ".a.o.cmd",
        "modules.order",
    ):
        (place / name).write_text(name)
    (place / "linked").symlink_to("deep")
    (place / "deep/above").symlink_to("..")
    (place / ".git").mkdir()
    module.mirror(place, build)
    (build / "a.o").write_text("built")
    module.mirror(place, build)
    names = sorted(str(path.relative_to(build)) for path in build.rglob("*") if path.is_file())
    assert names == ["Kbuild", "a.c", "a.o", "deep/b.c", "linked/b.c"]
    assert not (build / "linked").is_symlink()
    assert (build / "a.c").readlink() == place / "a.c"
    (place / "a.c").unlink()
    shutil.rmtree(place / "deep")
    module.mirror(place, build)
    assert sorted(os.listdir(build)) == ["Kbuild", "a.o", "deep", "linked"]
    (place / "c.c").write_text("new")
    (build / "c.c").write_text("somebody else's")
    with pytest.raises(UsageError, match="is no link to the source"):
        module.mirror(place, build)
    assert (build / "c.c").read_text() == "somebody else's"
