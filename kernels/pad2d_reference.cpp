// Padding in plain loops: the oracle.
#include <striate/kernels/pad2d.h>

namespace striate::kernels {
namespace {

/// Call body(padded index, source index or -1) for each element of the padded image.
template <class Body>
void for_each_padded(const Problem& problem, const Shape& image, const Body& body) {
  const auto& o = problem.get<Pad2dOptions>();
  const int64_t H = image[1], W = image[2], C = image[3];
  const auto rows = pad_sources(o.mode, H, o.padding.top, o.padding.bottom);
  const auto columns = pad_sources(o.mode, W, o.padding.left, o.padding.right);
  int64_t to = 0;
  for (int64_t n = 0; n < image[0]; ++n)
    for (int64_t h : rows)
      for (int64_t w : columns)
        for (int64_t c = 0; c < C; ++c, ++to)
          body(to, h < 0 || w < 0 ? -1 : ((n * H + h) * W + w) * C + c);
}

template <class T>
void forward(const Problem& problem, const Arguments& a) {
  const T* x = static_cast<const T*>(a.inputs[0]);
  T* y = static_cast<T*>(a.outputs[0]);
  const T value = static_cast<T>(problem.get<Pad2dOptions>().value);
  for_each_padded(problem, problem.inputs[0].shape,
                  [&](int64_t to, int64_t from) { y[to] = from < 0 ? value : x[from]; });
}

template <class T>
void backward(const Problem& problem, const Arguments& a) {
  const Shape& image = problem.inputs[1].shape;
  const T* dy = static_cast<const T*>(a.inputs[0]);
  T* dx = static_cast<T*>(a.outputs[0]);
  std::vector<double> sum(static_cast<size_t>(image.elements()));
  for_each_padded(problem, image, [&](int64_t from, int64_t to) {
    if (to >= 0) sum[static_cast<size_t>(to)] += static_cast<double>(dy[from]);
  });
  for (size_t i = 0; i < sum.size(); ++i) dx[i] = static_cast<T>(sum[i]);
}

using Run = void (*)(const Problem&, const Arguments&);
Entry by_type(const char* operation, Run float_run, Run double_run) {
  return reference_entry(operation, [=](const Problem& problem, const Arguments& a) {
    (problem.inputs[0].dtype == DType::kF64 ? double_run : float_run)(problem, a);
  });
}

const Register pad2d(by_type("pad2d", forward<float>, forward<double>));
const Register pad2d_backward(by_type("pad2d_backward", backward<float>, backward<double>));

}  // namespace
}  // namespace striate::kernels
