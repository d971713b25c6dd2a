// Optimizer steps and the norm of all gradients on CUDA devices: all weights in one launch.
//
// Each block updates 4096 elements of one weight (tensor_table.cuh); the formulas are those of the
// CPU (optimizer_functions.h). The step block lies in device memory: learning rate and step are
// read by the kernel, so a recorded step can be replayed. Where its `fault` is set nothing changes.
// The norm adds in two passes: one sum a block, then those sums in order.
#include <striate/core/step.h>
#include <striate/kernels/optimizer.h>
#include <striate/kernels/optimizer_functions.h>

#include <cmath>
#include <striate/kernels/block_sum.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>
#include <striate/kernels/tensor_table.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

/// Where the numbers of a step are found, and the options.
struct Source {
  const StepBlock* block;
  const float* clip_scale;  // null: 1
  int index;                // of the learning rate
  float weight_decay;
};

__device__ float clip_scale_of(const Source& source) {
  return source.clip_scale == nullptr ? 1.0f : *source.clip_scale;
}

// 1. Kernels --------------------------------------------------------------------------------------

enum class Sgd { kPlain, kMomentum, kNesterov };

template <class T, Sgd kind, int Roles>
__global__ void sgd_kernel(const __grid_constant__ TensorTable<Roles> table, Source source,
                           float momentum) {
  if (source.block->fault != 0) return;
  const float lr = source.block->learning_rate[source.index];
  const SgdStep step{lr, 1 - lr * source.weight_decay, momentum, clip_scale_of(source)};
  const Piece piece = table.find(static_cast<int>(blockIdx.x));
  T* w = static_cast<T*>(table.data[0][piece.tensor]);
  const T* g = static_cast<const T*>(table.data[1][piece.tensor]);
  T* v = kind == Sgd::kPlain ? nullptr : static_cast<T*>(table.data[Roles - 1][piece.tensor]);
  for_piece<Pack<T>::kSize>(piece, table.vectors, [&](int64_t i, auto size) {
    Pack<T> ws = load_some<size>(w + i);
    [[maybe_unused]] Pack<T> vs;
    const Pack<T> gs = load_some<size>(g + i);
    if constexpr (kind != Sgd::kPlain) vs = load_some<size>(v + i);
    for (int k = 0; k < size; ++k) {
      float weight = to_float(ws.at[k]);
      if constexpr (kind == Sgd::kPlain) {
        sgd_step(weight, to_float(gs.at[k]), step);
      } else {
        float velocity = to_float(vs.at[k]);
        if constexpr (kind == Sgd::kNesterov)
          nesterov_step(weight, to_float(gs.at[k]), velocity, step);
        else
          momentum_step(weight, to_float(gs.at[k]), velocity, step);
        vs.at[k] = from_float<T>(velocity);
      }
      ws.at[k] = from_float<T>(weight);
    }
    store_some<size>(w + i, ws);
    if constexpr (kind != Sgd::kPlain) store_some<size>(v + i, vs);
  });
}

/// The numbers of Adam that do not change: logarithms of the decays, for beta^t = exp(t log beta).
struct AdamNumbers {
  float log_beta_1, log_beta_2, one_minus_beta_1, one_minus_beta_2, epsilon;
};

template <class T>
__global__ void adam_kernel(const __grid_constant__ TensorTable<4> table, Source source,
                            AdamNumbers numbers) {
  if (source.block->fault != 0) return;
  const float lr = source.block->learning_rate[source.index];
  const float t = static_cast<float>(source.block->step + 1);
  // 1 - beta^t without the cancellation of small t.
  const float rest_1 = -expm1f(t * numbers.log_beta_1), rest_2 = -expm1f(t * numbers.log_beta_2);
  const AdamStep step{lr * sqrtf(rest_2) / rest_1,
                      1 - lr * source.weight_decay,
                      numbers.one_minus_beta_1,
                      numbers.one_minus_beta_2,
                      numbers.epsilon,
                      clip_scale_of(source)};
  const Piece piece = table.find(static_cast<int>(blockIdx.x));
  T* w = static_cast<T*>(table.data[0][piece.tensor]);
  const T* g = static_cast<const T*>(table.data[1][piece.tensor]);
  T* m = static_cast<T*>(table.data[2][piece.tensor]);
  T* v = static_cast<T*>(table.data[3][piece.tensor]);
  for_piece<Pack<T>::kSize>(piece, table.vectors, [&](int64_t i, auto size) {
    Pack<T> ws = load_some<size>(w + i), ms = load_some<size>(m + i), vs = load_some<size>(v + i);
    const Pack<T> gs = load_some<size>(g + i);
    for (int k = 0; k < size; ++k) {
      float weight = to_float(ws.at[k]), first = to_float(ms.at[k]), second = to_float(vs.at[k]);
      adam_step(weight, to_float(gs.at[k]), first, second, step);
      ws.at[k] = from_float<T>(weight);
      ms.at[k] = from_float<T>(first);
      vs.at[k] = from_float<T>(second);
    }
    store_some<size>(w + i, ws);
    store_some<size>(m + i, ms);
    store_some<size>(v + i, vs);
  });
}

template <class T>
__global__ void squares_kernel(const __grid_constant__ TensorTable<1> table, float* sums) {
  __shared__ float space[32];
  const Piece piece = table.find(static_cast<int>(blockIdx.x));
  const T* g = static_cast<const T*>(table.data[0][piece.tensor]);
  float sum = 0;
  for_piece<Pack<T>::kSize>(piece, table.vectors, [&](int64_t i, auto size) {
    const Pack<T> pack = load_some<size>(g + i);
    for (int k = 0; k < size; ++k) {
      const float v = to_float(pack.at[k]);
      sum += v * v;
    }
  });
  sum = over_block(sum, 0.0f, space, Add());
  if (threadIdx.x == 0) sums[table.blocks_before + static_cast<int>(blockIdx.x)] = sum;
}

__global__ void total_kernel(const float* sums, int64_t count, float* total) {
  __shared__ float space[32];
  float sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
  sum = over_block(sum, 0.0f, space, Add());
  if (threadIdx.x == 0) *total = sum;
}

__global__ void clip_scale_kernel(const float* squared_norm, float* scale, float norm) {
  const float s = norm / sqrtf(*squared_norm);
  *scale = s > 1 ? 1 : s;  // a NaN norm stays NaN
}

// 2. Entries --------------------------------------------------------------------------------------

/// Return the entry's in-place pairs and counts for values step_block, [clip scale], w..., g...,
/// states...; `run(counts, data, source, dtype, stream)` launches.
template <int Roles, class Run>
Prepared prepare_step(const Problem& problem, int tensors, int index, double weight_decay,
                      Run run) {
  const std::vector<int64_t> counts = element_counts(problem, 2, 2 + static_cast<size_t>(tensors));
  const DType dtype = tensors > 0 ? problem.inputs[2].dtype : DType::kF32;
  const bool clips = problem.has_input(1);
  Prepared made = prepared([=](const Arguments& a) {
    const Source source{static_cast<const StepBlock*>(a.inputs[0]),
                        clips ? static_cast<const float*>(a.inputs[1]) : nullptr, index,
                        static_cast<float>(weight_decay)};
    const auto data = [&](size_t role, size_t k) {
      const auto count = static_cast<size_t>(tensors);
      return role == 1 ? const_cast<void*>(a.inputs[2 + count + k])
                       : a.outputs[(role == 0 ? 0 : role - 1) * count + k];
    };
    with_type(dtype, [&](auto zero) {
      for_tables<Roles>(counts, data, [&](const TensorTable<Roles>& table) {
        run(zero, table, source, a.stream);
      });
    });
  });
  for (int i = 0; i < static_cast<int>(problem.outputs.size()); ++i)
    made.in_place.push_back({i, 2 + (i < tensors ? i : i + tensors), true});
  return made;
}

template <Sgd kind>
Prepared prepare_sgd_of(const Problem& problem) {
  constexpr int kRoles = kind == Sgd::kPlain ? 2 : 3;
  const auto o = problem.get<SgdOptions>();
  const auto momentum = static_cast<float>(o.momentum);
  return prepare_step<kRoles>(
      problem, o.tensors, o.index, o.weight_decay,
      [=](auto zero, const TensorTable<kRoles>& table, const Source& source, void* stream) {
        using T = decltype(zero);
        launch("sgd", sgd_kernel<T, kind, kRoles>, table.grid(), stream, table, source, momentum);
      });
}

Prepared prepare_sgd(const Problem& problem) {
  const auto& o = problem.get<SgdOptions>();
  if (o.momentum <= 0) return prepare_sgd_of<Sgd::kPlain>(problem);
  return o.nesterov ? prepare_sgd_of<Sgd::kNesterov>(problem)
                    : prepare_sgd_of<Sgd::kMomentum>(problem);
}

Prepared prepare_adam(const Problem& problem) {
  const auto o = problem.get<AdamOptions>();
  const AdamNumbers numbers{static_cast<float>(std::log(o.beta_1)),
                            static_cast<float>(std::log(o.beta_2)),
                            static_cast<float>(1 - o.beta_1), static_cast<float>(1 - o.beta_2),
                            static_cast<float>(o.epsilon)};
  return prepare_step<4>(
      problem, o.tensors, o.index, o.weight_decay,
      [=](auto zero, const TensorTable<4>& table, const Source& source, void* stream) {
        using T = decltype(zero);
        launch("adam", adam_kernel<T>, table.grid(), stream, table, source, numbers);
      });
}

Prepared prepare_squared_norm(const Problem& problem) {
  const std::vector<int64_t> counts = element_counts(problem, 0, problem.inputs.size());
  const DType dtype = counts.empty() ? DType::kF32 : problem.inputs[0].dtype;
  const int64_t pieces = piece_count(counts);
  return prepared(
      [=](const Arguments& a) {
        auto* sums = static_cast<float*>(a.workspace);
        const auto data = [&](size_t, size_t k) { return const_cast<void*>(a.inputs[k]); };
        with_type(dtype, [&](auto zero) {
          using T = decltype(zero);
          for_tables<1>(counts, data, [&](const TensorTable<1>& table) {
            launch("squared_norm", squares_kernel<T>, table.grid(), a.stream, table, sums);
          });
        });
        launch("squared_norm", total_kernel, {1, 1, 1, 1024, 0}, a.stream, sums, pieces,
               static_cast<float*>(a.outputs[0]));
      },
      static_cast<size_t>(pieces) * sizeof(float));
}

Prepared prepare_clip_scale(const Problem& problem) {
  const auto norm = static_cast<float>(problem.get<ClipOptions>().norm);
  return prepared([=](const Arguments& a) {
    launch("clip_scale", clip_scale_kernel, {1, 1, 1, 1, 0}, a.stream,
           static_cast<const float*>(a.inputs[0]), static_cast<float*>(a.outputs[0]), norm);
  });
}

std::string declines_weights(const Problem& problem) {
  if (problem.has_input(1) && problem.inputs[1].dtype != DType::kF32)
    return std::string("takes a float32 scale, got ") + name_of(problem.inputs[1].dtype);
  return problem.inputs.size() > 2 ? takes_floats(problem, 2, problem.inputs.size()) : "";
}

std::string takes_float32_sum(const Problem& problem) {
  const DType dtype = problem.outputs[0].dtype;
  if (dtype != DType::kF32) return std::string("makes float32, not ") + name_of(dtype);
  return problem.inputs.empty() ? "" : takes_floats(problem, 0, problem.inputs.size());
}

const bool added = [] {
  add_cuda_entry("sgd", "direct", prepare_sgd, declines_weights);
  add_cuda_entry("adam", "direct", prepare_adam, declines_weights);
  add_cuda_entry("squared_norm", "direct", prepare_squared_norm, takes_float32_sum);
  add_cuda_entry("clip_scale", "direct", prepare_clip_scale, [](const Problem& problem) {
    const DType dtype = problem.inputs[0].dtype;
    return dtype == DType::kF32 ? "" : std::string("takes float32, got ") + name_of(dtype);
  });
  return true;
}();

}  // namespace
}  // namespace striate::kernels
