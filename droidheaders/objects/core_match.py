"""Which types of an object and of a kernel are the same, by the rules of libbpf's relo_core.c."""

from __future__ import annotations

from droidheaders.kernel.btf import (
    ARRAY,
    ENUM,
    ENUM64,
    FLOAT,
    FUNC_PROTO,
    FWD,
    INT,
    PTR,
    STRUCT,
    UNION,
    Btf,
    BtfType,
    Member,
    essential,
)

COMPOSITE = (STRUCT, UNION)
ENUMS = (ENUM, ENUM64)
_SIGNED = 1  # BTF_INT_SIGNED
_LEVEL = 32
_STEPS = 200_000  # real types take some hundreds; a damaged BTF can ask for any number


class Matcher:
    """Compares types of `local`, an object's BTF, with those of `kernel`."""

    def __init__(self, local: Btf, kernel: Btf) -> None:
        """Compare; what the two blobs have damaged raises ValueError."""
        self.local = local
        self.kernel = kernel
        self._steps = 0
        self._known: dict[int, list[Member]] = {}

    def begin(self) -> None:
        """Begin with another relocation."""
        self._steps = 0

    def members(self, number: int) -> list[Member]:
        """Return the members of a type of the kernel; task_struct's are asked for often."""
        if number not in self._known:
            self._known[number] = list(self.kernel.members(number))
        return self._known[number]

    def member(self, wanted: Member, number: int) -> tuple[int, int, Member] | None:
        """Find a member by name, through anonymous ones: bpf_core_match_member().

        Return its offset in bits within the type `number` of the kernel, the type that has it,
        and itself; None when there is none, or one of an incompatible type.
        """
        return self._member(wanted, number, _LEVEL)

    def _member(self, wanted: Member, number: int, level: int) -> tuple[int, int, Member] | None:
        self._step(level)
        number = self.kernel.plain(number)
        for one in self.members(number):
            self._step(level)
            if not one.name:
                found = self._member(wanted, one.type, level - 1)
                if found:
                    return found[0] + one.offset, found[1], found[2]
            elif one.name == wanted.name:
                fits = self.fields_compatible(wanted.type, one.type)
                return (one.offset, number, one) if fits else None
        return None

    def fields_compatible(self, local: int, kernel: int) -> bool:
        """Tell whether a field can be read as another: bpf_core_fields_are_compat()."""
        for _ in range(_LEVEL):
            mine, (local, kernel) = self._pair(local, kernel)
            ours, theirs = mine
            if ours.kind in COMPOSITE and theirs.kind in COMPOSITE:
                return True
            if not same_kind(ours, theirs):
                return False
            if ours.kind == ARRAY:
                local, kernel = self.local.array(local)[0], self.kernel.array(kernel)[0]
                continue
            if ours.kind in (*ENUMS, FWD):
                names = essential(ours.name), essential(theirs.name)
                return not all(names) or names[0] == names[1]
            return ours.kind in (PTR, FLOAT) or self._plain_integers(local, kernel, ours)
        raise ValueError("has types that are too deep")

    def types_compatible(self, local: int, kernel: int, level: int = _LEVEL) -> bool:
        """Tell whether bpf_core_type_exists() would: __bpf_core_types_are_compat()."""
        for _ in range(_LEVEL):
            self._step(level)
            (ours, theirs), (local, kernel) = self._pair(local, kernel)
            if not same_kind(ours, theirs):
                return False
            if ours.kind == PTR:
                local, kernel = ours.value, theirs.value
            elif ours.kind == ARRAY:
                local, kernel = self.local.array(local)[0], self.kernel.array(kernel)[0]
            elif ours.kind == FUNC_PROTO:
                mine, others = self.local.parameters(local), self.kernel.parameters(kernel)
                if len(mine) != len(others) or not all(
                    self.types_compatible(a, b, level - 1)
                    for a, b in zip(mine, others, strict=True)
                ):
                    return False
                local, kernel = ours.value, theirs.value
            else:
                named = (0, *COMPOSITE, *ENUMS, FWD)
                return ours.kind in named or self._plain_integers(local, kernel, ours)
        raise ValueError("has types that are too deep")

    def types_match(
        self, local: int, kernel: int, behind: bool = False, level: int = _LEVEL
    ) -> bool:
        """Tell whether bpf_core_type_matches() would: __bpf_core_types_match()."""
        for _ in range(_LEVEL):
            self._step(level)
            (ours, theirs), (local, kernel) = self._pair(local, kernel)
            if essential(ours.name) != essential(theirs.name):
                return False
            if ours.kind in (PTR, ARRAY, FUNC_PROTO):
                if ours.kind != theirs.kind or not self._parts_match(local, kernel, behind, level):
                    return False
                if ours.kind == ARRAY:
                    local, kernel = self.local.array(local)[0], self.kernel.array(kernel)[0]
                else:
                    behind = behind or ours.kind == PTR
                    local, kernel = ours.value, theirs.value
                continue
            if ours.kind in COMPOSITE and not behind:
                return ours.kind == theirs.kind and self._members_match(local, kernel, level)
            return self._leaves_match(local, kernel, behind)
        raise ValueError("has types that are too deep")

    def _parts_match(self, local: int, kernel: int, behind: bool, level: int) -> bool:
        if self.local.type(local).kind == ARRAY:
            return self.local.array(local)[1] == self.kernel.array(kernel)[1]
        mine, others = self.local.parameters(local), self.kernel.parameters(kernel)
        return len(mine) == len(others) and all(
            self.types_match(a, b, behind, level - 1) for a, b in zip(mine, others, strict=True)
        )

    def _members_match(self, local: int, kernel: int, level: int) -> bool:
        theirs: dict[str, list[int]] = {}
        for one in self.kernel.members(kernel):
            theirs.setdefault(essential(one.name), []).append(one.type)
        return self.local.type(local).vlen <= self.kernel.type(kernel).vlen and all(
            any(
                self.types_match(one.type, other, False, level - 1)
                for other in theirs.get(essential(one.name), [])
            )
            for one in self.local.members(local)
        )

    def _leaves_match(self, local: int, kernel: int, behind: bool) -> bool:
        ours, theirs = self.local.type(local), self.kernel.type(kernel)
        if ours.kind == INT:
            signed = (self.local.extra(local) >> 24) & _SIGNED
            return (
                theirs.kind == INT
                and ours.value == theirs.value
                and signed == (self.kernel.extra(kernel) >> 24) & _SIGNED
            )
        if ours.kind in ENUMS:
            known = {essential(name) for name, _ in self.kernel.enumerators(kernel)}
            return (
                theirs.kind in ENUMS
                and ours.value == theirs.value
                and ours.vlen <= theirs.vlen
                and all(essential(name) in known for name, _ in self.local.enumerators(local))
            )
        if ours.kind == theirs.kind:
            return ours.kind != FWD or ours.flag == theirs.flag
        if not behind or FWD not in (ours.kind, theirs.kind):
            return False
        # The flag of a forward declaration: it is one of a union.
        declared, whole = (ours, theirs) if ours.kind == FWD else (theirs, ours)
        return whole.kind == (UNION if declared.flag else STRUCT)

    def _pair(self, local: int, kernel: int) -> tuple[tuple[BtfType, BtfType], tuple[int, int]]:
        local, kernel = self.local.plain(local), self.kernel.plain(kernel)
        return (self.local.type(local), self.kernel.type(kernel)), (local, kernel)

    def _plain_integers(self, local: int, kernel: int, ours: BtfType) -> bool:
        """Integers are compatible unless they are bitfields in the way of BTF before 5.0."""
        return ours.kind == INT and not (
            self.local.extra(local) >> 16 & 0xFF or self.kernel.extra(kernel) >> 16 & 0xFF
        )

    def _step(self, level: int) -> None:
        self._steps += 1
        if level <= 0 or self._steps > _STEPS:
            raise ValueError("has types that are too deep")


def same_kind(one: BtfType, other: BtfType) -> bool:
    """Tell whether types may be candidates for one another: btf_kind_core_compat()."""
    return one.kind == other.kind or (one.kind in ENUMS and other.kind in ENUMS)
