"""Everything about a kernel that `check` wants to know, in one round trip.

The probe's questions, then what the shell's user may do, then the same as root where su gives it:
most of what a kernel says of itself is denied to the shell of an enforcing device, and who may load
BPF or a module is a question about a user. Nothing is changed on the device, and adbd is not
restarted for this.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from droidheaders.kernel.log import Denial, denials
from droidheaders.kernel.probe import (
    ARCHIVES,
    BTF,
    CONFIG,
    FUNCTIONS,
    QUESTIONS,
    DeviceFile,
    Probe,
    answers,
    file_states,
    framed,
    read,
    understanding,
)
from droidheaders.kernel.properties import parse as parse_properties
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device

TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
KALLSYMS = "/proc/kallsyms"
PMU = "/sys/bus/event_source/devices"

# What the running kernel says of itself in one line each; see sysctl/kernel.rst, sysctl/net.rst.
SWITCHES = {
    "unprivileged_bpf_disabled": "/proc/sys/kernel/unprivileged_bpf_disabled",
    "bpf_jit_enable": "/proc/sys/net/core/bpf_jit_enable",
    "bpf_jit_harden": "/proc/sys/net/core/bpf_jit_harden",
    "perf_event_paranoid": "/proc/sys/kernel/perf_event_paranoid",
    "kptr_restrict": "/proc/sys/kernel/kptr_restrict",
    "modules_disabled": "/proc/sys/kernel/modules_disabled",
    "tainted": "/proc/sys/kernel/tainted",
    "sig_enforce": "/sys/module/module/parameters/sig_enforce",
    "lockdown": "/sys/kernel/security/lockdown",
    "lsm": "/sys/kernel/security/lsm",
    "cmdline": "/proc/cmdline",
}
_TOLD = ("/proc/self/status", "/proc/self/limits", "/proc/mounts", *SWITCHES.values())
_PLACES = (
    *(f"{root}/{name}" for root in TRACEFS for name in ("kprobe_events", "uprobe_events")),
    *(f"{root}/events/{name}" for root in TRACEFS for name in ("enable", "syscalls/enable")),
    *(f"{PMU}/{name}/type" for name in ("kprobe", "uprobe")),
    KALLSYMS,
    BTF,
    *ARCHIVES,
)
_FILE_SYSTEMS = ("tracefs", "debugfs", "bpf", "cgroup", "cgroup2", "securityfs")
_MODULE = 64 * 1024  # of a module, from its end: .modinfo and .comment follow code and data

# Asked of root, else of the shell. Android's sh, mksh, reads a file at once if told how much
# (`read` alone takes a system call for each byte): 5 ms where a process takes 50.
_QUESTIONS = """\
[ $u = 0 ] && listed() { false; }  # root is told of what is there, without looking for its name
if [ "$KSH_VERSION" ]; then slurp() { x=; read -r -N 65535 x <$1; print -r -- "$x"; }
else slurp() { cat $1; }; fi
m told; for f in @TOLD; do [ -r $f ] && echo "= $f" && slurp $f; done
m user_context; line /proc/self/attr/current
m places; for f in @PLACES; do state $f; done
m user_modules; kheaders
m config; [ -r @CONFIG ] && dd if=@CONFIG bs=64k 2>/dev/null
m module; for d in @ROOTS; do
  for f in $d/*.ko $d/*/kernel/kernel/*.ko; do
    [ -r "$f" ] && echo "$f" && tail -c @BYTES "$f" && break 2
  done
done
"""
_OF_THE_SHELL = """\
m props; getprop
m denials; for f in @ARCHIVES; do [ ! -r $f ] && { [ -e $f ] || listed $f; } && denied=1; done
[ "$denied" ] && { dmesg || logcat -d -b all; } 2>/dev/null | grep 'avc: .*kheaders' | tail -n 1
m su; command -v su
m caps; field CapEff: /proc/self/status
"""
# Root is asked while the shell answers: to become it takes a slow device 0.2 s. What he says
# waits in a pipe. su(1) of AOSP, in /system/xbin, takes a user and a command; Magisk's and
# KernelSU's take -c (see adb/root.py). Who is not root says nothing, and the shell answers.
_SCRIPT = """\
u=; while read -r k v x; do [ "$k" = Uid: ] && u=$v && break; done </proc/self/status
R=@AS_ROOT
aosp() { su 0 sh -c "how='su 0'; $R"; }
other() { su -c "how='su -c'; $R"; }
ask() {
m who; echo shell
@QUESTIONS
}
rooted() {
  if [ $u = 0 ]; then echo root; ask; return 0; fi
  case $(command -v su) in
    "") false;; */xbin/su) aosp || other;; *) other || aosp;;
  esac
}
{ rooted || echo none; } | {
@OF_THE_SHELL
while read -r h; do case $h in root|none) break;; esac; done
if [ "$h" = root ]; then dd bs=64k 2>/dev/null; else ask; fi
m end
}
"""
_AS_ROOT = """\
while read -r k u x; do [ "$k" = Uid: ] && break; done </proc/self/status
[ "$u" = 0 ] || exit 1
echo root
m who; echo "$how"
@QUESTIONS
exit 0
"""


@dataclass(frozen=True)
class User:
    """Somebody who can act on the device.

    `how` is how one becomes him: "shell", "adbd" when that is root, "su 0" or "su -c". `caps` is
    the effective set as in capability.h, `context` the SELinux context or "".
    """

    how: str
    uid: int
    context: str
    caps: int


@dataclass(frozen=True)
class Inquiry:
    """What a device's kernel says of itself: to root where su gives it, else to the shell.

    `user` is who was told the rest: `switches` has those of SWITCHES that he may read, `files` what
    he may do with others, by path, `mounts` a file system's type by mount point, `modules` where a
    kheaders module lies. `memlock` is his limit in bytes, None without one. `config` is
    /proc/config.gz as it came, b"" where nobody may read it. `module` is a kernel module of the
    device, or the end of one, from `module_path`. `denials` is what the kernel's log says last of a
    refusal to read the archive, empty where it says nothing or may not be read. `su` is where a su
    is, whether or not it gives anything.
    """

    probe: Probe
    shell: User
    user: User
    memlock: int | None
    switches: Mapping[str, str]
    files: Mapping[str, str]
    mounts: Mapping[str, str]
    modules: tuple[DeviceFile, ...]
    config: bytes
    properties: Mapping[str, str]
    denials: tuple[Denial, ...]
    su: str
    module_path: str
    module: bytes

    def has(self, path: str) -> bool:
        """Tell whether one of `files` is there, be it readable or not."""
        return self.files.get(path) in ("readable", "denied")

    @property
    def debuggable(self) -> bool:
        """Tell whether `adb root` would give root: AOSP daemon/restart_service.cpp."""
        return self.properties.get("ro.debuggable") == "1"


def inquire(device: Device) -> Inquiry:
    """Ask `device` everything, in one shell round trip.

    Raises what `probe` raises.
    """
    nonce = os.urandom(16).hex()
    result = device.shell(script(nonce))
    with understanding(device):
        return parse(result.stdout, nonce)


def script(nonce: str) -> str:
    """Return the script; "@NONCE who" is followed by how the one is called who answers the rest."""
    as_root = shlex.quote(FUNCTIONS + _AS_ROOT.replace("@QUESTIONS", _QUESTIONS))
    text = _SCRIPT.replace("@AS_ROOT", as_root)
    for name, value in (
        ("@OF_THE_SHELL", QUESTIONS + _OF_THE_SHELL),
        ("@QUESTIONS", _QUESTIONS),
        ("@TOLD", " ".join(_TOLD)),
        ("@PLACES", " ".join(_PLACES)),
        ("@CONFIG", CONFIG),
        ("@BYTES", str(_MODULE)),
    ):
        text = text.replace(name, value)
    return framed(nonce, text)


def parse(output: bytes, nonce: str) -> Inquiry:
    """Turn the script's output into an Inquiry; ValueError when a part is missing or malformed.

    Raises HeadersError when the release is no text that a kernel build could have given it.
    """
    raw = answers(output, nonce, f"{QUESTIONS}{_OF_THE_SHELL}m who\n{_QUESTIONS}m end\n")
    properties = parse_properties(raw["props"])
    probe = read(raw | {"build_type": properties.get("ro.build.type", "").encode()})
    shell = User(
        "adbd" if probe.uid == 0 else "shell", probe.uid, probe.context, _hex(_text(raw["caps"]))
    )
    told = _Told(_text(raw["told"]))
    who = _text(raw["who"])
    user = shell
    if who in ("su 0", "su -c"):
        user = User(who, 0, printable(_text(raw["user_context"]).rstrip("\0")), told.caps)
    path, _, module = raw["module"].partition(b"\n")
    return Inquiry(
        probe=probe,
        shell=shell,
        user=user,
        memlock=told.memlock,
        switches=told.switches,
        files={f.path: f.state for f in file_states(_text(raw["places"]))},
        mounts=told.mounts,
        modules=file_states(_text(raw["user_modules"])),
        config=raw["config"],
        properties=properties,
        denials=tuple(denials(raw["denials"])),
        su=printable(_text(raw["su"])),
        module_path=printable(_text(path)),
        module=module[:_MODULE],
    )


class _Told:
    """What stands in several files, each behind a line "= PATH"."""

    def __init__(self, text: str) -> None:
        self.lines: dict[str, list[str]] = {}
        lines: list[str] = []
        for line in text.splitlines():
            if line.startswith("= ") and line[2:] in _TOLD:
                lines = self.lines.setdefault(line[2:], [])
            else:
                lines.append(line)

    @property
    def caps(self) -> int:
        return _hex(self._first("/proc/self/status", r"CapEff:\s*(\S+)"))

    @property
    def memlock(self) -> int | None:
        limit = self._first("/proc/self/limits", r"Max locked memory\s+(\d{1,20})\s")
        return int(limit) if limit else None

    @property
    def switches(self) -> dict[str, str]:
        return {
            name: printable(self.lines[path][0].strip(), 4096)
            for name, path in SWITCHES.items()
            if self.lines.get(path)
        }

    @property
    def mounts(self) -> dict[str, str]:
        fields = [line.split(" ") for line in self.lines.get("/proc/mounts", [])]
        return {
            printable(field[1]): field[2]
            for field in fields
            if len(field) > 2 and field[2] in _FILE_SYSTEMS
        }

    def _first(self, path: str, pattern: str) -> str:
        matches = (re.match(pattern, line) for line in self.lines.get(path, []))
        return next((match[1] for match in matches if match), "")


def _hex(text: str) -> int:
    return int(text, 16) if re.fullmatch(r"[0-9a-f]{1,16}", text) else 0


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").strip()
