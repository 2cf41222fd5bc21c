"""IKCONFIG: the kernel's own configuration, from /proc/config.gz."""

from __future__ import annotations

import zlib

_LIMIT = 16 << 20  # real ones are 150 to 300 KB


def decompress(config_gz: bytes) -> bytes:
    """Return a config.gz decompressed; ValueError when it is none, or is not whole."""
    gzip = zlib.decompressobj(wbits=31)
    try:
        config = gzip.decompress(config_gz, _LIMIT)
    except zlib.error as e:
        raise ValueError(f"is no gzip file: {e}") from None
    if not gzip.eof:
        raise ValueError("is cut off, or too large")
    if gzip.unused_data:
        raise ValueError("goes on behind its end")
    if b"CONFIG_" not in config:
        raise ValueError("holds no configuration")
    return config
