"""A check: what is asked of a kernel and of files made for it, and the answers.

What is known is gathered in gathering.py, what it means is judged in preflight/.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from droidheaders import gathering
from droidheaders.errors import UsageError
from droidheaders.preflight.answer import Answer, Report, Verdict, worst
from droidheaders.preflight.facts import Facts
from droidheaders.preflight.target import Target
from droidheaders.ui import printable

if TYPE_CHECKING:
    from droidheaders.adb import Device
    from droidheaders.cache import Cache
    from droidheaders.examining import Examined
    from droidheaders.preflight.bpf import Outcomes
    from droidheaders.preflight.config import Wanted

_FRAGMENT = 32 << 20  # bytes; whole configurations have 300 KB
CAPABILITIES = ("headers", "bpf", "modules")
_STATUS: Mapping[Verdict, int] = {"yes": 0, "risky": 0, "unknown": 1, "no": 4}


@dataclass(frozen=True)
class Question:
    """What is asked. `capabilities` are of CAPABILITIES; where nothing is, everything is meant.

    `config` are options such as CONFIG_BPF=y, `fragments` files of them. `bundle` names a kernel in
    the cache to be asked instead of a device. `probe` has programs loaded on the device.
    """

    files: tuple[Path, ...] = ()
    capabilities: frozenset[str] = frozenset()
    config: tuple[str, ...] = ()
    fragments: tuple[Path, ...] = ()
    bundle: str | None = None
    probe: bool = False


@dataclass(frozen=True)
class Check:
    """The answers: `reports` by capability, config and compiler; `files` by path as it was given.

    `asked` names the reports whose answer is what was asked for; the others are told besides.
    """

    facts: Facts
    serial: str | None
    reports: Mapping[str, Report]
    files: Mapping[str, Report]
    asked: frozenset[str]

    @property
    def verdict(self) -> Verdict:
        """Return whether all that was asked holds."""
        answers = [report.answer for name, report in self.reports.items() if name in self.asked]
        return worst([*answers, *(report.answer for report in self.files.values())])

    @property
    def status(self) -> int:
        """Return the exit status: 0 when all holds, 4 when something does not, 1 unknown."""
        return _STATUS[self.verdict]

    def describe(self) -> dict[str, Any]:
        """Return it as `--json` shows it; docs/check.md has the keys."""
        kernel = self.facts.target.kernel
        return {
            "serial": self.serial,
            "bundle": self.facts.bundle.name if self.facts.bundle else None,
            "kernel": asdict(kernel) | {"arch": kernel.arch, "exact": self.facts.target.exact},
            "verdict": self.verdict,
            **{name: report.describe() for name, report in self.reports.items()},
            "files": [{"path": path, **r.describe()} for path, r in self.files.items()],
        }


def check(question: Question, find: Callable[[], Device], open_cache: Callable[[], Cache]) -> Check:
    """Answer the question; `find` and `open_cache` are called where one is needed.

    That takes one round trip, another when a file is judged and the cache does not have the types
    of its kernel. Raises UsageError for a file that is nothing to check, and what `find`,
    `inquire` and `Cache.find` raise.
    """
    wanted = _wanted(question)
    examined = _examined(question.files)
    telling = [file for file in examined if file.kind in ("config", "image")]
    made = [file for file in examined if file.kind in ("module", "bpf")]
    device = None if telling or question.bundle else find()
    everything = not (question.capabilities or wanted or made)
    asked = set(CAPABILITIES if everything else question.capabilities)
    asked |= {"config"} if wanted else set()
    asked |= {"bpf"} if question.probe else set()
    told = asked | ({"config", "compiler"} if everything else set())
    if device is not None and told:  # to import them takes 70 ms, which the device is busy for
        threading.Thread(target=_judges, name="judges", daemon=True).start()
    facts = _facts(question, telling, device, open_cache)
    facts = _with_exports(facts, device, examined, open_cache)
    facts = _with_types(facts, examined, open_cache)
    outcomes = _outcomes(device, facts) if question.probe else None
    reports = _reports(facts, told, wanted, outcomes) if told else {}
    if "config" in reports:
        queried = frozenset(one.name for one in wanted[: len(question.config)])
        reports["config"] = replace(reports["config"], wanted=queried)
    files = {str(file.path): _judge(file, facts.target) for file in made}
    return Check(facts, device.serial if device else None, reports, files, frozenset(asked))


def _judges() -> None:
    """Import what judges a kernel, and the cache."""
    import droidheaders.cache  # noqa: F401
    from droidheaders.preflight import bpf, config, headers, modules, toolchain  # noqa: F401


def _reports(
    facts: Facts, told: set[str], wanted: list[Wanted], outcomes: Outcomes | None
) -> dict[str, Report]:
    """Return the reports that are told, in the order in which a person reads them."""
    from droidheaders.preflight import bpf, config, headers, modules, toolchain

    target = facts.target
    judges: dict[str, Callable[[], Report]] = {
        "config": lambda: config.judge(facts, wanted),
        "headers": lambda: headers.judge(facts),
        "bpf": lambda: bpf.judge(facts, outcomes),
        "modules": lambda: modules.judge(facts),
        "compiler": lambda: toolchain.judge(facts.compilers, target.kernel, target.config),
    }
    return {name: judge() for name, judge in judges.items() if name in told}


def _examined(files: tuple[Path, ...]) -> list[Examined]:
    if not files:
        return []
    from droidheaders.examining import examine  # it brings every reader of files there is, 0.1 s

    return examine(files)


def _wanted(question: Question) -> list[Wanted]:
    if not (question.config or question.fragments):
        return []
    from droidheaders.preflight.config import Wanted

    wanted = [Wanted.parse(query) for query in question.config]
    for path in question.fragments:
        wanted += _fragment(path)
    return wanted


def _fragment(path: Path) -> list[Wanted]:
    from droidheaders.headers.limits import ArchiveError
    from droidheaders.preflight.config import fragment
    from droidheaders.recognising import copied

    name = printable(str(path), 500)
    with tempfile.TemporaryDirectory(prefix="droidheaders-") as workshop:
        try:
            content = bytes(copied(path, Path(workshop)).view[:_FRAGMENT])
        except ArchiveError as e:
            raise UsageError(f"{name} {e}", "give a fragment: lines of CONFIG_X=y") from e
    return fragment(content, name)


def _facts(
    question: Question,
    telling: list[Examined],
    device: Device | None,
    open_cache: Callable[[], Cache],
) -> Facts:
    told = {file.kind: file for file in telling}
    if len(telling) > len(told) or (telling and question.bundle is not None):
        raise UsageError(
            "several kernels are named by --bundle, configurations or images, and one can be asked",
            "give one of them, or an image and its configuration",
        )
    if question.probe and device is None:
        raise UsageError("--probe asks a device, and none is asked here", "leave --probe out")
    if device is not None:
        return gathering.of_device(device, open_cache)
    if question.bundle is not None:
        return gathering.of_bundle(open_cache().find(question.bundle))
    return gathering.of_files(told.get("image"), told.get("config"))


def _with_exports(
    facts: Facts,
    device: Device | None,
    examined: list[Examined],
    open_cache: Callable[[], Cache],
) -> Facts:
    """Add what files are judged by: what the kernel exports, and its types."""
    if not examined:
        return facts
    from droidheaders.kernel.exports import merge, of_symvers

    kinds = {file.kind for file in examined}
    facts = gathering.with_types(facts, device, kinds)
    if "module" in kinds and facts.bundle is not None:
        facts = gathering.with_symvers(facts, open_cache())
    tables = []
    for file in examined:
        if file.kind == "symvers":
            text = bytes(file.content).decode("utf-8", "replace")
            try:
                tables.append(of_symvers(text, file.name))
            except ValueError as e:
                raise UsageError(f"{file.name} {e}", "give the Module.symvers of its build") from e
    if tables:
        known = [facts.target.exports] if facts.target.exports else []
        facts = replace(facts, target=replace(facts.target, exports=merge(*tables, *known)))
    return facts


def _with_types(facts: Facts, examined: list[Examined], open_cache: Callable[[], Cache]) -> Facts:
    """Add types made from headers when an object asks for the kernel's, and they are not known."""
    if facts.target.btf is not None or facts.bundle is None:
        return facts
    objects = [bytes(file.content) for file in examined if file.kind == "bpf"]
    if not objects:
        return facts
    from droidheaders.preflight.object_file import asks_for_types

    if any(map(asks_for_types, objects)):
        return gathering.with_made_types(facts, open_cache())
    return facts


def _outcomes(device: Device | None, facts: Facts) -> Outcomes:
    from droidheaders.run import prober

    assert device is not None
    assert facts.inquiry is not None
    with device.privileged() as root:
        user = root if facts.inquiry.user.uid == 0 or facts.inquiry.debuggable else device
        found = prober.ask(device, user)
    return {name: (one.load, one.attach) for name, one in found.items()}


def _judge(file: Examined, target: Target) -> Report:
    """Judge a file; one that is damaged is a file that no kernel takes."""
    data = bytes(file.content)
    try:
        report = _judge_object(data, target) if file.kind == "bpf" else _judge_module(data, target)
    except ValueError as e:
        report = Report(Answer(file.kind, "no", f"it {printable(str(e))}"))
    return replace(report, facts={"kind": file.kind, **report.facts})


def _judge_object(data: bytes, target: Target) -> Report:
    from droidheaders.preflight.object_file import judge

    return judge(data, target)


def _judge_module(data: bytes, target: Target) -> Report:
    from droidheaders.objects.module import parse
    from droidheaders.preflight.module_file import judge

    return judge(parse(data), target)
