// Functions of one value in the graph, each with its gradient.
#include <striate/kernels/unary.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

Value unary(const char* name, const Value& x, double alpha = 1) {
  return apply(name, {x}, UnaryOptions{alpha});
}
Value product(const Value& a, const Value& b) { return apply("multiply", {a, b}); }

std::vector<Type> infer(const Signature& s) {
  need_floats(s, {"x"});
  return {checked_type(s.shape(0), s.dtype(0))};
}

std::vector<Type> infer_backward(const Signature& s) {
  need_floats(s, {"dy", "y"});
  need_shape("dy must have the shape of y,", s.shape(0), s.shape(1));
  return {checked_type(s.shape(1), s.dtype(0))};
}

/// One function: y, its doc, the doc of its alpha (or null), and dx.
struct Function {
  const char* name;
  const char* doc;
  const char* alpha;
  Value (*gradient)(const Value& x, const Value& y, const Value& dy, double alpha);
};

/// Make the dx of a function whose gradient is an operation of its own.
#define STRIATE_BACKWARD(name)                                      \
  [](const Value&, const Value& y, const Value& dy, double alpha) { \
    return apply(name "_backward", {dy, y}, UnaryOptions{alpha});   \
  }

const Function kFunctions[] = {
    {"relu", "y = max(x, 0)", nullptr, STRIATE_BACKWARD("relu")},
    {"relu6", "y = min(max(x, 0), 6)", nullptr, STRIATE_BACKWARD("relu6")},
    {"leaky_relu", "y = x where x >= 0, else alpha x", "Slope below 0.",
     STRIATE_BACKWARD("leaky_relu")},
    {"sigmoid", "y = 1 / (1 + exp(-x))", nullptr, STRIATE_BACKWARD("sigmoid")},
    {"tanh", "y = tanh(x)", nullptr, STRIATE_BACKWARD("tanh")},
    {"exp", "y = exp(x)", nullptr,
     [](const Value&, const Value& y, const Value& dy, double) { return product(dy, y); }},
    {"log", "y = log(x), the natural one", nullptr,
     [](const Value& x, const Value&, const Value& dy, double) {
       return apply("divide", {dy, x});
     }},
    {"sqrt", "y = sqrt(x)", nullptr,
     [](const Value&, const Value& y, const Value& dy, double) {
       return apply("divide", {unary("scale", dy, 0.5), y});
     }},
    {"rsqrt", "y = 1 / sqrt(x)", nullptr,
     [](const Value& x, const Value& y, const Value& dy, double) {
       return apply("divide", {product(unary("scale", dy, -0.5), y), x});
     }},
    {"square", "y = x^2", nullptr,
     [](const Value& x, const Value&, const Value& dy, double) {
       return product(dy, unary("scale", x, 2));
     }},
    {"abs", "y = |x|; its gradient at 0 is 0", nullptr,
     [](const Value& x, const Value&, const Value& dy, double) {
       return product(dy, unary("sign", x));
     }},
    {"negative", "y = -x", nullptr,
     [](const Value&, const Value&, const Value& dy, double) { return unary("negative", dy); }},
    {"sign", "y = 1, 0 or -1; its gradient is 0", nullptr,
     [](const Value&, const Value&, const Value&, double) { return Value{}; }},
    {"reciprocal", "y = 1 / x", nullptr,
     [](const Value&, const Value& y, const Value& dy, double) {
       return unary("negative", product(dy, unary("square", y)));
     }},
    {"scale", "y = alpha x", "The factor.",
     [](const Value&, const Value&, const Value& dy, double alpha) {
       return unary("scale", dy, alpha);
     }},
    {"shift", "y = x + alpha", "The summand.",
     [](const Value&, const Value&, const Value& dy, double) { return dy; }},
    {"clip", "y = min(max(x, -alpha), alpha)", "The limit.",
     [](const Value& x, const Value&, const Value& dy, double alpha) {
       const Value inside = apply("greater_equal", {number(alpha, x.dtype()), unary("abs", x)});
       return apply("where", {inside, dy, number(0, dy.dtype())});
     }},
};
#undef STRIATE_BACKWARD

/// One gradient dy, y -> dx: its doc, and what reaches y from ddx (null where it is 0).
struct Backward {
  const char* name;
  const char* doc;
  Value (*gradient_of_y)(const Value& dy, const Value& y, const Value& ddx);
};

const Backward kBackwards[] = {
    {"relu_backward", "dx = dy where y > 0, else 0", nullptr},
    {"relu6_backward", "dx = dy where 0 < y < 6, else 0", nullptr},
    {"leaky_relu_backward", "dx = dy where y >= 0, else alpha dy", nullptr},
    {"sigmoid_backward", "dx = dy y (1 - y)",
     [](const Value& dy, const Value& y, const Value& ddx) {
       return product(product(ddx, dy), unary("shift", unary("scale", y, -2), 1));
     }},
    {"tanh_backward", "dx = dy (1 - y^2)",
     [](const Value& dy, const Value& y, const Value& ddx) {
       return product(product(ddx, dy), unary("scale", y, -2));
     }},
};

Schema schema(const char* name, const char* alpha) {
  Describe<UnaryOptions> schema(name, "");
  if (alpha) schema.required("alpha", &UnaryOptions::alpha, alpha);
  return schema;
}

const bool registered = [] {
  for (const Function& f : kFunctions)
    RegisterOperation({
        .name = f.name,
        .doc = std::string(f.doc) + ", element by element.\nx: any shape -> y: the same",
        .inputs = {"x"},
        .options = schema(f.name, f.alpha),
        .infer = infer,
        .gradient = [f](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
          return {
              f.gradient(node.inputs[0], node.output(), dys[0], node.get<UnaryOptions>().alpha)};
        },
    });
  for (const Backward& b : kBackwards)
    RegisterOperation({
        .name = b.name,
        .doc = std::string(b.doc) + ", element by element.\ndy, y: any shape -> dx: the same",
        .inputs = {"dy", "y"},
        .outputs = {"dx"},
        .options = schema(
            b.name, std::string(b.name) == "leaky_relu_backward" ? "Slope below 0." : nullptr),
        .infer = infer_backward,
        // Linear in dy.
        .gradient = [b](const Node& node, const std::vector<Value>& ddx) -> std::vector<Value> {
          const Value &dy = node.inputs[0], &y = node.inputs[1];
          return {apply(b.name, {ddx[0], y}, node.get<UnaryOptions>()),
                  b.gradient_of_y ? b.gradient_of_y(dy, y, ddx[0]) : Value{}};
        },
        .is_public = false,
    });
  return true;
}();

}  // namespace
}  // namespace striate
