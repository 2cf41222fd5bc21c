"""Symbol tables out of images and modules, held to what the kernels' builder says."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from droidheaders.cache import Cache
from droidheaders.collecting import of_files
from droidheaders.importing import import_file
from droidheaders.kernel.exports import Export, of_symvers
from droidheaders.kernel.known import Table, merge
from scripts.benchmarks.measuring import Figure
from tests.kernels import NAMES
from tests.packaged import packaged

# In a process of its own, for its memory: VmHWM, since wait4(2) counts who started it too.
_READ = """
import json, re, sys, tempfile, time
from pathlib import Path
from droidheaders.objects import ksymtab
from droidheaders.recognising import copied, unwrapped
started = time.perf_counter()
with tempfile.TemporaryDirectory() as place:
    view = unwrapped(copied(Path(sys.argv[1]), Path(place)), Path(place)).view
    opened = time.perf_counter()
    count = len(ksymtab.read(view))
ended = time.perf_counter()
peak = int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
print(json.dumps([ended - started, ended - opened, peak * 1024 / 1e6, count, len(view)]))
"""


def bench_symvers(work: Path, runs: int) -> Iterator[Figure]:
    """Read the tables of every kernel that guests have."""
    for name in NAMES:
        with tempfile.TemporaryDirectory(dir=work) as place:
            yield from _kernel(name, Path(place), runs)


def _kernel(name: str, place: Path, runs: int) -> Iterator[Figure]:
    of = packaged(name, place / "packages")
    truth = of_symvers(of.symvers.read_text()).symbols
    bundle = import_file(of.headers, Cache(place / "cache")).bundle
    [image] = of_files(bundle, images=[of.image]).tables
    exports, versions = of_files(bundle, directories=[of.modules]).tables
    sources = {
        "image": [image],
        "modules' exports": [exports],
        "modules' __versions": [versions],
        "modules": [exports, versions],
        "both": [image, exports, versions],
    }
    for what, tables in sources.items():
        yield _held(f"wrong CRCs, {name}, {what}", tables, truth)
    yield from _cost(name, of.image, runs)


def _held(what: str, tables: list[Table], truth: Mapping[str, Export]) -> Figure:
    found = {symbol: known.export for symbol, known in merge(tables).items()}
    wrong = sum(
        symbol not in truth or truth[symbol].crc != export.crc for symbol, export in found.items()
    )
    whole = sum(truth.get(symbol) == export for symbol, export in found.items())
    detail = f"{len(found)} of {len(truth)} symbols, {whole} with owner, licence and namespace"
    return Figure(what, wrong, "", 0, detail)


def _cost(name: str, image: Path, runs: int) -> Iterator[Figure]:
    command = [sys.executable, "-c", _READ, str(image)]
    told = [
        json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for _ in range(runs)
    ]
    whole, table, peak = (statistics.median(one[number] for one in told) for number in range(3))
    detail = f"in process; {table:.2f} s of it the table, of {told[0][4] / 1e6:.0f} MB"
    yield Figure(f"CRC table of the image, {name}", whole, "s", 1.5, detail)
    yield Figure(f"peak memory of that, {name}", peak, "MB", 300, "VmHWM")
