// Matrices of 8x8 16-bit elements between shared memory and the registers of a warp: ldmatrix,
// stmatrix, movmatrix.
//
// Row r of matrix m is the 16 bytes at the address of lane 8m + r. Lane 4r + t holds elements 2t
// and 2t+1 of row r, in one register a matrix; with .trans it holds them of column r.
#include <cstring>

#include "tensor.h"

namespace emulator {
namespace {

constexpr u32 kSide = 8, kRowBytes = 16;

struct Matrix {
  u16 element[kSide][kSide];
};

template <bool kTranspose>
void spread(const Matrix& matrix, u32* row) {
  for (u32 lane = 0; lane < kLanes; ++lane) {
    const u32 r = lane / 4, c = lane % 4 * 2;
    const u32 low = kTranspose ? matrix.element[c][r] : matrix.element[r][c];
    const u32 high = kTranspose ? matrix.element[c + 1][r] : matrix.element[r][c + 1];
    row[lane] = low | high << 16;
  }
}

template <bool kTranspose>
void collect(const u32* row, Matrix& matrix) {
  for (u32 lane = 0; lane < kLanes; ++lane) {
    const u32 r = lane / 4, c = lane % 4 * 2;
    (kTranspose ? matrix.element[c][r] : matrix.element[r][c]) = static_cast<u16>(row[lane]);
    (kTranspose ? matrix.element[c + 1][r] : matrix.element[r][c + 1]) =
        static_cast<u16>(row[lane] >> 16);
  }
}

// Instruction: operand[0] is the address row, data[0] its bytes a lane, data[1] the number of
// matrices, list their registers.

/// Find the addresses of the rows of all matrices and show the access to the checks.
void find_rows(Warp& warp, const Instruction& instruction, AccessKind kind, u64* address) {
  lane_addresses(warp, instruction.operand[0], instruction.data[0], instruction.addend[0], address);
  Access access;
  access.space = Space::kShared;
  access.kind = kind;
  access.bytes = kRowBytes;
  access.mask = kAllLanes >> (kLanes - kSide * instruction.data[1]);
  access.address = address;
  check_access(warp, instruction, access);
}

template <bool kTranspose>
void ldmatrix(Warp& warp, const Instruction& instruction) {
  if (!whole_warp(warp, instruction)) return;
  u64 address[kLanes];
  find_rows(warp, instruction, AccessKind::kLoad, address);
  Matrix matrices[4];
  for (u32 row = 0; row < kSide * instruction.data[1]; ++row)
    std::memcpy(matrices[row / kSide].element[row % kSide], warp.block->shared + address[row],
                kRowBytes);
  for (u32 m = 0; m < instruction.data[1]; ++m)
    spread<kTranspose>(matrices[m], warp.row<u32>(instruction.list[m]));
}

template <bool kTranspose>
void stmatrix(Warp& warp, const Instruction& instruction) {
  if (!whole_warp(warp, instruction)) return;
  u64 address[kLanes];
  find_rows(warp, instruction, AccessKind::kStore, address);
  for (u32 m = 0; m < instruction.data[1]; ++m) {
    Matrix matrix;
    collect<kTranspose>(warp.row<u32>(instruction.list[m]), matrix);
    for (u32 row = 0; row < kSide; ++row)
      std::memcpy(warp.block->shared + address[kSide * m + row], matrix.element[row], kRowBytes);
  }
}

void movmatrix(Warp& warp, const Instruction& instruction) {
  if (!whole_warp(warp, instruction)) return;
  Matrix matrix;
  collect<false>(warp.row<u32>(instruction.operand[1]), matrix);
  spread<true>(matrix, warp.row<u32>(instruction.operand[0]));
}

/// Take what ldmatrix and stmatrix have in common; the number of matrices, 0 if it is unknown.
u32 take_form(Selection& selection, Instruction& out, bool& transpose) {
  if (!selection.take("sync") || !selection.take("aligned") || !selection.take("m8n8") ||
      !selection.take("b16") || selection.operands() != 2)
    return 0;
  if (!selection.take("shared") && !selection.take("shared::cta")) return 0;
  const std::string_view number = selection.take_one({"x1", "x2", "x4"});
  transpose = selection.take("trans");
  out.data[1] = number.empty() ? 0 : static_cast<u32>(number[1] - '0');
  return out.data[1];
}

void take_address(Selection& selection, size_t operand, Instruction& out) {
  out.operand[0] = selection.address(operand);
  out.data[0] = selection.address_width(operand);
  out.addend[0] = selection.addend(operand);
}

bool select_ldmatrix(Selection& selection, Instruction& out) {
  bool transpose = false;
  const u32 count = take_form(selection, out, transpose);
  if (!count || selection.elements(0) != count) return false;
  out.execute = transpose ? ldmatrix<true> : ldmatrix<false>;
  take_address(selection, 1, out);
  std::vector<u32> registers;
  for (u32 m = 0; m < count; ++m) registers.push_back(selection.destination(0, 4, m));
  out.list = selection.keep(std::move(registers));
  return true;
}

bool select_stmatrix(Selection& selection, Instruction& out) {
  bool transpose = false;
  const u32 count = take_form(selection, out, transpose);
  if (!count || selection.elements(1) != count) return false;
  out.execute = transpose ? stmatrix<true> : stmatrix<false>;
  take_address(selection, 0, out);
  std::vector<u32> registers;
  for (u32 m = 0; m < count; ++m) registers.push_back(selection.source(1, 4, m));
  out.list = selection.keep(std::move(registers));
  return true;
}

bool select_movmatrix(Selection& selection, Instruction& out) {
  if (!selection.take("sync") || !selection.take("aligned") || !selection.take("m8n8") ||
      !selection.take("trans") || !selection.take("b16") || selection.operands() != 2)
    return false;
  out.execute = movmatrix;
  out.operand[0] = selection.destination(0, 4);
  out.operand[1] = selection.source(1, 4);
  return true;
}

}  // namespace

void register_matrix_transfers() {
  register_opcode("ldmatrix", select_ldmatrix);
  register_opcode("stmatrix", select_stmatrix);
  register_opcode("movmatrix", select_movmatrix);
}

}  // namespace emulator
