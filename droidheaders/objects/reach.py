"""Which instructions of a function can be reached, once those that are known are constants.

The verifier follows a branch on a constant one way only, so what bpf_core_field_exists() or an
option of the kernel guards is dead code there. It knows more than is known here: it follows each
path for itself, and the stack. What is not reached here is not reached there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from droidheaders.objects.bpf import CALL, LOAD_64, Code, Function, Instruction
from droidheaders.objects.elf import Symbol

Value = int | str | None
"""What a register holds: a constant, the address of an extern, by its name, or anything."""

_MASK = (1 << 64) - 1
_EXIT, _JUMP, _JUMP_FAR = 0x95, 0x05, 0x06
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
_VISITS = 2_000_000
_COMPARE: Mapping[int, Callable[[int, int], bool]] = {
    0x1: lambda a, b: a == b,
    0x2: lambda a, b: a > b,
    0x3: lambda a, b: a >= b,
    0x4: lambda a, b: a & b != 0,
    0x5: lambda a, b: a != b,
    0xA: lambda a, b: a < b,
    0xB: lambda a, b: a <= b,
}
_COMPARE_SIGNED: Mapping[int, Callable[[int, int], bool]] = {
    0x6: lambda a, b: a > b,
    0x7: lambda a, b: a >= b,
    0xC: lambda a, b: a < b,
    0xD: lambda a, b: a <= b,
}
_COMPUTE: Mapping[int, Callable[[int, int, int], int]] = {
    0x0: lambda a, b, _: a + b,
    0x1: lambda a, b, _: a - b,
    0x2: lambda a, b, _: a * b,
    0x4: lambda a, b, _: a | b,
    0x5: lambda a, b, _: a & b,
    0x6: lambda a, b, bits: a << (b % bits),
    0x7: lambda a, b, bits: a >> (b % bits),
    0xA: lambda a, b, _: a ^ b,
    0xB: lambda _, b, __: b,
    0xC: lambda a, b, bits: _signed(a, bits) >> (b % bits),
}


def reached(
    code: Code, function: Function, values: Mapping[int, int], externs: Mapping[str, int]
) -> set[int]:
    """Return the numbers of the instructions that can be reached from the function's first.

    `values` has what relocations put into instructions, `externs` what .kconfig's are.
    """
    end = function.start + function.count
    walk = _Walk(code, values, externs)
    states: dict[int, tuple[Value, ...]] = {}
    work: list[tuple[int, tuple[Value, ...]]] = [(function.start, (None,) * 11)]
    visits = 0
    while work:
        number, state = work.pop()
        if not function.start <= number < end:
            continue
        known = states.get(number)
        if known is not None:
            state = tuple(a if a == b else None for a, b in zip(known, state, strict=True))
            if state == known:
                continue
        visits += 1
        if visits > _VISITS:
            return set(range(function.start, end))
        states[number] = state
        work += walk.after(number, state)
    return set(states)


class _Walk:
    def __init__(self, code: Code, values: Mapping[int, int], externs: Mapping[str, int]) -> None:
        self._instructions = code.instructions
        self._references: Mapping[int, Symbol] = code.references
        self._values = values
        self._externs = externs

    def after(
        self, number: int, state: tuple[Value, ...]
    ) -> Iterator[tuple[int, tuple[Value, ...]]]:
        """Yield where it goes on, and with what in the registers."""
        one = self._instructions[number]
        registers = list(state)
        kind = one.code & 7
        if kind in (5, 6) and one.code != CALL:
            yield from self._jump(number, one, state)
            return
        if one.code == CALL:
            registers[:6] = [None] * 6
        elif one.code == LOAD_64:
            if one.target < 11:
                registers[one.target] = self._wide(number, one)
            yield number + 2, tuple(registers)
            return
        elif kind in (4, 7) and one.target < 11:
            registers[one.target] = self._compute(number, one, state)
        elif kind == 1 and one.target < 11:
            registers[one.target] = self._load(one, state)
        elif kind == 0:
            registers[:6] = [None] * 6  # BPF_LD_ABS and _IND
        elif kind == 3 and one.code & 0xE0 == 0xC0:
            registers = [None] * 11  # an atomic operation may fetch
        yield number + 1, tuple(registers)

    def _jump(
        self, number: int, one: Instruction, state: tuple[Value, ...]
    ) -> Iterator[tuple[int, tuple[Value, ...]]]:
        if one.code == _EXIT:
            return
        if one.code in (_JUMP, _JUMP_FAR):
            by = one.offset if one.code == _JUMP else one.immediate
            yield number + 1 + by, state
            return
        taken = self._taken(number, one, state)
        if taken is not False:
            yield number + 1 + one.offset, state
        if taken is not True:
            yield number + 1, state

    def _taken(self, number: int, one: Instruction, state: tuple[Value, ...]) -> bool | None:
        a, b = self._operands(number, one, state)
        if not isinstance(a, int) or not isinstance(b, int):
            return None
        bits = 64 if one.code & 7 == 5 else 32
        a, b = a & ((1 << bits) - 1), b & ((1 << bits) - 1)
        operation = one.code >> 4
        if operation in _COMPARE:
            return _COMPARE[operation](a, b)
        if operation in _COMPARE_SIGNED:
            return _COMPARE_SIGNED[operation](_signed(a, bits), _signed(b, bits))
        return None

    def _compute(self, number: int, one: Instruction, state: tuple[Value, ...]) -> Value:
        a, b = self._operands(number, one, state)
        bits = 64 if one.code & 7 == 7 else 32
        operation = one.code >> 4
        if operation == 0xB and bits == 64 and one.offset == 0:
            return b & _MASK if isinstance(b, int) else b
        if operation == 0x8 and isinstance(a, int):
            return -a & ((1 << bits) - 1)
        if not isinstance(b, int) or operation not in _COMPUTE or one.offset:
            return None
        if not isinstance(a, int):
            if operation != 0xB:
                return None
            a = 0
        mask = (1 << bits) - 1
        return _COMPUTE[operation](a & mask, b & mask, bits) & mask

    def _load(self, one: Instruction, state: tuple[Value, ...]) -> Value:
        """Load from an extern, which libbpf puts into a map that the verifier can read."""
        address = state[one.source] if one.source < 11 else None
        if not isinstance(address, str) or one.offset or one.code & 0xE0 != 0x60:
            return None
        value = self._externs.get(address)
        size = _SIZES[one.code & 0x18]
        return None if value is None else value & ((1 << 8 * size) - 1)

    def _wide(self, number: int, one: Instruction) -> Value:
        if number in self._values:
            return self._values[number] & _MASK
        symbol = self._references.get(number)
        if symbol is not None:
            return symbol.name if symbol.name in self._externs else None
        if one.source or number + 1 >= len(self._instructions):
            return None
        high = self._instructions[number + 1].immediate
        return (high << 32 | one.immediate & 0xFFFFFFFF) & _MASK

    def _operands(
        self, number: int, one: Instruction, state: tuple[Value, ...]
    ) -> tuple[Value, Value]:
        a = state[one.target] if one.target < 11 else None
        if one.code & 0x8:
            return a, state[one.source] if one.source < 11 else None
        return a, self._values.get(number, one.immediate)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value
