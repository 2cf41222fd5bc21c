"""Fuzz one target for a while: python -m tests.fuzz TARGET SECONDS DIRECTORY.

What is interesting is kept in DIRECTORY/corpus-TARGET, what fails written to DIRECTORY/findings.
By atheris, where it is installed, and else by blind mutation of the seeds.
"""

from __future__ import annotations

import hashlib
import importlib
import random
import sys
import time
from pathlib import Path
from types import ModuleType


def main(target: str, seconds: int, directory: Path) -> None:
    """Fuzz; exit status 0 when nothing failed."""
    corpus, findings = directory / f"corpus-{target}", directory / "findings"
    for path in (corpus, findings):
        path.mkdir(parents=True, exist_ok=True)
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        blindly(target, seconds, findings)
    else:
        guided(atheris, target, seconds, corpus, findings)


def guided(atheris: ModuleType, target: str, seconds: int, corpus: Path, findings: Path) -> None:
    """Hand over to libFuzzer, which ends the process."""
    with atheris.instrument_imports(include=["droidheaders", "elftools"]):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.seeds import seeds

    for seed in seeds(target):
        (corpus / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={findings}/{target}-",
        "-max_len=65536",
        "-timeout=20",
        "-print_final_stats=1",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], TARGETS[target])
    atheris.Fuzz()


def blindly(target: str, seconds: int, findings: Path) -> None:
    """Mutate the seeds at random."""
    from tests.fuzz.mutating import mutated
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS

    chance = random.Random(time.time_ns())
    pool = seeds(target)
    until = time.monotonic() + seconds
    runs = 0
    while time.monotonic() < until:
        data = mutated(chance.choice(pool), chance.choice(pool), chance)
        try:
            TARGETS[target](data)
        except BaseException:
            finding = findings / f"{target}-crash-{hashlib.sha1(data).hexdigest()}"
            finding.write_bytes(data)
            print(f"fuzz: {finding}", file=sys.stderr)
            raise
        runs += 1
    print(f"fuzz: {target}: {runs} runs without coverage, nothing found", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
