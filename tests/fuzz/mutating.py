"""Mutations without a guide, for where there is no fuzzer that follows coverage."""

from __future__ import annotations

import random

_TELLING = [
    b"\0",
    b"\xff",
    b"/",
    b"..",
    b"../",
    b"./",
    b"\x80",
    b" ",
    b"0",
    b"7",
    b"9",
    b"\n",
    b"=",
]


def mutated(data: bytes, other: bytes, chance: random.Random) -> bytes:
    """Return the data with one to five changes; `other` is where pieces are taken from."""
    for _ in range(chance.randint(1, 5)):
        at = chance.randint(0, len(data))
        until = min(len(data), at + chance.choice((1, 2, 8, 100, 512, 1024)))
        put = chance.choice(
            (
                bytes([chance.randrange(256)]),
                chance.choice(_TELLING),
                data[until : 2 * until - at],
                other[at:until],
                chance.choice(_TELLING) * (until - at),
                b"",
            )
        )
        keep = at if chance.random() < 0.3 else at + len(put) if put else until
        data = data[:at] + put + data[keep:]
    return data
