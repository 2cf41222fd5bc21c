"""The kernel's configuration: is it known, and are options set as somebody wants them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from droidheaders.errors import UsageError
from droidheaders.kernel.kconfig import Kconfig
from droidheaders.preflight.answer import Answer, Report, Verdict, worst
from droidheaders.preflight.facts import Facts
from droidheaders.ui import printable

_QUERY = re.compile(r"(?:CONFIG_)?(\w+)(?:=(.*))?", re.ASCII)


@dataclass(frozen=True)
class Wanted:
    """One option, and the value that it must have; "set" is any but n."""

    name: str
    value: str = "set"

    @classmethod
    def parse(cls, query: str) -> Wanted:
        """Return what NAME, CONFIG_NAME or either with =VALUE asks; UsageError for another text."""
        match = _QUERY.fullmatch(query.strip())
        if match is None:
            raise UsageError(
                f"'{printable(query)}' is no option of a kernel's configuration",
                "droidheaders check --config CONFIG_IKHEADERS",
            )
        value = "set" if match[2] is None else match[2].strip('"')
        return cls(f"CONFIG_{match[1]}", value)

    def answer(self, config: Kconfig, path: str) -> Answer:
        """Say whether `config`, which is from `path`, has it so.

        What must be n may be absent; what must be m may be y: built in, it serves all the same.
        """
        there = config.get(self.name)
        fits = {
            "set": there not in (None, "n"),
            "n": there in (None, "n"),
            "m": there in ("m", "y"),
        }.get(self.value, there == self.value)
        verdict: Verdict = "yes" if fits else "no"
        told = "not named" if there is None else printable(config.written[self.name])
        wanted = "" if fits or self.value == "set" else f", wanted {printable(self.value)}"
        return Answer(self.name, verdict, f"{told} in {path}{wanted}")


def fragment(content: bytes, path: str) -> list[Wanted]:
    """Return what a fragment wants, such as AOSP's android-base.config; UsageError for another."""
    try:
        options = Kconfig.parse(content)
    except ValueError as e:
        raise UsageError(f"{path} {e}", "give a fragment: lines of CONFIG_X=y") from e
    return [Wanted(name, value) for name, value in options.items()]


def judge(facts: Facts, wanted: list[Wanted]) -> Report:
    """Say whether the configuration is known, and for each option that is wanted, if it is so."""
    config = facts.target.config
    if config is None:
        known = Answer("config", "unknown", facts.config_problem)
        answers = [Answer(w.name, "unknown", facts.config_problem) for w in wanted]
        return Report(known, tuple(answers), _describe(facts, wanted))
    answers = [w.answer(config, facts.config_path) for w in wanted]
    if facts.disputed:
        named = ", ".join(facts.disputed[:3]) + (", …" if len(facts.disputed) > 3 else "")
        many = "1 option is" if len(facts.disputed) == 1 else f"{len(facts.disputed)} options are"
        answers.append(
            Answer(
                "disputed",
                "risky",
                f"{many} otherwise in the cached headers: {named}",
                "droidheaders pull --refresh",
            )
        )
    because = f"{len(config)} options in {facts.config_path}"
    if wanted:
        missing = sum(answer.verdict == "no" for answer in answers)
        lack = f"{missing} of {len(wanted)} options are not as wanted"
        because = (
            f"{lack} in {facts.config_path}" if missing else f"as wanted in {facts.config_path}"
        )
    known = Answer("config", worst(answers), because)
    return Report(known, tuple(answers), _describe(facts, wanted))


def _describe(facts: Facts, wanted: list[Wanted]) -> dict[str, object]:
    config = facts.target.config
    return {
        "path": facts.config_path or None,
        "options": len(config) if config is not None else None,
        "asked": {
            w.name: {"value": config.get(w.name) if config is not None else None, "wanted": w.value}
            for w in wanted
        },
        "disputed": list(facts.disputed),
    }
