"""Read NVIDIA's machine code (SASS) as cuobjdump prints it: resources, loops, instructions.

A loop is the stretch from the target of a backward branch to the branch. Instructions under the
predicate !PT are never executed and are not counted: the assembler adds some to loops with
asynchronous copies. What it writes as IMAD.MOV is a move.
"""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from dataclasses import dataclass, field

NO_WORK = {"NOP", "BSSY", "BSYNC", "WARPSYNC", "YIELD", "NANOSLEEP", "DEPBAR", "BREAK"}
# Multiply-adds of a thread, about: a tensor core's instruction is worth many others.
MULTIPLY_ADDS = {"FFMA": 1, "HFMA2": 2, "DFMA": 1, "HMMA": 64, "IMMA": 64, "DMMA": 8}
INTEGER = {
    "IMAD", "IADD3", "IADD", "IABS", "IMNMX", "VIMNMX", "LEA", "LOP3", "SHF", "ISETP", "ISCADD",
    "PRMT", "SGXT", "POPC", "FLO", "BMSK", "I2F", "F2I", "I2I", "IDP", "VIADD", "IMUL", "SHL",
    "SHR", "R2P", "P2R", "PLOP3",
}  # fmt: skip
MOVES = {"MOV", "IMAD.MOV", "UMOV", "CS2R", "S2R", "S2UR", "R2UR", "SEL", "FSEL"}
GLOBAL_LOADS, GLOBAL_STORES = {"LDG", "LDGSTS"}, {"STG"}


@dataclass
class Instruction:
    """One line of machine code."""

    address: int
    predicate: str
    opcode: str  # with its suffixes: LDG.E.128
    operands: str

    @property
    def base(self) -> str:
        return self.opcode.split(".")[0]

    @property
    def is_counted(self) -> bool:
        return self.predicate not in ("@!PT", "@!UPT") and self.base not in NO_WORK

    @property
    def width(self) -> int:
        """Return the bits that a thread moves in a memory access."""
        parts = self.opcode.split(".")
        if self.base == "LDSM":  # M88.4: four 8x8 matrices, 128 bits for each thread
            return 32 * int(parts[-1]) if parts[-1].isdigit() else 32
        for part in reversed(parts[1:]):
            if part in ("128", "64"):
                return int(part)
            if re.fullmatch(r"[US](8|16)", part):
                return int(part[1:])
        return 32

    def jumps_back_to(self) -> int | None:
        """Return the target of a branch to an earlier place; a jump to itself is the end's trap."""
        if self.base != "BRA":
            return None
        target = re.search(r"0x([0-9a-f]+)\s*$", self.operands)
        address = int(target.group(1), 16) if target else self.address
        return address if address < self.address else None


@dataclass
class Kernel:
    """What the assembler made of one kernel for one architecture."""

    mangled: str
    source: str
    arch: str
    registers: int = 0
    stack: int = 0  # bytes
    shared: int = 0  # bytes of static shared memory
    code: list[Instruction] = field(default_factory=list)

    @property
    def name(self) -> str:
        return readable(self.mangled)

    def spills(self) -> tuple[int, int]:
        """Return the bytes that a thread stores to and loads from local memory."""
        moved = Counter()
        for instruction in self.code:
            if instruction.is_counted and instruction.base in ("STL", "LDL"):
                moved[instruction.base] += instruction.width // 8
        return moved["STL"], moved["LDL"]

    def main_loop(self) -> list[Instruction]:
        """Return the innermost loop that does the work: the least with most multiply-adds."""
        spans = {(t, i.address) for i in self.code if (t := i.jumps_back_to()) is not None}
        loops = [[i for i in self.code if first <= i.address <= last and i.is_counted]
                 for first, last in spans]  # fmt: skip

        def work(loop: list[Instruction]) -> int:
            return sum(MULTIPLY_ADDS.get(i.base, 0) for i in loop)

        if not loops:
            return []
        most = max(map(work, loops))
        if most == 0:
            return max(loops, key=len)
        # An outer loop may add a few of its own; what surrounds the loop is not the loop.
        return min((loop for loop in loops if 2 * work(loop) > most), key=len)


# --- reading --------------------------------------------------------------------------------------

LINE = re.compile(r"^\s+/\*([0-9a-f]{4,})\*/\s+(?:(@!?U?P[T\d]) )?\s*([A-Z][\w.]*)\s*(.*?)\s*;")


def parse(text: str, source: str = "") -> list[Kernel]:
    """Read what `cuobjdump -res-usage -sass` prints of an object, a library or a cubin."""
    kernels: dict[tuple[str, str], Kernel] = {}
    arch, current = "", None
    resources: dict[str, tuple[int, int, int]] = {}
    for line in text.splitlines():
        if (found := re.match(r"\s*(?:arch = |code for )(sm_\d+)", line)) is not None:
            arch = found.group(1)
        elif (found := re.match(r"identifier = .*?([^/]+)\s*$", line)) is not None:
            source = found.group(1)
        elif (found := re.match(r"\s+Function (\S+):$", line)) is not None:
            usage = found.group(1)
        elif (found := re.match(r"\s+REG:(\d+) STACK:(\d+) SHARED:(\d+)", line)) is not None:
            resources[usage] = tuple(map(int, found.groups()))
        elif (found := re.match(r"\s+Function : (\S+)", line)) is not None:
            current = Kernel(found.group(1), source, arch)
            kernels[arch, current.mangled] = current
        elif current and (found := LINE.match(line)) is not None:
            address, predicate, opcode, operands = found.groups()
            current.code.append(Instruction(int(address, 16), predicate or "", opcode, operands))
        if current and current.mangled in resources:
            current.registers, current.stack, current.shared = resources.pop(current.mangled)
    return [kernel for kernel in kernels.values() if kernel.code]


_library = None


def demangle(name: str) -> str:
    """Return the C++ name of a symbol, by the demangler of the C++ runtime."""
    global _library
    if _library is None:
        _library = ctypes.CDLL("libstdc++.so.6"), ctypes.CDLL(None)
        _library[0].__cxa_demangle.restype = ctypes.c_void_p
        _library[1].free.argtypes = [ctypes.c_void_p]
    status = ctypes.c_int()
    address = _library[0].__cxa_demangle(name.encode(), None, None, ctypes.byref(status))
    if not address:
        return name
    text = ctypes.string_at(address).decode()
    _library[1].free(address)
    return text


def readable(mangled: str) -> str:
    """Return a kernel's name with template arguments, without parameters and our namespaces."""
    name = demangle(mangled)
    name = re.sub(r"\bstriate::(kernels|cuda)::|\bstriate::|\(anonymous namespace\)::", "", name)
    name = name.replace("__half", "f16").replace("__nv_bfloat16", "bf16")
    name = re.sub(r"\(\w+\)(-?\d+)", r"\1", name)  # the type of an enumerator or a small integer
    name = re.sub(r"(?<=[<, ])(-?\d+)u?l{0,2}(?=[>,])", r"\1", name)
    depth = 0
    for at, letter in enumerate(name):
        depth += {"<": 1, ">": -1}.get(letter, 0)
        if letter == "(" and depth == 0:
            name = name[:at]
            break
    return name.removeprefix("void ")


def is_ours(mangled: str) -> bool:
    """Say whether a kernel is written here, not an instance of Thrust's or CUB's."""
    return re.match(r"_ZN?K?7striate", mangled) is not None


# --- counting -------------------------------------------------------------------------------------


def widths(code: list[Instruction], bases: set[str]) -> dict[str, int]:
    """Count accesses by their bits: {"128": 4, "32": 1}."""
    found = Counter(i.width for i in code if i.is_counted and i.base in bases)
    return {str(width): found[width] for width in sorted(found, reverse=True)}


def mix(code: list[Instruction]) -> dict[str, int]:
    """Count the kinds of instructions that a loop consists of."""
    counts = Counter()
    for i in code:
        if not i.is_counted:
            continue
        counts["all"] += 1
        if i.base in ("FFMA", "HMMA", "IMMA"):
            counts[i.base.lower()] += 1
        elif i.base == "LDSM":
            counts["ldmatrix" if i.width == 128 else "ldmatrix_narrow"] += 1
        elif i.base == "LDGSTS":
            counts["cp_async"] += 1
        elif ".".join(i.opcode.split(".")[:2]) in MOVES or i.base in MOVES:
            counts["moves"] += 1
        elif i.base in INTEGER or i.base.startswith("U"):
            counts["integer"] += 1
        elif i.base in ("LDG", "STG", "LDS", "STS", "BAR", "BRA"):
            counts[i.base.lower()] += 1
        else:
            counts["other"] += 1
    return dict(counts)


def describe(kernel: Kernel) -> dict:
    """Return what is reported of a kernel's code."""
    stored, loaded = kernel.spills()
    loop = kernel.main_loop()
    counts = mix(loop)
    loads, stores = (widths(kernel.code, kind) for kind in (GLOBAL_LOADS, GLOBAL_STORES))

    def share(kind: str) -> float:
        return round(100 * counts.get(kind, 0) / max(1, len(loop)), 1)

    return {
        "registers": kernel.registers,
        "stack": kernel.stack,
        "spills": stored + loaded,
        "spill_stores": stored,
        "spill_loads": loaded,
        "instructions": sum(i.is_counted for i in kernel.code),
        "global_loads": loads,
        "global_stores": stores,
        "loads_128_bits": loads.get("128", 0),
        "stores_128_bits": stores.get("128", 0),
        "tensor_core": sum(i.base in ("HMMA", "IMMA") for i in kernel.code),
        "index_instructions": mix(kernel.code).get("integer", 0),
        "loop": counts,
        "loop_global_loads": widths(loop, GLOBAL_LOADS),
        "loop_shared_loads": widths(loop, {"LDS"}),
        "loop_shared_stores": widths(loop, {"STS"}),
        "ffma_percent": share("ffma"),
        "hmma_percent": share("hmma"),
    }
