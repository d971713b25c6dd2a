// Mutants: small changes to a decoded kernel that a good test notices.
//
//   drop_barrier, drop_wait, drop_commit   the instruction does nothing
//   drop_guard, negate_guard               a predicate is ignored, or means the opposite
//   drop_size                              an asynchronous copy takes all its bytes, and no zeros
//   shift_address                          one element further, in bytes what one lane moves
//   none                                   no change, to test what tries mutants
#include <algorithm>
#include <stdexcept>

#include "coverage.h"
#include "decode.h"
#include "tensor.h"

namespace emulator {
namespace {

void nothing(Warp&, const Instruction&) {}

bool has(const Statement& statement, std::string_view modifier) {
  const auto& all = statement.modifiers;
  return std::find(all.begin(), all.end(), modifier) != all.end();
}

bool is_barrier(const Statement& statement) {
  const bool barrier = statement.opcode == "bar" || statement.opcode == "barrier";
  return barrier && !has(statement, "red");
}

bool is_async(const Statement& statement, std::string_view part) {
  return statement.opcode == "cp" && has(statement, "async") &&
         std::any_of(statement.modifiers.begin(), statement.modifiers.end(),
                     [&](std::string_view modifier) { return modifier.substr(0, 5) == part; });
}

/// Return whether a register says how much of an asynchronous copy is taken: none outside a picture.
bool has_size(const Statement& statement) {
  const auto& operands = statement.operands;
  return operands.size() > 3 && operands[3].kind == Operand::kRegister;
}

/// Bytes that one lane moves: what an address is shifted by, so that it stays aligned.
i64 moved_bytes(const Statement& statement) {
  if (statement.opcode == "ldmatrix" || statement.opcode == "stmatrix") return 16;
  if (statement.opcode == "cp") {
    const auto& operands = statement.operands;
    const bool written = operands.size() > 2 && operands[2].kind == Operand::kInteger;
    return written ? static_cast<i64>(operands[2].bits) : 16;
  }
  i64 bytes = 4;
  for (const std::string_view modifier : statement.modifiers) {
    if (const u32 own = type_bytes(type_of(modifier))) bytes = own;
  }
  if (has(statement, "v2")) bytes *= 2;
  if (has(statement, "v4")) bytes *= 4;
  return bytes;
}

bool moves_data(const Statement& statement) {
  const std::string_view opcode = statement.opcode;
  const bool access = opcode == "ld" || opcode == "st" || opcode == "atom" || opcode == "red" ||
                      opcode == "ldmatrix" || opcode == "stmatrix" || opcode == "cp";
  return access && !has(statement, "param");
}

struct Place {
  std::string kind;
  u32 code = 0;  // index of the instruction
  u32 part = 0;  // which addend
};

std::vector<Place> places(const Program& program) {
  std::vector<Place> all;
  for (u32 code = 0; code < program.code.size(); ++code) {
    const Statement* statement = program.statements[code];
    if (!statement) continue;
    if (is_barrier(*statement)) all.push_back({"drop_barrier", code, 0});
    if (is_async(*statement, "wait_")) all.push_back({"drop_wait", code, 0});
    if (is_async(*statement, "commi")) all.push_back({"drop_commit", code, 0});
    if (is_async(*statement, "share") && has_size(*statement))
      all.push_back({"drop_size", code, 0});
    if (statement->has_guard) {
      all.push_back({"drop_guard", code, 0});
      all.push_back({"negate_guard", code, 0});
    }
    if (!moves_data(*statement)) continue;
    u32 part = 0;
    for (const Operand& operand : statement->operands) {
      if (operand.kind != Operand::kMemory || part > 1) continue;
      all.push_back({"shift_address", code, part++});
    }
  }
  return all;
}

/// The nearest statement before `code` that writes register `reg`, or null.
const Statement* writer_of(const Program& program, u32 code, u32 reg) {
  for (u32 back = 1; back <= code; ++back) {
    const Statement* statement = program.statements[code - back];
    if (!statement || statement->operands.empty()) continue;
    const Operand& result = statement->operands[0];
    if (result.kind == Operand::kRegister && result.reg == reg) return statement;
  }
  return nullptr;
}

/// Kernels take 32-bit arithmetic for numbers that fit: setp.gt.s64 p, a, 2147483647; @p bra large;
/// Of a tile's first element, 64 or 128 times its number, the number is compared with 2^25 or 2^24.
bool chooses_width(const Program& program, u32 code) {
  const Statement* branch = program.statements[code];
  const Statement* test = writer_of(program, code, branch->guard);
  if (branch->opcode != "bra" || !test || test->opcode != "setp" || test->operands.size() != 3)
    return false;
  const Operand& bound = test->operands[2];
  if (bound.kind == Operand::kInteger && has(*test, "s32") &&
      (bound.bits == 1u << 24 || bound.bits == 1u << 25 || bound.bits == 1u << 26))
    return true;
  const bool is_wide = has(*test, "s64") || has(*test, "u64");
  return is_wide && bound.kind == Operand::kInteger &&
         (bound.bits == 0x7fffffff || bound.bits == 0xffffffff || bound.bits == 0x80000000 ||
          bound.bits == 0x100000000);
}

/// The compiler divides 64-bit numbers by a 32-bit division when both are small:
///   or.b64 c, a, b; and.b64 d, c, 0xffffffff00000000; setp.eq.s64 p, d, 0; @p bra small;
bool chooses_division(const Program& program, u32 code) {
  const Statement* branch = program.statements[code];
  const Statement* test = writer_of(program, code, branch->guard);
  if (!test || test->opcode != "setp" || test->operands.size() != 3) return false;
  const Operand &value = test->operands[1], &zero = test->operands[2];
  if (value.kind != Operand::kRegister || zero.kind != Operand::kInteger || zero.bits) return false;
  const Statement* high = writer_of(program, code, value.reg);
  if (!high || high->opcode != "and" || high->operands.size() != 3) return false;
  return high->operands[2].kind == Operand::kInteger &&
         high->operands[2].bits == 0xffffffff00000000u;
}

}  // namespace

std::vector<MutantPlace> mutant_places(const Program& program) {
  std::map<std::string, u32> counts;
  std::vector<MutantPlace> all;
  for (const Place& place : places(program)) {
    MutantPlace made{{program.kernel->name, place.kind, counts[place.kind]++}, place.code, {}};
    if (place.kind.ends_with("_guard") && chooses_division(program, place.code))
      made.equivalent =
          "the branch chooses how to divide: 32 and 64 bits give the same quotient of small "
          "numbers";
    if (place.kind.ends_with("_guard") && chooses_width(program, place.code))
      made.equivalent =
          "the branch chooses 32-bit arithmetic for small numbers: 64 bits give the same";
    all.push_back(std::move(made));
  }
  return all;
}

std::vector<Mutant> mutants(Module& module, const std::string& kernel) {
  std::vector<Mutant> all;
  for (MutantPlace& place : mutant_places(*decode(module, kernel, {})))
    all.push_back(std::move(place.mutant));
  return all;
}

void apply_mutant(Program& program, const Mutant& mutant) {
  if (mutant.kind == "none") return;
  u32 index = 0;
  for (const Place& place : places(program)) {
    if (place.kind != mutant.kind || index++ != mutant.index) continue;
    Instruction& instruction = program.code[place.code];
    if (mutant.kind == "drop_guard") {
      instruction.guard = 0;
      instruction.guard_flip = 0;
    } else if (mutant.kind == "drop_size") {
      take_all_bytes(instruction);
    } else if (mutant.kind.starts_with("drop_")) {
      instruction.execute = nothing;
    } else if (mutant.kind == "negate_guard") {
      instruction.guard_flip = ~instruction.guard_flip;
    } else {
      instruction.addend[place.part] += moved_bytes(*program.statements[place.code]);
    }
    return;
  }
  throw std::invalid_argument("kernel " + mutant.kernel + " has no mutant " + mutant.kind + ":" +
                              std::to_string(mutant.index));
}

}  // namespace emulator
