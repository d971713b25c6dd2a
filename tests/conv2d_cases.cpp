#include <striate/core/random.h>
#include <striate/tests/conv2d_cases.h>

namespace striate::testing {
namespace {

Shape image(const Conv2dCase& c) { return {c.N, c.H, c.W, c.C}; }
Shape filters(const Conv2dCase& c) {
  return {c.K, c.window.height, c.window.width, c.C / c.options.groups};
}

Conv2dOptions backward_options(const Conv2dCase& c) {
  Conv2dOptions options = c.options;
  options.activation = Activation::kNone;
  options.bias = c.bias;
  return options;
}

}  // namespace

Conv2dCase dense_case(const Conv2dSizes& sizes) {
  Conv2dCase c;
  c.N = sizes.n, c.H = sizes.h, c.W = sizes.w, c.C = sizes.c, c.K = sizes.k;
  c.window = sizes.window;
  c.options.strides = sizes.strides;
  c.options.padding = sizes.padding;
  c.options.dilation_rate = sizes.dilation;
  c.options.activation = sizes.activation;
  c.bias = sizes.bias;
  c.residual = sizes.residual;
  return c;
}

Conv2dCase depthwise_case(const Conv2dSizes& sizes) {
  Conv2dCase c = dense_case(sizes);
  c.options.groups = c.C;
  return c;
}

Shape output_shape(const Conv2dCase& c) {
  const Window w = resolve_window(image(c), c.window, c.options.strides, c.options.padding,
                                  c.options.dilation_rate);
  return {c.N, w.out_height, w.out_width, c.K};
}

Case conv2d_forward(const Conv2dCase& c) {
  const Shape y = output_shape(c);
  std::vector<Input> inputs{image(c), filters(c)};
  if (c.bias || c.residual) inputs.push_back(c.bias ? Input({c.K}) : Input::absent());
  if (c.residual) inputs.push_back(y);
  const bool transcendental =
      c.options.activation == Activation::kSigmoid || c.options.activation == Activation::kTanh;
  Case made =
      Case::of("conv2d", c.options, inputs, {y}, transcendental ? kTranscendentalLimit : kLimit);
  made.name = c.name;
  return made;
}

Case conv2d_backward_input(const Conv2dCase& c) {
  Case made = Case::of("conv2d_backward_input", backward_options(c),
                       {output_shape(c), filters(c), Input::like(image(c))}, {image(c)});
  made.name = c.name;
  return made;
}

Case conv2d_backward_weight(const Conv2dCase& c) {
  std::vector<Output> outputs{filters(c)};
  if (c.bias) outputs.push_back(Shape{c.K});
  Case made = Case::of("conv2d_backward_weight", backward_options(c),
                       {image(c), output_shape(c), Input::like(filters(c))}, outputs);
  made.name = c.name;
  return made;
}

std::vector<Case> all_directions(const Conv2dCase& c) {
  return {conv2d_forward(c), conv2d_backward_input(c), conv2d_backward_weight(c)};
}

Conv2dCase random_conv2d(uint64_t seed) {
  uint32_t drawn = 0;
  auto draw = [&](int64_t low, int64_t high) {  // both included
    const RandomStream stream{seed, hash_of("random_conv2d"), 0};
    const uint32_t word = stream.words(0, drawn++)[0];
    return low + static_cast<int64_t>(word % static_cast<uint64_t>(high - low + 1));
  };
  auto one_of = [&](std::initializer_list<int64_t> values) {
    return values.begin()[draw(0, static_cast<int64_t>(values.size()) - 1)];
  };
  Conv2dCase c;
  c.name = "random " + std::to_string(seed);
  c.N = draw(1, 4);
  const int64_t kind = draw(0, 9);  // 0: grouped, 1: depthwise, else dense
  c.options.groups = kind == 0 ? one_of({2, 3, 4}) : 1;
  c.C = c.options.groups * one_of({1, 2, 3, 4, 5, 8, 16, 17, 24, 32});
  c.K = c.options.groups * one_of({1, 2, 3, 8, 10, 16, 20, 32, 40});
  if (kind == 1) c.options.groups = c.K = c.C;
  c.window = {one_of({1, 1, 2, 3, 3, 3, 4, 5, 7}), one_of({1, 1, 2, 3, 3, 3, 4, 5, 7})};
  if (draw(0, 2) > 0) c.window.width = c.window.height;
  c.options.strides = {one_of({1, 1, 1, 2, 2, 3, 4}), one_of({1, 1, 1, 2, 2, 3})};
  if (draw(0, 2) > 0) c.options.strides.width = c.options.strides.height;
  if (draw(0, 3) == 0) c.options.dilation_rate = {draw(1, 3), draw(1, 2)};
  if (draw(0, 1) == 0)
    c.options.padding = draw(0, 1) == 0 ? Padding("same") : Padding("valid");
  else
    c.options.padding = {draw(0, 3), draw(0, 3), draw(0, 3), draw(0, 3)};
  const int64_t least_h = c.options.dilation_rate.height * (c.window.height - 1) + 1;
  const int64_t least_w = c.options.dilation_rate.width * (c.window.width - 1) + 1;
  c.H = least_h + draw(0, 14);
  c.W = least_w + draw(0, 14);
  c.bias = draw(0, 1) == 1;
  c.residual = draw(0, 3) == 0;
  const int64_t activation = draw(0, 9);
  if (activation < 6) c.options.activation = static_cast<Activation>(activation);
  c.options.negative_slope = 0.2;
  return c;
}

}  // namespace striate::testing
