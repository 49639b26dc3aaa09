"""The assembled filter, judged by an interpreter: every call number, both processors, every profile's choice."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from gatelodge_core.sandbox import _bpf, _seccomp
from gatelodge_core.sandbox._bpf import ABSENT, REFUSED, RET_ALLOW, Instruction
from gatelodge_core.sandbox._landlock import IOCTL_DEV, MAKE_SYM, REFER, RESOLVE_UNIX, TRUNCATE, file_rights
from gatelodge_core.sandbox._numbers import ARCHITECTURES, HIGHEST, JUDGED, Architecture
from gatelodge_core.sandbox._numbers import REFUSED as ALWAYS
from gatelodge_core.sandbox._seccomp import Calls

I386, X86_64, ARM, AARCH64 = 0x40000003, 0xC000003E, 0x40000028, 0xC00000B7
INET, INET6, UNIX, NETLINK, PACKET, VSOCK = 2, 10, 1, 16, 17, 40
STREAM, DGRAM, RAW, CLOEXEC, NONBLOCK = 1, 2, 3, 0o2000000, 0o4000
THREAD_FLAGS = 0x003D0F00  # what glibc's pthread_create asks clone(2) for
FORK_FLAGS = 0x01200011
HEADERS: Mapping[str, Path] = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}


def every_choice() -> Iterator[Calls]:
    for flags in itertools.product((False, True), repeat=5):
        yield Calls(*flags)


def verdict(program: Sequence[Instruction], word: int, number: int, arguments: Sequence[int] = ()) -> int:
    """What the kernel would answer: classic BPF over ``struct seccomp_data``."""
    padded = [argument & (2**64 - 1) for argument in (*arguments, 0, 0, 0, 0, 0, 0)][:6]
    data = struct.pack("<IIQ6Q", number, word, 0, *padded)
    accumulator = at = 0
    while True:
        code, if_true, if_false, constant = program[at]
        at += 1
        if code == _bpf.LOAD:
            assert constant % 4 == 0
            accumulator = int.from_bytes(data[constant : constant + 4], "little")
        elif code == _bpf.AND:
            accumulator &= constant
        elif code == _bpf.RETURN:
            return constant
        else:
            held = {
                _bpf.IF_EQUAL: accumulator == constant,
                _bpf.IF_ABOVE: accumulator > constant,
                _bpf.IF_BITS: bool(accumulator & constant),
            }[code]
            at += if_true if held else if_false


class Judge:
    """One processor's filter."""

    def __init__(self, machine: str, calls: Calls) -> None:
        self.architecture: Architecture = ARCHITECTURES[machine]
        self.program = _seccomp.program(self.architecture, calls)

    def __call__(self, name: str, *arguments: int) -> int:
        number = self.architecture.number(name)
        if number is None:
            pytest.skip(f"no {name} on this processor")
        return verdict(self.program, self.architecture.word, number, arguments)


@pytest.fixture(params=sorted(ARCHITECTURES))
def machine(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_number_has_its_verdict_under_every_choice(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    refused = {architecture.number(name) for name in ALWAYS}
    judged = {architecture.number(name) for name in JUDGED}
    for calls in every_choice():
        program = _seccomp.program(architecture, calls)
        for number in range(1200):
            found = verdict(program, architecture.word, number)
            if number > HIGHEST:
                assert found == ABSENT
            elif number in refused:
                assert found == REFUSED
            elif number not in judged:
                assert found == RET_ALLOW


def test_other_ways_into_the_kernel_are_refused_for_every_number(machine: str) -> None:
    architecture = ARCHITECTURES[machine]
    program = _seccomp.program(architecture, Calls(*[True] * 5))
    for word in {I386, X86_64, ARM, AARCH64, 0} - {architecture.word}:
        assert {verdict(program, word, number) for number in range(1200)} == {REFUSED}
    x32 = {verdict(program, architecture.word, 0x40000000 | number) for number in range(1200)}
    assert x32 == {REFUSED}
    assert verdict(program, architecture.word, 0xFFFFFFFF) == REFUSED


def test_every_program_ends_whatever_it_is_asked(machine: str) -> None:
    for calls in every_choice():
        program = _seccomp.program(ARCHITECTURES[machine], calls)
        assert len(program) < _bpf.MOST_INSTRUCTIONS
        assert program[-1][0] == _bpf.RETURN
        for at, (code, if_true, if_false, _) in enumerate(program):
            if code & 7 == 5:  # a jump
                assert at + 1 + max(if_true, if_false) < len(program)
                assert 0 <= min(if_true, if_false) <= max(if_true, if_false) <= 255
        assert len(_bpf.packed(program)) == 8 * len(program)


@pytest.mark.parametrize("name", ["execve", "execveat", "fork", "vfork"])
def test_programs_are_started_only_where_children_are_needed(machine: str, name: str) -> None:
    assert Judge(machine, Calls())(name) == REFUSED
    assert Judge(machine, Calls(children=True))(name) == RET_ALLOW


def test_a_process_that_forks_starts_no_program(machine: str) -> None:
    judge = Judge(machine, Calls(forks=True))
    assert judge("clone", FORK_FLAGS) == judge("clone", THREAD_FLAGS) == RET_ALLOW
    assert {judge(name) for name in ("execve", "execveat", "fork", "vfork")} == {REFUSED}


def test_threads_are_possible_and_processes_only_where_needed(machine: str) -> None:
    alone, parent = Judge(machine, Calls()), Judge(machine, Calls(children=True))
    assert alone("clone", THREAD_FLAGS) == parent("clone", THREAD_FLAGS) == RET_ALLOW
    assert alone("clone", FORK_FLAGS) == REFUSED
    assert parent("clone", FORK_FLAGS) == RET_ALLOW


@pytest.mark.parametrize("bit", [17, 25, 26, 27, 28, 29, 30])
def test_no_clone_makes_a_namespace(machine: str, bit: int) -> None:
    for calls in (Calls(), Calls(children=True), Calls(forks=True)):
        judge = Judge(machine, calls)
        assert judge("clone", THREAD_FLAGS | 1 << bit) == REFUSED
        assert judge("clone", FORK_FLAGS | 1 << bit) == REFUSED


def test_clone3_seems_not_to_exist(machine: str) -> None:
    assert Judge(machine, Calls(children=True))("clone3") == ABSENT


def test_only_the_sockets_of_the_choice_are_made(machine: str) -> None:
    for calls in every_choice():
        judge = Judge(machine, calls)
        for family in range(48):
            for kind, protocol in itertools.product(range(12), (0, 1, 6, 17, 132, 136, 255, 262)):
                internet = family in (INET, INET6)
                wanted = (
                    (calls.tcp and internet and kind == STREAM and protocol in (0, 6))
                    or (calls.udp and internet and kind == DGRAM and protocol in (0, 17))
                    or (calls.unix and family == UNIX and kind == STREAM and protocol == 0)
                )
                assert judge("socket", family, kind, protocol) == (RET_ALLOW if wanted else REFUSED)


def test_the_flags_of_a_socket_type_and_bits_that_the_kernel_ignores_change_nothing(machine: str) -> None:
    judge = Judge(machine, Calls(tcp=True))
    assert judge("socket", INET, STREAM | CLOEXEC | NONBLOCK, 0) == RET_ALLOW
    assert judge("socket", INET | 1 << 40, STREAM, 6 | 1 << 33) == RET_ALLOW
    assert judge("socket", INET | 1 << 40, DGRAM | CLOEXEC, 0) == REFUSED
    assert judge("socket", NETLINK, RAW | CLOEXEC, 0) == REFUSED
    assert judge("ioctl", 0, 0x5412 | 1 << 32) == REFUSED


def test_the_only_pair_is_a_stream(machine: str) -> None:
    judge = Judge(machine, Calls())
    assert judge("socketpair", UNIX, STREAM | CLOEXEC | NONBLOCK) == RET_ALLOW
    assert judge("socketpair", UNIX, DGRAM) == REFUSED
    assert judge("socketpair", INET, STREAM) == REFUSED


def test_connecting_and_listening_are_for_those_who_do(machine: str) -> None:
    assert Judge(machine, Calls())("connect") == REFUSED
    for calls in (Calls(tcp=True), Calls(udp=True), Calls(unix=True)):
        assert Judge(machine, calls)("connect") == RET_ALLOW
    assert Judge(machine, Calls(tcp=True))("listen") == REFUSED
    assert Judge(machine, Calls(listening=True))("listen") == RET_ALLOW
    assert Judge(machine, Calls(listening=True))("bind") == REFUSED


@pytest.mark.parametrize(("name", "position"), [("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)])
def test_nothing_connects_by_sending(machine: str, name: str, position: int) -> None:
    judge = Judge(machine, Calls(tcp=True, udp=True))
    assert judge(name, *[0] * position, 0x20000000 | 0x4000) == REFUSED
    assert judge(name, *[0] * position, 0x4000) == RET_ALLOW


def test_terminals_are_not_typed_into(machine: str) -> None:
    judge = Judge(machine, Calls())
    assert {judge("ioctl", 0, request) for request in (0x5412, 0x541C, 0x541D, 0x5423)} == {REFUSED}
    assert {judge("ioctl", 0, request) for request in (0x5401, 0x5413, 0x5421, 0x541B)} == {RET_ALLOW}


def test_limits_are_looked_at_and_not_set(machine: str) -> None:
    judge = Judge(machine, Calls())
    assert judge("prlimit64", 0, 7, 0, 0x7FFF0000) == RET_ALLOW
    assert judge("prlimit64", 0, 7, 0x7FFF0000, 0) == REFUSED
    assert judge("prlimit64", 0, 7, 1 << 40, 0) == REFUSED
    assert judge("prlimit64", 42, 7, 0, 0x7FFF0000) == REFUSED


def test_times_change_on_descriptors_alone(machine: str) -> None:
    judge = Judge(machine, Calls())
    assert judge("utimensat", 5, 0, 0, 0) == RET_ALLOW
    assert judge("utimensat", 5, 0x7FFF0000, 0, 0) == REFUSED
    assert judge("utimensat", -100, 1 << 40, 0, 0) == REFUSED


def test_the_process_stays_closed_to_others(machine: str) -> None:
    judge = Judge(machine, Calls())
    assert {judge("prctl", option, 1) for option in (4, 35, 0x59616D61)} == {REFUSED}
    assert {judge("prctl", option, 1) for option in (3, 15, 22, 38)} == {RET_ALLOW}


def test_the_numbers_are_those_of_the_headers(machine: str) -> None:
    header = HEADERS[machine]
    if not header.exists():
        pytest.skip("no kernel headers here")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)$", header.read_text(), re.MULTILINE)
    numbers = {name: int(number) for name, number in found}
    compared = 0
    for name in (*ALWAYS, *JUDGED):
        ours = ARCHITECTURES[machine].number(name)
        # Calls that are younger than the headers can't be compared.
        if ours is None or ours <= 450 or name in numbers:
            assert ours == numbers.get(name)
            compared += 1
    assert compared > 80


@pytest.mark.parametrize(
    ("abi", "highest"),
    [
        (1, MAKE_SYM),
        (2, REFER),
        (3, TRUNCATE),
        (4, TRUNCATE),
        (5, IOCTL_DEV),
        (7, IOCTL_DEV),
        (8, IOCTL_DEV),
        (9, RESOLVE_UNIX),
        (12, RESOLVE_UNIX),
    ],
)
def test_landlock_is_asked_for_every_right_of_its_abi_and_no_other(abi: int, highest: int) -> None:
    assert file_rights(abi) == 2 * highest - 1
