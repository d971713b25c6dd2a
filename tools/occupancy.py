"""How many blocks of a kernel one multiprocessor can hold, by the rules of cuda_occupancy.h."""

from __future__ import annotations

from dataclasses import dataclass

WARP = 32
REGISTERS_STEP, SHARED_STEP = 256, 128  # allocations are rounded up to multiples of these
PARTITIONS = 4  # of a multiprocessor; each has its quarter of the registers
RESERVED_SHARED = 1024  # bytes that the driver takes in each block


@dataclass(frozen=True)
class Multiprocessor:
    """What one multiprocessor of an architecture has."""

    threads: int = 2048
    blocks: int = 32
    registers: int = 65536
    shared: int = 0  # bytes
    shared_per_block: int = 0  # bytes that one block may ask for


MULTIPROCESSORS = {
    "sm_80": Multiprocessor(shared=164 << 10, shared_per_block=163 << 10),
    "sm_90": Multiprocessor(shared=228 << 10, shared_per_block=227 << 10),
}


def round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def blocks_per_multiprocessor(arch: str, threads: int, registers: int, shared: int) -> int:
    """Return how many blocks fit at once; 0 where not even one does.

    Args:
        arch: A key of MULTIPROCESSORS.
        threads: In a block.
        registers: Of a thread, as the assembler says.
        shared: Bytes of a block, static and dynamic, without what the driver reserves.
    """
    sm = MULTIPROCESSORS[arch]
    warps = -(-threads // WARP)
    limits = [sm.blocks, sm.threads // (warps * WARP)]
    if registers:
        per_warp = round_up(registers * WARP, REGISTERS_STEP)
        if per_warp * round_up(warps, PARTITIONS) > sm.registers:
            return 0
        limits.append(sm.registers // PARTITIONS // per_warp * PARTITIONS // warps)
    if shared > sm.shared_per_block:
        return 0
    limits.append(sm.shared // round_up(shared + RESERVED_SHARED, SHARED_STEP))
    return min(limits)
