// The state of one decoding: rows of the register file, constants, instructions, labels to resolve.
#pragma once

#include <tuple>

#include "decode.h"
#include "link.h"

namespace emulator {

class Decoder {
 public:
  Decoder(Module& module, Function& kernel);
  std::shared_ptr<Program> run();

  u32 register_row(u32 reg);
  u32 register_bytes(u32 reg) const { return function_->registers[reg]; }
  u32 constant_row(u64 bits, u32 bytes);
  u32 constant_predicate(bool value);
  u32 special_row(std::string_view name, u32 bytes);
  /// Row of the address that a symbol plus addend stands for.
  u32 symbol_row(const Operand& operand, u32 bytes);
  u32 parameter_row(const Function* function, u32 variable);
  u32 negated(u32 predicate);
  u32 scratch(u32 bytes);
  const u32* keep(std::vector<u32> list);
  const u32* keep_labels(const Statement& table, u32& count);
  u32 entry_of(std::string_view function) const;
  const Function* function() const { return function_; }
  Program& program() { return *program_; }
  Module& module() { return module_; }

 private:
  void decode_function(u32 entry);
  void decode_statement(const Statement& statement);
  void resolve_labels();
  void emit(Instruction instruction);
  u32 new_row(u32 bytes);
  u32 new_bytes(u32 bytes);
  u32 sum_row(u32 row, u64 addend);

  Module& module_;
  Linked linked_;
  std::shared_ptr<Program> program_;
  const Function* function_ = nullptr;
  u32 entry_ = 0;
  u32 end_ = 0;         // of the register file so far
  u32 predicates_ = 0;  // next predicate in the open chunk
  u32 predicates_end_ = 0;
  std::vector<u32> rows_;  // of the function's registers; 0 while not used
  std::map<std::pair<u64, u32>, u32> constants_;
  std::map<std::pair<u32, u32>, u32> specials_;
  std::map<std::pair<const Function*, u32>, u32> parameters_;
  std::vector<std::tuple<u32, u32, u64>> fills_;  // row, bytes, bits
  const Statement* statement_ = nullptr;
  const Origin* origin_ = nullptr;
  std::vector<u32> starts_;    // code index of each statement of the function
  std::vector<u32> branches_;  // instructions whose target is a statement yet
  std::vector<std::vector<u32>*> tables_;
};

}  // namespace emulator
