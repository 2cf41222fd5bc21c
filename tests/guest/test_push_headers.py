"""Headers put onto a real guest, found there, and taken away; and what goes wrong on the way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from droidheaders import pushing
from droidheaders.adb import Device, Selector, Server
from droidheaders.cache import Bundle, Cache
from droidheaders.errors import DroidheadersError, HeadersError, UsageError
from droidheaders.guest.guest import Guest
from droidheaders.kernel.probe import probe
from droidheaders.pushing import push_headers, remove_headers
from droidheaders.run.parcel import Parcel
from tests.cache.making import make

pytestmark = pytest.mark.guest

TMP = "/data/local/tmp"
SMALL = f"{TMP}/small"
LABEL = "u:object_r:shell_data_file:s0"
MOUNT_SMALL = f"mkdir {SMALL} && mount -t tmpfs -o size=16k,mode=777,context={LABEL} tmpfs {SMALL}"


@dataclass(frozen=True)
class Site:
    """A guest, and a cache that has a few headers of its kernel."""

    device: Device
    cache: Cache
    bundle: Bundle

    @property
    def path(self) -> str:
        return f"{TMP}/headers-{self.bundle.name}"

    def root(self, script: str) -> str:
        with self.device.privileged() as root:
            result = root.shell(script)
        assert result.status == 0, (script, result)
        return result.stdout.decode()

    def left(self) -> list[str]:
        """Return what lies where the shell may write, and what this host remembers."""
        notes = Path(os.environ["DROIDHEADERS_STATE"]) / "pushed"
        there = self.device.shell(f"ls -A {TMP}").stdout.decode().split()
        return [*there, *(note.name for note in notes.glob("*"))]

    def command(self, *arguments: str) -> list[str]:
        port = str(self.device.server.endpoint.port)
        where = ["-P", port, "-s", self.device.serial, "--cache-dir", str(self.cache.root)]
        return [sys.executable, "-m", "droidheaders", *where, "push", "headers", *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, check=False, timeout=120
        )


@pytest.fixture(scope="module")
def guest(adb: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DROIDHEADERS_STATE", str(tmp_path_factory.mktemp("state")))
        with Guest.start("6.1-x86_64", persona="userdebug", server=adb) as running:
            device = adb.select(Selector(serial=running.serial))
            with device.privileged() as root:
                root.shell("chmod 711 /data")  # so that the shell does not see what root put there
            cache = Cache(tmp_path_factory.mktemp("cache"))
            yield Site(device, cache, make(cache, "6.1.1", of=probe(device).kernel))


@pytest.fixture
def site(guest: Site) -> Iterator[Site]:
    """The guest as it was booted."""
    yield guest
    remove_headers(guest.device)
    assert guest.left() == []


def read(site: Site, path: str) -> dict[str, str]:
    listed = site.root(f"cd {path}; find . -type f -o -type l | cut -c3- | sort").split()
    return {name: site.root(f"cat {path}/{name}") for name in listed}


def test_sent_found_again_and_removed(site: Site) -> None:
    done = site.run("--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert (answer["path"], answer["cached"]) == (site.path, False)
    assert f"export BCC_KERNEL_SOURCE={site.path} " in done.stderr
    there = read(site, site.path)
    for name in site.bundle.header_digests():
        assert there.pop(name) == (site.bundle.headers / name).read_text()
    assert there.pop("include/linux/task.h") == there_is(site, "include/linux/sched.h")
    assert sorted(there) == [f".droidheaders/{name}" for name in ("bundle.json", "files", "sums")]
    again = site.run()
    assert (again.stdout, again.returncode) == (f"{site.path}\n", 0)
    assert "there already" in again.stderr
    gone = site.run("--remove")
    assert (gone.stdout, gone.returncode) == (f"{site.path}\n", 0)
    assert site.left() == []
    nothing = site.run("--remove")
    assert (nothing.stdout, nothing.returncode) == ("", 0)
    assert "no headers were there" in nothing.stderr


def there_is(site: Site, name: str) -> str:
    return (site.bundle.headers / name).read_text()


@pytest.mark.parametrize(
    "harm",
    [
        "echo x >>include/linux/sched.h",
        "rm include/linux/sched.h",
        "touch include/more.h",
        "echo >.droidheaders/sums",
    ],
)
def test_what_was_damaged_there_is_sent_again(site: Site, harm: str) -> None:
    assert not push_headers(site.device, site.cache).cached
    assert push_headers(site.device, site.cache).cached
    site.root(f"cd {site.path} && {harm}")
    assert not push_headers(site.device, site.cache).cached
    assert push_headers(site.device, site.cache).cached


def test_where_bcc_looks_by_itself(site: Site) -> None:
    release = site.bundle.kernel.release
    site.root(f"mkdir -p /lib/modules/{release}")
    try:
        done = site.run()
        build = f"/lib/modules/{release}/build"
        assert (done.stdout, done.returncode) == (f"{build}\n", 0), done.stderr
        assert "BCC_KERNEL_SOURCE" not in done.stderr
        assert site.root(f"stat -c %u:%a {build}").strip() == "0:755"
        assert push_headers(site.device, site.cache).cached
        assert remove_headers(site.device) == [build]
        site.root(f"ln -s /nowhere {build}")  # of somebody else: not there
        assert push_headers(site.device, site.cache).path == site.path
        assert remove_headers(site.device) == [site.path]
    finally:
        site.root("rm -r /lib/modules")


def test_a_directory_of_roots_is_found_again_by_this_host(site: Site) -> None:
    site.root("mkdir -m 700 /data/own")
    try:
        assert push_headers(site.device, site.cache, to="/data/own/headers/").path == (
            "/data/own/headers"
        )
        assert push_headers(site.device, site.cache, to="/data/own/headers").cached
        assert remove_headers(site.device) == ["/data/own/headers"]
        assert site.root("ls -A /data/own") == ""
    finally:
        site.root("rm -r /data/own")


def test_what_is_not_ours_stays(site: Site) -> None:
    site.root(f"mkdir {TMP}/theirs && echo x >{TMP}/theirs/file")
    with pytest.raises(DroidheadersError, match="was not put there by droidheaders"):
        push_headers(site.device, site.cache, to=f"{TMP}/theirs")
    with pytest.raises(DroidheadersError, match="was not put there by droidheaders"):
        remove_headers(site.device, to=f"{TMP}/theirs")
    assert site.root(f"cat {TMP}/theirs/file; rm -r {TMP}/theirs") == "x\n"
    push_headers(site.device, site.cache)
    site.root(f"echo x >{site.path}/include/mine.h")
    with pytest.raises(DroidheadersError, match=r"holds include/mine\.h, which was not pushed"):
        remove_headers(site.device)
    site.root(f"rm {site.path}/include/mine.h")


@pytest.mark.parametrize("path", ["headers", "/", "/data/../x", "/data/a b", "/data/$(id)", "/a/."])
def test_a_path_that_cannot_be(site: Site, path: str) -> None:
    with pytest.raises(UsageError, match="no full path"):
        push_headers(site.device, site.cache, to=path)


def test_no_directory_to_put_it_in(site: Site) -> None:
    with pytest.raises(DroidheadersError, match=r"/data/none is not there"):
        push_headers(site.device, site.cache, to="/data/none/headers")


def test_no_room(site: Site) -> None:
    site.root(MOUNT_SMALL)
    try:
        with pytest.raises(
            DroidheadersError, match=r"has 0 MiB free at .*, and the headers take 1"
        ):
            push_headers(site.device, site.cache, to=f"{SMALL}/headers")
        assert site.root(f"ls -A {SMALL}") == ""
    finally:
        site.root(f"umount {SMALL} && rmdir {SMALL}")


def test_a_disk_that_fills_up(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("droidheaders.run.deposit._check_space", lambda *_: None)
    site.root(MOUNT_SMALL)
    try:
        with pytest.raises(DroidheadersError, match="No space left"):
            push_headers(site.device, site.cache, to=f"{SMALL}/headers")
        assert site.root(f"ls -A {SMALL}") == ""
    finally:
        site.root(f"umount {SMALL} && rmdir {SMALL}")


def test_damaged_on_the_way(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is packed is not what is in the cache, and the device finds out."""
    monkeypatch.setattr("droidheaders.run.parcel._add", _add_another(Parcel, "sched.h"))
    with pytest.raises(DroidheadersError, match="what was unpacked is not what was sent"):
        push_headers(site.device, site.cache)


def _add_another(_: type[Parcel], victim: str) -> object:
    from droidheaders.run import parcel

    add = parcel._add

    def adding(tar: object, name: str, data: bytes) -> None:
        add(tar, name, data[::-1] if name.endswith(victim) else data)  # type: ignore[arg-type]

    return adding


def test_a_kernel_that_the_cache_lacks(site: Site, tmp_path: Path) -> None:
    with pytest.raises(HeadersError, match="not in the cache") as caught:
        push_headers(site.device, Cache(tmp_path))
    assert caught.value.hint.startswith(f"droidheaders pull -s {site.device.serial}")


def test_headers_of_another_kernel_only_by_name(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    other = make(site.cache, "6.1.2")
    done = push_headers(site.device, site.cache, bundle="6.1.2")
    assert done.path == f"{TMP}/headers-{other.name}"
    assert "and these headers are of 6.1.2 (aarch64)" in capsys.readouterr().err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_cut_off_in_the_middle(site: Site, how: signal.Signals) -> None:
    """Nothing is left after Ctrl-C, and nothing after the run that follows a kill."""
    many = make(site.cache, "6.1.3", {f"include/{n}.h": os.urandom(20000) for n in range(400)})
    with subprocess.Popen(
        site.command("--bundle", many.name), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while not site.device.shell(f"ls {TMP}/droidheaders-*/headers/include").stdout:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        process.send_signal(how)
        process.communicate(timeout=60)
    if how == signal.SIGKILL:
        done = site.run("--remove")
        assert "an earlier run was cut off: removed" in done.stderr
    assert remove_headers(site.device) == []
    assert pushing._noted(site.device.serial) == []
    assert site.left() == []


def test_a_command_is_fed(site: Site) -> None:
    data = os.urandom(300_000)
    with site.device.privileged() as root:
        for user in (site.device, root):
            with user.stream("sha256sum", fed=True) as stream:
                stream.write(io.BytesIO(data))
                digest = stream.result().stdout.decode().split()[0]
            assert digest == hashlib.sha256(data).hexdigest()


def test_a_command_that_ends_before_it_has_read_all(site: Site) -> None:
    with site.device.stream("head -c 3 >&2; exit 3", fed=True) as stream:
        stream.write(io.BytesIO(b"abc" * (8 << 20)))
        result = stream.result()
    assert (result.status, result.stderr) == (3, b"abc")
