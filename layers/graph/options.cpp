#include <striate/core/nearest.h>
#include <striate/layers/graph/options.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace striate {

std::string shown(const Json& value) {
  if (value.is_null()) return "None";
  if (value.is_bool()) return value.as_bool() ? "True" : "False";
  if (value.is_number() && !std::isfinite(value.as_number()))
    return std::to_string(value.as_number());
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const Json& item : value.items()) text += (text.empty() ? "" : ", ") + shown(item);
  return "(" + text + ")";
}

bool Codec<bool>::read(const Json& json) { return json.as_bool(); }
Json Codec<bool>::write(const bool& value) { return value; }
int Codec<int>::read(const Json& json) {
  const int64_t value = json.as_integer();
  if (value < std::numeric_limits<int>::min() || value > std::numeric_limits<int>::max())
    throw ShapeError("it must fit in 32 bits", shown(json));
  return static_cast<int>(value);
}
Json Codec<int>::write(const int& value) { return value; }
int64_t Codec<int64_t>::read(const Json& json) { return json.as_integer(); }
Json Codec<int64_t>::write(const int64_t& value) { return value; }
double Codec<double>::read(const Json& json) { return json.as_number(); }
Json Codec<double>::write(const double& value) { return value; }
std::string Codec<std::string>::read(const Json& json) { return json.as_string(); }
Json Codec<std::string>::write(const std::string& value) { return value; }
Json Codec<Json>::read(const Json& json) { return json; }
Json Codec<Json>::write(const Json& value) { return value; }

std::vector<int64_t> Codec<std::vector<int64_t>>::read(const Json& json) {
  std::vector<int64_t> values;
  if (json.is_integer()) return {json.as_integer()};
  for (const Json& item : json.items()) values.push_back(item.as_integer());
  return values;
}
Json Codec<std::vector<int64_t>>::write(const std::vector<int64_t>& value) {
  Json json = Json::array();
  for (int64_t v : value) json.push(v);
  return json;
}
std::vector<int> Codec<std::vector<int>>::read(const Json& json) {
  if (!json.is_array()) return {Codec<int>::read(json)};
  std::vector<int> values;
  for (const Json& item : json.items()) values.push_back(Codec<int>::read(item));
  return values;
}
Json Codec<std::vector<int>>::write(const std::vector<int>& value) {
  return Codec<std::vector<int64_t>>::write({value.begin(), value.end()});
}

Shape Codec<Shape>::read(const Json& json) {
  std::vector<int64_t> dims;
  if (json.is_integer()) return Shape({json.as_integer()});
  for (const Json& item : json.items())
    dims.push_back(item.is_null() ? kUnknown : item.as_integer());
  return Shape(dims);
}
Json Codec<Shape>::write(const Shape& value) {
  Json json = Json::array();
  for (int64_t d : value) json.push(d == kUnknown ? Json() : Json(d));
  return json;
}

DType Codec<DType>::read(const Json& json) { return dtype_from_name(json.as_string()); }
Json Codec<DType>::write(const DType& value) { return name_of(value); }

Size2 Codec<Size2>::read(const Json& json) {
  if (json.is_integer()) return Size2(json.as_integer());
  const auto values =
      json.is_array() ? Codec<std::vector<int64_t>>::read(json) : std::vector<int64_t>{};
  if (values.size() != 2)
    throw ShapeError("it must be one number or two (height, width)", shown(json));
  return {values[0], values[1]};
}
Json Codec<Size2>::write(const Size2& value) {
  if (value.height == value.width) return value.height;
  return Json::Array{value.height, value.width};
}

std::optional<Size2> Codec<std::optional<Size2>>::read(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return Codec<Size2>::read(json);
}
Json Codec<std::optional<Size2>>::write(const std::optional<Size2>& value) {
  return value ? Codec<Size2>::write(*value) : Json();
}

Padding Codec<Padding>::read(const Json& json) {
  if (json.is_string()) return Padding(json.as_string().c_str());
  if (json.is_integer()) return Padding(json.as_integer());
  std::vector<int64_t> sides;  // (all), (vertical, horizontal), (top, bottom, left, right) or
  for (const Json& item : json.items())  // ((top, bottom), (left, right)) as Keras writes it
    for (int64_t side : Codec<std::vector<int64_t>>::read(item)) sides.push_back(side);
  if (sides.size() == 2) return {sides[0], sides[0], sides[1], sides[1]};
  if (sides.size() == 4) return {sides[0], sides[1], sides[2], sides[3]};
  throw ShapeError(
      "padding must be 'same', 'valid', one number, (vertical, horizontal) or "
      "(top, bottom, left, right)",
      shown(json));
}
Json Codec<Padding>::write(const Padding& value) {
  if (value.rule != Padding::Rule::kExplicit) return value.to_string();
  return Json::Array{value.top, value.bottom, value.left, value.right};
}

Activation Codec<Activation>::read(const Json& json) {
  return json.is_null() ? Activation::kNone : activation_from_name(json.as_string());
}
Json Codec<Activation>::write(const Activation& value) { return name_of(value); }

std::shared_ptr<void> Schema::read(const Json& object) const {
  std::shared_ptr<void> options = make();
  const auto known = [&](const std::string& wanted) {
    return std::any_of(fields.begin(), fields.end(),
                       [&](const Field& f) { return f.name == wanted; });
  };
  if (!object.is_null())
    for (const auto& [key, value] : object.members())
      if (!known(key)) {
        std::vector<std::string> names;
        for (const Field& f : fields) names.push_back(f.name);
        throw ShapeError(name + " has no option '" + key + "'",
                         "options " + comma_separated(names));
      }
  for (const Field& f : fields) {
    if (object.is_null() || !object.has(f.name)) {
      if (f.required) throw ShapeError(name + " needs the option '" + f.name + "'");
      continue;
    }
    try {
      f.read(options.get(), object[f.name]);
    } catch (const Error& error) {
      throw ShapeError(name + " option '" + f.name + "': " + error.rule(), error.values());
    }
  }
  return options;
}

Json Schema::write(const void* options, bool all) const {
  Json object = Json::object();
  for (const Field& f : fields) {
    Json value = f.write(options);
    if (all || f.required || !(value == f.default_value)) object.set(f.name, std::move(value));
  }
  return object;
}

Check<int64_t> at_least(int64_t least) {
  return
      [least](const int64_t& value) { return value >= least ? "" : ">= " + std::to_string(least); };
}

Check<double> between(double least, double most) {
  return [least, most](const double& value) {
    return value >= least && value <= most
               ? ""
               : "from " + Json(least).dump() + " to " + Json(most).dump();
  };
}

Check<double> in_unit_interval() {
  return [](const double& value) { return value >= 0 && value < 1 ? "" : "in [0, 1)"; };
}

Check<double> is_finite() {
  return [](const double& value) { return std::isfinite(value) ? "" : "finite"; };
}

Check<double> not_negative() {
  return [](const double& value) {
    return value >= 0 && std::isfinite(value) ? "" : ">= 0 and finite";
  };
}

Check<double> is_positive() {
  return
      [](const double& value) { return value > 0 && std::isfinite(value) ? "" : "> 0 and finite"; };
}

Check<std::optional<Size2>> positive_size_if_given() {
  return [](const std::optional<Size2>& value) {
    return value ? positive_size()(*value) : std::string();
  };
}

Check<Size2> positive_size() {
  return [](const Size2& value) { return value.height >= 1 && value.width >= 1 ? "" : ">= 1"; };
}

Check<std::string> one_of(std::vector<std::string> words) {
  return [words](const std::string& value) {
    std::string rule;
    for (const std::string& word : words) {
      if (word == value) return std::string();
      rule += (rule.empty() ? "one of " : ", ") + word;
    }
    return rule;
  };
}

}  // namespace striate
