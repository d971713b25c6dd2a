// Options structs described once: names, types, defaults, docs and checks of their fields.
//
// From a schema follow reading and writing JSON, Python keywords, signatures, docs and repr.
#pragma once

#include <striate/core/dtype.h>
#include <striate/core/error.h>
#include <striate/core/json.h>
#include <striate/core/shape.h>
#include <striate/kernels/activation.h>
#include <striate/kernels/window.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace striate {

/// How a field's C++ type reads from and prints to JSON, and its name in signatures.
template <class T>
struct Codec;

#define STRIATE_CODEC(Type, label)              \
  template <>                                   \
  struct Codec<Type> {                          \
    static constexpr const char* kName = label; \
    static Type read(const Json& json);         \
    static Json write(const Type& value);       \
  };
STRIATE_CODEC(bool, "bool")
STRIATE_CODEC(int, "int")
STRIATE_CODEC(int64_t, "int")
STRIATE_CODEC(double, "float")
STRIATE_CODEC(std::string, "str")
STRIATE_CODEC(Json, "object")
STRIATE_CODEC(std::vector<int64_t>, "Sequence[int]")
STRIATE_CODEC(std::vector<int>, "Sequence[int]")
STRIATE_CODEC(Shape, "Sequence[int | None]")
STRIATE_CODEC(DType, "str")
STRIATE_CODEC(Size2, "int | tuple[int, int]")
STRIATE_CODEC(std::optional<Size2>, "int | tuple[int, int] | None")
STRIATE_CODEC(Padding, "str | int | Sequence[int]")
STRIATE_CODEC(Activation, "str")
#undef STRIATE_CODEC

/// One field of an options struct.
struct Field {
  std::string name, type, doc;
  bool required = false;
  Json default_value;
  std::function<void(void* options, const Json&)> read;
  std::function<Json(const void* options)> write;
};

/// What is known of an options struct: its public name, its doc and its fields in order.
struct Schema {
  std::string name, doc;
  std::vector<Field> fields;
  std::function<std::shared_ptr<void>()> make;

  /// Make options from a JSON object. Throws ShapeError for an unknown or missing field and for a
  /// value that its check refuses, naming the field.
  std::shared_ptr<void> read(const Json& object) const;
  /// Return the fields that differ from their defaults, or all of them.
  Json write(const void* options, bool all = false) const;
};

/// Print an option's value for a message, as Python writes it.
std::string shown(const Json& value);

/// A check of a field's value: returns the broken rule, or an empty string.
template <class T>
using Check = std::function<std::string(const T&)>;

Check<int64_t> at_least(int64_t least);
Check<double> between(double least, double most);  // both ends included
Check<double> in_unit_interval();                  // [0, 1)
Check<double> is_finite();
Check<double> not_negative();  // and finite
Check<double> is_positive();   // and finite
Check<Size2> positive_size();
Check<std::optional<Size2>> positive_size_if_given();
Check<std::string> one_of(std::vector<std::string> words);

/// Builds the schema of T: `describe<Conv2D>("Conv2D", "doc").required("filters", ...)`.
template <class T>
class Describe : public Schema {
 public:
  Describe(std::string public_name, std::string text) {
    name = std::move(public_name);
    doc = std::move(text);
    make = [] { return std::static_pointer_cast<void>(std::make_shared<T>()); };
  }

  /// Describe an optional field; its default is that of a fresh T.
  template <class M>
  Describe& field(const char* field_name, M T::*member, const char* text, Check<M> check = {}) {
    add(field_name, member, text, std::move(check), false);
    return *this;
  }

  /// Describe a field that has no default.
  template <class M>
  Describe& required(const char* field_name, M T::*member, const char* text, Check<M> check = {}) {
    add(field_name, member, text, std::move(check), true);
    return *this;
  }

 private:
  template <class M>
  void add(const char* field_name, M T::*member, const char* text, Check<M> check, bool needed) {
    Field f;
    f.name = field_name;
    f.type = Codec<M>::kName;
    f.doc = text;
    f.required = needed;
    f.default_value = Codec<M>::write(T{}.*member);
    f.read = [member, check](void* options, const Json& json) {
      M value = Codec<M>::read(json);
      const std::string broken = check ? check(value) : std::string();
      if (!broken.empty()) throw ShapeError("it must be " + broken, shown(json));
      static_cast<T*>(options)->*member = std::move(value);
    };
    f.write = [member](const void* options) {
      return Codec<M>::write(static_cast<const T*>(options)->*member);
    };
    fields.push_back(std::move(f));
  }
};

/// Options of operations that have none.
struct NoOptions {};

}  // namespace striate
