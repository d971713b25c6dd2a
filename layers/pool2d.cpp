// Pooling in the graph: rules and gradients of max, average and global average pooling.
#include <striate/kernels/pool2d.h>
#include <striate/layers/graph/rules.h>

namespace striate {
namespace {

Schema schema(bool average) {
  Describe<Pool2dOptions> schema("pool2d", "");
  schema
      .field("pool_size", &Pool2dOptions::pool_size,
             "Size of the window: one number or (height, width).")
      .field("strides", &Pool2dOptions::strides, "Step of the window; None: the pool size.",
             positive_size_if_given())
      .field("padding", &Pool2dOptions::padding,
             "'valid', 'same', one number, (vertical, horizontal) or (top, bottom, left, right).");
  if (average)
    schema.field("count_padding", &Pool2dOptions::count_padding,
                 "Divide by the whole window where it reaches into the padding.");
  return schema;
}

Shape pooled(const Shape& x, const Pool2dOptions& options) {
  const Window window = pool2d_window(options, x);
  return {x[0], window.out_height, window.out_width, x[3]};
}

/// Return the shape of a global average; `x` must have pixels.
Shape averaged(const Shape& x) {
  need_rank(x, 4, "images are [N, height, width, channels]");
  if (x[1] == 0 || x[2] == 0)
    throw ShapeError("an average needs height and width >= 1", "input " + x.to_string());
  return {x[0], x[3]};
}

void need_winner(const Signature& s, size_t i, const Shape& y) {
  const DType wanted = pool2d_winner_dtype(s.get<Pool2dOptions>());
  if (s.dtype(i) != wanted)
    throw DTypeError("winner must be " + std::string(name_of(wanted)) + " for this pool size",
                     name_of(s.dtype(i)));
  need_shape("winner must be", s.shape(i), y);
}

/// Make the rule of `dy, like x -> dx`, where `forward` gives the shape of y.
template <class Forward>
auto backward_rule(Forward forward) {
  return [forward](const Signature& s) -> std::vector<Type> {
    const Shape y = forward(s, s.shape(1));
    need_floats(s, {"dy"});
    need_shape("dy must be", s.shape(0), y);
    return {checked_type(s.shape(1), s.dtype(0))};
  };
}
const auto averaged_rule = [](const Signature&, const Shape& x) { return averaged(x); };
const auto pooled_rule = [](const Signature& s, const Shape& x) {
  return pooled(x, s.get<Pool2dOptions>());
};

const RegisterOperation max_pool2d({
    .name = "max_pool2d",
    .doc = "Take the largest element of each window; of equal ones the first, row by row.\n"
           "y[n,p,q,c] = max x[n, p stride + r - top, q stride + s - left, c]\n"
           "x: [N, H, W, C] -> y: [N, P, Q, C], winner: its place r S + s in the window",
    .inputs = {"x"},
    .outputs = {"y", "winner"},
    .options = schema(false),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const auto& options = s.get<Pool2dOptions>();
      const Shape y = pooled(s.shape(0), options);
      need_floats(s, {"x"});
      return {checked_type(y, s.dtype(0)), {y, pool2d_winner_dtype(options)}};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {apply("max_pool2d_backward", {dys[0], node.output(1), node.inputs[0]},
                    node.get<Pool2dOptions>())};
    },
});

const RegisterOperation max_pool2d_backward({
    .name = "max_pool2d_backward",
    .doc = "Give each element of dy to the winner of its window, and add where windows overlap.\n"
           "dy: [N, P, Q, C], winner: [N, P, Q, C], like x: [N, H, W, C] -> dx: [N, H, W, C]",
    .inputs = {"dy", "winner", "like x"},
    .outputs = {"dx"},
    .options = schema(false),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const Shape y = pooled(s.shape(2), s.get<Pool2dOptions>());
      need_floats(s, {"dy"});
      need_shape("dy must be", s.shape(0), y);
      need_winner(s, 1, y);
      return {checked_type(s.shape(2), s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& ddx) -> std::vector<Value> {
      return {
          apply("max_pool2d_gather", {ddx[0], node.inputs[1]}, node.get<Pool2dOptions>()), {}, {}};
    },
    .is_public = false,
});

const RegisterOperation max_pool2d_gather({
    .name = "max_pool2d_gather",
    .doc =
        "Take the element of each window where another value of the same shape had its largest.\n"
        "x: [N, H, W, C], winner: [N, P, Q, C] -> y: [N, P, Q, C]",
    .inputs = {"x", "winner"},
    .options = schema(false),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const Shape y = pooled(s.shape(0), s.get<Pool2dOptions>());
      need_floats(s, {"x"});
      need_winner(s, 1, y);
      return {checked_type(y, s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {apply("max_pool2d_backward", {dys[0], node.inputs[1], node.inputs[0]},
                    node.get<Pool2dOptions>()),
              {}};
    },
    .is_public = false,
});

const RegisterOperation avg_pool2d({
    .name = "avg_pool2d",
    .doc = "Take the mean of each window; places in the padding count only with count_padding.\n"
           "y[n,p,q,c] = mean x[n, p stride + r - top, q stride + s - left, c]\n"
           "x: [N, H, W, C] -> y: [N, P, Q, C]",
    .inputs = {"x"},
    .options = schema(true),
    .infer = [](const Signature& s) -> std::vector<Type> {
      const Shape y = pooled(s.shape(0), s.get<Pool2dOptions>());
      need_floats(s, {"x"});
      return {checked_type(y, s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {apply("avg_pool2d_backward", {dys[0], node.inputs[0]}, node.get<Pool2dOptions>())};
    },
});

const RegisterOperation avg_pool2d_backward({
    .name = "avg_pool2d_backward",
    .doc = "Spread each element of dy evenly over its window.\n"
           "dy: [N, P, Q, C], like x: [N, H, W, C] -> dx: [N, H, W, C]",
    .inputs = {"dy", "like x"},
    .outputs = {"dx"},
    .options = schema(true),
    .infer = backward_rule(pooled_rule),
    .gradient = [](const Node& node, const std::vector<Value>& ddx) -> std::vector<Value> {
      return {apply("avg_pool2d", {ddx[0]}, node.get<Pool2dOptions>()), {}};
    },
    .is_public = false,
});

const RegisterOperation global_avg_pool2d({
    .name = "global_avg_pool2d",
    .doc = "Take the mean of each channel of a picture.\n"
           "y[n,c] = mean over h, w of x[n,h,w,c]\n"
           "x: [N, H, W, C] -> y: [N, C]",
    .inputs = {"x"},
    .infer = [](const Signature& s) -> std::vector<Type> {
      const Shape y = averaged(s.shape(0));
      need_floats(s, {"x"});
      return {checked_type(y, s.dtype(0))};
    },
    .gradient = [](const Node& node, const std::vector<Value>& dys) -> std::vector<Value> {
      return {apply("global_avg_pool2d_backward", {dys[0], node.inputs[0]})};
    },
});

const RegisterOperation global_avg_pool2d_backward({
    .name = "global_avg_pool2d_backward",
    .doc = "Spread each element of dy evenly over the picture.\n"
           "dy: [N, C], like x: [N, H, W, C] -> dx: [N, H, W, C]",
    .inputs = {"dy", "like x"},
    .outputs = {"dx"},
    .infer = backward_rule(averaged_rule),
    .gradient = [](const Node&, const std::vector<Value>& ddx) -> std::vector<Value> {
      return {apply("global_avg_pool2d", {ddx[0]}), {}};
    },
    .is_public = false,
});

}  // namespace
}  // namespace striate
