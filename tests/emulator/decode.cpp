#include "decode.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <stdexcept>

#include "decoder.h"
#include "lanes.h"
#include "specials.h"

namespace emulator {
namespace {

std::map<std::string, Selector, std::less<>>& selectors() {
  static std::map<std::string, Selector, std::less<>> table;
  return table;
}

void register_all() {
  register_integer();
  register_bits();
  register_float();
  register_functions();
  register_half();
  register_convert();
  register_compare();
  register_moves();
  register_memory();
  register_atomics();
  register_barriers();
  register_control();
  register_calls();
  register_warp();
  register_tensor();
}

struct Plus {
  u64 operator()(u64 a, u64 b) const { return a + b; }
};

struct Not {
  static void run(Warp& warp, const Instruction& i) {
    set_predicate(warp, i.operand[0], ~warp.predicate(i.operand[1]));
  }
};

template <class T>
void read_clock(Warp& warp, const Instruction& i) {
  const u64 now = warp.executed + warp.block->linear * 1000;
  for (u32 lane = 0; lane < kLanes; ++lane) {
    if (warp.mask >> lane & 1) warp.row<T>(i.operand[0])[lane] = static_cast<T>(now);
  }
}

[[noreturn]] void unknown(const Statement& statement, const Module& module,
                          const std::string& kernel, const std::string& why) {
  std::string where = "PTX line " + std::to_string(statement.ptx_line);
  const auto file = module.files.find(statement.file);
  if (file != module.files.end()) {
    where = file->second + ":" + std::to_string(statement.line) + " (" + where + ")";
  }
  throw Fault{kInvalidPtx, "kernel " + kernel + ", " + where + ": instruction `" +
                               std::string(statement.text) + "` (opcode " +
                               std::string(statement.opcode) + ") is not known here: " + why};
}

}  // namespace

void register_opcode(const std::string& opcode, Selector selector) {
  selectors()[opcode] = selector;
}

Decoder::Decoder(Module& module, Function& kernel)
    : module_(module), linked_(link(module, kernel)), program_(std::make_shared<Program>()) {
  static std::once_flag once;
  std::call_once(once, register_all);
  program_->module = &module;
  program_->kernel = &kernel;
  program_->static_shared = linked_.static_shared;
  program_->dynamic_start = linked_.dynamic_start;
  // Predicate 0 is always true: the guard of instructions without one.
  predicates_ = new_bytes(64);
  predicates_end_ = predicates_ + 64;
  fills_.emplace_back(predicates_, 0, kAllLanes);
  predicates_ += 2 * sizeof(u32);  // the second one is kCarry
}

std::shared_ptr<Program> Decoder::run() {
  for (const Function* function : linked_.functions) {
    Entry entry;
    entry.function = function;
    entry.local_row = new_row(8);
    entry.rows.push_back({entry.local_row, 8});
    u32 local = 0;
    for (const Variable& variable : function->variables) {
      if (variable.space != Space::kLocal) continue;
      local = (local + variable.align - 1) / variable.align * variable.align + variable.bytes;
    }
    entry.local_bytes = (local + 15) / 16 * 16;
    program_->entries.push_back(entry);
    const auto place = module_.functions.find(function->name);
    const u64 handle =
        kFunctionHandle + static_cast<u64>(std::distance(module_.functions.begin(), place));
    program_->handles[handle] = static_cast<u32>(program_->entries.size() - 1);
  }
  program_->specials.push_back({kLocalBase, program_->entries[0].local_row, 8});
  for (u32 entry = 0; entry < program_->entries.size(); ++entry) decode_function(entry);
  // Calls hold their entry until all functions have a place.
  u32 stack = program_->entries[0].local_bytes;
  if (program_->entries.size() > 1) stack += 16384;
  program_->stack_bytes = stack;
  program_->initial_registers.assign(end_, std::byte{0xcb});
  for (const auto& [row, bytes, bits] : fills_) {
    std::byte* to = program_->initial_registers.data() + row;
    if (bytes == 0) {
      std::memcpy(to, &bits, sizeof(u32));
      continue;
    }
    for (u32 lane = 0; lane < kLanes; ++lane) {
      std::memset(to + lane * bytes, 0, bytes);
      std::memcpy(to + lane * bytes, &bits, std::min<u32>(bytes, sizeof bits));
    }
  }
  return program_;
}

void Decoder::decode_function(u32 entry) {
  entry_ = entry;
  function_ = program_->entries[entry].function;
  rows_.assign(function_->registers.size(), 0);
  program_->entries[entry].start = static_cast<u32>(program_->code.size());
  starts_.clear();
  branches_.clear();
  tables_.clear();
  for (const Statement& statement : function_->statements) {
    starts_.push_back(static_cast<u32>(program_->code.size()));
    decode_statement(statement);
  }
  starts_.push_back(static_cast<u32>(program_->code.size()));
  Statement end;
  end.opcode = "ret";
  end.text = "end of the function";
  // A body may end in a label or a call that does not return.
  Selection selection(*this, end);
  Instruction instruction;
  statement_ = nullptr;
  program_->origins.push_back({"end of the function", 0, {}, 0});
  origin_ = &program_->origins.back();
  selectors().at("ret")(selection, instruction);
  emit(instruction);
  resolve_labels();
}

void Decoder::decode_statement(const Statement& statement) {
  const std::string& kernel = program_->kernel->name;
  if (!statement.trouble.empty()) unknown(statement, module_, kernel, statement.trouble);
  if (statement.opcode == ".branchtargets") return;
  Origin origin{statement.text, statement.ptx_line, {}, statement.line};
  const auto file = module_.files.find(statement.file);
  if (file != module_.files.end()) origin.file = file->second;
  program_->origins.push_back(origin);
  origin_ = &program_->origins.back();
  statement_ = &statement;
  const auto selector = selectors().find(statement.opcode);
  if (selector == selectors().end()) unknown(statement, module_, kernel, "no such opcode");
  try {
    Selection selection(*this, statement);
    Instruction instruction;
    statement_ = nullptr;
    const bool known = selector->second(selection, instruction) && instruction.execute;
    statement_ = &statement;
    if (!known) unknown(statement, module_, kernel, "no such form of the opcode");
    if (!selection.left().empty()) {
      unknown(statement, module_, kernel,
              "modifier ." + std::string(selection.left().front()) + " is not understood");
    }
    if (selection.branches_) branches_.push_back(static_cast<u32>(program_->code.size()));
    if (statement.has_guard) {
      instruction.guard = register_row(statement.guard);
      instruction.guard_flip = statement.guard_negated ? kAllLanes : 0;
    }
    emit(instruction);
  } catch (const std::invalid_argument& error) {
    unknown(statement, module_, kernel, error.what());
  }
}

void Decoder::emit(Instruction instruction) {
  instruction.index = static_cast<u32>(program_->code.size());
  instruction.origin = origin_;
  program_->code.push_back(instruction);
  program_->statements.push_back(statement_);
}

void Decoder::resolve_labels() {
  for (const u32 index : branches_) {
    Instruction& instruction = program_->code[index];
    instruction.target = starts_[instruction.target];
  }
  for (std::vector<u32>* table : tables_) {
    for (u32& target : *table) target = starts_[target];
  }
}

u32 Decoder::new_bytes(u32 bytes) {
  const u32 row = end_;
  end_ += (bytes + 63) / 64 * 64;
  return row;
}

u32 Decoder::new_row(u32 bytes) {
  if (bytes) return new_bytes(bytes * kLanes);
  if (predicates_ == predicates_end_) {
    predicates_ = new_bytes(64);
    predicates_end_ = predicates_ + 64;
  }
  predicates_ += sizeof(u32);
  return predicates_ - sizeof(u32);
}

u32 Decoder::scratch(u32 bytes) { return new_row(bytes); }

u32 Decoder::register_row(u32 reg) {
  u32& row = rows_[reg];
  if (row) return row;
  const u32 bytes = function_->registers[reg];
  row = new_row(bytes);
  program_->entries[entry_].rows.push_back({row, bytes});
  return row;
}

u32 Decoder::constant_row(u64 bits, u32 bytes) {
  if (bytes < 8) bits &= (u64{1} << (8 * bytes)) - 1;
  const auto [place, fresh] = constants_.try_emplace({bits, bytes}, 0);
  if (fresh) {
    place->second = new_row(bytes);
    fills_.emplace_back(place->second, bytes, bits);
  }
  return place->second;
}

u32 Decoder::constant_predicate(bool value) {
  if (value) return 0;
  const auto [place, fresh] = constants_.try_emplace({0, 0}, 0);
  if (fresh) {
    place->second = new_row(0);
    fills_.emplace_back(place->second, 0, 0);
  }
  return place->second;
}

u32 Decoder::special_row(std::string_view name, u32 bytes) {
  const u32 special = special_of(name);
  if (special == kSpecials) {
    throw std::invalid_argument("register " + std::string(name) + " is not known");
  }
  if (special == kClock || special == kClock64 || special == kGlobalTimer) {
    Instruction read;
    read.operand[0] = new_row(bytes);
    read.execute = bytes == 8 ? read_clock<u64> : read_clock<u32>;
    emit(read);
    return read.operand[0];
  }
  const auto [place, fresh] = specials_.try_emplace({special, bytes}, 0);
  if (fresh) {
    place->second = new_row(bytes);
    program_->specials.push_back({special, place->second, bytes});
  }
  return place->second;
}

u32 Decoder::sum_row(u32 row, u64 addend) {
  if (!addend) return row;
  Instruction sum;
  sum.operand = {new_row(8), row, constant_row(addend, 8)};
  sum.execute = map_lanes<Plus, u64, u64, u64>;
  emit(sum);
  return sum.operand[0];
}

u32 Decoder::symbol_row(const Operand& operand, u32 bytes) {
  const u64 addend = static_cast<u64>(operand.addend);
  if (operand.local) {
    const u32 index = operand.local - 1;
    const Variable& variable = function_->variables[index];
    if (variable.space == Space::kShared) {
      return constant_row(linked_.own_shared.at({function_, index}) + addend, bytes);
    }
    if (variable.space == Space::kLocal && bytes == 8) {
      u64 offset = 0;
      for (const Variable& other : function_->variables) {
        if (other.space != Space::kLocal) continue;
        offset = (offset + other.align - 1) / other.align * other.align;
        if (&other == &variable) break;
        offset += other.bytes;
      }
      return sum_row(program_->entries[entry_].local_row, offset + addend);
    }
    throw std::invalid_argument("the address of " + variable.name + " cannot be taken");
  }
  for (const Parameter& parameter : function_->parameters) {
    if (parameter.name != operand.name) continue;
    return sum_row(special_row("%parameters", 8), parameter.offset + addend);
  }
  const auto shared = linked_.module_shared.find(operand.name);
  if (shared != linked_.module_shared.end()) return constant_row(shared->second + addend, bytes);
  const u64 address = symbol_address(module_, operand.name);
  if (!address) {
    throw std::invalid_argument("symbol " + std::string(operand.name) + " is not defined");
  }
  if (bytes != 8) throw std::invalid_argument("an address needs 64 bits");
  return constant_row(address + addend, 8);
}

u32 Decoder::parameter_row(const Function* function, u32 variable) {
  const auto [place, fresh] = parameters_.try_emplace({function, variable}, 0);
  if (fresh) {
    const u32 bytes = std::max(function->variables[variable].bytes, 1u);
    place->second = new_bytes(bytes * kLanes);
    for (Entry& entry : program_->entries) {
      if (entry.function == function) entry.rows.push_back({place->second, bytes});
    }
  }
  return place->second;
}

u32 Decoder::negated(u32 predicate) {
  Instruction invert;
  invert.operand = {new_row(0), predicate};
  invert.execute = Not::run;
  emit(invert);
  return invert.operand[0];
}

const u32* Decoder::keep(std::vector<u32> list) {
  program_->lists.push_back(std::move(list));
  return program_->lists.back().data();
}

const u32* Decoder::keep_labels(const Statement& table, u32& count) {
  std::vector<u32> targets;
  for (const Operand& operand : table.operands) targets.push_back(operand.reg);
  count = static_cast<u32>(targets.size());
  const u32* list = keep(std::move(targets));
  tables_.push_back(&program_->lists.back());
  return list;
}

u32 Decoder::entry_of(std::string_view function) const {
  for (u32 i = 0; i < program_->entries.size(); ++i) {
    if (program_->entries[i].function->name == function) return i;
  }
  throw std::invalid_argument("function " + std::string(function) + " has no body here");
}

std::shared_ptr<Program> decode(Module& module, const std::string& kernel, const Mutant& mutant) {
  Function* function = module.function(kernel);
  if (!function || !function->kernel || !function->defined) {
    throw Fault{kInvalidDeviceFunction, "the module has no kernel " + kernel};
  }
  place_variables(module);
  std::shared_ptr<Program> program = Decoder(module, *function).run();
  if (!mutant.kernel.empty() && mutant.kernel == kernel) apply_mutant(*program, mutant);
  return program;
}

}  // namespace emulator
