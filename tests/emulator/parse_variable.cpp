#include "parse_variable.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace emulator {
namespace {

Space space_of(std::string_view word) {
  if (word == ".global") return Space::kGlobal;
  if (word == ".const") return Space::kConst;
  if (word == ".shared") return Space::kShared;
  if (word == ".local") return Space::kLocal;
  return Space::kParam;
}

/// Reads the values of an initialiser into bytes.
class Initialiser {
 public:
  Initialiser(Lexer& lexer, Variable& variable, std::string_view type)
      : lexer_(lexer), variable_(variable), type_(type), bytes_(type_word_bytes(type)) {}

  void read() {
    if (lexer_.accept('{')) {
      while (!lexer_.accept('}')) {
        read();
        lexer_.accept(',');
      }
      return;
    }
    value();
  }

 private:
  void value() {
    const bool negative = lexer_.accept('-');
    const Token token = lexer_.next();
    if (token.kind == Token::kNumber && lexer_.peek().is('(')) {
      // 0xFF(symbol): one byte of an address. Only the first byte of each address starts a pointer.
      lexer_.next();
      const Token name = lexer_.next();
      const u64 added = addend();
      symbol(name, integer_value(token.text) == 0xff, added);
      lexer_.expect(')');
    } else if (token.kind == Token::kNumber && is_float_text(token.text)) {
      number(negative ? -float_value(token.text) : float_value(token.text));
    } else if (token.kind == Token::kNumber) {
      const u64 bits = integer_value(token.text);
      if (type_ == ".f32" || type_ == ".f64") {
        number(negative ? -static_cast<double>(bits) : static_cast<double>(bits));
      } else {
        append(negative ? ~bits + 1 : bits);
      }
    } else if (token.is("generic")) {
      lexer_.expect('(');
      const Token name = lexer_.next();
      const u64 inside = addend();
      lexer_.expect(')');
      symbol(name, true, inside + addend());
    } else {
      symbol(token, true, addend());
    }
  }

  u64 addend() {
    if (lexer_.accept('+')) return integer_value(lexer_.next().text);
    return lexer_.accept('-') ? ~integer_value(lexer_.next().text) + 1 : 0;
  }

  void symbol(const Token& name, bool first, u64 addend) {
    if (first) variable_.pointers.emplace_back(variable_.initial.size(), std::string(name.text));
    append(addend);
  }

  void number(double value) {
    u64 bits = 0;
    if (bytes_ == 4) {
      const float narrow = static_cast<float>(value);
      std::memcpy(&bits, &narrow, sizeof narrow);
    } else {
      std::memcpy(&bits, &value, sizeof value);
    }
    append(bits);
  }

  void append(u64 bits) {
    for (u32 i = 0; i < bytes_; ++i) variable_.initial.push_back(static_cast<u8>(bits >> (8 * i)));
  }

  Lexer& lexer_;
  Variable& variable_;
  std::string_view type_;
  u32 bytes_;
};

/// What stands before the names of a declaration.
struct Prefix {
  Variable variable;
  std::string_view type = ".b8";
  u32 element = 1;
};

Prefix parse_prefix(Lexer& lexer, bool external) {
  Prefix prefix;
  u32 align = 0, vector = 1;
  prefix.variable.space = space_of(lexer.next().text);
  prefix.variable.defined = !external;
  while (lexer.peek().kind == Token::kWord && lexer.peek().text[0] == '.') {
    const std::string_view word = lexer.next().text;
    if (word == ".align") {
      align = static_cast<u32>(integer_value(lexer.next().text));
    } else if (word == ".v2" || word == ".v4") {
      vector = word == ".v2" ? 2 : 4;
    } else if (word == ".attribute") {
      lexer.expect('(');
      while (!lexer.accept(')')) prefix.variable.managed |= lexer.next().is(".managed");
    } else if (is_type_word(word)) {
      prefix.type = word;
      prefix.element = type_word_bytes(word);
    } else if (word == ".ptr") {
      // `.ptr .global .align 16` speaks of what the parameter points to.
      while (lexer.peek().is(".global") || lexer.peek().is(".shared") ||
             lexer.peek().is(".const") || lexer.peek().is(".local")) {
        lexer.next();
      }
      if (lexer.peek().is(".align")) {
        lexer.next();
        lexer.next();
      }
    }
  }
  prefix.element *= vector;
  prefix.variable.align = std::max({align, prefix.element, 1u});
  return prefix;
}

void parse_declarator(Lexer& lexer, const Prefix& prefix, bool external,
                      std::vector<Variable>& out) {
  Variable variable = prefix.variable;
  const Token name = lexer.next();
  if (name.kind != Token::kWord) {
    throw std::invalid_argument("PTX line " + std::to_string(name.line) + ": a name is missing");
  }
  variable.name = name.text;
  u64 count = 1;
  bool open = false;
  while (lexer.accept('[')) {
    if (lexer.accept(']')) {
      open = true;
      continue;
    }
    count *= integer_value(lexer.next().text);
    lexer.expect(']');
  }
  variable.bytes = static_cast<u32>(open ? 0 : count * prefix.element);
  variable.dynamic = open && external && variable.space == Space::kShared;
  if (lexer.accept('=')) {
    Initialiser(lexer, variable, prefix.type).read();
    if (open) variable.bytes = static_cast<u32>(variable.initial.size());
  }
  out.push_back(std::move(variable));
}

}  // namespace

bool is_variable_space(std::string_view word) {
  return word == ".global" || word == ".const" || word == ".shared" || word == ".local" ||
         word == ".param";
}

bool is_type_word(std::string_view word) {
  if (word.size() < 3 || word[0] != '.') return false;
  const char c = word[1];
  if (word == ".pred" || word.substr(0, 5) == ".bf16" || word == ".tf32") return true;
  if (c != 'b' && c != 'u' && c != 's' && c != 'f') return false;
  return word[2] >= '1' && word[2] <= '9';
}

u32 type_word_bytes(std::string_view word) {
  if (word == ".pred") return 0;
  if (word == ".f16x2" || word == ".bf16x2" || word == ".tf32") return 4;
  if (word == ".bf16") return 2;
  if (!is_type_word(word)) {
    throw std::invalid_argument("'" + std::string(word) + "' is not a type");
  }
  return static_cast<u32>(integer_value(word.substr(2))) / 8;
}

void parse_variable(Lexer& lexer, bool external, std::vector<Variable>& out) {
  parse_declarator(lexer, parse_prefix(lexer, external), external, out);
}

void parse_variables(Lexer& lexer, bool external, std::vector<Variable>& out) {
  const Prefix prefix = parse_prefix(lexer, external);
  do {
    parse_declarator(lexer, prefix, external, out);
  } while (lexer.accept(','));
  lexer.expect(';');
}

}  // namespace emulator
