#include "lexer.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

namespace emulator {
namespace {

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%' ||
         c == '.';
}

}  // namespace

Lexer::Lexer(std::string_view text, u32 first_line) : text_(text), line_(first_line) { advance(); }

void Lexer::skip_blank() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '\n') ++line_;
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\0') {
      ++at_;
    } else if (text_.compare(at_, 2, "//") == 0) {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (text_.compare(at_, 2, "/*") == 0) {
      const size_t end = std::min(text_.find("*/", at_ + 2), text_.size() - 2);
      for (; at_ < end + 2; ++at_) line_ += text_[at_] == '\n';
    } else {
      return;
    }
  }
}

void Lexer::advance() {
  last_end_ = at_;
  skip_blank();
  start_ = at_;
  token_ = {Token::kEnd, {}, line_};
  if (at_ >= text_.size()) return;
  const char c = text_[at_];
  if (c == '"') {
    at_ = std::min(text_.find('"', at_ + 1), text_.size() - 1) + 1;
    token_ = {Token::kString, text_.substr(start_ + 1, at_ - start_ - 2), line_};
    return;
  }
  if (!in_word(c)) {
    token_ = {Token::kMark, text_.substr(at_++, 1), line_};
    return;
  }
  const bool digit = std::isdigit(static_cast<unsigned char>(c));
  while (at_ < text_.size()) {
    const char d = text_[at_];
    const bool scope = !digit && text_.compare(at_, 2, "::") == 0;
    const bool exponent = digit && (d == '+' || d == '-') &&
                          (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E') &&
                          text_.compare(start_, 2, "0x") != 0 &&
                          text_.substr(start_, at_ - start_).find('.') != std::string_view::npos;
    if (scope) {
      at_ += 2;
    } else if (in_word(d) || exponent) {
      ++at_;
    } else {
      break;
    }
  }
  token_ = {digit ? Token::kNumber : Token::kWord, text_.substr(start_, at_ - start_), line_};
}

Token Lexer::next() {
  const Token token = token_;
  advance();
  return token;
}

bool Lexer::accept(char mark) {
  if (!token_.is(mark)) return false;
  advance();
  return true;
}

void Lexer::expect(char mark) {
  if (accept(mark)) return;
  throw std::invalid_argument("expected '" + std::string(1, mark) + "' before '" +
                              std::string(token_.text) + "'");
}

std::string_view Lexer::rest_of_line() {
  at_ = last_end_;
  // The line count may have run ahead with the token that was read in advance.
  line_ -= static_cast<u32>(std::count(text_.begin() + last_end_, text_.begin() + start_, '\n'));
  const size_t end = std::min(text_.find('\n', at_), text_.size());
  const std::string_view rest = text_.substr(at_, end - at_);
  at_ = end;
  advance();
  return rest;
}

std::string_view Lexer::skip_braces() {
  const size_t from = at_;
  size_t depth = 1;
  while (at_ < text_.size()) {
    skip_blank();
    if (at_ >= text_.size()) break;
    const char c = text_[at_];
    if (c == '"') at_ = std::min(text_.find('"', at_ + 1), text_.size() - 1);
    if (c == '{') ++depth;
    if (c == '}' && --depth == 0) {
      const std::string_view inside = text_.substr(from, at_ - from);
      ++at_;
      advance();
      return inside;
    }
    ++at_;
  }
  throw std::invalid_argument("a brace is not closed");
}

void Lexer::skip_past(char mark) {
  while (token_.kind != Token::kEnd) {
    if (token_.is('{') && mark != '{') {
      skip_braces();
      continue;
    }
    if (next().is(mark)) return;
  }
}

u64 integer_value(std::string_view text) {
  while (!text.empty() && (text.back() == 'U' || text.back() == 'u')) text.remove_suffix(1);
  const std::string digits(text);
  char* end = nullptr;
  u64 value = 0;
  if (digits.size() > 2 && (digits.compare(0, 2, "0b") == 0 || digits.compare(0, 2, "0B") == 0)) {
    value = std::strtoull(digits.c_str() + 2, &end, 2);
  } else {
    value = std::strtoull(digits.c_str(), &end, 0);
  }
  if (digits.empty() || *end) throw std::invalid_argument("not an integer: " + digits);
  return value;
}

bool is_float_text(std::string_view text) {
  if (text.size() > 2 && text[0] == '0') {
    const char c = static_cast<char>(std::tolower(text[1]));
    if (c == 'x' || c == 'b') return false;
    if (c == 'f' || c == 'd') return true;
  }
  return text.find_first_of(".eE") != std::string_view::npos;
}

double float_value(std::string_view text) {
  const std::string digits(text);
  if (digits.size() > 2 && digits[0] == '0' && std::tolower(digits[1]) == 'f') {
    const u32 bits = static_cast<u32>(std::strtoull(digits.c_str() + 2, nullptr, 16));
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  if (digits.size() > 2 && digits[0] == '0' && std::tolower(digits[1]) == 'd') {
    const u64 bits = std::strtoull(digits.c_str() + 2, nullptr, 16);
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
  return std::strtod(digits.c_str(), nullptr);
}

}  // namespace emulator
