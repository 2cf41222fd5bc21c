from __future__ import annotations

from collections.abc import Callable
from functools import cache as once
from pathlib import Path

import pytest

from droidheaders.build import providers
from droidheaders.build.providers import Provider
from droidheaders.cache import Bundle, Cache
from droidheaders.debian.place import cache_dir
from droidheaders.guest import image, kernel, recipes
from droidheaders.importing import import_file

Real = Callable[[str], Bundle]


@pytest.fixture(scope="session")
def real_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return Cache(tmp_path_factory.mktemp("build") / "cache")


@pytest.fixture(scope="session")
def real(real_cache: Cache) -> Real:
    """Return what gives the bundle of a recipe's kernel, imported once."""

    @once
    def bundle(name: str) -> Bundle:
        recipe = recipes.load(name)
        image.setup(recipe)
        built = kernel.cached(recipe, cache_dir())
        assert built
        return import_file(built.directory / "kheaders.tar.xz", real_cache).bundle

    return bundle


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No adb server, no device, no variable that names one; the work directory is empty."""
    for name in ("ADB_SERVER_SOCKET", "ANDROID_ADB_SERVER_ADDRESS", "ANDROID_SERIAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    """Makefiles and host tools of 6.1, as far as they are looked at before anything is built."""
    for name in ("arch/arm64/Makefile", "scripts/Makefile.build", "scripts/mod/modpost.c"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).touch()
    (tmp_path / "tree/Makefile").write_text("VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 99\n")
    for name in ("basic/fixdep", "mod/modpost"):
        program = tmp_path / "tree/scripts" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return providers.of_directory(tmp_path / "tree")
