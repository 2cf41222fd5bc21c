"""The one batched question: everything about a kernel that costs nothing but asking.

Shell built-ins wherever they suffice, and not one fork that is not needed, since each process costs
a slow device tens of milliseconds: two processes instead of sixteen made 0.1 s of 0.6 s. What
uname(1) says stands below /proc/sys/kernel too, the machine since 6.1 (bfca3dd3d068).

A shell on an enforcing device may list /sys/kernel and yet not stat(2) what is in it (AOSP grants
no getattr on sysfs), so a file that a glob finds and `[ -e` does not is there, and denied.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droidheaders.errors import DeviceLostError, HeadersError
from droidheaders.kernel.identity import KernelIdentity, build_id_of_notes
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device

# In the order of age, newest first: 43d8ce9d65a5 put it into /proc, f7b101d33046 moved it to /sys
# before 5.2, and the drafts of early 2019 called it .txz. Vendor backports kept the older places.
ARCHIVES = ("/sys/kernel/kheaders.tar.xz", "/proc/kheaders.tar.xz", "/proc/kheaders.txz")

CONFIG = "/proc/config.gz"
BTF = "/sys/kernel/btf/vmlinux"

# Where AOSP mounts modules (system_dlkm since Android 13, vendor_dlkm since 11).
MODULE_ROOTS = (
    "/system_dlkm/lib/modules",
    "/vendor_dlkm/lib/modules",
    "/odm_dlkm/lib/modules",
    "/vendor/lib/modules",
    "/odm/lib/modules",
    "/system/lib/modules",
    "/lib/modules",
)

FUNCTIONS = r"""
m() { echo "@NONCE $1"; }
line() { x=; read -r x <"$1"; echo "$x"; }
field() { while read -r k v x; do [ "$k" = "$1" ] && echo "$v" && break; done <"$2"; }
listed() { set -- "$1" ${1%?}[${1#"${1%?}"}]; [ "$1" = "$2" ]; }
state() {
  if [ -r "$1" ]; then echo "readable $1"
  elif [ -e "$1" ] || listed "$1"; then echo "denied $1"
  else echo "absent $1"; fi
}
kheaders() {
  for d in @ROOTS; do
    for f in $d/kheaders.ko* $d/*/kheaders.ko* $d/*/kernel/kernel/kheaders.ko*; do
      [ -e "$f" ] && state "$f"
    done
  done
}
"""
"""What the questions are asked with.

`m KEY` begins an answer, `state FILE` is one, `kheaders` is one a module that holds headers.
"""

QUESTIONS = r"""
m uname
k=/proc/sys/kernel
if [ -r $k/osrelease ] && [ -r $k/version ] && [ -r $k/arch ]; then
  read -r r <$k/osrelease; read -r v <$k/version; read -r a <$k/arch; echo "Linux $r $v $a"
else uname -srvm; fi
m proc_version; line /proc/version
m uid; field Uid: /proc/self/status
m page; field KernelPageSize: /proc/self/smaps
m notes; dd if=/sys/kernel/notes 2>/dev/null
m kheaders; [ -d /sys/module/kheaders ] && echo loaded
m kheaders_notes; f=/sys/module/kheaders/notes/.note.gnu.build-id; [ -r $f ] && cat $f
m archives; for f in @ARCHIVES; do state $f; done
m modules; kheaders
m files; for f in @FILES; do state $f; done
m selinux; f=/sys/fs/selinux/enforce; if [ -r $f ]; then line $f; else getenforce; fi
m context; line /proc/self/attr/current
"""
_BUILD_TYPE = """\
m build_type; getprop ro.build.type
m end
"""


@dataclass(frozen=True)
class DeviceFile:
    """A file on the device and what this shell may do with it: readable, denied or absent."""

    path: str
    state: str


@dataclass(frozen=True)
class Probe:
    """What one round trip told about a device's kernel.

    `page_size` is in bytes, 0 when unknown. `kheaders_build_id` is the loaded module's. `selinux`
    is enforcing, permissive, disabled or "" when not told; `context` is this shell's own.
    """

    kernel: KernelIdentity
    proc_version: str
    page_size: int
    kheaders_loaded: bool
    kheaders_build_id: str
    archives: tuple[DeviceFile, ...]
    modules: tuple[DeviceFile, ...]
    config: DeviceFile
    btf: DeviceFile
    uid: int
    selinux: str
    context: str
    build_type: str

    @property
    def archive(self) -> DeviceFile | None:
        """Return the archive that is there, a readable one first, or None."""
        there = [f for f in self.archives if f.state != "absent"]
        return min(there, key=lambda f: f.state != "readable", default=None)


def probe(device: Device) -> Probe:
    """Ask `device` about its kernel in one shell round trip.

    Raises DeviceLostError when the answer is not whole, HeadersError when the kernel's release is
    not text that any kernel build could have, and what Device.shell raises.
    """
    nonce = os.urandom(16).hex()
    result = device.shell(script(nonce))
    with understanding(device):
        return parse(result.stdout, nonce)


@contextmanager
def understanding(device: Device) -> Iterator[None]:
    """Name the device in what is wrong with its answer.

    A ValueError, which says that the answer is not whole, becomes a DeviceLostError.
    """
    try:
        yield
    except ValueError as e:
        raise DeviceLostError(
            f"{device.name} did not answer the questions about its kernel: {e}",
            f"{device.adb} shell uname -a",
        ) from e
    except HeadersError as e:
        raise HeadersError(f"{device.name} {e.message}", e.hint) from None


def script(nonce: str) -> str:
    """Return the shell script whose every answer follows a line "@NONCE key"."""
    return framed(nonce, QUESTIONS + _BUILD_TYPE)


def framed(nonce: str, questions: str) -> str:
    """Return `questions` as a script, with FUNCTIONS and the places to look at put in."""
    return (
        (FUNCTIONS + questions)
        .replace("@NONCE", "@" + nonce)
        .replace("@ARCHIVES", " ".join(ARCHIVES))
        .replace("@FILES", f"{CONFIG} {BTF}")
        .replace("@ROOTS", " ".join(MODULE_ROOTS))
    )


def parse(output: bytes, nonce: str) -> Probe:
    """Turn the script's output into a Probe; ValueError when a part is missing or malformed.

    Raises HeadersError when the release is no text that a kernel build could have given it.
    """
    return read(answers(output, nonce, QUESTIONS + _BUILD_TYPE))


def read(raw: dict[str, bytes]) -> Probe:
    """Make a Probe of the answers to QUESTIONS and one to "build_type"; raises as `parse` does."""
    text = {key: value.decode("utf-8", "replace").strip() for key, value in raw.items()}
    archives = file_states(text["archives"])
    config, btf = file_states(text["files"])
    if [f.path for f in (*archives, config, btf)] != [*ARCHIVES, CONFIG, BTF]:
        raise ValueError("not every place was looked at")
    return Probe(
        kernel=_identity(text["uname"], build_id_of_notes(raw["notes"])),
        proc_version=printable(text["proc_version"], 1000),
        page_size=int(text["page"]) * 1024 if text["page"].isdecimal() else 0,
        kheaders_loaded=text["kheaders"] == "loaded",
        kheaders_build_id=build_id_of_notes(raw["kheaders_notes"]),
        archives=archives,
        modules=file_states(text["modules"]),
        config=config,
        btf=btf,
        uid=int(text["uid"]) if text["uid"].isdecimal() else -1,
        selinux={"1": "enforcing", "0": "permissive"}.get(
            text["selinux"], printable(text["selinux"].lower(), 20)
        ),
        context=printable(text["context"].rstrip("\0")),
        build_type=printable(text["build_type"]),
    )


def answers(output: bytes, nonce: str, questions: str) -> dict[str, bytes]:
    """Return what stands behind each key of `questions`; ValueError unless every one is there."""
    expected = re.findall(r"^m (\w+)", questions, re.MULTILINE)
    pieces = [piece.partition(b"\n") for piece in output.split(f"@{nonce} ".encode())[1:]]
    keys = [key.decode("ascii", "replace") for key, _, _ in pieces]
    if keys != expected:
        missing = next((key for key in expected if key not in keys), "order")
        raise ValueError(f"no answer about {missing!r}")
    return dict(zip(keys, (value for _, _, value in pieces), strict=True))


def _identity(uname: str, build_id: str) -> KernelIdentity:
    system, _, rest = uname.partition(" ")
    release, _, rest = rest.partition(" ")
    version, _, machine = rest.rpartition(" ")
    if system != "Linux" or not release or not version or not machine:
        raise ValueError(f"uname said {printable(uname, 80)!r}")
    # new_utsname's fields hold 64 characters (include/uapi/linux/utsname.h). A version may have any
    # in it, since a host's name and a date come with it, and names no file.
    for field, text in (("release", release), ("machine", machine)):
        if not text.isprintable() or len(text) > 64:
            raise HeadersError(
                f"runs a kernel whose {field} is no plain text: '{printable(text)}'",
                "a release is made of EXTRAVERSION and CONFIG_LOCALVERSION: build with plain ones",
            )
    return KernelIdentity(release, version, machine, build_id)


def file_states(text: str) -> tuple[DeviceFile, ...]:
    """Return the files whose states `state` has told; ValueError when a line is none."""
    found = []
    for line in text.splitlines():
        state, _, path = line.partition(" ")
        if state not in ("readable", "denied", "absent") or not path.isprintable():
            raise ValueError(f"a file's state was {printable(line, 80)!r}")
        found.append(DeviceFile(path, state))
    return tuple(found)
