"""A device's own bpftool in the loader's place: the same events, as far as it can."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from droidheaders.run.events import Attached, Dump, Entry, Event, Failed, Log, Unattached
from droidheaders.run.loader import Loader

# Each line begins with a letter that says what it is. Pins are what holds the programs, so they go
# at every end that a shell can see; no dot may be in their path (kernel/bpf/inode.c,
# bpf_lookup()). What autoattach cannot attach it pins without a word: only the list of links tells.
# mksh's echo would take backslashes for its own, and its printf is a program.
_SCRIPT = """\
say() {{ print -r -- "$1" 2>/dev/null || printf '%s\\n' "$1"; }}
lines() {{ while IFS= read -r line; do say "$1$line"; done; }}
d=/sys/fs/bpf/droidheaders_$$ b={tool}
t=/sys/kernel/tracing; [ -e $t/trace_pipe ] || t=/sys/kernel/debug/tracing
end() {{ trap '' HUP INT TERM; [ "$p" ] && kill $p 2>/dev/null; rm -rf $d; }}
p=; trap 'end; say xsignal; exit 0' HUP INT TERM
say "h$($b version | head -n 1)"
said=$($b prog loadall {object} $d pinmaps $d/maps autoattach 2>&1); s=$?
say "$said" | lines l
if [ $s != 0 ]; then end; say e; exit 1; fi
for f in $d/*; do [ -f $f ] || continue
x=$($b -j link show pinned $f)  # whose status is not to be believed
case $x in *prog_id*) ;; *) x=$($b -j prog show pinned $f) ;; esac
say "p${{f##*/}} $x"; done
echo "droidheaders begins $$" >$t/trace_marker; say "m$$"
lines t <$t/trace_pipe & p=$!
say r
cat >/dev/null
{dumps}
end
say xstdin
"""


def script(tool: str, object_path: str, dump: Sequence[str] = ()) -> str:
    """Return a script for the device's sh, as root, that a `Bpftool` listens to.

    `tool` is bpftool's path there; 7.1 knows no autoattach yet, 7.5 does. Attaches what bpftool can
    by section, reads trace_pipe, dumps the maps named in `dump` at the end of stdin, and leaves
    nothing pinned.
    """
    dumps = "\n".join(
        f'say d{name}" $($b -j map dump pinned $d/maps/{name} 2>&1)"'
        for name in map(shlex.quote, dump)
    )
    return _SCRIPT.format(tool=shlex.quote(tool), object=shlex.quote(object_path), dumps=dumps)


class Bpftool(Loader):
    """Listens to `script` in a session.

    Has no `loaded`, `record` or `iter`, knows programs by the names of their pins, and no sections.
    """

    _mark = ""
    _begun = False

    def parse(self, line: bytes) -> Event | None:  # noqa: PLR0911  one a letter
        """Return the event of a line of the script's."""
        text = line.decode("utf-8", "replace")
        kind, text = text[:1], text[1:]
        match kind:
            case "h":
                return {"type": "hello", "libbpf": text, "pid": 0}
            case "l":
                return Log(type="log", source="libbpf", program=None, text=text)
            case "e":
                return _failed()
            case "p":
                return _pinned(*text.partition(" ")[::2])
            case "m":
                self._mark = f"droidheaders begins {text}"
                return Log(type="log", source="loader", program=None, text="attached by bpftool")
            case "r":
                return {"type": "ready"}
            case "t":
                return self._traced(text)
            case "d":
                return _dumped(*text.partition(" ")[::2])
            case "x":
                return {"type": "end", "reason": text, "dropped": 0}
        return None

    def _traced(self, text: str) -> Event:
        if self._begun:
            return {"type": "trace", "text": text}
        self._begun = self._mark in text
        return Log(type="log", source="loader", program=None, text="a line of before")


def _failed() -> Failed:
    return Failed(
        type="error",
        stage="load",
        program=None,
        section=None,
        errno=0,
        error="",
        message="bpftool did not load the object",
    )


def _pinned(name: str, shown: str) -> Attached | Unattached | None:
    """What a pin is: a link says that its program is attached, a program that it is only loaded."""
    facts = _json(shown)
    if not isinstance(facts, dict):
        return None
    if "prog_id" in facts:
        to = next(
            (str(facts[key]) for key in ("func", "tracepoint", "tp_name") if key in facts), ""
        )
        return Attached(type="attached", program=name, section="", to=to or str(facts.get("type")))
    reason = "bpftool attaches none of its kind"
    return Unattached(type="unattached", program=name, section="", reason=reason)


def _dumped(name: str, shown: str) -> Dump:
    facts = _json(shown)
    entries: list[Entry] = []
    for one in facts if isinstance(facts, list) else []:
        if isinstance(one, dict):
            entries += _entries(one)
    return Dump(type="map", name=name, entries=entries, truncated=not isinstance(facts, list))


def _entries(one: dict[str, Any]) -> list[Entry]:
    """Keys and values are lists of "0x00"; `formatted` has them by their BTF."""
    typed = one.get("formatted")
    typed = typed if isinstance(typed, dict) else {}
    values = one.get("values")
    if not isinstance(values, list):
        values = [{"value": one.get("value")}]
    texts = typed.get("values")
    entries = []
    for number, each in enumerate(values):
        if not isinstance(each, dict):
            continue
        entry = Entry(key=_hex(one.get("key")), value=_hex(each.get("value")))
        if "key" in typed:
            entry["key_text"] = json.dumps(typed["key"])
        if len(values) > 1:
            entry["cpu"] = number
            if isinstance(texts, list) and number < len(texts) and isinstance(texts[number], dict):
                entry["value_text"] = json.dumps(texts[number].get("value"))
        elif "value" in typed:
            entry["value_text"] = json.dumps(typed["value"])
        entries.append(entry)
    return entries


def _hex(value: object) -> str:
    if not isinstance(value, list):
        return ""
    return "".join(one[2:4] for one in value if isinstance(one, str) and one[:2] == "0x")


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
