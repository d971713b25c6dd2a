// A dense layer's gradients: sizes, cost, and the reference in plain loops, summed in double.
#include <striate/kernels/dense_backward.h>

#include <vector>

namespace striate::kernels {

DenseBackwardShape dense_backward_shape(const Problem& problem) {
  const Shape &dy = problem.inputs[0].shape, &w = problem.inputs[2].shape;
  return {{dy[0], w[0], w[1]}, {w[0], w[1], dy[0]}};
}

namespace {

template <class T>
void run(const Problem& problem, const Arguments& a) {
  const auto [rows, in, out] = dense_backward_shape(problem).dx;
  const auto* dy = static_cast<const T*>(a.inputs[0]);
  const auto* x = static_cast<const T*>(a.inputs[1]);
  const auto* w = static_cast<const T*>(a.inputs[2]);
  auto* dx = static_cast<T*>(a.outputs[0]);
  auto* dw = static_cast<T*>(a.outputs[1]);
  std::vector<double> sums(static_cast<size_t>(in * out)), db(static_cast<size_t>(out));
  for (int64_t m = 0; m < rows; ++m) {
    for (int64_t i = 0; i < in; ++i) {
      double sum = 0;
      for (int64_t o = 0; o < out; ++o) {
        const auto d = static_cast<double>(dy[m * out + o]);
        sum += d * static_cast<double>(w[i * out + o]);
        sums[static_cast<size_t>(i * out + o)] += d * static_cast<double>(x[m * in + i]);
      }
      dx[m * in + i] = static_cast<T>(sum);
    }
    for (int64_t o = 0; o < out; ++o)
      db[static_cast<size_t>(o)] += static_cast<double>(dy[m * out + o]);
  }
  for (size_t i = 0; i < sums.size(); ++i) dw[i] = static_cast<T>(sums[i]);
  if (!problem.get<DenseBackwardOptions>().bias) return;
  for (size_t o = 0; o < db.size(); ++o) static_cast<T*>(a.outputs[2])[o] = static_cast<T>(db[o]);
}

const RegisterCost cost("dense_backward", [](const Problem& problem) {
  const MatmulShape s = dense_backward_shape(problem).dx;
  const auto size = static_cast<double>(size_of(problem.outputs[0].dtype));
  const auto m = static_cast<double>(s.M), in = static_cast<double>(s.N),
             out = static_cast<double>(s.K);
  return Cost{4 * m * in * out, (2 * m * in + m * out + 2 * in * out) * size};
});

const Register reference(reference_entry("dense_backward", [](const Problem& problem,
                                                              const Arguments& a) {
  problem.outputs[0].dtype == DType::kF64 ? run<double>(problem, a) : run<float>(problem, a);
}));

}  // namespace
}  // namespace striate::kernels
