#include "link.h"

#include <algorithm>

namespace emulator {
namespace {

class Linker {
 public:
  Linker(Module& module, Linked& linked) : module_(module), linked_(linked) {}

  void run(Function& kernel) {
    add(&kernel);
    // `functions` grows while it is walked.
    for (size_t i = 0; i < linked_.functions.size(); ++i) visit(*linked_.functions[i]);
    u32 align = 16;
    for (const Variable* variable : dynamic_) align = std::max(align, variable->align);
    linked_.dynamic_start = (linked_.static_shared + align - 1) / align * align;
    for (const Variable* variable : dynamic_) {
      linked_.module_shared[variable->name] = linked_.dynamic_start;
    }
  }

 private:
  void add(Function* function) {
    if (!function || !function->defined) return;
    auto& all = linked_.functions;
    if (std::find(all.begin(), all.end(), function) == all.end()) all.push_back(function);
  }

  void visit(Function& function) {
    for (size_t i = 0; i < function.variables.size(); ++i) {
      if (function.variables[i].space != Space::kShared) continue;
      linked_.own_shared[{&function, static_cast<u32>(i)}] = place(function.variables[i]);
    }
    for (const Statement& statement : function.statements) {
      for (const Operand& operand : statement.operands) visit(operand);
      const bool indirect =
          statement.opcode == "call" &&
          std::any_of(statement.operands.begin(), statement.operands.end(), is_register);
      if (indirect) add_all();
    }
  }

  static bool is_register(const Operand& operand) { return operand.kind == Operand::kRegister; }

  void visit(const Operand& operand) {
    for (const Operand& element : operand.elements) visit(element);
    const bool names =
        operand.kind == Operand::kSymbol || (operand.kind == Operand::kMemory && !operand.has_base);
    if (!names || operand.local || operand.name.empty()) return;
    if (linked_.module_shared.count(operand.name)) return;
    if (const Variable* variable = module_.variable(operand.name)) {
      if (variable->space != Space::kShared) return;
      if (variable->dynamic) {
        if (std::find(dynamic_.begin(), dynamic_.end(), variable) == dynamic_.end()) {
          dynamic_.push_back(variable);
        }
      } else {
        linked_.module_shared[variable->name] = place(*variable);
      }
      return;
    }
    add(module_.function(operand.name));
  }

  /// The target of an indirect call may be any function.
  void add_all() {
    for (auto& [name, function] : module_.functions) {
      if (!function.kernel) add(module_.function(name));
    }
  }

  u32 place(const Variable& variable) {
    u32& end = linked_.static_shared;
    const u32 offset = (end + variable.align - 1) / variable.align * variable.align;
    end = offset + variable.bytes;
    return offset;
  }

  Module& module_;
  Linked& linked_;
  std::vector<const Variable*> dynamic_;
};

}  // namespace

Linked link(Module& module, Function& kernel) {
  Linked linked;
  Linker(module, linked).run(kernel);
  return linked;
}

const Function* Module::kernel(std::string_view name) {
  Function* found = function(name);
  if (!found || !found->kernel) return nullptr;
  if (!found->static_shared) found->static_shared = link(*this, *found).static_shared;
  return found;
}

}  // namespace emulator
