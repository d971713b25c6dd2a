// Dropout on CUDA devices: a Philox counter a thread, whose four words decide for four elements.
//
//   y[n,i] = uniform(n,i) >= rate ? x[n,i] / (1 - rate) : 0
//
// The same numbers as the CPU's (core/random.h), so the same mask on every device.
#include <striate/core/random.h>
#include <striate/core/step.h>
#include <striate/kernels/dropout.h>

#include <algorithm>
#include <cmath>
#include <striate/kernels/any_element.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kWords = 4;

struct Mask {
  uint64_t operation;  // hash of the layer's path
  uint32_t threshold;  // kept where the upper 24 bits of a word are not below it
  float scale;
};

/// `size` elements a sample, `groups` groups of four in it, the last perhaps not full.
template <class T>
__global__ void dropout_kernel(const T* x, const StepBlock* block, T* y, int64_t samples,
                               int64_t size, int64_t groups, bool vectors, Mask mask) {
  const int64_t i = thread_number();
  if (i >= samples * groups) return;
  const int64_t n = i / groups, group = i - n * groups;
  const RandomStream stream{block->seed, mask.operation, static_cast<uint64_t>(block->step)};
  const auto words =
      stream.words(static_cast<uint64_t>(block->first_sample + n), static_cast<uint32_t>(group));
  const int64_t at = n * size + group * kWords;
  const auto kept = [&](T value, int k) {
    return (words[k] >> 8) >= mask.threshold ? from_float<T>(to_float(value) * mask.scale)
                                             : from_float<T>(0);
  };
  if (vectors) {
    Group<T, kWords> values = *reinterpret_cast<const Group<T, kWords>*>(x + at);
    for (int k = 0; k < kWords; ++k) values.at[k] = kept(values.at[k], k);
    *reinterpret_cast<Group<T, kWords>*>(y + at) = values;
    return;
  }
  const int64_t rest = size - group * kWords;
  for (int k = 0; k < kWords; ++k)
    if (k < rest) y[at + k] = kept(x[at + k], k);
}

Prepared prepare(const Problem& problem) {
  const Shape& shape = problem.inputs[0].shape;
  const int64_t samples = shape[0], size = shape.product(1, shape.rank());
  const int64_t groups = (size + kWords - 1) / kWords;
  const double rate = problem.get<DropoutOptions>().rate;
  const Mask mask{hash_of(problem.path + "/dropout"),
                  static_cast<uint32_t>(std::ceil(std::clamp(rate, 0.0, 1.0) * 0x1p24)),
                  static_cast<float>(1 / (1 - rate))};
  const DType dtype = problem.inputs[0].dtype;
  Prepared made = prepared([=](const Arguments& a) {
    const bool vectors = size % kWords == 0 && are_aligned(a, 1);
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      launch("dropout", dropout_kernel<T>, flat_grid(samples * groups), a.stream,
             static_cast<const T*>(a.inputs[0]), static_cast<const StepBlock*>(a.inputs[1]),
             static_cast<T*>(a.outputs[0]), samples, size, groups, vectors, mask);
    });
  });
  made.in_place = {{0, 0, false}};
  return made;
}

std::string declines(const Problem& problem) { return takes_floats(problem, 0, 1); }

const bool added = [] {
  add_cuda_entry("dropout", "direct", prepare, declines);
  add_cuda_entry("dropout_backward", "direct", prepare, declines);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
