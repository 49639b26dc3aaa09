"""Assembling a seccomp filter: classic BPF over the number and the arguments of a system call.

A program is a chain of blocks, one for each system call; a block begins with a comparison that skips it, and always
ends in a verdict. So there are no labels, and every jump is short (the offsets are bytes).

Sources: seccomp(2), linux/filter.h, linux/seccomp.h, linux/audit.h.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Sequence

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, constant: one ``struct sock_filter``."""

LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
AND = 0x54  # BPF_ALU | BPF_AND | BPF_K
IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
IF_ABOVE = 0x25  # BPF_JMP | BPF_JGT | BPF_K
IF_BITS = 0x45  # BPF_JMP | BPF_JSET | BPF_K
RETURN = 0x06  # BPF_RET | BPF_K

NUMBER_AT = 0
"""Where the system call's number lies in ``struct seccomp_data``; the architecture and the arguments follow."""
ARCHITECTURE_AT = 4
ARGUMENTS_AT = 16

RET_ERRNO = 0x00050000
RET_ALLOW = 0x7FFF0000
REFUSED = RET_ERRNO | errno.EPERM
ABSENT = RET_ERRNO | errno.ENOSYS

MOST_INSTRUCTIONS = 4096

ALLOW: Instruction = (RETURN, 0, 0, RET_ALLOW)
REFUSE: Instruction = (RETURN, 0, 0, REFUSED)
Body = Sequence[Instruction]


def low(argument: int) -> Instruction:
    """Load the lower half of an argument; of an ``int`` the kernel sees no more than that."""
    return (LOAD, 0, 0, ARGUMENTS_AT + 8 * argument)


def high(argument: int) -> Instruction:
    """Load the upper half of an argument."""
    return (LOAD, 0, 0, ARGUMENTS_AT + 8 * argument + 4)


def refuse_bits(argument: int, mask: int) -> Body:
    """Refuse if the argument has any of these bits."""
    return [low(argument), (IF_BITS, 0, 1, mask), REFUSE, ALLOW]


def require_bits(argument: int, mask: int, *, refused: int) -> Body:
    """Refuse if the argument has any bit of `refused`, or none of `mask`."""
    return [low(argument), (IF_BITS, 2, 0, refused), (IF_BITS, 0, 1, mask), ALLOW, REFUSE]


def refuse_values(argument: int, values: Iterable[int]) -> Body:
    """Refuse if the argument is one of these; 32 bits are compared."""
    body = [low(argument)]
    for value in values:
        body += [(IF_EQUAL, 0, 1, value), REFUSE]
    return [*body, ALLOW]


def refuse_unless_null(*arguments: int) -> Body:
    """Refuse if any of these 64-bit arguments isn't zero."""
    body: list[Instruction] = []
    for argument in arguments:
        body += [low(argument), (IF_EQUAL, 1, 0, 0), REFUSE, high(argument), (IF_EQUAL, 1, 0, 0), REFUSE]
    return [*body, ALLOW]


def only_sockets(kinds: Iterable[tuple[int, int, int]]) -> Body:
    """Refuse every socket but these.

    Args:
        kinds: Family, type and protocol. The flags that Linux lets one add to the type don't count.
    """
    body: list[Instruction] = []
    for family, kind, protocol in kinds:
        body += [
            low(0),
            (IF_EQUAL, 0, 6, family),
            low(1),
            (AND, 0, 0, 0xF),  # SOCK_TYPE_MASK
            (IF_EQUAL, 0, 3, kind),
            low(2),
            (IF_EQUAL, 0, 1, protocol),
            ALLOW,
        ]
    return [*body, REFUSE]


def assemble(architecture: int, blocks: Iterable[tuple[int, Body]], highest: int) -> list[Instruction]:
    """Put a filter together.

    Args:
        architecture: The AUDIT_ARCH_* word; a call made in any other way (32 bit on 64, say) is refused.
        blocks: System call numbers and what happens to each.
        highest: The newest system call known; younger ones, and x32 numbers, are not let through.
    """
    program: list[Instruction] = [
        (LOAD, 0, 0, ARCHITECTURE_AT),
        (IF_EQUAL, 1, 0, architecture),
        REFUSE,
        (LOAD, 0, 0, NUMBER_AT),
        (IF_ABOVE, 0, 1, 0x3FFFFFFF),  # x32: the same calls by other numbers
        REFUSE,
        # To libc a call that doesn't exist is a reason to use an older one; EPERM would be an error.
        (IF_ABOVE, 0, 1, highest),
        (RETURN, 0, 0, ABSENT),
    ]
    for number, body in blocks:
        assert len(body) <= 255, "the jump over a block is one byte"
        program += [(IF_EQUAL, 0, len(body), number), *body]
    program.append(ALLOW)
    assert len(program) <= MOST_INSTRUCTIONS, "more than the kernel takes"
    return program


def packed(program: Sequence[Instruction]) -> bytes:
    """The program as an array of ``struct sock_filter``."""
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
