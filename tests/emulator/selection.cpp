// What a selector reads of its statement, and the rows it asks for.
#include <cstring>
#include <stdexcept>

#include "decoder.h"
#include "half.h"
#include "lexer.h"

namespace emulator {
namespace {

struct TypeName {
  std::string_view name;
  Type type;
  u32 bytes;
};

constexpr TypeName kTypes[] = {
    {"pred", Type::kPred, 0},   {"b8", Type::kB8, 1},       {"b16", Type::kB16, 2},
    {"b32", Type::kB32, 4},     {"b64", Type::kB64, 8},     {"b128", Type::kB128, 16},
    {"u8", Type::kU8, 1},       {"u16", Type::kU16, 2},     {"u32", Type::kU32, 4},
    {"u64", Type::kU64, 8},     {"s8", Type::kS8, 1},       {"s16", Type::kS16, 2},
    {"s32", Type::kS32, 4},     {"s64", Type::kS64, 8},     {"f16", Type::kF16, 2},
    {"f16x2", Type::kF16x2, 4}, {"bf16", Type::kBf16, 2},   {"bf16x2", Type::kBf16x2, 4},
    {"f32", Type::kF32, 4},     {"f64", Type::kF64, 8},     {"tf32", Type::kTf32, 4},
    {"u16x2", Type::kU16x2, 4}, {"s16x2", Type::kS16x2, 4},
};

/// Bits of a float immediate in a float type; the name keeps the bits of `0f...` exactly.
u64 float_bits(const Operand& operand, Type type) {
  double value;
  std::memcpy(&value, &operand.bits, sizeof value);
  switch (type) {
    case Type::kF64:
    case Type::kB64:
      return operand.bits;
    case Type::kF16:
    case Type::kB16:
      return to_half(value);
    case Type::kBf16:
      return to_bfloat(value);
    default:
      break;
  }
  if (!operand.name.empty()) {
    return std::strtoull(std::string(operand.name.substr(2)).c_str(), nullptr, 16);
  }
  const float narrow = static_cast<float>(value);
  u32 bits;
  std::memcpy(&bits, &narrow, sizeof bits);
  return bits;
}

Type bits_type(u32 bytes) {
  if (bytes == 2) return Type::kB16;
  return bytes == 8 ? Type::kB64 : Type::kB32;
}

}  // namespace

u32 type_bytes(Type type) {
  for (const TypeName& entry : kTypes) {
    if (entry.type == type) return entry.bytes;
  }
  return 0;
}

bool is_signed(Type type) {
  return type == Type::kS8 || type == Type::kS16 || type == Type::kS32 || type == Type::kS64 ||
         type == Type::kS16x2;
}

bool is_float(Type type) { return type >= Type::kF16 && type <= Type::kTf32; }

Type type_of(std::string_view modifier) {
  for (const TypeName& entry : kTypes) {
    if (entry.name == modifier) return entry.type;
  }
  return Type::kNone;
}

Selection::Selection(Decoder& decoder, const Statement& statement)
    : decoder_(decoder), statement_(statement), left_(statement.modifiers) {}

bool Selection::take(std::string_view modifier) {
  for (size_t i = 0; i < left_.size(); ++i) {
    if (left_[i] != modifier) continue;
    left_.erase(left_.begin() + static_cast<std::ptrdiff_t>(i));
    return true;
  }
  return false;
}

std::string_view Selection::take_one(std::initializer_list<std::string_view> modifiers) {
  for (const std::string_view modifier : modifiers) {
    if (take(modifier)) return modifier;
  }
  return {};
}

Type Selection::take_type() {
  for (size_t i = 0; i < left_.size(); ++i) {
    const Type type = type_of(left_[i]);
    if (type == Type::kNone) continue;
    left_.erase(left_.begin() + static_cast<std::ptrdiff_t>(i));
    return type;
  }
  return Type::kNone;
}

const Operand& Selection::operand(size_t index, size_t element) const {
  if (index >= operands()) throw std::invalid_argument("an operand is missing");
  const Operand& operand = statement_.operands[index];
  if (operand.kind != Operand::kVector) {
    if (element) throw std::invalid_argument("a vector operand is missing");
    return operand;
  }
  if (element >= operand.elements.size()) throw std::invalid_argument("a vector is too short");
  return operand.elements[element];
}

size_t Selection::elements(size_t index) const {
  if (index >= operands()) throw std::invalid_argument("an operand is missing");
  const Operand& operand = statement_.operands[index];
  return operand.kind == Operand::kVector ? operand.elements.size() : 1;
}

bool Selection::is_immediate(size_t index) const {
  const Operand& it = operand(index);
  return it.kind == Operand::kInteger || it.kind == Operand::kFloat;
}

u64 Selection::immediate(size_t index) const {
  const Operand& it = operand(index);
  if (it.kind != Operand::kInteger) throw std::invalid_argument("an operand must be a constant");
  return it.bits;
}

u32 Selection::width(size_t index, size_t element) const {
  const Operand& it = operand(index, element);
  return it.kind == Operand::kRegister ? decoder_.register_bytes(it.reg) : 0;
}

u32 Selection::source(size_t index, u32 bytes, size_t element) {
  return source(index, bits_type(bytes), element);
}

u32 Selection::source(size_t index, Type type, size_t element) {
  const Operand& it = operand(index, element);
  const u32 bytes = type_bytes(type);
  switch (it.kind) {
    case Operand::kRegister:
      if (decoder_.register_bytes(it.reg) != bytes) {
        throw std::invalid_argument("operand " + std::string(it.name) + " has " +
                                    std::to_string(8 * decoder_.register_bytes(it.reg)) +
                                    " bits, not " + std::to_string(8 * bytes));
      }
      return decoder_.register_row(it.reg);
    case Operand::kInteger:
      return decoder_.constant_row(it.bits, bytes);
    case Operand::kFloat:
      return decoder_.constant_row(float_bits(it, type), bytes);
    case Operand::kSpecial:
      return decoder_.special_row(it.name, bytes);
    case Operand::kSymbol:
      return decoder_.symbol_row(it, bytes);
    default:
      throw std::invalid_argument("an operand is of the wrong kind");
  }
}

u32 Selection::destination(size_t index, u32 bytes, size_t element) {
  const Operand& it = operand(index, element);
  if (it.kind == Operand::kSink) return decoder_.scratch(bytes);
  if (it.kind != Operand::kRegister) throw std::invalid_argument("a destination is no register");
  return source(index, bytes, element);
}

u32 Selection::source_predicate(size_t index, size_t element) {
  const Operand& it = operand(index, element);
  if (it.kind == Operand::kInteger) return decoder_.constant_predicate(it.bits != 0);
  if (it.kind != Operand::kRegister || decoder_.register_bytes(it.reg) != 0) {
    throw std::invalid_argument("operand " + std::string(it.name) + " is no predicate");
  }
  const u32 row = decoder_.register_row(it.reg);
  return it.negated ? decoder_.negated(row) : row;
}

u32 Selection::destination_predicate(size_t index, size_t element) {
  const Operand& it = operand(index, element);
  if (it.kind == Operand::kSink) return decoder_.scratch(0);
  return source_predicate(index, element);
}

u32 Selection::address(size_t index) {
  const Operand& it = operand(index);
  if (it.kind != Operand::kMemory) throw std::invalid_argument("an address is missing");
  if (it.has_base) return decoder_.register_row(it.reg);
  if (it.name.empty()) return decoder_.constant_row(0, 8);
  Operand symbol = it;
  symbol.addend = 0;
  return decoder_.symbol_row(symbol, 8);
}

u32 Selection::address_width(size_t index) const {
  const Operand& it = operand(index);
  return it.has_base ? decoder_.register_bytes(it.reg) : 8;
}

i64 Selection::addend(size_t index) const { return operand(index).addend; }

bool Selection::kernel_parameter(size_t index, u32& offset) const {
  const Operand& it = operand(index);
  if (it.kind != Operand::kMemory || it.has_base || it.local) return false;
  for (const Parameter& parameter : decoder_.function()->parameters) {
    if (parameter.name != it.name) continue;
    offset = parameter.offset + static_cast<u32>(it.addend);
    return true;
  }
  return false;
}

bool Selection::is_parameter(size_t index, size_t element) const {
  const Operand& it = operand(index, element);
  return it.local && !it.has_base &&
         decoder_.function()->variables[it.local - 1].space == Space::kParam;
}

u32 Selection::parameter(size_t index, size_t element) {
  return decoder_.parameter_row(decoder_.function(), operand(index, element).local - 1);
}

u32 Selection::parameter_bytes(size_t index, size_t element) const {
  return decoder_.function()->variables[operand(index, element).local - 1].bytes;
}

u32 Selection::label(size_t index) {
  const Operand& it = operand(index);
  if (it.kind != Operand::kLabel) throw std::invalid_argument("a label is missing");
  branches_ = true;
  return it.reg;
}

const u32* Selection::labels(size_t index, u32& count) {
  const Operand& it = operand(index);
  if (it.kind != Operand::kLabel) throw std::invalid_argument("a label is missing");
  return decoder_.keep_labels(decoder_.function()->statements[it.reg], count);
}

u32 Selection::entry(size_t index) { return decoder_.entry_of(operand(index).name); }

u32 Selection::entries() const { return static_cast<u32>(decoder_.program().entries.size()); }

std::vector<u32> Selection::argument_rows(u32 entry) {
  const Function* function = decoder_.program().entries[entry].function;
  std::vector<u32> rows;
  for (const u32 variable : function->arguments) {
    rows.push_back(decoder_.parameter_row(function, variable));
  }
  return rows;
}

std::vector<u32> Selection::return_rows(u32 entry) {
  const Function* function = decoder_.program().entries[entry].function;
  std::vector<u32> rows;
  for (const u32 variable : function->returns) {
    rows.push_back(decoder_.parameter_row(function, variable));
  }
  return rows;
}

const u32* Selection::keep(std::vector<u32> list) { return decoder_.keep(std::move(list)); }

u32 Selection::special(std::string_view name, u32 bytes) {
  return decoder_.special_row(name, bytes);
}

u32 Selection::scratch(u32 bytes) { return decoder_.scratch(bytes); }

}  // namespace emulator
