"""A source tree as a provider: what it makes is what packages make, and it stays as it is."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import pytest

from droidheaders import equipping
from droidheaders.cache import Cache
from droidheaders.debian.mirror import mirror
from droidheaders.debian.packages import Packages, unpack
from droidheaders.debian.place import cache_dir
from droidheaders.equipping import Wish
from droidheaders.guest import recipes
from tests.build import distribution
from tests.build.conftest import Real

pytestmark = [pytest.mark.usefixtures("quiet"), pytest.mark.full]
PROJECTS = Path(__file__).with_name("projects")
_PARTS = ("Makefile", "Kbuild", "Kconfig", "arch", "include", "scripts", "tools")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parts of Debian's linux-source-6.1 that modules are built by."""
    recipe, place = recipes.load("6.1-arm64"), tmp_path_factory.mktemp("source")
    packages = Packages(cache_dir(), mirror(), [recipe.source_suite], recipe.arch)
    packages.update()
    [file] = packages.fetch(packages.find([recipe.source], "amd64"))
    unpack([file], place)
    file.unlink()
    [archive] = place.glob("usr/src/*.tar.xz")
    with tarfile.open(archive, "r|xz") as tar:
        for entry in tar:
            if entry.name.split("/")[1:2] and entry.name.split("/")[1] in _PARTS:
                tar.extract(entry, place, filter="tar")
    archive.unlink()
    [found] = [path for path in place.iterdir() if path.name.startswith("linux-source")]
    return found


@pytest.mark.parametrize("name", ["6.1-arm64", "6.1-x86_64"])
def test_a_source_tree_makes_the_same(
    name: str, tree: Path, real: Real, real_cache: Cache, tmp_path: Path
) -> None:
    theirs = distribution.distribution(name)
    before = {path: path.lstat().st_mtime_ns for path in tree.rglob("*")}
    wish = Wish(source=tree, symvers=(theirs.symvers,))
    ours = equipping.equip(real_cache, real(name), wish)
    assert ours.provider.scripts.is_relative_to(real_cache.root)
    usual = equipping.equip(real_cache, real(name), Wish(symvers=(theirs.symvers,)))
    for side, place in (("ours", ours.path), ("usual", usual.path)):
        shutil.copytree(PROJECTS / "features", tmp_path / side)
        distribution.build(place, tmp_path / side)
    for module in ("features.ko", "single.ko"):
        pair = [distribution.loaded(tmp_path / side / module) for side in ("ours", "usual")]
        assert pair[0] == pair[1]
    assert {path: path.lstat().st_mtime_ns for path in tree.rglob("*")} == before
