#include <striate/core/error.h>
#include <striate/core/json.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <locale>
#include <sstream>
#include <string_view>

namespace striate {
namespace {

constexpr int kMaxDepth = 100;
constexpr const char* kKinds[] = {"nothing",  "a boolean", "an integer", "a number",
                                  "a string", "a list",    "an object"};

[[noreturn]] void wrong_kind(const char* wanted, size_t present) {
  throw Error(std::string("it must be ") + wanted, kKinds[present]);
}

/// Return the bytes of the UTF-8 sequence at `i`; 0 when it is malformed (RFC 3629, section 4).
size_t utf8_length(std::string_view text, size_t i) {
  auto byte = [&](size_t k) { return k < text.size() ? static_cast<uint8_t>(text[k]) : 0u; };
  auto tail = [&](size_t k) { return (byte(k) & 0xc0u) == 0x80u; };
  const unsigned first = byte(i), second = byte(i + 1);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return tail(i + 1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && second < 0xa0;
    const bool surrogate = first == 0xed && second >= 0xa0;
    return !overlong && !surrogate && tail(i + 1) && tail(i + 2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool outside = (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90);
    return !outside && tail(i + 1) && tail(i + 2) && tail(i + 3) ? 4 : 0;
  }
  return 0;
}

void append_utf8(std::string& text, uint32_t code) {
  auto put = [&](uint32_t byte) { text += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 63));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 63));
    put(0x80 | (code & 63));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 63));
    put(0x80 | (code >> 6 & 63));
    put(0x80 | (code & 63));
  }
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Json document() {
    Json json = value(0);
    skip_space();
    if (place_ != text_.size()) fail("nothing may follow the value");
    return json;
  }

 private:
  [[noreturn]] void fail(const std::string& rule) const {
    std::string found = "the end";
    if (place_ < text_.size()) {
      const auto byte = static_cast<uint8_t>(text_[place_]);
      found = byte >= 0x20 && byte < 0x7f ? "'" + std::string(1, text_[place_]) + "'"
                                          : "byte value " + std::to_string(byte);
    }
    throw FileError("malformed JSON: " + rule, found + " at byte " + std::to_string(place_));
  }

  bool take(char wanted) {
    if (place_ == text_.size() || text_[place_] != wanted) return false;
    ++place_;
    return true;
  }

  void skip_space() {
    while (take(' ') || take('\n') || take('\r') || take('\t')) {
    }
  }

  bool is_digit() const {
    return place_ < text_.size() && text_[place_] >= '0' && text_[place_] <= '9';
  }

  Json value(int depth) {
    if (depth > kMaxDepth) fail("at most " + std::to_string(kMaxDepth) + " levels may be nested");
    skip_space();
    if (take('{')) return object(depth);
    if (take('[')) return array(depth);
    if (take('"')) return string();
    if (is_digit() || (place_ < text_.size() && text_[place_] == '-')) return number();
    for (const auto& [word, json] : {std::pair("true", Json(true)), std::pair("false", Json(false)),
                                     std::pair("null", Json())})
      if (text_.substr(place_).starts_with(word)) {
        place_ += std::string_view(word).size();
        return json;
      }
    fail("a value is missing");
  }

  Json array(int depth) {
    Json::Array items;
    skip_space();
    if (take(']')) return items;
    do {
      items.push_back(value(depth + 1));
      skip_space();
    } while (take(','));
    if (!take(']')) fail("an array goes on with ',' or ends with ']'");
    return items;
  }

  Json object(int depth) {
    Json json = Json::object();
    skip_space();
    if (take('}')) return json;
    Json::Object members;
    do {
      skip_space();
      if (!take('"')) fail("a member of an object begins with its name in '\"'");
      std::string name = string();
      skip_space();
      if (!take(':')) fail("a ':' follows the name of a member");
      members.emplace_back(std::move(name), value(depth + 1));
      skip_space();
    } while (take(','));
    if (!take('}')) fail("an object goes on with ',' or ends with '}'");
    check_unique(members);
    return Json::object(std::move(members));
  }

  // Sorted, since an object of a hostile file may have a million members.
  void check_unique(const Json::Object& members) const {
    std::vector<std::string_view> names;
    names.reserve(members.size());
    for (const auto& member : members) names.push_back(member.first);
    std::sort(names.begin(), names.end());
    const auto twin = std::adjacent_find(names.begin(), names.end());
    if (twin != names.end()) fail("the member '" + std::string(*twin) + "' may appear only once");
  }

  std::string string() {
    std::string text;
    while (!take('"')) {
      if (place_ == text_.size()) fail("a string ends with '\"'");
      if (static_cast<uint8_t>(text_[place_]) < 0x20) fail("control characters must be escaped");
      if (take('\\')) {
        escape(text);
        continue;
      }
      const size_t length = utf8_length(text_, place_);
      if (length == 0) fail("text must be UTF-8");
      text += text_.substr(place_, length);
      place_ += length;
    }
    return text;
  }

  void escape(std::string& text) {
    constexpr std::string_view kLetters = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    if (take('u')) {
      uint32_t code = hex4();
      if (code >= 0xdc00 && code < 0xe000) fail("a low surrogate must follow a high one");
      if (code >= 0xd800 && code < 0xdc00) {
        const uint32_t low = take('\\') && take('u') ? hex4() : 0;
        if (low < 0xdc00 || low >= 0xe000) fail("a low surrogate must follow a high one");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
      }
      append_utf8(text, code);
      return;
    }
    const size_t letter = place_ < text_.size() ? kLetters.find(text_[place_]) : kLetters.npos;
    if (letter == kLetters.npos) fail("an escape is one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
    text += kMeanings[letter];
    ++place_;
  }

  uint32_t hex4() {
    uint32_t code = 0;
    for (int i = 0; i < 4; ++i, ++place_) {
      const char c = place_ < text_.size() ? text_[place_] : '\0';
      const int lower = c | 0x20;
      if (c >= '0' && c <= '9')
        code = code << 4 | static_cast<uint32_t>(c - '0');
      else if (lower >= 'a' && lower <= 'f')
        code = code << 4 | static_cast<uint32_t>(lower - 'a' + 10);
      else
        fail("\\u takes four hexadecimal digits");
    }
    return code;
  }

  void digits() {
    if (!is_digit()) fail("a digit is missing in a number");
    while (is_digit()) ++place_;
  }

  Json number() {
    const size_t first = place_;
    bool integer = true;
    take('-');
    if (!take('0')) digits();
    if (is_digit()) fail("a number has no leading zeros");
    if (take('.')) {
      integer = false;
      digits();
    }
    if (take('e') || take('E')) {
      integer = false;
      if (!take('+')) take('-');
      digits();
    }
    const char* begin = text_.data() + first;
    const char* end = text_.data() + place_;
    int64_t whole;
    if (integer && std::from_chars(begin, end, whole).ec == std::errc()) return whole;
    double real;
    if (std::from_chars(begin, end, real).ec == std::errc()) return real;
    // from_chars refuses what underflows as it does what overflows; a stream tells them apart.
    std::istringstream stream(std::string(begin, end));
    stream.imbue(std::locale::classic());
    if (stream >> real) return real;
    place_ = first;
    fail("a number must fit a float64");
  }

  std::string_view text_;
  size_t place_ = 0;
};

void write_string(std::string& out, const std::string& text) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const size_t length = utf8_length(text, i);
    if (length == 0) throw Error("JSON text must be UTF-8", "a bad byte at " + std::to_string(i));
    const char c = text[i];
    if (c == '"' || c == '\\')
      (out += '\\') += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (length == 1 && c < 0x20)
      ((out += "\\u00") += kHex[c >> 4]) += kHex[c & 15];
    else
      out.append(text, i, length);
    i += length;
  }
  out += '"';
}

void write_double(std::string& out, double value) {
  if (!std::isfinite(value))
    throw NumericsError("JSON has no NaN and no infinity", std::to_string(value));
  char text[40];
  const char* end = std::to_chars(text, text + sizeof text, value).ptr;
  const std::string_view shown(text, static_cast<size_t>(end - text));
  out += shown;
  // Keep it a double for whoever reads it back.
  if (shown.find_first_of(".e") == shown.npos) out += ".0";
}

class Writer {
 public:
  explicit Writer(int indent) : indent_(indent) {}

  std::string text(const Json& json) {
    write(json, 0);
    return std::move(out_);
  }

 private:
  void write(const Json& json, int depth) {
    if (depth > kMaxDepth)
      throw Error("JSON may be nested at most " + std::to_string(kMaxDepth) + " levels deep");
    if (json.is_array()) {
      write_list('[', ']', json.items(), depth, [&](const Json& item) { write(item, depth + 1); });
    } else if (json.is_object()) {
      write_list('{', '}', json.members(), depth, [&](const Json::Member& member) {
        write_string(out_, member.first);
        out_ += indent_ > 0 ? ": " : ":";
        write(member.second, depth + 1);
      });
    } else if (json.is_string()) {
      write_string(out_, json.as_string());
    } else if (json.is_integer()) {
      out_ += std::to_string(json.as_integer());
    } else if (json.is_number()) {
      write_double(out_, json.as_number());
    } else {
      out_ += json.is_null() ? "null" : json.as_bool() ? "true" : "false";
    }
  }

  template <class List, class Write>
  void write_list(char open, char close, const List& list, int depth, const Write& write_one) {
    out_ += open;
    bool first = true;
    for (const auto& one : list) {
      if (!first) out_ += ',';
      first = false;
      new_line(depth + 1);
      write_one(one);
    }
    if (!first) new_line(depth);
    out_ += close;
  }

  void new_line(int depth) {
    if (indent_ > 0) (out_ += '\n').append(static_cast<size_t>(indent_ * depth), ' ');
  }

  int indent_;
  std::string out_;
};

}  // namespace

bool Json::as_bool() const {
  if (!is_bool()) wrong_kind("a boolean", value_.index());
  return std::get<bool>(value_);
}

int64_t Json::as_integer() const {
  if (!is_integer()) wrong_kind("an integer", value_.index());
  return std::get<int64_t>(value_);
}

double Json::as_number() const {
  if (is_integer()) return static_cast<double>(std::get<int64_t>(value_));
  if (!is_number()) wrong_kind("a number", value_.index());
  return std::get<double>(value_);
}

const std::string& Json::as_string() const& {
  if (!is_string()) wrong_kind("a string", value_.index());
  return std::get<std::string>(value_);
}

const Json::Array& Json::items() const& {
  if (!is_array()) wrong_kind("a list", value_.index());
  return std::get<Array>(value_);
}

const Json::Object& Json::members() const& {
  if (!is_object()) wrong_kind("an object", value_.index());
  return std::get<Object>(value_);
}

const Json& Json::operator[](const std::string& name) const& {
  static const Json null;
  if (is_object())
    for (const Member& member : members())
      if (member.first == name) return member.second;
  return null;
}

bool Json::has(const std::string& name) const {
  if (!is_object()) return false;
  const Object& all = members();
  return std::any_of(all.begin(), all.end(), [&](const Member& m) { return m.first == name; });
}

Json& Json::set(const std::string& name, Json value) {
  if (is_null()) value_ = Object();
  if (!is_object()) wrong_kind("an object", value_.index());
  Object& all = std::get<Object>(value_);
  for (Member& member : all)
    if (member.first == name) {
      member.second = std::move(value);
      return *this;
    }
  all.emplace_back(name, std::move(value));
  return *this;
}

Json& Json::push(Json value) {
  if (is_null()) value_ = Array();
  if (!is_array()) wrong_kind("a list", value_.index());
  std::get<Array>(value_).push_back(std::move(value));
  return *this;
}

Json Json::parse(const std::string& text) { return Parser(text).document(); }

std::string Json::dump(int indent) const { return Writer(indent).text(*this); }

}  // namespace striate
