"""Debian packages through apt, in directories of our own: no root, signatures checked by apt."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from droidheaders.debian.arch import DEBIAN_ARCH, host_arch
from droidheaders.errors import DroidheadersError
from droidheaders.ui import ui

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

# What a host's apt needs to get at a mirror at all: proxies, certificates, time-outs. The rest of
# its configuration is for its own directories, such as the clean-up of /var/cache in containers.
_HOST_SETTINGS = re.compile(
    r"Acquire::(http|https|socks|tor|Retries|ForceIPv|By-Hash|Check-Valid-Until|Check-Date|"
    r"Max-ValidTime|Min-ValidTime|Send-URI-Encoded|Dl-Limit|Proxy)",
    re.IGNORECASE,
)

# `apt-get download` starts over what was interrupted, and writes under the final name at once. The
# helper goes on where it stopped, if the server's file is still the same, and checks the hash.
_HELPER = "/usr/lib/apt/apt-helper"


@dataclass(frozen=True)
class Package:
    """One version of one package, as apt's index has it."""

    name: str
    arch: str
    version: str
    size: int
    depends: tuple[str, ...]

    @property
    def file(self) -> str:
        """What apt calls the package's file."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.arch}.deb"


def config(root: Path, archives: Path, arches: Sequence[str], host_dump: str) -> str:
    """Return an apt.conf that keeps apt inside `root`, with `host_dump`'s way to the network.

    Dir::Etc::parts is cut off, and what is needed of it copied from `apt-config dump`: hooks and
    directories of the host must not run here (apt.conf(5): parts are read after APT_CONFIG).
    """
    kept = [line for line in host_dump.splitlines() if _HOST_SETTINGS.match(line)]
    foreign = "".join(f'"{arch}";' for arch in arches)
    return "\n".join(
        [
            *kept,
            f'Dir::State "{root}/state";',
            f'Dir::State::status "{root}/status";',
            f'Dir::Cache "{root}/cache";',
            f'Dir::Cache::archives "{archives}";',
            f'Dir::Etc::sourcelist "{root}/sources.list";',
            'Dir::Cache::srcpkgcache "";',
            'Dir::Etc::sourceparts "/dev/null";',
            'Dir::Etc::parts "/dev/null";',
            'Dir::Etc::main "/dev/null";',
            'Dir::Etc::preferences "/dev/null";',
            'Dir::Etc::preferencesparts "/dev/null";',
            f'APT::Architecture "{arches[0]}";',
            f"APT::Architectures {{{foreign}}};",
            # as root apt would become _apt, which cannot write here
            f'APT::Sandbox::User "{"root" if os.geteuid() == 0 else ""}";',
            'Acquire::Languages "none";',
            'Acquire::GzipIndexes "true";',
            "",
        ]
    )


def sources(mirror: str, suites: Iterable[str], arches: Iterable[str]) -> str:
    """Return a sources.list that fetches only the package indexes of these suites."""
    options = f"arch={','.join(arches)} target=Packages signed-by={KEYRING}"
    return "".join(f"deb [{options}] {mirror} {suite} main\n" for suite in suites)


def parse_show(text: str) -> Package:
    """Return the package in the output of `apt-cache show`; raises KeyError when it is not one."""
    fields = dict(
        line.split(": ", 1) for line in text.splitlines() if re.match(r"[A-Z]\S*: ", line)
    )
    depends = [
        re.split(r"[ (:|]", item.strip(), maxsplit=1)[0]
        for key in ("Pre-Depends", "Depends")
        for item in fields.get(key, "").split(",")
    ]
    return Package(
        name=fields["Package"],
        arch=fields["Architecture"],
        version=fields["Version"],
        size=int(fields["Size"]),
        depends=tuple(name for name in depends if name),
    )


class Packages:
    """The packages of some suites of a mirror, for the host's architecture and a device's."""

    def __init__(self, cache: Path, mirror: str, suites: Sequence[str], arch: str) -> None:
        host = DEBIAN_ARCH[host_arch()]
        self._arches = list(dict.fromkeys([host, DEBIAN_ARCH[arch]]))
        self._suites = tuple(suites)
        self._archives = cache / "archives"
        self._root = cache / "apt" / "+".join([*suites, *self._arches])
        for part in ("state/lists/partial", "cache"):
            (self._root / part).mkdir(parents=True, exist_ok=True)
        self._partial = self._archives / "partial"
        self._partial.mkdir(parents=True, exist_ok=True)
        (self._root / "status").touch()
        (self._root / "sources.list").write_text(sources(mirror, suites, self._arches))
        dump = subprocess.run(
            ["apt-config", "dump", "Acquire"], capture_output=True, text=True, check=False
        ).stdout
        (self._root / "apt.conf").write_text(config(self._root, self._archives, self._arches, dump))

    def update(self) -> None:
        """Fetch the indexes that changed; raises DroidheadersError with apt's reason."""
        with ui.bar(f"package lists of {', '.join(self._suites)}", 100, unit="%") as bar:
            self._progress(["apt-get", "update", "--error-on=any"], bar.update)

    def find(self, names: Sequence[str], arch: str) -> list[Package]:
        """Return the newest of each name for `arch` (Debian's word); raises DroidheadersError.

        All in one query, as each reads the whole index.
        """
        found: dict[str, Package] = {}
        for place in dict.fromkeys([arch, *self._arches]):  # `all` is filed under the host's
            missing = [f"{name}:{place}" for name in names if name not in found]
            if not missing:
                break
            shown = self._run("apt-cache", "show", "--no-all-versions", *missing).stdout
            for text in filter(str.strip, shown.split("\n\n")):
                package = parse_show(text)
                if package.arch in {arch, "all"}:
                    found[package.name] = package
        if missing := [name for name in names if name not in found]:
            raise DroidheadersError(
                f"{', '.join(self._suites)} on this mirror has no {', '.join(missing)} for {arch}",
                hint="set DROIDHEADERS_MIRROR to the URL of another mirror",
            )
        return [found[name] for name in names]

    def names(self, prefix: str) -> list[str]:
        """Return the names of packages that begin so, of every architecture, sorted."""
        return sorted(self._run("apt-cache", "pkgnames", prefix).stdout.split())

    def closure(self, names: Sequence[str], arch: str) -> list[Package]:
        """Return `names` and all they depend on, the first where there is a choice; as `find`.

        What is essential (Policy 3.8), and so depended on without a word, must be among `names`.
        """
        found: dict[str, Package] = {}
        todo = list(names)
        while todo:
            found |= zip(todo, self.find(todo, arch), strict=True)
            named = (name for package in found.values() for name in package.depends)
            todo = list(dict.fromkeys(name for name in named if name not in found))
        return list(found.values())

    def fetch(self, packages: Iterable[Package]) -> list[Path]:
        """Return the packages' files, downloading those that are not in the cache yet.

        An interrupted download goes on where it stopped. Raises DroidheadersError.
        """
        wanted = list(dict.fromkeys(packages))
        missing = [package for package in wanted if not (self._archives / package.file).is_file()]
        if missing:
            size = sum(package.size for package in missing)
            what = missing[0].name if len(missing) == 1 else f"{len(missing)} packages"
            command = [_HELPER, "download-file", *self._uris(missing)]
            with ui.bar(what, size) as bar:
                self._progress(command, lambda part: bar.update(size * part / 100))
        for package in missing:
            (self._partial / package.file).rename(self._archives / package.file)
        return [self._archives / package.file for package in wanted]

    def _uris(self, packages: list[Package]) -> list[str]:
        """Return a URI, a destination and a hash for each package; the index vouches for both."""
        names = [f"{package.name}:{package.arch}={package.version}" for package in packages]
        done = self._run("apt-get", "download", "--print-uris", "-q=2", *names)
        if done.returncode:
            raise DroidheadersError(f"apt cannot find packages: {_reason(done.stderr)}")
        words = []
        for line in done.stdout.splitlines():
            uri, name, _, digest = line.split()
            words += [uri.strip("'"), str(self._partial / name), digest]
        return words

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=self._environment(),
            cwd=self._root,
        )

    def _environment(self) -> dict[str, str]:
        return os.environ | {"APT_CONFIG": str(self._root / "apt.conf"), "LC_ALL": "C.UTF-8"}

    def _progress(self, command: list[str], advance: Callable[[float], object]) -> None:
        """Run a program of apt's, passing on the percent that its status descriptor reports."""
        reader, writer = os.pipe()
        log = self._root / "apt.log"
        with (
            open(reader) as status,
            log.open("w") as out,
            subprocess.Popen(
                [*command, "-q=1", "-o", f"APT::Status-Fd={writer}"],
                stdout=out,
                stderr=subprocess.STDOUT,
                pass_fds=[writer],
                env=self._environment(),
                cwd=self._root,
            ) as process,
        ):
            os.close(writer)
            done = 0.0
            for line in status:
                match = re.match(r"dlstatus:\d+:([\d.]+):", line)
                if match and float(match[1]) > done:
                    advance(float(match[1]) - done)
                    done = float(match[1])
        if process.returncode:
            raise DroidheadersError(
                f"apt could not fetch packages: {_reason(log.read_text())}",
                hint="set DROIDHEADERS_MIRROR to the URL of another mirror",
            )


def unpack(files: Iterable[Path], into: Path) -> None:
    """Unpack packages over each other into the directory `into`."""
    into.mkdir(parents=True, exist_ok=True)
    for file in files:
        done = subprocess.run(
            ["dpkg-deb", "-x", str(file), str(into)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            file.unlink()  # so that the next setup fetches it again
            raise DroidheadersError(f"{file.name} cannot be unpacked: {_reason(done.stderr)}")


def _reason(log: str) -> str:
    """Return apt's own words: the last error line of its output, without full stop."""
    lines = [line for line in log.splitlines() if line.startswith(("E:", "Err:", "dpkg-deb:"))]
    text = (lines or log.splitlines() or ["it gave no reason"])[-1]
    return re.sub(r"^(E|dpkg-deb): *(error: *)?", "", text).rstrip(". ")
