"""Kernels of guests without the guests: a bundle of the headers, and the BTF in the image."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from droidheaders import import_file
from droidheaders.cache import Bundle, Cache
from droidheaders.debian.place import cache_dir
from droidheaders.guest import image, kernel, recipes
from droidheaders.headers.image import read_kernel
from droidheaders.recognising import copied, unwrapped

_PLACE = tempfile.TemporaryDirectory(prefix="droidheaders-test-")


@dataclass(frozen=True)
class RealKernel:
    """A bundle of its headers, which has no BTF, and its own BTF."""

    cache: Cache
    bundle: Bundle
    btf: bytes


@cache
def real(name: str) -> RealKernel:
    """Return the kernel of a recipe; what is made of its bundle is made once for all tests."""
    image.setup(recipes.load(name))
    built = kernel.cached(recipes.load(name), cache_dir())
    assert built
    store = Cache(Path(_PLACE.name, "cache"))
    bundle = import_file(built.directory / "kheaders.tar.xz", store).bundle
    with tempfile.TemporaryDirectory() as workshop:
        opened = unwrapped(copied(built.image, Path(workshop)), Path(workshop))
        btf = read_kernel(opened.view).btf
    assert btf
    return RealKernel(store, bundle, btf)
