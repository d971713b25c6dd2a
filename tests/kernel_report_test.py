"""Tests of tools/kernel-report: how it reads machine code, counts, and judges."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import cubins
import kernel_report
import kernel_rules
import machine_code
import occupancy

MANGLED = (
    "_ZN7striate7kernels46_GLOBAL__N__6d5b1475_8_unary_cu_bc21138d_14453"
    "12unary_kernelIfLm4EEEvPKT_PS3_"
)
# What cuobjdump -res-usage -sass prints, shortened: a loop of eight counted instructions inside an
# outer one, never executed reads of shared memory, and the trap at the end.
TEXT = f"""
Fatbin elf code:
================
arch = sm_80
identifier = /somewhere/kernels/unary.cu

Resource usage:
 Common:
  GLOBAL:0
 Function {MANGLED}:
  REG:40 STACK:16 SHARED:2048 LOCAL:0 CONSTANT[0]:392 TEXTURE:0 SURFACE:0 SAMPLER:0

	code for sm_80
		Function : {MANGLED}
	.headerflags	@"EF_CUDA_SM80 EF_CUDA_VIRTUAL_SM(EF_CUDA_SM80)"
        /*0000*/                   IMAD.MOV.U32 R1, RZ, RZ, c[0x0][0x28] ;
                                                                      /* 0x000fe400078e00ff */
        /*0010*/                   STL.128 [R1], R8 ;
        /*0020*/                   LDG.E.U16.CONSTANT R2, [R2.64] ;
        /*0030*/                   LDGSTS.E.BYPASS.LTC128B.128 [R5], [R2.64], P0 ;
        /*0040*/              @!PT LDS RZ, [RZ] ;
        /*0050*/                   LDSM.16.M88.4 R4, [R2] ;
        /*0060*/                   HMMA.16816.F32.BF16 R8, R4, R6, R8 ;
        /*0070*/                   HMMA.16816.F32.BF16 R12, R4, R6, R12 ;
        /*0080*/                   IMAD.MOV.U32 R3, RZ, RZ, R4 ;
        /*0090*/                   IMAD R3, R3, R4, R5 ;
        /*00a0*/              @!P0 IADD3 R3, R3, 0x1, RZ ;
        /*00b0*/               @P1 BRA 0x30 ;
        /*00c0*/                   FFMA R3, R3, R4, R5 ;
        /*00d0*/                   STG.E.64 [R2.64], R4 ;
        /*00e0*/                   STG.E [R2.64], R4 ;
        /*00f0*/               @P0 BRA 0x20 ;
        /*0100*/                   LDL.64 R4, [R1] ;
        /*0110*/                   EXIT ;
        /*0120*/                   BRA 0x120;
"""


@pytest.fixture
def kernel() -> machine_code.Kernel:
    (kernel,) = machine_code.parse(TEXT)
    return kernel


def test_resources_and_names(kernel):
    assert (kernel.source, kernel.arch) == ("unary.cu", "sm_80")
    assert kernel.name == "unary_kernel<float, 4>"
    assert (kernel.registers, kernel.stack, kernel.shared) == (40, 16, 2048)
    assert len(kernel.code) == 19
    assert machine_code.is_ours(MANGLED)
    assert not machine_code.is_ours("_ZN3cub17CUB_300001_SM_8006detail6reduceEv")


def test_the_main_loop_is_the_innermost_one_that_multiplies(kernel):
    loop = kernel.main_loop()
    assert (loop[0].opcode.split(".")[0], loop[-1].address) == ("LDGSTS", 0xB0)
    assert machine_code.mix(loop) == {
        "all": 8, "cp_async": 1, "ldmatrix": 1, "hmma": 2, "moves": 1, "integer": 2, "bra": 1,
    }  # fmt: skip


def test_an_epilogue_with_more_instructions_is_not_the_main_loop(kernel):
    lines = [machine_code.Instruction(0x200 + 16 * i, "", "FFMA", "R3, R3, R4, R5")
             for i in range(50)]  # fmt: skip
    lines.append(machine_code.Instruction(0x200 + 16 * 50, "@P0", "BRA", "0x200"))
    kernel.code += lines
    assert kernel.main_loop()[-1].address == 0xB0


def test_widths_shares_and_spills(kernel):
    found = machine_code.describe(kernel)
    assert found["global_loads"] == {"128": 1, "16": 1}
    assert found["global_stores"] == {"64": 1, "32": 1}
    assert (found["spill_stores"], found["spill_loads"]) == (16, 8)
    assert (found["hmma_percent"], found["ffma_percent"]) == (25.0, 0.0)
    assert found["loop_shared_loads"] == {}  # the read under @!PT does not count


def test_a_kernel_without_a_loop():
    text = TEXT.replace("@P1 BRA 0x30", "@P1 BRA 0xc0").replace("@P0 BRA 0x20", "@P0 BRA 0x100")
    (kernel,) = machine_code.parse(text)
    assert kernel.main_loop() == []
    assert machine_code.describe(kernel)["hmma_percent"] == 0


@pytest.mark.parametrize(
    ("arch", "threads", "registers", "shared", "blocks"),
    [
        # Of cuda_occupancy.h, compiled on a host.
        ("sm_80", 256, 128, 17 << 10, 2),
        ("sm_80", 256, 16, 0, 8),
        ("sm_80", 32, 16, 0, 32),
        ("sm_80", 128, 122, 38093, 4),
        ("sm_80", 128, 122, 50381, 3),
        ("sm_90", 128, 122, 50381, 4),
        ("sm_80", 128, 70, 25396, 6),
        ("sm_90", 128, 70, 25396, 7),
        ("sm_80", 128, 178, 48 << 10, 2),
        ("sm_80", 1024, 65, 0, 0),
        ("sm_80", 96, 40, 100, 16),
        ("sm_80", 64, 32, 164 << 10, 0),
    ],
)
def test_occupancy(arch, threads, registers, shared, blocks):
    found = occupancy.blocks_per_multiprocessor(arch, threads, registers, shared)
    assert found == blocks


def test_launch_bounds_are_read_from_ptx(tmp_path):
    file = tmp_path / "object.o"
    file.write_bytes(
        b"\x00\x7fELF.visible .entry first(\n\t.param .u64 a\n)\n.maxntid 128, 1, 1\n"
        b".minnctapersm 2\n{\n.reg .b32 %r;\n}\n.visible .entry second(\n\t.param .u64 a\n)\n{\n}\n"
    )
    assert cubins.launch_bounds(file) == {"first": 128}


def test_a_command_of_the_build_is_turned_to_another_architecture(tmp_path):
    command = ["true", "-O3", "-gencode", "arch=compute_80,code=[sm_80,compute_80]", "-x", "cu",
               "-c", "/a/b.cu", "-o", "b.cu.o"]  # fmt: skip
    seen = tmp_path / "seen"
    script = tmp_path / "nvcc"
    script.write_text(f'#!/bin/sh\necho "$@" >> {seen}\nfor word; do :; done\n'
                      f'printf "out : {script}" > "$word"\ntouch b.cu.sm_90.cubin\n')  # fmt: skip
    script.chmod(0o755)
    command[0] = str(script)
    assert cubins.cubin(command, "sm_90", tmp_path, "b.cu")[1]
    words = seen.read_text().split()
    assert words[:4] == ["-cubin", "-gencode", "arch=compute_90,code=sm_90", "-O3"]
    assert words[4:6] == ["/a/b.cu", "-o"]
    # The second time nothing changed; then a file that it was made of does.
    assert not cubins.cubin(command, "sm_90", tmp_path, "b.cu")[1]
    script.write_text(script.read_text() + "# changed\n")
    assert cubins.cubin(command, "sm_90", tmp_path, "b.cu")[1]


# --- gates and the record -------------------------------------------------------------------------


@pytest.fixture
def row(kernel) -> dict:
    kernel.code = [i for i in kernel.code if i.base not in ("STL", "LDL")]
    kernel.stack = 0
    return kernel_report.row_of(kernel, {"unary.cu: unary_kernel<float, 4>": 128})


def record_of(rows: list[dict], tmp_path: Path, compiler: str = "13.0") -> dict:
    file = tmp_path / "record.json"
    kernel_rules.write_record(rows, compiler, file)
    assert json.loads(file.read_text()) == kernel_rules.read_record(file)
    return kernel_rules.read_record(file)


def test_a_kernel_as_recorded_is_no_violation(row, tmp_path):
    assert (row["threads"], row["blocks"], row["occupancy_percent"]) == (128, 12, 75)
    assert kernel_rules.violations([row], "13.0", record_of([row], tmp_path)) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"registers": 41}, "registers 41"),
        ({"blocks": 11}, "blocks 11"),
        ({"global_loads": {"64": 2}}, "loads 2x64"),
        ({"hmma_percent": 24.0}, "HMMA 24.0 %"),
        ({"kernel": "other<float>"}, "not recorded"),
        ({"stack": 8}, "use no local memory"),
        ({"spill_loads": 4}, "use no local memory"),
    ],
)
def test_a_change_is_a_violation(row, tmp_path, change, said):
    record = record_of([row], tmp_path)
    lines = kernel_rules.violations([{**row, **change}], "13.0", record)
    assert any(said in line for line in lines), lines


def test_a_missing_kernel_is_a_violation(row, tmp_path):
    record = record_of([row, {**row, "kernel": "gone<float>"}], tmp_path)
    (line,) = kernel_rules.violations([row], "13.0", record)
    assert "gone<float>: recorded, but not there" in line


def test_with_another_compiler_registers_may_differ_but_gates_hold(row, tmp_path):
    record = record_of([row], tmp_path)
    assert kernel_rules.violations([{**row, "registers": 44}], "13.5", record) == []
    assert kernel_rules.violations([{**row, "stack": 8}], "13.5", record)


def test_of_an_architecture_without_a_record_the_gates_hold(row):
    empty = {"compiler": "", "kernels": {}}
    assert kernel_rules.violations([row], "13.0", empty) == []
    (line,) = kernel_rules.violations([{**row, "stack": 8}], "13.0", empty)
    assert "use no local memory" in line


def test_recording_one_architecture_keeps_the_other(row, tmp_path):
    file = tmp_path / "record.json"
    kernel_rules.write_record([row, {**row, "arch": "sm_90"}], "13.0", file)
    kernel_rules.write_record([{**row, "registers": 99}], "13.0", file)
    kernels = kernel_rules.read_record(file)["kernels"]
    (line,) = kernels["sm_80"].values()
    assert line.startswith("registers 99,")
    (line,) = kernels["sm_90"].values()
    assert line.startswith("registers 40,")


TILE = "conv2d_implicit_gemm{}_kernel<float, Tile<128, {}>, {}>"


@pytest.mark.parametrize(
    ("name", "least"),
    [
        (TILE.format("", "128, 8, 8, 8", "true"), 80),
        (TILE.format("_backward_input", "64, 8, 4, 8", "true"), 70),
        (TILE.format("_backward_weight", "64, 8, 4, 16", "true"), 70),
        (TILE.format("", "64, 8, 4, 8", "false"), 60),
        ("matmul_tiled_kernel<float, Tile<128, 128, 8, 8, 8>, true, false, true>", 80),
        ("matmul_tiled_kernel<float, Tile<128, 64, 8, 4, 8>, true, true, false>", 70),
    ],
)
def test_the_share_of_multiply_adds_is_gated(row, name, least):
    good = copy.deepcopy(row)
    good.update(kernel=name, ffma_percent=least, loop_global_loads={"128": 2},
                loop_shared_stores={"128": 2}, global_stores={"128": 8})  # fmt: skip
    assert kernel_rules.broken_gates(good) == []
    (line,) = kernel_rules.broken_gates({**good, "ffma_percent": least - 0.1})
    assert f"at least {least} %" in line


def test_vector_kernels_access_16_bytes(row):
    name = TILE.format("", "128, 8, 8, 8", "true")
    good = {**row, "kernel": name, "ffma_percent": 90, "loop_global_loads": {"128": 2},
            "global_stores": {"128": 8}}  # fmt: skip
    assert kernel_rules.broken_gates(good) == []
    for change in ({"loop_global_loads": {"128": 2, "32": 1}}, {"global_stores": {"32": 8}}):
        (line,) = kernel_rules.broken_gates({**good, **change})
        assert "only 128 wanted" in line


@pytest.mark.parametrize(
    "name",
    [TILE.format("_backward_weight", "64, 8, 4, 16", "true"),
     "matmul_tiled_kernel<float, Tile<128, 64, 8, 4, 8>, true, true, false>"],
)  # fmt: skip
def test_operands_across_the_depth_are_stored_by_16_bytes(row, name):
    good = {**row, "kernel": name, "ffma_percent": 90, "loop_global_loads": {"128": 2},
            "loop_shared_stores": {"128": 2}, "global_stores": {"128": 8}}  # fmt: skip
    assert kernel_rules.broken_gates(good) == []
    (line,) = kernel_rules.broken_gates({**good, "loop_shared_stores": {"128": 1, "32": 4}})
    assert "only 128 wanted" in line
    other = {**good, "kernel": TILE.format("", "64, 8, 4, 8", "true")}
    assert kernel_rules.broken_gates({**other, "loop_shared_stores": {"32": 8}}) == []


def test_tensor_cores_are_fed(row):
    large = "TensorTile<128, 128, 64, 32, 3, 2>"
    good = {**row, "kernel": f"conv2d_tensor_core_kernel<bf16, {large}, true>",
            "hmma_percent": 22.0, "loop": {"hmma": 32, "ldmatrix": 12},
            "global_loads": {"128": 9}, "global_stores": {"128": 8}}  # fmt: skip
    assert kernel_rules.broken_gates(good) == []
    for change, said in [
        ({"hmma_percent": 21.9}, "at least 22 %"),
        ({"kernel": f"conv2d_tensor_core_kernel<f16, {large}, false>", "hmma_percent": 15.9},
         "at least 16 %"),
        ({"kernel": f"conv2d_tensor_core_backward_weight_kernel<f16, {large}>",
          "hmma_percent": 15.9}, "at least 16 %"),
        ({"kernel": "matmul_tensor_core_kernel<f16, TensorTile<64, 64, 32, 32, 4, 2>, true, false>",
          "hmma_percent": 9.9}, "at least 10 %"),
        ({"loop": {"hmma": 16, "ldmatrix": 12}}, "1.33 mma for an ldmatrix"),
        ({"global_loads": {"128": 9, "16": 2}}, "only 128 wanted"),
    ]:  # fmt: skip
        (line,) = kernel_rules.broken_gates({**good, **change})
        assert said in line


def test_the_size_of_the_plug_in(tmp_path):
    file = tmp_path / "plug_in.so"
    with open(file, "wb") as stream:
        stream.truncate(60_000_001)
    (line,) = kernel_rules.too_large(file, 1)
    assert "60.0 MB for 1 architecture(s), at most 60 MB" in line
    assert kernel_rules.too_large(file, 2) == []
    with open(file, "wb") as stream:
        stream.truncate(60_000_000)
    assert kernel_rules.too_large(file, 1) == []


def test_the_architectures_of_a_build_are_counted(tmp_path):
    command = "nvcc -gencode arch=compute_80,code=sm_80 -gencode arch=compute_90,code=sm_90 -c a.cu"
    entries = [{"file": "a.cu", "command": command}, {"file": "a.cpp", "command": "g++ a.cpp"}]
    (tmp_path / "compile_commands.json").write_text(json.dumps(entries))
    assert cubins.architectures(tmp_path) == 2


def test_dynamic_shared_memory_of_tensor_tiles():
    # Three steps of 16 KiB each, or four of 8, and the rows' places in the output.
    large = "conv2d_tensor_core_kernel<bf16, TensorTile<128, 128, 64, 32, 3, 2>, true>"
    assert kernel_rules.dynamic_shared(large) == 3 * 16384 + 1024
    small = "matmul_tensor_core_kernel<f16, TensorTile<64, 64, 32, 32, 4, 2>, true, false>"
    assert kernel_rules.dynamic_shared(small) == 4 * 8192 + 512
    assert kernel_rules.dynamic_shared("unary_kernel<float, 4>") == 0


def test_an_excuse_is_for_one_kernel(row, monkeypatch):
    monkeypatch.setattr(kernel_rules, "MAY_SPILL", {"flip<float>": "a reason"})
    spilling = {**row, "kernel": "flip<float>", "stack": 8}
    assert kernel_rules.broken_gates(spilling) == []
    (line,) = kernel_rules.broken_gates({**spilling, "kernel": "flip<float>_twice"})
    assert "use no local memory" in line


def test_at_most_three_kernels_are_excused_and_each_with_a_reason():
    assert len(kernel_rules.MAY_SPILL) <= 3
    assert all(len(reason) > 10 for reason in kernel_rules.MAY_SPILL.values())
