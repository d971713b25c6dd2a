// Tokens of PTX text.
#pragma once

#include <string_view>

#include "machine.h"

namespace emulator {

struct Token {
  enum Kind { kEnd, kWord, kNumber, kString, kMark };  // kMark: one character of punctuation
  Kind kind = kEnd;
  std::string_view text;
  u32 line = 0;
  bool is(char mark) const { return kind == kMark && text[0] == mark; }
  bool is(std::string_view word) const { return kind == kWord && text == word; }
};

/// Reads tokens one ahead. Words hold letters, digits and `_ $ % .`, and `::` between letters, so
/// that `ld.global.L1::no_allocate` is one word and the colon of a label stands alone.
class Lexer {
 public:
  Lexer(std::string_view text, u32 first_line);

  const Token& peek() const { return token_; }
  Token next();
  /// Consume the mark if it is next.
  bool accept(char mark);
  /// Consume the mark or throw std::invalid_argument.
  void expect(char mark);
  /// The rest of the line in which the last token stands; the next token is on a later line.
  std::string_view rest_of_line();
  /// With `{` next: consume to the brace that closes it and return what is between.
  std::string_view skip_braces();
  /// Consume up to and with the next mark outside nested braces.
  void skip_past(char mark);
  /// Where the next token starts.
  size_t position() const { return start_; }
  std::string_view between(size_t from, size_t to) const { return text_.substr(from, to - from); }

 private:
  void advance();
  void skip_blank();

  std::string_view text_;
  size_t at_ = 0;     // after the token
  size_t start_ = 0;  // of the token
  size_t last_end_ = 0;
  u32 line_;
  Token token_;
};

/// Value of an integer token, or of `-` and a token; throws std::invalid_argument.
u64 integer_value(std::string_view text);
/// True for 0f.., 0d.. and decimals with a point or an exponent.
bool is_float_text(std::string_view text);
/// Value of a float token.
double float_value(std::string_view text);

}  // namespace emulator
