// From statements to instructions: a selector per opcode chooses the handler and places operands.
#pragma once

#include <deque>
#include <initializer_list>
#include <string_view>

#include "machine.h"
#include "parse.h"

namespace emulator {

// clang-format off
enum class Type : u8 {
  kNone, kPred, kB8, kB16, kB32, kB64, kB128, kU8, kU16, kU32, kU64, kS8, kS16, kS32, kS64,
  kF16, kF16x2, kBf16, kBf16x2, kF32, kF64, kTf32, kU16x2, kS16x2,
};
// clang-format on

u32 type_bytes(Type type);  // 0 for kPred and kNone
bool is_signed(Type type);
bool is_float(Type type);
/// The type of a modifier such as "f16x2"; kNone if it names none.
Type type_of(std::string_view modifier);

class Decoder;

/// One statement on its way to an instruction: what a selector reads and asks.
class Selection {
 public:
  Selection(Decoder& decoder, const Statement& statement);

  std::string_view opcode() const { return statement_.opcode; }
  const Statement& statement() const { return statement_; }

  /// Consume a modifier wherever it stands; false if it is not there.
  bool take(std::string_view modifier);
  /// Consume the first of the given modifiers that is there; empty if none.
  std::string_view take_one(std::initializer_list<std::string_view> modifiers);
  /// Consume the first remaining modifier that names a type; kNone if there is none.
  Type take_type();
  /// Modifiers not consumed. A selector that leaves any makes the instruction unknown.
  const std::vector<std::string_view>& left() const { return left_; }

  size_t operands() const { return statement_.operands.size(); }
  /// Elements of a vector operand or of `p|q`; 1 for others.
  size_t elements(size_t operand) const;
  bool is_immediate(size_t operand) const;
  /// Value of an immediate; throws std::invalid_argument if it is none.
  u64 immediate(size_t operand) const;
  /// Declared bytes of a register operand; 0 for a predicate, an immediate or a sink.
  u32 width(size_t operand, size_t element = 0) const;

  /// Offset of a source row of `bytes` a lane. Immediates, symbols and special registers get rows.
  /// Throws std::invalid_argument if a register is of another width.
  u32 source(size_t operand, u32 bytes, size_t element = 0);
  /// The same by type: float immediates are converted to it.
  u32 source(size_t operand, Type type, size_t element = 0);
  /// Offset of a destination row; `_` gets a scratch row.
  u32 destination(size_t operand, u32 bytes, size_t element = 0);
  /// Offset of a predicate; `!%p` is computed into a scratch predicate by an extra instruction.
  u32 source_predicate(size_t operand, size_t element = 0);
  u32 destination_predicate(size_t operand, size_t element = 0);

  /// Base row of a memory operand; `address_width` says whether its lanes have 4 or 8 bytes.
  u32 address(size_t operand);
  u32 address_width(size_t operand) const;
  i64 addend(size_t operand) const;
  /// For an address that names a parameter of the kernel: its offset in the packed parameters.
  bool kernel_parameter(size_t operand, u32& offset) const;
  /// For an address or `call` list that names a .param variable of a function: its row of
  /// `parameter_bytes` a lane; `is_parameter` tells.
  bool is_parameter(size_t operand, size_t element = 0) const;
  u32 parameter(size_t operand, size_t element = 0);
  u32 parameter_bytes(size_t operand, size_t element = 0) const;

  /// Statement of a label, for Instruction::target; the decoder makes it a place in the code.
  u32 label(size_t operand);
  /// The same for the table of a brx.idx; `count` gets its length.
  const u32* labels(size_t operand, u32& count);
  /// Index into Program::entries of a function named by an operand; throws if it has no body.
  u32 entry(size_t operand);
  u32 entries() const;
  /// Rows of the arguments and of the results of a function of the program.
  std::vector<u32> argument_rows(u32 entry);
  std::vector<u32> return_rows(u32 entry);

  /// Keep a long operand list as long as the program lives.
  const u32* keep(std::vector<u32> list);
  /// Row of a special register by its PTX name, or one of the machine's own (specials.h).
  u32 special(std::string_view name, u32 bytes);
  /// A row of the program's own (scratch).
  u32 scratch(u32 bytes);

 private:
  friend class Decoder;
  const Operand& operand(size_t index, size_t element = 0) const;

  Decoder& decoder_;
  const Statement& statement_;
  std::vector<std::string_view> left_;
  bool branches_ = false;
};

/// Fill `out` (execute, operand, list, addend, data); return false if this form is not known.
/// May throw std::invalid_argument with a reason.
using Selector = bool (*)(Selection& selection, Instruction& out);

/// Register the selector of an opcode, once, from a file's `register_*` function below.
void register_opcode(const std::string& opcode, Selector selector);

// One function per file of handlers; decode.cpp calls them before the first decode.
void register_integer();
void register_bits();
void register_float();
void register_functions();  // of one float argument: ex2, sin, rcp, ...
void register_half();
void register_convert();
void register_compare();
void register_moves();
void register_memory();
void register_atomics();
void register_barriers();
void register_control();
void register_calls();
void register_warp();    // warp.cpp: shfl vote redux match activemask elect
void register_tensor();  // tensor.cpp: mma ldmatrix stmatrix movmatrix cp.async

/// A special register that is filled for each warp when its block starts.
struct SpecialRow {
  u32 id = 0;  // specials.h
  u32 offset = 0;
  u32 bytes = 4;
};

/// One row of the register file; 0 bytes a lane: a predicate.
struct Rows {
  u32 begin = 0, bytes = 0;
};

/// A function of a program: where it starts and which part of the register file is its own.
struct Entry {
  const Function* function = nullptr;
  u32 start = 0;           // index into code
  std::vector<Rows> rows;  // of its registers and parameters
  u32 local_bytes = 0;     // local memory of one frame
  u32 local_row = 0;       // row of 64-bit addresses of the frame's local memory
};

/// A kernel with the functions it calls, decoded.
struct Program {
  const Function* kernel = nullptr;
  Module* module = nullptr;
  std::vector<Instruction> code;
  std::vector<const Statement*> statements;  // of each instruction; null for those put in between
  std::deque<Origin> origins;
  std::deque<std::vector<u32>> lists;
  std::vector<std::byte> initial_registers;  // immediates in place, the rest poison
  std::vector<SpecialRow> specials;
  std::vector<Entry> entries;  // [0] is the kernel
  std::map<u64, u32> handles;  // function handle to entry, for indirect calls
  u32 static_shared = 0;
  u32 dynamic_start = 0;  // where dynamic shared memory begins
  u32 stack_bytes = 0;    // of local memory per thread
};

/// Decode a kernel of a module, with `mutant` applied when it names it. Throws Fault
/// (kInvalidPtx) with opcode and source line for anything unknown.
std::shared_ptr<Program> decode(Module& module, const std::string& kernel, const Mutant& mutant);

/// All mutants of a kernel; throws as decode does.
std::vector<Mutant> mutants(Module& module, const std::string& kernel);

/// Change a program as a mutant says; throws std::invalid_argument if it has no such place.
void apply_mutant(Program& program, const Mutant& mutant);

}  // namespace emulator
