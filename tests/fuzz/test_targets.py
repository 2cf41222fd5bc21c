"""The fuzz targets with what hypothesis thinks of: any bytes, and mutations of the seeds."""

from __future__ import annotations

import random
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutating import mutated
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

kept = cache(seeds)
patient = settings(deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds(target: str) -> None:
    assert kept(target)
    for seed in kept(target):
        TARGETS[target](seed)


@pytest.mark.parametrize("target", TARGETS)
@patient
@given(data=st.binary(max_size=4096))
def test_any_bytes(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
@patient
@given(chance=st.randoms(use_true_random=False))
def test_mutated_seeds(target: str, chance: random.Random) -> None:
    seed, other = chance.choice(kept(target)), chance.choice(kept(target))
    TARGETS[target](mutated(seed, other, chance))
