"""Can this kernel give its headers, and who may read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from droidheaders.kernel.inquiry import Inquiry, User
from droidheaders.kernel.log import Denial
from droidheaders.kernel.probe import ARCHIVES, BTF, DeviceFile
from droidheaders.preflight.answer import Answer, Report, Verdict
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.privilege import ROOT_HINT, who
from droidheaders.ui import printable

# A GKI build's release ends like this, and Android's build server keeps what it made by that
# number: scripts/setlocalversion in kernel/common, "BUILD_NUMBER".
_GKI = re.compile(r"-android\d+-\S*?-ab(\d{5,12})(?:-\S*)?$")
_TARGETS = {"arm64": "kernel_aarch64", "x86": "kernel_x86_64", "riscv": "kernel_riscv64"}


@dataclass(frozen=True)
class _Source:
    """Where the headers are on a device: `file` is the archive or the module that holds it."""

    file: DeviceFile | None
    user: User | None  # who may read it
    adb_root: bool = False  # nobody now, but `adb root` would give one who may


def judge(facts: Facts) -> Report:
    """Say whether the headers are to be had, from where and by whom; and what else there is."""
    source = _source(facts.inquiry) if facts.inquiry else _Source(None, None)
    configured = _configured(facts)
    details = [configured]
    if facts.inquiry is not None:
        details.append(_on_device(facts, facts.inquiry, source))
    if facts.inquiry is not None or facts.bundle is not None:
        details.append(_cached(facts))
    details += _types(facts)
    return Report(
        _answer(facts, details), tuple(details), _describe(facts, source), alternatives=True
    )


def _source(inquiry: Inquiry) -> _Source:
    """Find the archive, else the module's file; of several the one that needs least."""
    seen = [(file, inquiry.shell) for file in (*inquiry.probe.archives, *inquiry.probe.modules)]
    seen += [
        (DeviceFile(path, inquiry.files.get(path, "absent")), inquiry.user) for path in ARCHIVES
    ]
    seen += [(file, inquiry.user) for file in inquiry.modules]
    readable = next(((f, user) for f, user in seen if f.state == "readable"), None)
    if readable is not None:
        return _Source(*readable)
    denied = next((file for file, _ in seen if file.state == "denied"), None)
    return _Source(denied, None, adb_root=inquiry.debuggable)


def _option(facts: Facts) -> tuple[str, str | None]:
    """Return which option makes the archive, and its value."""
    value = facts.option("IKHEADERS")
    older = facts.option("IKHEADERS_PROC")  # its name before 5.2 was released (43d8ce9d65a5)
    if value == "n" and older in ("y", "m"):
        return "CONFIG_IKHEADERS_PROC", older
    return "CONFIG_IKHEADERS", value


def _configured(facts: Facts) -> Answer:
    """Say what IKCONFIG has about it."""
    name, value = _option(facts)
    if value is None:
        return Answer(
            "configured", "unknown", f"the configuration is unknown: {facts.config_problem}"
        )
    if value in ("y", "m"):
        return Answer("configured", "yes", f"{name}={value} in {facts.config_path}")
    what = "is not set" if facts.target.config and name in facts.target.config else "is not named"
    return Answer("configured", "no", f"{name} {what} in {facts.config_path}")


def _on_device(facts: Facts, inquiry: Inquiry, source: _Source) -> Answer:
    """Say where the archive is, or that it is nowhere."""
    if source.file is not None and source.user is not None:
        return Answer("source", "yes", f"{source.file.path}, which {who(source.user)} may read")
    if source.file is not None:
        why = _refusal(inquiry)
        if source.adb_root:
            return Answer("source", "yes", f"{source.file.path}, which `adb root` may read; {why}")
        return Answer("source", "no", f"{source.file.path} is there, and {why}", ROOT_HINT)
    name, value = _option(facts)
    if inquiry.user.uid != 0 and value in (None, "m"):
        hint = "droidheaders pull" if source.adb_root else ROOT_HINT
        return Answer(
            "source",
            "unknown",
            "no archive in /sys/kernel or /proc, and only root sees whether a kheaders module is on"
            " the device",
            hint,
        )
    why = {
        "y": f"though {name}=y: is /sys mounted?",
        "m": f"{name}=m, and there is no kheaders.ko on the device",
        "n": f"and {name} is not set",
    }.get(value or "", "and no kheaders module on the device")
    return Answer("source", "no", f"no archive in /sys/kernel or /proc, {why}")


def _refusal(inquiry: Inquiry) -> str:
    """Say which permission stands in the way of the shell."""
    shell = inquiry.shell
    mode = f"SELinux {inquiry.probe.selinux}" if inquiry.probe.selinux else "SELinux unknown"
    said = "".join(
        f"; avc: denied {{ {printable(' '.join(d.permissions))} }} on {printable(d.tcontext)}"
        for d in inquiry.denials
    )
    no_su = "; there is a su that gives no root" if inquiry.su else ""
    return f"uid {shell.uid} ({shell.context or 'no context'}, {mode}) may not read it{said}{no_su}"


def _cached(facts: Facts) -> Answer:
    if facts.bundle is not None:
        state = facts.bundle.state
        verdict: Verdict = "yes" if state == "usable" else "risky"
        return Answer("cached", verdict, f"{facts.bundle.name}, {state}")
    if facts.relatives:
        return Answer(
            "cached",
            "no",
            f"not this build, though one of its release: {', '.join(facts.relatives[:3])}",
            f"droidheaders cache show {facts.relatives[0]}",
        )
    return Answer("cached", "no", "not in the cache")


def _answer(facts: Facts, details: list[Answer]) -> Answer:
    if facts.bundle is not None:
        cached = _cached(facts)
        missing = facts.bundle.meta.get("missing", [])
        lacks = f"; missing: {printable(str(missing[0]))}" if missing else ""
        show = f"droidheaders cache show {facts.bundle.name}"
        return Answer("headers", cached.verdict, f"cached, {facts.bundle.state}{lacks}", show)
    if facts.inquiry is None:
        configured = details[0]
        verdict: Verdict = "unknown" if configured.verdict == "yes" else configured.verdict
        if _option(facts)[1] == "y":
            verdict = "yes"
        return Answer(
            "headers", verdict, configured.because, "" if verdict == "yes" else _ways(facts)
        )
    found = details[1]
    if found.verdict == "yes":
        return Answer("headers", "yes", found.because, "droidheaders pull")
    hint = found.hint if found.verdict == "unknown" else _ways(facts)
    return Answer("headers", found.verdict, found.because, hint)


def _ways(facts: Facts) -> str:
    """Say how headers can be had when the kernel does not give them."""
    kernel = facts.target.kernel
    build = _GKI.search(kernel.release)
    if build:
        # system_dlkm_staging_archive.tar.gz there holds kheaders.ko.
        target = _TARGETS.get(kernel.arch, "kernel_aarch64")
        place = f"https://ci.android.com/builds/submitted/{build[1]}/{target}/latest"
        return f"take kheaders.ko or boot.img of {place}, then droidheaders cache import FILE"
    return "droidheaders cache import FILE: kheaders.ko, image or tree of this very build"


def _types(facts: Facts) -> list[Answer]:
    """Say where BTF is: with it CO-RE programs need no headers."""
    if facts.bundle is not None and "btf" in facts.bundle.parts:
        return [Answer("btf", "yes", "the kernel's own BTF is in the cache")]
    state = facts.inquiry.files.get(BTF) if facts.inquiry else None
    if state in ("readable", "denied"):
        may = "" if state == "readable" else ", which needs root"
        return [Answer("btf", "yes", f"{BTF}{may}: CO-RE programs need no headers")]
    return []


def _denial(denial: Denial) -> dict[str, Any]:
    return {
        "permissions": [printable(one) for one in denial.permissions],
        "scontext": printable(denial.scontext),
        "tcontext": printable(denial.tcontext),
        "tclass": printable(denial.tclass),
        "path": printable(denial.path),
    }


def _describe(facts: Facts, source: _Source) -> dict[str, Any]:
    inquiry = facts.inquiry
    return {
        "config": _option(facts)[1],
        "path": source.file.path if source.file else None,
        "readable_as": source.user.how if source.user else None,
        "loaded": inquiry.probe.kheaders_loaded if inquiry else None,
        "selinux": inquiry.probe.selinux if inquiry else None,
        "context": inquiry.shell.context if inquiry else None,
        "uid": inquiry.shell.uid if inquiry else None,
        "denials": [_denial(d) for d in inquiry.denials] if inquiry else [],
        "cached": facts.bundle.name if facts.bundle else None,
        "state": facts.bundle.state if facts.bundle else None,
        "relatives": list(facts.relatives),
    }
