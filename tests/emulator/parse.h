// PTX text as a tree: module, variables, functions, statements. An instruction that nobody knows is
// kept as text; only a launch that needs it fails.
#pragma once

#include <string_view>

#include "machine.h"

namespace emulator {

struct Variable {
  std::string name;
  Space space = Space::kGlobal;  // kGlobal, kConst, kShared, kLocal, kParam
  u32 align = 1;
  u32 bytes = 0;
  bool dynamic = false;  // `extern .shared x[]`: starts after all static shared memory
  bool managed = false;
  bool defined = true;                                // false: `.extern` in another module
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

struct Operand {
  enum Kind { kRegister, kSpecial, kInteger, kFloat, kSymbol, kLabel, kMemory, kVector, kSink };
  Kind kind = kRegister;
  bool has_base = false;  // kMemory: the base is a register, else `name` or a plain number
  bool negated = false;   // !%p
  u32 reg = 0;            // kRegister, kMemory: index into Function::registers; kLabel: statement
  u32 local = 0;          // kSymbol, kMemory: 1 + index into Function::variables; 0: module level
  std::string_view name;  // kSpecial, kSymbol, kLabel, kMemory with a symbol
  i64 addend = 0;         // kMemory, kSymbol
  u64 bits = 0;           // kInteger; kFloat: bits of a double
  std::vector<Operand> elements;  // kVector: `{..}`, `p|q`, `(..)`
};

struct Statement {
  std::string_view opcode;                  // "add"
  std::vector<std::string_view> modifiers;  // "rn", "ftz", "f32"; "L1::no_allocate" is one
  std::vector<Operand> operands;
  bool has_guard = false;
  bool guard_negated = false;
  u32 guard = 0;           // index into Function::registers
  u32 file = 0, line = 0;  // `.loc`
  u32 ptx_line = 0;
  u32 scope = 0;
  std::string_view text;
  std::string trouble;  // why it could not be parsed; fails at launch
};

struct Function {
  std::string name;
  bool kernel = false;
  bool defined = false;               // false: only declared
  std::vector<Parameter> parameters;  // of a kernel
  u32 parameter_bytes = 0;
  std::vector<u32> arguments, returns;  // of a device function: indices into `variables`
  u32 max_threads = 0;                  // .maxntid product; 0 if not written
  u32 min_blocks = 0;
  std::array<u32, 3> required_threads{};  // .reqntid

  // The rest is there once the body has been parsed: Module::body.
  bool parsed = false;
  std::string_view body;
  u32 body_line = 0;
  std::vector<Variable> variables;  // .local, .shared, .param of the function
  std::vector<u8> registers;        // bytes per lane by register index; 0 for predicates
  std::vector<Statement> statements;
  u32 static_shared = 0;  // kernels: bytes, with all it calls
};

struct Module {
  std::string text;
  std::string version;               // "9.0"
  u32 target = 0;                    // 80 of sm_80
  std::map<u32, std::string> files;  // .file
  std::vector<Variable> variables;   // module level
  std::map<std::string, Function, std::less<>> functions;
  std::map<std::string, std::shared_ptr<Program>> programs;  // decoded kernels, by name
  bool placed = false;

  /// The kernel of that name with its body parsed, or null.
  const Function* kernel(std::string_view name);
  /// The function of that name with its body parsed if it has one, or null.
  Function* function(std::string_view name);
  /// The module variable of that name, or null.
  Variable* variable(std::string_view name);
};

/// Parse PTX text: module level at once, bodies when asked for. Throws std::invalid_argument for
/// text that is not PTX at all.
std::unique_ptr<Module> parse(std::string ptx);

/// Parse the body of one function (parse_body.cpp).
void parse_body(Module& module, Function& function);

/// Value that stands for the address of a device function: kFunctionHandle + its place in
/// Module::functions.
constexpr u64 kFunctionHandle = 0x00f0'0000'0000'0000;

/// Address of a placed module variable, or the handle of a function; 0 if there is none.
u64 symbol_address(Module& module, std::string_view symbol);

/// Allocate and initialise the global and constant variables (device_memory.h). Runs once.
void place_variables(Module& module);

}  // namespace emulator
