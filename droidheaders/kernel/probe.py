"""The one batched question: everything about a kernel that costs nothing but asking.

Built-ins of mksh wherever they suffice (`cat` without options is one), since each process costs a
slow device tens of milliseconds. So the answers are the files' own bytes, taken apart here.
"""

from __future__ import annotations

import re
import secrets
import struct
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

_SCRIPT = r"""
m() { echo "@NONCE $1"; }
state() {
  if [ -r "$1" ]; then echo readable; elif [ -e "$1" ]; then echo denied; else echo absent; fi
}
m uname; uname -srvm
m proc_version; cat /proc/version
m status; cat /proc/self/status
m auxv; cat /proc/self/auxv
m notes; cat /sys/kernel/notes
m kheaders; [ -d /sys/module/kheaders ] && echo loaded
m kheaders_notes; cat /sys/module/kheaders/notes/.note.gnu.build-id
m archives; for f in @ARCHIVES; do echo "$(state $f) $f"; done
m modules; for d in @ROOTS; do
  for f in $d/kheaders.ko* $d/*/kheaders.ko* $d/*/kernel/kernel/kheaders.ko*; do
    [ -e "$f" ] && echo "$(state "$f") $f"
  done
done
m config; state /proc/config.gz
m btf; state /sys/kernel/btf/vmlinux
m selinux; if [ -r /sys/fs/selinux/enforce ]; then cat /sys/fs/selinux/enforce; else getenforce; fi
m context; cat /proc/self/attr/current
m build_type; getprop ro.build.type
m debuggable; getprop ro.debuggable
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
    debuggable: bool

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
    nonce = secrets.token_hex(16)
    result = device.shell(script(nonce))
    try:
        return parse(result.stdout, nonce)
    except ValueError as e:
        raise DeviceLostError(
            f"{device.name} did not answer the questions about its kernel: {e}",
            f"adb -s {device.serial} shell uname -a",
        ) from e
    except HeadersError as e:
        raise HeadersError(f"{device.name} {e.message}", e.hint) from None


def script(nonce: str) -> str:
    """Return the shell script whose every answer follows a line "@NONCE key"."""
    return (
        _SCRIPT.replace("@NONCE", "@" + nonce)
        .replace("@ARCHIVES", " ".join(ARCHIVES))
        .replace("@ROOTS", " ".join(MODULE_ROOTS))
    )


def parse(output: bytes, nonce: str) -> Probe:
    """Turn the script's output into a Probe; ValueError when a part is missing or malformed.

    Raises HeadersError when the release is no text that a kernel build could have given it.
    """
    raw = _answers(output, nonce)
    text = {key: value.decode("utf-8", "replace").strip() for key, value in raw.items()}
    archives = _files(text["archives"])
    if [f.path for f in archives] != list(ARCHIVES):
        raise ValueError("the places of the archive were not all looked at")
    return Probe(
        kernel=_identity(text["uname"], build_id_of_notes(raw["notes"])),
        proc_version=printable(text["proc_version"], 1000),
        page_size=_page_size(raw["auxv"]),
        kheaders_loaded=text["kheaders"] == "loaded",
        kheaders_build_id=build_id_of_notes(raw["kheaders_notes"]),
        archives=archives,
        modules=_files(text["modules"]),
        config=DeviceFile("/proc/config.gz", text["config"]),
        btf=DeviceFile("/sys/kernel/btf/vmlinux", text["btf"]),
        uid=_uid(text["status"]),
        selinux={"1": "enforcing", "0": "permissive"}.get(
            text["selinux"], printable(text["selinux"].lower(), 20)
        ),
        context=printable(text["context"].rstrip("\0")),
        build_type=printable(text["build_type"]),
        debuggable=text["debuggable"] == "1",
    )


_KEYS = re.findall(r"^m (\w+)", _SCRIPT, re.MULTILINE)


def _answers(output: bytes, nonce: str) -> dict[str, bytes]:
    answers = {}
    for piece in output.split(f"@{nonce} ".encode())[1:]:
        key, _, value = piece.partition(b"\n")
        answers[key.decode("ascii", "replace")] = value
    if list(answers) != _KEYS:
        missing = next((key for key in _KEYS if key not in answers), "order")
        raise ValueError(f"no answer about {missing!r}")
    return answers


def _identity(uname: str, build_id: str) -> KernelIdentity:
    system, _, rest = uname.partition(" ")
    release, _, rest = rest.partition(" ")
    version, _, machine = rest.rpartition(" ")
    if system != "Linux" or not release or not version or not machine:
        raise ValueError(f"uname said {printable(uname, 80)!r}")
    # new_utsname's fields hold 64 characters (include/uapi/linux/utsname.h)
    if not (release.isprintable() and machine.isprintable()) or len(release) > 64:
        raise HeadersError(
            f"runs a kernel whose release is no plain text: {printable(release)!r}",
            "a release comes from EXTRAVERSION and CONFIG_LOCALVERSION: rebuild with plain ones",
        )
    return KernelIdentity(release, version, machine, build_id)


def _files(text: str) -> tuple[DeviceFile, ...]:
    files = []
    for line in text.splitlines():
        state, _, path = line.partition(" ")
        if state not in ("readable", "denied", "absent") or not path.isprintable():
            raise ValueError(f"a file's state was {printable(line, 80)!r}")
        files.append(DeviceFile(path, state))
    return tuple(files)


def _uid(status: str) -> int:
    match = re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)
    return int(match[1]) if match else -1


def _page_size(auxv: bytes) -> int:
    """Return AT_PAGESZ (6) of an auxiliary vector, pairs of native words; see getauxval(3)."""
    for word in ("Q", "I"):  # of a 64-bit shell, or of a 32-bit one
        pairs = dict(struct.iter_unpack(f"<2{word}", auxv[: len(auxv) // 16 * 16]))
        size = int(pairs.get(6, 0))
        if size and size & (size - 1) == 0:
            return size
    return 0
