// Dropout in plain loops: the oracle.
#include <striate/core/random.h>
#include <striate/core/step.h>
#include <striate/kernels/dropout.h>

#include <cstring>

namespace striate::kernels {
namespace {

template <class T>
void mask(const Problem& problem, const Arguments& a) {
  const Shape& shape = problem.inputs[0].shape;
  const double rate = problem.get<DropoutOptions>().rate;
  StepBlock block;
  std::memcpy(&block, a.inputs[1], sizeof block);
  const RandomStream stream{block.seed, hash_of(problem.path + "/dropout"),
                            static_cast<uint64_t>(block.step)};
  const int64_t size = shape.product(1, shape.rank());
  const T* x = static_cast<const T*>(a.inputs[0]);
  T* y = static_cast<T*>(a.outputs[0]);
  for (int64_t n = 0; n < shape[0]; ++n)
    for (int64_t i = 0; i < size; ++i) {
      const uint32_t word = stream.words(static_cast<uint64_t>(block.first_sample + n),
                                         static_cast<uint32_t>(i / 4))[static_cast<size_t>(i % 4)];
      const bool keep = static_cast<double>(uniform01(word)) >= rate;
      const double value = static_cast<double>(x[n * size + i]) / (1 - rate);
      y[n * size + i] = keep ? static_cast<T>(value) : T(0);
    }
}

void run(const Problem& problem, const Arguments& a) {
  (problem.inputs[0].dtype == DType::kF64 ? mask<double> : mask<float>)(problem, a);
}

const Register dropout(reference_entry("dropout", run));
const Register dropout_backward(reference_entry("dropout_backward", run));

}  // namespace
}  // namespace striate::kernels
