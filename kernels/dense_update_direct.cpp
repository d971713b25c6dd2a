// Dense updates on float32: a tile of the gradient is made in registers and used up at once.
//
// The weights are divided into strips of columns, whose part of dy stays in a core's cache, and
// these into bands of rows, which threads share. Each element of the gradient is one sum over the
// batch in its order, so the number of threads changes no bit; a matmul may add in another order.
// Momentum on weights of 9216x4096, 4096x4096 and 4096x1000 with 16 images takes 20 ms on two cores
// with AVX-512, 38 ms as product and step apart. The kernels: simd/dense_update.h.
#include <striate/core/parallel.h>
#include <striate/core/step.h>
#include <striate/kernels/dense_update.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/instruction_set.h>
#include <striate/kernels/simd/dense_update_kernels.h>

#include <algorithm>

namespace striate::kernels {
namespace simd {

const DenseUpdateKernels* dense_update_kernels() {
#if defined(__x86_64__)
  static const bool fused = __builtin_cpu_supports("fma");
  if (instruction_set() == InstructionSet::kAvx512) return &kDenseUpdateAvx512;
  if (instruction_set() == InstructionSet::kAvx2 && fused) return &kDenseUpdateAvx2;
#endif
  return nullptr;
}

}  // namespace simd

namespace {

using simd::DensePlan;
using simd::DenseUpdateKernels;

constexpr int64_t kStrip = 65536;  // floats of dy: a quarter of the second level cache
constexpr int64_t kMostSums = 32;  // at 64 both ways take as long

int64_t panels(int64_t size, int64_t width) { return (size + width - 1) / width; }

/// Copy columns [first, first + width) of a [k, columns] as [k][width], zero beyond the end.
void pack(const float* a, int64_t k, int64_t columns, int64_t first, int64_t width, float* to) {
  const int64_t used = std::min(width, columns - first);
  for (int64_t i = 0; i < k; ++i, a += columns, to += width) {
    std::copy_n(a + first, used, to);
    std::fill(to + used, to + width, 0.0f);
  }
}

std::string declines(const Problem& problem) {
  const std::string refusal = takes_float32(problem, 1, problem.inputs.size());
  if (!refusal.empty()) return refusal;
  const int64_t sums = dense_update_shape(problem).K;
  if (sums == 0 || sums > kMostSums)
    return "takes batches of 1 to " + std::to_string(kMostSums) + ", got " + std::to_string(sums);
  return simd::dense_update_kernels() ? "" : "needs AVX2 with fused multiply-add, or AVX-512";
}

/// `set_step(plan, block)` writes the numbers of a step, `step` steps a band.
template <class SetStep>
Prepared prepare(const Problem& problem, DenseUpdateKernels::Band step, SetStep set_step) {
  const DenseUpdateShape s = dense_update_shape(problem);
  const DenseUpdateKernels& kernels = *simd::dense_update_kernels();
  const int64_t rows = kernels.rows, width = kernels.columns;
  const int64_t bands = panels(s.M, rows), tiles = panels(s.N, width);
  const int64_t strip = std::max<int64_t>(1, kStrip / s.K / width) * width;
  const size_t values = problem.outputs.size();
  Prepared prepared;
  prepared.detail = kernels.instruction_set;
  for (int i = 0; i < static_cast<int>(values); ++i) prepared.in_place.push_back({i, 3 + i, true});
  prepared.workspace = static_cast<size_t>((bands * rows + tiles * width) * s.K) * sizeof(float);
  prepared.kernel = make_kernel([=](const Arguments& a) {
    const auto* x = static_cast<const float*>(a.inputs[1]);
    const auto* dy = static_cast<const float*>(a.inputs[2]);
    auto* packed_dy = static_cast<float*>(a.workspace);
    float* packed_x = packed_dy + tiles * width * s.K;
    parallel_ranges(tiles + bands, 1 + 16384 / (s.K * width), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (i < tiles)
          pack(dy, s.K, s.N, i * width, width, packed_dy + i * width * s.K);
        else
          pack(x, s.K, s.M, (i - tiles) * rows, rows, packed_x + (i - tiles) * rows * s.K);
    });
    DensePlan plan = {s.M, s.N, s.K, packed_x, packed_dy, {}, {}, {}};
    for (size_t i = 0; i < values; ++i) plan.values[i] = static_cast<float*>(a.outputs[i]);
    set_step(plan, *static_cast<const StepBlock*>(a.inputs[0]));
    const int64_t pieces = panels(s.N, strip) * bands;
    parallel_ranges(
        pieces, 1 + 32768 / (rows * std::min(s.N, strip)), [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i)
            step(plan, i % bands, i / bands * strip, std::min(s.N, (i / bands + 1) * strip));
        });
  });
  return prepared;
}

Prepared prepare_sgd(const Problem& problem) {
  const auto o = problem.get<SgdOptions>();
  const DenseUpdateKernels& k = *simd::dense_update_kernels();
  return prepare(problem,
                 o.momentum <= 0 ? k.sgd
                 : o.nesterov    ? k.nesterov
                                 : k.momentum,
                 [o](DensePlan& plan, const StepBlock& b) { plan.sgd = sgd_step_of(o, b, 1); });
}

Prepared prepare_adam(const Problem& problem) {
  const auto o = problem.get<AdamOptions>();
  return prepare(problem, simd::dense_update_kernels()->adam,
                 [o](DensePlan& plan, const StepBlock& b) { plan.adam = adam_step_of(o, b, 1); });
}

const Register sgd(direct_entry("dense_sgd", declines, prepare_sgd));
const Register adam(direct_entry("dense_adam", declines, prepare_adam));

}  // namespace
}  // namespace striate::kernels
