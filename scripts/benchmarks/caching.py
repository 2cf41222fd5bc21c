"""What is kept: committing a kernel, and one that is much like another."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from droidheaders.cache import Bundle, Cache
from droidheaders.cache.space import measure as measure_space
from droidheaders.cache.space import on_disk
from droidheaders.cache.verify import damage
from droidheaders.debian.mirror import mirror
from droidheaders.debian.packages import Packages
from droidheaders.debian.packages import unpack as unpack_packages
from droidheaders.debian.place import cache_dir
from droidheaders.errors import DroidheadersError
from droidheaders.guest import kernel, kheaders, recipes
from droidheaders.headers.limits import Limits
from droidheaders.headers.tar import members
from droidheaders.headers.unpack import unpack
from droidheaders.headers.xz import XzStream
from droidheaders.kernel import KernelIdentity
from scripts.benchmarks.measuring import DROIDHEADERS, Figure, empty, paired, run


def put(cache: Cache, archive: Path, release: str) -> Bundle:
    """Unpack and commit an archive as a pull does, without a device."""
    identity = KernelIdentity(release, "#1", "aarch64", hashlib.sha1(release.encode()).hexdigest())
    with cache.stage() as staging, archive.open("rb") as file, staging.archive.open("xb") as copy:
        staging.headers.mkdir()
        stream = XzStream(iter(lambda: file.read(1 << 18), b""), copy=copy)
        share = cache.neighbours(identity).share
        done = unpack(members(iter(stream), Limits()), staging.headers, Limits(), share)
        meta = {
            "arch": "arm64",
            "compiler": "",
            "sources": {},
            "warnings": [],
            "pulled": "",
            "archive": {"sha256": stream.sha256, "size": stream.size, "path": str(archive)},
            "headers": {"files": done.files, "bytes": done.bytes},
            "symlinks": done.symlinks,
        }
        return cache.commit(staging, identity, meta, done.sha256)


def bench_cache_of(name: str, work: Path, disk: Path, runs: int) -> Iterator[Figure]:
    """Keep the kernel of a guest, and the release before it."""
    archive = cache_dir() / "kernels" / name / "kheaders.tar.xz"
    yield from bench_cache(archive, previous(name, work), work, disk, runs)


def bench_cache(archive: Path, older: Path, work: Path, disk: Path, runs: int) -> Iterator[Figure]:
    """Commit a kernel and its neighbour, and verify them; in process.

    What sharing saves is the writing, which costs nothing on a tmpfs: so on a disk as well.
    """
    store, theirs = work / "store", work / "tar"
    cache = Cache(store)
    first, tar = paired(
        runs,
        (empty(store), lambda: put(cache, archive, "new")),
        (empty(theirs), lambda: run("tar", "xJf", str(archive), "-C", str(theirs))),
    )
    detail = f"{first:.3f} s to {tar:.3f} s"
    yield Figure("unpack, manifest and commit, to tar xJf", first / tar, "x", 1.25, detail)
    yield from bench_neighbour(archive, older, store, disk, runs)
    empty(store)()
    put(cache, older, "old")
    bundle = put(cache, archive, "new")
    yield neighbour_size(cache, bundle, archive)
    (seconds,) = paired(runs, (lambda: None, lambda: damage(bundle.path)))
    yield Figure("cache verify, a bundle, in process", seconds, "s", 0.25, "")


def bench_neighbour(
    archive: Path, older: Path, store: Path, disk: Path, runs: int
) -> Iterator[Figure]:
    """Commit a kernel beside another of its series, and alone."""
    for what, directory, bound in (("tmpfs", store, None), ("disk", disk / "store", 0.8)):
        elsewhere = Cache(directory)

        def older_alone(directory: Path = directory, elsewhere: Cache = elsewhere) -> None:
            empty(directory)()
            put(elsewhere, older, "old")
            os.sync()

        second, alone = paired(
            runs,
            (older_alone, lambda: put(elsewhere, archive, "new")),  # noqa: B023
            (empty(directory), lambda: put(elsewhere, archive, "new")),  # noqa: B023
        )
        detail = f"{second:.3f} s to {alone:.3f} s"
        yield Figure(f"a second kernel of the series, {what}", second / alone, "x", bound, detail)


def neighbour_size(cache: Cache, bundle: Bundle, archive: Path) -> Figure:
    """Return how much of a bundle is on the disk for itself alone."""
    spaces = [measure_space(b.path) for b in cache.bundles()]
    own_size = on_disk(spaces) - on_disk(
        [measure_space(b.path) for b in cache.bundles() if b != bundle]
    )
    whole = on_disk([measure_space(bundle.path)])
    detail = (
        f"{own_size / 1e6:.1f} MB of {whole / 1e6:.1f} MB, {archive.stat().st_size / 1e6:.1f} MB"
    )
    detail += " of it the archive"
    return Figure("a second kernel of the series, disk", own_size / whole, "x", 0.1, detail)


def bench_many(name: str, serial: str, work: Path, runs: int) -> Iterator[Figure]:
    """Pull one kernel with eight processes at once, against one."""
    cache = work / "cache"
    environment = {"DROIDHEADERS_CACHE": str(cache)}
    command = [*DROIDHEADERS, "pull", "-s", serial]

    def eight() -> None:
        started = [
            subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
            for _ in range(8)
        ]
        if any(process.wait() for process in started):
            raise SystemExit("a pull failed")

    many, one = paired(
        runs, (empty(cache), eight), (empty(cache), lambda: run(*command, env=environment))
    )
    detail = f"{many:.3f} s to {one:.3f} s"
    yield Figure(f"eight pulls at once, {name}, to one", many / one, "x", 1.3, detail)


def previous(name: str, work: Path) -> Path:
    """Return the archive of a release before the guest's, packed as the guest's own is."""
    recipe = recipes.load(name)
    packages = Packages(cache_dir(), mirror(), [recipe.suite], recipe.arch)
    _, headers = kernel.resolve(packages, recipe)
    [newest] = [p.name for p in headers if p.name.endswith("-common")]
    abi = int(re.findall(r"-(\d+)-common", newest)[0])
    for older in range(abi - 1, 0, -1):
        names = [p.name.replace(f"-{abi}-", f"-{older}-") for p in headers if "headers" in p.name]
        try:
            found = packages.find(names, recipe.debian_arch)
        except DroidheadersError:
            continue
        unpack_packages(packages.fetch(found), work / "older")
        common, own = (
            next((work / "older/usr/src").glob(f"linux-headers-*{end}"))
            for end in ("common", "[!n]")
        )
        kheaders.merge(own, common, recipe.arch, work / "older/tree")
        kheaders.pack(work / "older/tree", work / "older.tar.xz", 0)
        shutil.rmtree(work / "older")
        return work / "older.tar.xz"
    raise SystemExit(f"the mirror has nothing older than {newest}")
