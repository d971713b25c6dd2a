// Mutants: small changes to a decoded kernel that a good test notices.
#include <algorithm>
#include <stdexcept>

#include "coverage.h"
#include "decode.h"

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

}  // namespace

std::vector<MutantPlace> mutant_places(const Program& program) {
  std::map<std::string, u32> counts;
  std::vector<MutantPlace> all;
  for (const Place& place : places(program)) {
    all.push_back({{program.kernel->name, place.kind, counts[place.kind]++}, place.code});
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
  u32 index = 0;
  for (const Place& place : places(program)) {
    if (place.kind != mutant.kind || index++ != mutant.index) continue;
    Instruction& instruction = program.code[place.code];
    if (mutant.kind.substr(0, 5) == "drop_" && mutant.kind != "drop_guard") {
      instruction.execute = nothing;
    } else if (mutant.kind == "drop_guard") {
      instruction.guard = 0;
      instruction.guard_flip = 0;
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
