// Bodies of functions: registers, variables and labels by scope, statements.
#include <algorithm>
#include <cctype>
#include <cstring>
#include <stdexcept>

#include "lexer.h"
#include "parse.h"
#include "parse_variable.h"

namespace emulator {
namespace {

/// `%r<100>`: registers %r0 to %r99.
struct RegisterRange {
  std::string_view prefix;
  u32 count = 0;
  u32 first = 0;
};

struct Scope {
  u32 parent = 0;
  std::vector<RegisterRange> ranges;
  std::map<std::string_view, u32> names;              // single registers
  std::map<std::string, u32, std::less<>> variables;  // 1 + index into Function::variables
  std::map<std::string_view, u32> labels;             // statement index
};

/// File, line and column of a `.loc`.
using Place = std::array<u32, 3>;

/// Parses one body. Scope 0 is the function's own; inner scopes may declare names again.
class BodyParser {
 public:
  BodyParser(Function& function) : function_(function), lexer_(function.body, function.body_line) {
    scopes_.emplace_back();
    for (size_t i = 0; i < function.variables.size(); ++i) {
      scopes_[0].variables[function.variables[i].name] = static_cast<u32>(i) + 1;
    }
  }

  void run() {
    while (lexer_.peek().kind != Token::kEnd) item();
    for (Statement& statement : function_.statements) {
      for (Operand& operand : statement.operands) resolve_label(operand, statement.scope);
    }
  }

 private:
  void item() {
    const Token token = lexer_.peek();
    if (lexer_.accept('{')) {
      scopes_.emplace_back();
      scopes_.back().parent = scope_;
      scope_ = static_cast<u32>(scopes_.size()) - 1;
    } else if (lexer_.accept('}')) {
      scope_ = scopes_[scope_].parent;
    } else if (lexer_.accept(';')) {
      return;
    } else if (token.is(".loc")) {
      location();
    } else if (token.is(".reg")) {
      registers();
    } else if (token.is(".pragma")) {
      lexer_.skip_past(';');
    } else if (is_variable_space(token.text)) {
      variables();
    } else if (token.kind == Token::kWord && token.text[0] == '.') {
      lexer_.skip_past(';');
    } else {
      statement();
    }
  }

  /// Of inlined code take the innermost place in the file of the kernel itself: a line of a header
  /// says little.
  void location() {
    lexer_.next();
    const std::string rest(lexer_.rest_of_line());
    const Place place = read_place(rest.c_str());
    const size_t inlined = rest.find("inlined_at ");
    if (inlined == std::string::npos)
      callers_.erase(place);
    else
      callers_[place] = read_place(rest.c_str() + inlined + 11);
    std::vector<Place> chain = {place};
    for (auto caller = callers_.find(place); caller != callers_.end() && chain.size() < 64;
         caller = callers_.find(chain.back()))
      chain.push_back(caller->second);
    const auto shown = std::find_if(chain.begin(), chain.end(),
                                    [&](const Place& at) { return at[0] == chain.back()[0]; });
    file_ = (*shown)[0];
    line_ = (*shown)[1];
  }

  static Place read_place(const char* text) {
    Place place;
    char* end = nullptr;
    for (u32& number : place) {
      number = static_cast<u32>(std::strtoul(text, &end, 10));
      text = end;
    }
    return place;
  }

  void registers() {
    lexer_.next();
    u32 bytes = 0;
    u32 vector = 1;
    while (lexer_.peek().text[0] == '.') {
      const std::string_view word = lexer_.next().text;
      if (word == ".v2" || word == ".v4")
        vector = word == ".v2" ? 2 : 4;
      else
        bytes = type_word_bytes(word);
    }
    if (vector != 1) throw std::invalid_argument("vector registers are not supported");
    if (bytes == 1) bytes = 2;
    do {
      const std::string_view name = lexer_.next().text;
      u32 count = 1;
      const u32 first = static_cast<u32>(function_.registers.size());
      if (lexer_.accept('<')) {
        count = static_cast<u32>(integer_value(lexer_.next().text));
        lexer_.expect('>');
        scopes_[scope_].ranges.push_back({name, count, first});
      } else {
        scopes_[scope_].names[name] = first;
      }
      function_.registers.resize(first + count, static_cast<u8>(bytes));
    } while (lexer_.accept(','));
    lexer_.expect(';');
  }

  void variables() {
    const size_t first = function_.variables.size();
    parse_variables(lexer_, false, function_.variables);
    for (size_t i = first; i < function_.variables.size(); ++i) {
      Variable& variable = function_.variables[i];
      scopes_[scope_].variables[variable.name] = static_cast<u32>(i) + 1;
    }
  }

  void statement() {
    Statement statement;
    statement.file = file_;
    statement.line = line_;
    statement.ptx_line = lexer_.peek().line;
    statement.scope = scope_;
    const size_t from = lexer_.position();
    try {
      if (lexer_.accept('@')) guard(statement);
      const Token word = lexer_.next();
      if (word.kind != Token::kWord) {
        throw std::invalid_argument("'" + std::string(word.text) + "' where an opcode should be");
      }
      if (!statement.has_guard && lexer_.peek().is(':')) {
        label(word.text);
        return;
      }
      opcode(statement, word.text);
      operands(statement);
      statement.text = lexer_.between(from, lexer_.position());
      lexer_.expect(';');
    } catch (const std::invalid_argument& error) {
      statement.trouble = error.what();
      const size_t to = lexer_.position();
      lexer_.skip_past(';');
      statement.text = lexer_.between(from, std::max(to, lexer_.position()));
    }
    while (!statement.text.empty() &&
           (std::isspace(statement.text.back()) || statement.text.back() == ';')) {
      statement.text.remove_suffix(1);
    }
    if (const size_t at = statement.text.find("\n\t.loc"); at != std::string_view::npos) {
      statement.text = statement.text.substr(0, at);
    }
    function_.statements.push_back(std::move(statement));
  }

  void guard(Statement& statement) {
    statement.has_guard = true;
    statement.guard_negated = lexer_.accept('!');
    const Token name = lexer_.next();
    if (!find_register(name.text, statement.guard)) {
      throw std::invalid_argument("guard " + std::string(name.text) + " is not declared");
    }
  }

  void label(std::string_view name) {
    lexer_.expect(':');
    if (lexer_.peek().is(".branchtargets")) {
      lexer_.next();
      std::vector<std::string_view> names;
      do {
        names.push_back(lexer_.next().text);
      } while (lexer_.accept(','));
      lexer_.expect(';');
      // Targets are resolved with all labels known: keep them as the operands of a statement.
      Statement table;
      table.opcode = ".branchtargets";
      table.scope = scope_;
      Operand operand;
      operand.kind = Operand::kSymbol;
      for (const std::string_view target : names) {
        operand.name = target;
        table.operands.push_back(operand);
      }
      table.text = name;
      scopes_[scope_].labels[name] = static_cast<u32>(function_.statements.size());
      function_.statements.push_back(std::move(table));
    } else if (lexer_.peek().is(".callprototype") || lexer_.peek().is(".calltargets")) {
      lexer_.skip_past(';');
    } else {
      scopes_[scope_].labels[name] = static_cast<u32>(function_.statements.size());
    }
  }

  static void opcode(Statement& statement, std::string_view word) {
    size_t at = std::min(word.find('.'), word.size());
    statement.opcode = word.substr(0, at);
    while (at < word.size()) {
      const size_t end = std::min(word.find('.', at + 1), word.size());
      statement.modifiers.push_back(word.substr(at + 1, end - at - 1));
      at = end;
    }
  }

  void operands(Statement& statement) {
    if (lexer_.peek().is(';')) return;
    do {
      Operand operand = one_operand();
      if (lexer_.accept('|')) {
        Operand pair;
        pair.kind = Operand::kVector;
        pair.elements = {operand, one_operand()};
        operand = pair;
      }
      statement.operands.push_back(std::move(operand));
    } while (lexer_.accept(','));
  }

  Operand one_operand() {
    if (lexer_.accept('{')) return vector('}');
    if (lexer_.accept('(')) return vector(')');
    if (lexer_.accept('[')) return memory();
    Operand operand;
    if (lexer_.accept('!')) {
      operand = one_operand();
      operand.negated = true;
      return operand;
    }
    if (lexer_.peek().is('-') || lexer_.peek().kind == Token::kNumber) return number();
    const Token word = lexer_.next();
    if (word.kind != Token::kWord) {
      throw std::invalid_argument("'" + std::string(word.text) + "' is no operand");
    }
    named(operand, word.text);
    if (operand.kind == Operand::kSymbol && (lexer_.peek().is('+') || lexer_.peek().is('-'))) {
      operand.addend = addend();
    }
    return operand;
  }

  void named(Operand& operand, std::string_view name) {
    operand.name = name;
    if (name == "_") {
      operand.kind = Operand::kSink;
    } else if (name == "WARP_SZ") {
      operand.kind = Operand::kInteger;
      operand.bits = kLanes;
    } else if (find_register(name, operand.reg)) {
      operand.kind = Operand::kRegister;
    } else if (name[0] == '%' && !find_variable(name)) {
      operand.kind = Operand::kSpecial;
    } else {
      operand.kind = Operand::kSymbol;
      operand.local = find_variable(name);
    }
  }

  Operand vector(char end) {
    Operand operand;
    operand.kind = Operand::kVector;
    while (!lexer_.accept(end)) {
      operand.elements.push_back(one_operand());
      if (!lexer_.accept(',') && !lexer_.peek().is(end)) lexer_.expect(',');
    }
    return operand;
  }

  Operand memory() {
    Operand operand;
    if (lexer_.peek().kind == Token::kWord) {
      named(operand, lexer_.next().text);
      operand.has_base = operand.kind == Operand::kRegister;
      if (!operand.has_base && operand.kind != Operand::kSymbol) {
        throw std::invalid_argument(std::string(operand.name) + " is no address");
      }
    } else {
      operand.addend = static_cast<i64>(integer_value(lexer_.next().text));
    }
    operand.kind = Operand::kMemory;
    while (lexer_.peek().is('+') || lexer_.peek().is('-')) operand.addend += addend();
    lexer_.expect(']');
    return operand;
  }

  i64 addend() {
    bool negative = lexer_.next().is('-');
    if (lexer_.accept('-')) negative = !negative;
    const i64 value = static_cast<i64>(integer_value(lexer_.next().text));
    return negative ? -value : value;
  }

  Operand number() {
    Operand operand;
    const bool negative = lexer_.accept('-');
    const Token token = lexer_.next();
    if (is_float_text(token.text)) {
      operand.kind = Operand::kFloat;
      const double value = float_value(token.text);
      const double result = negative ? -value : value;
      std::memcpy(&operand.bits, &result, sizeof result);
      // A float written by its bits keeps them: a trip through double would quiet a NaN.
      if (token.text.size() > 2 && (token.text[1] == 'f' || token.text[1] == 'F')) {
        operand.name = token.text;
      }
    } else {
      operand.kind = Operand::kInteger;
      operand.bits = integer_value(token.text);
      if (negative) operand.bits = ~operand.bits + 1;
    }
    return operand;
  }

  bool find_register(std::string_view name, u32& index) const {
    size_t digits = name.size();
    while (digits > 0 && std::isdigit(static_cast<unsigned char>(name[digits - 1]))) --digits;
    u32 number = 0;
    for (size_t i = digits; i < name.size(); ++i) number = number * 10 + (name[i] - '0');
    for (u32 scope = scope_;; scope = scopes_[scope].parent) {
      const Scope& here = scopes_[scope];
      if (const auto found = here.names.find(name); found != here.names.end()) {
        index = found->second;
        return true;
      }
      for (const RegisterRange& range : here.ranges) {
        if (digits == name.size() || range.count <= number) continue;
        if (range.prefix != name.substr(0, digits)) continue;
        index = range.first + number;
        return true;
      }
      if (scope == 0) return false;
    }
  }

  u32 find_variable(std::string_view name) const {
    for (u32 scope = scope_;; scope = scopes_[scope].parent) {
      const auto found = scopes_[scope].variables.find(name);
      if (found != scopes_[scope].variables.end()) return found->second;
      if (scope == 0) return 0;
    }
  }

  void resolve_label(Operand& operand, u32 scope) const {
    for (Operand& element : operand.elements) resolve_label(element, scope);
    if (operand.kind != Operand::kSymbol || operand.local) return;
    for (;; scope = scopes_[scope].parent) {
      const auto found = scopes_[scope].labels.find(operand.name);
      if (found != scopes_[scope].labels.end()) {
        operand.kind = Operand::kLabel;
        operand.reg = found->second;
        return;
      }
      if (scope == 0) return;
    }
  }

  Function& function_;
  Lexer lexer_;
  std::vector<Scope> scopes_;
  u32 scope_ = 0;
  std::map<Place, Place> callers_;  // of inlined code
  u32 file_ = 0, line_ = 0;
};

}  // namespace

void parse_body(Module&, Function& function) {
  function.parsed = true;
  try {
    BodyParser(function).run();
  } catch (const std::invalid_argument& error) {
    // Whoever launches it learns of it.
    Statement statement;
    statement.ptx_line = function.body_line;
    statement.text = function.name;
    statement.trouble = error.what();
    function.statements.push_back(statement);
  }
}

}  // namespace emulator
