"""Bundles on disk: everything kept for one kernel, whole or absent."""

from droidheaders.cache.bundle import Bundle as Bundle
from droidheaders.cache.store import Cache as Cache
from droidheaders.cache.store import Staging as Staging
