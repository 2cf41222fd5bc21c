"""CO-RE: what the relocations of an object become with a kernel's BTF, by libbpf's relo_core.c."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from droidheaders.kernel.btf import (
    ARRAY,
    ENUM,
    ENUM64,
    INT,
    PTR,
    STRUCT,
    UNION,
    Btf,
    Member,
    essential,
)
from droidheaders.objects.btf_ext import Relocation
from droidheaders.objects.core_match import COMPOSITE, ENUMS, Matcher

# enum bpf_core_relo_kind, include/uapi/linux/bpf.h
FIELD_OFFSET, FIELD_SIZE, FIELD_EXISTS, FIELD_SIGNED, FIELD_LSHIFT, FIELD_RSHIFT = range(6)
TYPE_LOCAL, TYPE_ID, TYPE_EXISTS, TYPE_SIZE, ENUM_EXISTS, ENUM_VALUE, TYPE_MATCHES = range(6, 13)
_TYPES = (TYPE_ID, TYPE_EXISTS, TYPE_SIZE, TYPE_MATCHES)

_MEMORY = (1, 2, 3)  # classes of instructions: BPF_LDX, BPF_ST, BPF_STX
_LONGEST = 64  # BPF_CORE_SPEC_MAX_LEN
_SIGNED = 1
_WORD = {STRUCT: "struct ", UNION: "union ", ENUM: "enum ", ENUM64: "enum "}

Outcome = Literal["found", "absent", "missing", "refused"]


@dataclass(frozen=True)
class Resolution:
    """What became of one relocation, which `what` names: struct task_struct.state.

    `found`: the kernel has it; `absent`: it has not, and the object only asked whether it has.
    `missing`: libbpf makes the instruction one that the verifier refuses when it is reached.
    `refused`: libbpf does not load the object, `because` says why. `value` is what the instruction
    gets, or None when that does not matter.
    """

    relocation: Relocation
    what: str
    outcome: Outcome
    value: int | None = None
    because: str = ""


class _Step(NamedTuple):
    """One step of an access: a member, or an element when that is None; `type` is what it is in."""

    member: Member | None
    at: int
    type: int


class _Field(NamedTuple):
    """A field that was found: where, in bits, and its type; `bits` of a bitfield."""

    offset: int
    type: int
    bits: int


class Resolver:
    """Resolves relocations of `local`, an object's BTF, with that of a kernel."""

    def __init__(self, local: Btf, kernel: Btf) -> None:
        """Resolve; what a blob has damaged raises ValueError."""
        self._local = local
        self._kernel = kernel
        self._matcher = Matcher(local, kernel)
        self._candidates: dict[int, list[int]] = {}

    def resolve(self, relocation: Relocation, code: int) -> Resolution:
        """Return what becomes of a relocation, of an instruction with this code."""
        self._matcher.begin()
        root = self._local.type(relocation.type)
        word = _WORD.get(root.kind, "")
        if relocation.kind == TYPE_LOCAL:
            return Resolution(relocation, word + root.name, "found")
        if not root.name:
            return Resolution(
                relocation, word + "without a name", "refused", because="it has no name"
            )
        if relocation.kind in _TYPES:
            return self._type(relocation, word + root.name)
        if relocation.kind in (ENUM_EXISTS, ENUM_VALUE):
            return self._enumerator(relocation, word + root.name)
        if relocation.kind > TYPE_MATCHES:
            because = f"kind {relocation.kind} of relocation is not known"
            return Resolution(relocation, word + root.name, "refused", because=because)
        return self._field(relocation, word + root.name, code)

    def _of(self, number: int) -> list[int]:
        """Return the kernel's types that may be this one: bpf_core_add_cands()."""
        if number not in self._candidates:
            one = self._local.type(number)
            kinds = (ENUM, ENUM64) if one.kind in ENUMS else (one.kind,)
            found = self._kernel.flavors(essential(one.name), *kinds)
            self._candidates[number] = found
        return self._candidates[number]

    def _type(self, relocation: Relocation, what: str) -> Resolution:
        same = (
            self._matcher.types_match
            if relocation.kind == TYPE_MATCHES
            else self._matcher.types_compatible
        )
        values: set[int | None] = set()
        for one in self._of(relocation.type):
            if same(relocation.type, one):
                size = relocation.kind == TYPE_SIZE
                values.add(
                    self._kernel.size(one) if size else one if relocation.kind == TYPE_ID else 1
                )
        if not values:  # libbpf writes 0, whatever was asked for
            return Resolution(relocation, what, "absent", 0)
        return self._unique(relocation, what, values)

    def _enumerator(self, relocation: Relocation, what: str) -> Resolution:
        path = _indices(relocation.access)
        known = list(self._local.enumerators(self._local.plain(relocation.type)))
        if len(path) != 1 or path[0] >= len(known):
            raise ValueError("has a relocation that its types do not fit")
        name = essential(known[path[0]][0])
        values: set[int | None] = {
            value
            for one in self._of(relocation.type)
            for other, value in self._kernel.enumerators(self._kernel.plain(one))
            if essential(other) == name
        }
        what = f"{name} of {what}"
        if relocation.kind == ENUM_EXISTS:
            return Resolution(relocation, what, "found" if values else "absent", int(bool(values)))
        if not values:
            return Resolution(relocation, what, "missing")
        return self._unique(relocation, what, values)

    def _field(self, relocation: Relocation, what: str, code: int) -> Resolution:
        steps = self._steps(relocation)
        what += _path(steps)
        found = {field for one in self._of(relocation.type) if (field := self._find(steps, one))}
        if relocation.kind == FIELD_EXISTS:
            return Resolution(relocation, what, "found" if found else "absent", int(bool(found)))
        if not found:
            return Resolution(relocation, what, "missing")
        if len({field.offset for field in found}) > 1:
            because = "types of that name have it at different offsets"
            return Resolution(relocation, what, "refused", because=because)
        field = min(found)
        if relocation.kind == FIELD_OFFSET:
            return self._offset(relocation, what, code, steps, field)
        values = {self._value(relocation.kind, one) for one in found}
        return self._unique(relocation, what, values)

    def _offset(
        self, relocation: Relocation, what: str, code: int, steps: list[_Step], field: _Field
    ) -> Resolution:
        at = field.offset // 8
        if code & 7 in _MEMORY and not field.bits:
            if not self._fits(steps[-1], field):
                return Resolution(relocation, what, "missing", because="it has another size")
            if at > 0x7FFF:
                because = f"it is {at} bytes from the beginning, more than an instruction can say"
                return Resolution(relocation, what, "refused", because=because)
        return Resolution(relocation, what, "found", None if field.bits else at)

    def _fits(self, step: _Step, field: _Field) -> bool:
        """Tell whether a load may change its size: the end of bpf_core_calc_relo()."""
        local = self._local.plain(step.member.type if step.member else step.type)
        kernel = self._kernel.plain(field.type)
        if _element(self._local, local) == _element(self._kernel, kernel):
            return True
        ours, theirs = self._local.type(local), self._kernel.type(kernel)
        if ours.kind == theirs.kind == PTR:
            return True
        signed = (
            self._local.extra(local) if ours.kind == INT else 0,
            self._kernel.extra(kernel) if theirs.kind == INT else 0,
        )
        unsigned = all(one >> 24 & 0xF != _SIGNED for one in signed)
        return ours.kind == theirs.kind == INT and unsigned

    def _value(self, kind: int, field: _Field) -> int | None:
        plain = self._kernel.plain(field.type)
        one = self._kernel.type(plain)
        if kind == FIELD_SIZE and not field.bits:
            return self._kernel.size(plain)
        if kind == FIELD_SIGNED:
            signed = one.kind == INT and self._kernel.extra(plain) >> 24 & _SIGNED
            return int(bool(signed or (one.kind in ENUMS and one.flag)))
        return None

    def _steps(self, relocation: Relocation) -> list[_Step]:
        """Return the meaning of an access such as 0:1:2: bpf_core_parse_spec()."""
        first, *path = _indices(relocation.access)
        number = self._local.plain(relocation.type)
        steps = [_Step(None, first, number)]
        for index in path:
            one = self._local.type(number)
            if one.kind in COMPOSITE:
                if index >= one.vlen:
                    raise ValueError("has a relocation that its types do not fit")
                member = list(self._local.members(number))[index]
                if member.name:
                    steps.append(_Step(member, index, number))
                number = self._local.plain(member.type)
            elif one.kind == ARRAY:
                number = self._local.plain(self._local.array(number)[0])
                steps.append(_Step(None, index, number))
            else:
                raise ValueError("has a relocation that its types do not fit")
        return steps

    def _find(self, steps: list[_Step], candidate: int) -> _Field | None:
        """Walk the steps through one of the kernel's types: bpf_core_spec_match()."""
        kernel = self._kernel
        number = kernel.plain(candidate)
        field = _Field(steps[0].at * kernel.size(number) * 8, number, 0)
        flexible = False
        for step in steps[1:]:
            if step.member:
                found = self._matcher.member(step.member, number)
                if found is None:
                    return None
                offset, within, member = found
                field = _Field(field.offset + offset, member.type, member.bits)
                flexible = self._matcher.members(within)[-1] == member
                number = kernel.plain(member.type)
                continue
            if kernel.type(number).kind != ARRAY:
                return None
            element, length = kernel.array(number)
            if step.at >= length and not (flexible and not length):
                return None
            number, flexible = kernel.plain(element), False
            field = _Field(field.offset + step.at * kernel.size(number) * 8, number, 0)
        return field

    def _unique(self, relocation: Relocation, what: str, values: set[int | None]) -> Resolution:
        if len(values) > 1:
            because = "types of that name differ in it"
            return Resolution(relocation, what, "refused", because=because)
        return Resolution(relocation, what, "found", min(values, key=lambda one: one or 0))


def _indices(access: str) -> list[int]:
    parts = access.split(":")
    if len(parts) > _LONGEST or not all(
        part.isascii() and part.isdigit() and len(part) < 10 for part in parts
    ):
        raise ValueError("has a relocation that is none")
    return [int(part) for part in parts]


def _path(steps: list[_Step]) -> str:
    """Return how C writes it."""
    written = f"[{steps[0].at}]" if steps[0].at else ""
    for step in steps[1:]:
        written += f".{step.member.name}" if step.member else f"[{step.at}]"
    return written


def _element(btf: Btf, number: int) -> int:
    """Return the size of a type, or of the elements when it is an array."""
    for _ in range(_LONGEST):
        number = btf.plain(number)
        if btf.type(number).kind != ARRAY:
            return btf.size(number)
        number = btf.array(number)[0]
    raise ValueError("has types that are too deep")
