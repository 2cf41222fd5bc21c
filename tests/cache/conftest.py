from __future__ import annotations

from pathlib import Path

import pytest

from droidheaders.cache import Bundle, Cache
from tests.cache.making import make


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def bundle(cache: Cache) -> Bundle:
    return make(cache)
