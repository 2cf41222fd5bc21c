"""Recipes: those that ship, and files that are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from droidheaders.errors import DroidheadersError, UsageError
from droidheaders.guest import recipes

GOOD = """\
about = "a kernel"
suite = "bookworm"
image = "linux-image-cloud-arm64"
headers = "linux-headers-cloud-arm64"
source = "linux-source-6.1"
source_suite = "bookworm"
"""


def test_every_recipe_that_ships_is_good() -> None:
    known = [recipes.load(name) for name in recipes.names()]
    assert {recipe.name for recipe in known} >= {
        f"{series}-{arch}" for series in ("5.10", "6.1", "6.12") for arch in ("arm64", "x86_64")
    }
    for recipe in known:
        assert recipe.image.endswith(f"-{recipe.debian_arch}")
        assert recipe.headers.endswith(f"-{recipe.debian_arch}")


def test_names_are_in_the_order_of_kernels(tmp_path: Path) -> None:
    for name in ("6.12-arm64", "10.1-arm64", "6.1-x86_64", "6.1-arm64", "5.10-arm64"):
        (tmp_path / f"{name}.toml").write_text(GOOD)
    assert recipes.names(tmp_path) == [
        "5.10-arm64",
        "6.1-arm64",
        "6.1-x86_64",
        "6.12-arm64",
        "10.1-arm64",
    ]


def test_a_recipe_is_read() -> None:
    recipe = recipes.parse("6.1-arm64", GOOD)
    assert (recipe.series, recipe.arch, recipe.debian_arch) == ("6.1", "arm64", "arm64")
    assert recipe.suite == "bookworm"
    assert recipes.parse("6.1-x86_64", GOOD).debian_arch == "amd64"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("6.1-riscv", GOOD, "is named"),
        ("latest", GOOD, "is named"),
        ("6.1-arm64", "suite = ", "is not TOML"),
        ("6.1-arm64", GOOD + 'mirror = "x"\n', "unknown keys: mirror"),
        ("6.1-arm64", GOOD.replace("suite", "sweet", 1), "unknown keys: sweet"),
        ("6.1-arm64", GOOD.replace('image = "linux-image-cloud-arm64"\n', ""), "needs `image`"),
        ("6.1-arm64", GOOD.replace('"bookworm"', "12", 1), "needs `suite`"),
        ("6.1-arm64", GOOD.replace('"bookworm"', '"a b"', 1), "needs `suite`"),
        ("6.1-arm64", GOOD.replace('"bookworm"', '"-oDir=/"', 1), "needs `suite`"),
    ],
)
def test_a_bad_recipe_says_what_is_wrong(name: str, text: str, complaint: str) -> None:
    with pytest.raises(DroidheadersError, match=complaint):
        recipes.parse(name, text)


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"'6\.2-arm64'; there are .*6\.1-arm64"):
        recipes.load("6.2-arm64")
    with pytest.raises(UsageError):
        recipes.load("../../etc/passwd")


VARIANT = 'about = "with tools"\ndebian = ["bpfcc-tools"]\nmemory = 2048\n'


def test_a_variant_has_the_kernel_of_its_base(tmp_path: Path) -> None:
    (tmp_path / "6.1-arm64.toml").write_text(GOOD)
    (tmp_path / "6.1-arm64-bcc.toml").write_text(VARIANT)
    assert recipes.names(tmp_path) == ["6.1-arm64", "6.1-arm64-bcc"]
    base, variant = (recipes.load(name, tmp_path) for name in recipes.names(tmp_path))
    assert (variant.name, variant.kernel, base.kernel) == ("6.1-arm64-bcc", base.name, base.name)
    assert (variant.image, variant.about) == (base.image, "with tools")
    assert (variant.debian, variant.memory) == (("bpfcc-tools",), 2048)
    assert (base.debian, base.memory) == ((), 512)


def test_a_variant_may_differ_by_its_command_line_alone() -> None:
    base = recipes.parse("6.1-arm64", GOOD)
    variant = recipes.parse_variant("6.1-arm64-x", 'cmdline = "module.sig_enforce=1 quiet"', base)
    assert (variant.cmdline, variant.debian) == ("module.sig_enforce=1 quiet", ())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("about = 1", "needs `debian`"),
        ("debian = []", "needs `debian`"),
        ('debian = "bpfcc-tools"', "needs `debian`"),
        ('debian = ["../x"]', "needs `debian`"),
        ('debian = ["tar"]\nmemory = 64', "`memory`"),
        ('debian = ["tar"]\nmemory = true', "`memory`"),
        ('debian = ["tar"]\nsuite = "sid"', "unknown keys: suite"),
        ("debian = [", "is not TOML"),
        ("cmdline = 'init=\"/x y\"'", "`cmdline`"),
        ("cmdline = 1", "`cmdline`"),
        ("cmdline = ''", "`cmdline`"),
    ],
)
def test_a_bad_variant_says_what_is_wrong(text: str, complaint: str) -> None:
    with pytest.raises(DroidheadersError, match=complaint):
        recipes.parse_variant("6.1-arm64-x", text, recipes.parse("6.1-arm64", GOOD))
