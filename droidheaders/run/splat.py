"""What the kernel complains of in its log: panic, oops, warning, and what its sanitizers find.

Pure: it looks at lines, of /dev/kmsg or of a console, and knows no device.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from droidheaders.ui import printable

KINDS: Sequence[tuple[str, re.Pattern[str]]] = tuple(
    (kind, re.compile(pattern))
    for kind, pattern in (
        ("panic", r"Kernel panic - not syncing"),
        ("kasan", r"BUG: KASAN: "),
        ("kfence", r"BUG: KFENCE: "),
        ("kcsan", r"BUG: KCSAN: "),
        ("ubsan", r"UBSAN: "),
        ("list", r"list_(?:add|del)(?:_rcu)? corruption"),
        ("atomic", r"BUG: scheduling while atomic|BUG: sleeping function called from invalid"),
        (
            "lockdep",
            r"WARNING: (?:possible (?:circular|recursive|irq) lock|inconsistent lock state"
            r"|suspicious RCU usage|bad unlock balance|held lock freed|lock held when returning"
            r"|SOFTIRQ-safe|HARDIRQ-safe)|\[ BUG: (?:Invalid wait|held lock freed|bad unlock)",
        ),
        ("stall", r"(?:rcu: )?INFO: rcu\w* .*(?:stall|starved)"),
        ("hang", r"INFO: task .{1,64} blocked for more than \d+ seconds"),
        ("lockup", r"(?:NMI )?(?:watchdog: )?(?:BUG: (?:soft|workqueue) lockup|.*hard LOCKUP)"),
        ("cfi", r"CFI failure"),
        ("slab", r"BUG \S{1,64} \([^)]*\): |BUG: Bad (?:page|rss)"),
        (
            "oops",
            r"Unable to handle kernel |BUG: unable to handle |BUG: kernel NULL pointer"
            r"|BUG: stack guard page|kernel BUG at |Internal error: |Oops: |Oops - "
            r"|general protection fault|invalid opcode: |divide error: |stack segment: "
            r"|(?:Insufficient stack|kernel stack overflow)|traps: PANIC: ",
        ),
        ("warning", r"WARNING: (?:CPU: \d+ PID: \d+ at |\S+:\d+ at )"),
    )
)
"""How the line starts that begins each kind; the first that fits."""

BROKEN = frozenset({"panic", "oops", "list", "cfi", "lockup", "atomic"})
"""Kinds after which a kernel is not to be trusted until it has booted again."""

_HEAD = re.compile(r"[BCDIKLNOTUWdgiklrstwh\[]")  # for speed: with what they start
_PREFIX = re.compile(r"(?:<\d{1,3}>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")  # of a console
_CALLED = r"[\w.$]{1,256}\+0x[0-9a-f]+/0x[0-9a-f]+(?: \[[\w-]{1,64}(?: [0-9a-f]{1,64})?\])?"
_FRAME = re.compile(rf"\s*(?:\[<[0-9a-f]+>\] )?(\? )?({_CALLED})(?: \([A-Z]+\))?\s*$")
_ADDRESS = re.compile(r"\s*(?:\[<)?(?:0x)?([0-9a-f]{16})(?:>\])?\s*$")
_AT = re.compile(
    rf"(?:RIP: [0-9a-f]{{4}}:|pc : |PC is at )(?:({_CALLED})|(?:0x)?([0-9a-f]{{16}})\s*$)"
)
_PLACE = re.compile(rf" (?:at|in) (?:\S+ )?({_CALLED})")
_TRACE = re.compile(r"\s*[Cc]all [Tt]race:")
_INSIDE = re.compile(r"\s*(?:\? |</?(?:TASK|IRQ|NMI|SOFTIRQ|EOI|EOE|#\w+)>\s*$)")
_END = re.compile(r"---\[ end ")
# What a trace begins with that is made by a call, and says nothing of what is wrong.
_REPORTERS = re.compile(
    r"(?:dump_backtrace|show_stack|(?:__)?dump_stack(?:_lvl)?|(?:v|nmi_)?panic|print_report"
    r"|print_address_description|kasan_report|__schedule_bug|__might_(?:resched|sleep)"
    r"|ubsan_epilogue|lockdep_rcu_suspicious)[+.]"
)
# What else a line of these kinds goes on with, before the trace.
_TOLD_BY = {"oops": ("list", "cfi"), "warning": ("list", "ubsan", "cfi")}
_FRAMES, _LINES, _SPLATS, _LONGEST = 32, 160, 16, 1024


@dataclass(frozen=True)
class Splat:
    """One complaint: its kind of KINDS, the line that says it, and where the kernel was.

    `frames` are innermost first, such as do_one_initcall+0x50/0x250, with the module in brackets;
    the unsure ones are left out, and a bare address is 16 hex digits. `module` is that of the
    innermost frame that is in a module, or "".
    """

    kind: str
    title: str
    frames: tuple[str, ...] = ()

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of the frames without offsets, which change from build to build."""
        return tuple(frame.partition("+")[0] for frame in self.frames)

    @property
    def module(self) -> str:
        """The module whose code is innermost, or ""."""
        found = (re.search(r"\[([\w-]+)", frame) for frame in self.frames)
        return next((match[1] for match in found if match), "")


class Splats:
    """Finds complaints in lines as they come; `found` are those so far, `most` at most."""

    def __init__(self, most: int = _SPLATS) -> None:
        self._most = most
        self.found: list[Splat] = []
        self._left = 0  # lines that may still belong to the last one
        self._tracing = self._traced = False

    def see(self, line: str) -> Splat | None:
        """Look at a line; return the complaint that it begins, whose frames come later."""
        text = _PREFIX.sub("", line[:_LONGEST], count=1)
        kind = _kind(text)
        if kind and not self._belongs(kind):
            self._tracing = self._traced = False
            self._left = _LINES if len(self.found) < self._most else 0
            if not self._left:
                return None
            self.found.append(Splat(kind, printable(text.strip(), 300), _place(text)))
            return self.found[-1]
        if self._left:
            self._left -= 1
            self._take(text)
        return None

    def _belongs(self, kind: str) -> bool:
        """Tell whether this only goes on with the last: an oops says several times what it is."""
        if not self._left or self._traced:
            return False
        last = self.found[-1].kind
        return kind == last or last in _TOLD_BY.get(kind, ())

    def _take(self, text: str) -> None:
        if _END.search(text):
            self._left = 0
        elif at := _AT.search(text):
            # user space has none that is known; of several, as in a panic, the first one
            if not self._traced and not self._tracing:
                self._add(at[1] or at[2], first=True)
        elif _TRACE.match(text):
            self._tracing = not self._traced
        elif self._tracing and (frame := _FRAME.match(text)):
            self._add("" if frame[1] else frame[2])
        elif self._tracing and (address := _ADDRESS.match(text)):
            self._add(address[1])
        elif self._tracing and not _INSIDE.match(text):
            self._tracing, self._traced = False, True

    def _add(self, frame: str, *, first: bool = False) -> None:
        last = self.found[-1]
        frames = () if first else last.frames
        if not frames and _REPORTERS.match(frame):
            return
        # What both the program counter and the trace begin with is one frame.
        if frame and len(frames) < _FRAMES and (not frames or frames[-1] != frame):
            self.found[-1] = replace(last, frames=(*frames, frame))


def splats(lines: Iterable[str], most: int = _SPLATS) -> list[Splat]:
    """Return what is complained of in a log, in its order, `most` at most."""
    finder = Splats(most)
    for line in lines:
        finder.see(line)
    return finder.found


def _kind(text: str) -> str:
    if not _HEAD.match(text):
        return ""
    return next((kind for kind, pattern in KINDS if pattern.match(text)), "")


def _place(title: str) -> tuple[str, ...]:
    found = _PLACE.search(title)
    return (found[1],) if found else ()


def has_addresses(found: Iterable[Splat]) -> bool:
    """Tell whether some frames are bare addresses."""
    return any(_ADDRESS.match(frame) for splat in found for frame in splat.frames)


_FARTHEST = 1 << 20  # bytes; beyond, it is code that no symbol is of
_SYMBOL = re.compile(rb"^([0-9a-f]{16}) [tTwW] (\S{1,512})(?:[ \t]+\[(\S{1,64})\])?$", re.M)


def symbolised(found: Sequence[Splat], kallsyms: bytes) -> list[Splat]:
    """Return the splats with the addresses in their frames told by /proc/kallsyms.

    They stay where kptr_restrict made every address there zero.
    """
    symbols = sorted({int(one[1], 16): one for one in _SYMBOL.finditer(kallsyms)}.items())
    starts = [address for address, _ in symbols if address]
    known = dict(symbols)

    def name(frame: str) -> str:
        address = _ADDRESS.match(frame)
        at = bisect_right(starts, int(address[1], 16)) if address else 0
        if not address or not 0 < at < len(starts):
            return frame
        start, symbol = starts[at - 1], known[starts[at - 1]]
        if int(address[1], 16) - start > _FARTHEST:
            return frame
        module = f" [{symbol[3].decode('ascii', 'replace')}]" if symbol[3] else ""
        offset, size = int(address[1], 16) - start, starts[at] - start
        return f"{symbol[2].decode('ascii', 'replace')}+{offset:#x}/{size:#x}{module}"

    return [replace(splat, frames=tuple(map(name, splat.frames))) for splat in found]
