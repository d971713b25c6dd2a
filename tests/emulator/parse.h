// PTX text as a tree: module, variables, functions, statements. An instruction that nobody knows is
// kept as text; only a launch that needs it fails.
#pragma once

#include "machine.h"

namespace emulator {

struct Variable {
  std::string name;
  Space space = Space::kGlobal;  // kGlobal, kConst, kShared, kLocal, kParam
  u32 align = 1;
  u32 bytes = 0;
  bool dynamic = false;  // `extern .shared x[]`: starts after all static shared memory
  bool managed = false;
  std::vector<u8> initial;                            // as far as written; the rest is zero
  std::vector<std::pair<u32, std::string>> pointers;  // offset and symbol of initial addresses
  u64 address = 0;  // host address after place_variables (global, const)
};

struct Parameter {
  std::string name;
  u32 offset = 0;  // in the packed parameters
  u32 bytes = 0;
  u32 align = 1;
};

struct RegisterName {
  std::string name;
  u32 bytes = 4;  // 0 for predicates
};

struct Operand {
  enum Kind { kRegister, kSpecial, kInteger, kFloat, kSymbol, kMemory, kVector, kSink, kLabelList };
  Kind kind = kRegister;
  u32 reg = 0;            // kRegister: index into Function::registers; kMemory: base, if has_base
  bool has_base = false;  // kMemory: base is a register, else `name` or plain addend
  bool negated = false;   // !%p
  std::string name;       // kSpecial, kSymbol (also + addend), kMemory with a symbol
  i64 addend = 0;         // kMemory, kSymbol
  u64 bits = 0;           // kInteger; kFloat: bits of a double
  std::vector<Operand> elements;  // kVector, `p|q`, argument lists
};

struct Statement {
  std::string opcode;                  // "add"
  std::vector<std::string> modifiers;  // "rn", "ftz", "f32"; "::" stays inside
  std::vector<Operand> operands;
  bool has_guard = false;
  bool guard_negated = false;
  u32 guard = 0;           // index into Function::registers
  u32 file = 0, line = 0;  // `.loc`
  u32 ptx_line = 0;
  std::string text;
  std::string trouble;  // why it could not be parsed; fails at launch
};

struct Function {
  std::string name;
  bool kernel = false;
  bool defined = false;  // false: only declared
  std::vector<Parameter> parameters;
  u32 parameter_bytes = 0;
  std::vector<Variable> returns, arguments;  // of a device function
  std::vector<Variable> variables;           // .local, .shared and .param inside the body
  std::vector<RegisterName> registers;
  std::vector<Statement> statements;
  std::map<std::string, u32> labels;                               // unique name to statement index
  std::map<std::string, std::vector<std::string>> branch_targets;  // of brx.idx
  u32 max_threads = 0;  // .maxntid product; 0 if not written
  u32 min_blocks = 0;
  std::array<u32, 3> required_threads{};  // .reqntid
  u32 static_shared = 0;                  // bytes, module-level symbols it uses included
};

struct Module {
  std::string version;               // "9.0"
  u32 target = 0;                    // 80 of sm_80
  std::map<u32, std::string> files;  // .file
  std::vector<Variable> variables;   // module level
  std::map<std::string, Function> functions;
  std::map<std::string, std::shared_ptr<Program>> programs;  // decoded kernels, by name
  bool placed = false;

  /// The kernel of that name, or null.
  const Function* kernel(const std::string& name) const;
  /// The module variable of that name, or null.
  Variable* variable(const std::string& name);
};

/// Parse PTX text. Throws std::invalid_argument for text that is not PTX at all.
std::unique_ptr<Module> parse(const std::string& ptx);

/// Allocate and initialise the global and constant variables (device_memory.h). Runs once.
void place_variables(Module& module);

}  // namespace emulator
