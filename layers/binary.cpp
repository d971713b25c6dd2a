// Functions of two values with NumPy's broadcasting in the graph, and the choice between two.
#include <striate/kernels/binary.h>
#include <striate/kernels/unary.h>
#include <striate/layers/graph/rules.h>

#include <array>

namespace striate {
namespace {

using Pair = std::array<Value, 2>;

Value binary(const char* name, const Value& a, const Value& b) { return apply(name, {a, b}); }
Value product(const Value& a, const Value& b) { return binary("multiply", a, b); }
Value choose(const Value& cond, const Value& a, const Value& b) {
  return apply("where", {cond, a, b});
}

Shape infer_shape(const Signature& s, size_t a, size_t b) {
  if (s.dtype(a) != s.dtype(b))
    throw DTypeError("a and b must have the same element type",
                     std::string(name_of(s.dtype(a))) + " and " + name_of(s.dtype(b)),
                     "Convert one with cast");
  return broadcast_shape(s.shape(a), s.shape(b));
}

/// One function: its doc, and what reaches a and b before broadcasting is undone.
struct Function {
  const char* name;
  const char* doc;
  Pair (*gradient)(const Value& a, const Value& b, const Value& y, const Value& dy);
};

/// Of equal elements, a takes the whole gradient.
Pair to_chosen(const char* comparison, const Value& a, const Value& b, const Value& dy) {
  const Value first = binary(comparison, a, b), zero = number(0, dy.dtype());
  return {choose(first, dy, zero), choose(first, zero, dy)};
}

const Function kArithmetic[] = {
    {"add", "y = a + b",
     [](const Value&, const Value&, const Value&, const Value& dy) {
       return Pair{dy, dy};
     }},
    {"subtract", "y = a - b",
     [](const Value&, const Value&, const Value&, const Value& dy) {
       return Pair{dy, apply("negative", {dy})};
     }},
    {"multiply", "y = a b",
     [](const Value& a, const Value& b, const Value&, const Value& dy) {
       return Pair{product(dy, b), product(dy, a)};
     }},
    {"divide", "y = a / b",
     [](const Value&, const Value& b, const Value& y, const Value& dy) {
       const Value da = binary("divide", dy, b);
       return Pair{da, apply("negative", {product(da, y)})};
     }},
    {"maximum", "y = the larger of a and b; of equal ones a takes the gradient",
     [](const Value& a, const Value& b, const Value&, const Value& dy) {
       return to_chosen("greater_equal", a, b, dy);
     }},
    {"minimum", "y = the smaller of a and b; of equal ones a takes the gradient",
     [](const Value& a, const Value& b, const Value&, const Value& dy) {
       const Pair swapped = to_chosen("greater", a, b, dy);
       return Pair{swapped[1], swapped[0]};
     }},
    {"power", "y = a^b",
     [](const Value& a, const Value& b, const Value& y, const Value& dy) {
       const Value less = apply("shift", {b}, UnaryOptions{-1});
       const Value zero = number(0, dy.dtype());
       // 0^b has the gradient 0 by b, though log(0) has none.
       const Value by_b = choose(binary("equal", a, zero), zero, product(y, apply("log", {a})));
       return Pair{product(dy, product(b, binary("power", a, less))), product(dy, by_b)};
     }},
};

const std::pair<const char*, const char*> kComparisons[] = {
    {"equal", "y = a == b"},
    {"greater", "y = a > b"},
    {"less", "y = a < b"},
    {"greater_equal", "y = a >= b"},
};

const bool registered = [] {
  for (const Function& f : kArithmetic)
    RegisterOperation({
        .name = f.name,
        .doc = std::string(f.doc) + ", with broadcasting.\na, b: any shapes -> y: their broadcast",
        .inputs = {"a", "b"},
        .infer = [](const Signature& s) -> std::vector<Type> {
          return {checked_type(infer_shape(s, 0, 1), s.dtype(0))};
        },
        .gradient = [f](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
          const Value &a = node.inputs[0], &b = node.inputs[1];
          if (!is_floating(a.dtype())) return {{}, {}};
          const Pair d = f.gradient(a, b, node.output(), dys[0]);
          return {sum_to(d[0], a), sum_to(d[1], b)};
        },
    });
  for (const auto& [name, doc] : kComparisons)
    RegisterOperation({
        .name = name,
        .doc =
            std::string(doc) + ", with broadcasting.\na, b: any shapes -> y: bool, their broadcast",
        .inputs = {"a", "b"},
        .infer = [](const Signature& s) -> std::vector<Type> {
          return {checked_type(infer_shape(s, 0, 1), DType::kBool)};
        },
    });
  return true;
}();

const RegisterOperation where({
    .name = "where",
    .doc = "y = a where cond is not 0, else b, with broadcasting.\n"
           "cond, a, b: any shapes -> y: their broadcast",
    .inputs = {"cond", "a", "b"},
    .infer = [](const Signature& s) -> std::vector<Type> {
      return {checked_type(broadcast_shape(s.shape(0), infer_shape(s, 1, 2)), s.dtype(1))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      const Value &cond = node.inputs[0], &dy = dys[0];
      const Value zero = number(0, dy.dtype());
      return {{},
              sum_to(choose(cond, dy, zero), node.inputs[1]),
              sum_to(choose(cond, zero, dy), node.inputs[2])};
    },
});

}  // namespace
}  // namespace striate
