// JSON values: options, model files and reports travel in them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace striate {

/// A JSON value. Objects keep the order of their members; numbers keep whether they are integers.
class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;                                            // null
  Json(std::nullptr_t) {}                                      // NOLINT
  Json(bool value) : value_(value) {}                          // NOLINT
  Json(int value) : value_(int64_t{value}) {}                  // NOLINT
  Json(int64_t value) : value_(value) {}                       // NOLINT
  Json(size_t value) : value_(static_cast<int64_t>(value)) {}  // NOLINT
  Json(double value) : value_(value) {}                        // NOLINT
  Json(const char* value) : value_(std::string(value)) {}      // NOLINT
  Json(std::string value) : value_(std::move(value)) {}        // NOLINT
  Json(Array value) : value_(std::move(value)) {}              // NOLINT
  static Json object(std::initializer_list<Member> members = {}) {
    Json json;
    json.value_ = Object(members);
    return json;
  }
  static Json object(Object members) {
    Json json;
    json.value_ = std::move(members);
    return json;
  }
  static Json array() { return Json(Array()); }

  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  bool is_bool() const { return std::holds_alternative<bool>(value_); }
  bool is_integer() const { return std::holds_alternative<int64_t>(value_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(value_); }
  bool is_string() const { return std::holds_alternative<std::string>(value_); }
  bool is_array() const { return std::holds_alternative<Array>(value_); }
  bool is_object() const { return std::holds_alternative<Object>(value_); }

  /// Return the value. Each throws Error that names the wanted and the present kind.
  bool as_bool() const;
  int64_t as_integer() const;
  double as_number() const;
  const std::string& as_string() const&;
  const Array& items() const&;
  const Object& members() const&;
  // Of a temporary they return copies, so that a loop over `parse(text).items()` is sound.
  std::string as_string() && { return std::as_const(*this).as_string(); }
  Array items() && { return std::as_const(*this).items(); }
  Object members() && { return std::as_const(*this).members(); }

  /// Return the member of that name, or null where there is none.
  const Json& operator[](const std::string& name) const&;
  Json operator[](const std::string& name) && { return std::as_const(*this)[name]; }
  bool has(const std::string& name) const;
  /// Set a member; makes an object of null.
  Json& set(const std::string& name, Json value);
  /// Append to an array; makes an array of null.
  Json& push(Json value);

  /// Parse strict JSON (RFC 8259), at most 100 levels deep. Throws FileError with the byte's place.
  static Json parse(const std::string& text);
  /// Print without spaces; doubles so that they read back the same; `indent` > 0 for people.
  std::string dump(int indent = 0) const;

  friend bool operator==(const Json& a, const Json& b) { return a.value_ == b.value_; }

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, Array, Object> value_;
};

}  // namespace striate
