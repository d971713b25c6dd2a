// The losses with their gradients in one pass, and the count of right answers, on CUDA devices.
//
// Crossentropies over classes: a warp takes a row (a block one of more than 1024 classes), finds
// its largest score and its sum of exponentials, and writes the row's gradient while it adds up the
// row's loss. The other losses go element by element. A small batch is one block's work, so a loss
// is one launch, which may count the right rows too; a larger one leaves a sum for each block and a
// second launch adds them in order. Whoever writes the loss tells the step block, where that is
// asked, that it is not finite.
#include <striate/core/step.h>
#include <striate/kernels/float_functions.h>
#include <striate/kernels/loss.h>

#include <algorithm>
#include <striate/kernels/any_element.cuh>
#include <striate/kernels/block_sum.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kWarp = 32, kThreads = 256, kLargeBlock = 1024;
constexpr int64_t kLongRow = 1024, kMostBlocks = 1024;
constexpr int64_t kOneBlock = 32768;  // elements that one block does before a second launch pays

// Probabilities are clipped to [1e-7, 1 - 1e-7]. The upper bound is not a float: of the floats that
// reach it the logarithm is given.
constexpr float kClip = 1e-7f, kUpperClip = 0x1.fffffep-1f, kLogOfUpperClip = -1.00000005e-7f;

/// What all losses know.
struct LossNumbers {
  const StepBlock* block;
  StepBlock* stopped;    // told when a result is not finite; null: nobody is
  float samples, terms;  // rows of the batch; rows or elements of one sample
  float keep, spread;    // targets are t * keep + spread
  bool from_logits;

  /// Return 1 / (loss_divisor * terms of one sample).
  __device__ float scale() const {
    return 1 / ((block->loss_divisor > 0 ? block->loss_divisor : samples) * terms);
  }
};

/// Write a result of the whole batch, and tell the step block when it is not finite.
__device__ void finish(float result, float* to, StepBlock* stopped) {
  *to = result;
  if (stopped && !isfinite(result)) atomicOr(&stopped->fault, 1u);
}

/// Return log(p) of a probability, clipped.
__device__ float log_of_probability(float x) {
  if (x >= kUpperClip) return kLogOfUpperClip;
  return logf(x < kClip ? kClip : x);
}
/// Return log(1 - p).
__device__ float log_of_rest(float x) {
  if (x < kClip) return kLogOfUpperClip;
  if (x >= kUpperClip) return logf(kClip);
  return log1pf(-x);
}
/// Return the slope of a function of the clipped x: 0 where it is clipped, NaN of NaN.
__device__ float unless_clipped(float x, float slope) {
  return x < kClip || x >= kUpperClip ? 0 : slope;
}

// 1. Kernels --------------------------------------------------------------------------------------

/// Return how many of the classes first, first + step, ... come before the label in the order of
/// argmax.
template <class T>
__device__ int64_t classes_before(const T* x, int64_t label, int64_t C, int first, int step) {
  const float own = to_float(x[label]);
  int64_t before = 0;
  for (int64_t c = first; c < C; c += step) {
    const float score = to_float(x[c]);
    if (c != label) before += !(c < label ? score < own : score <= own);
  }
  return before;
}

/// Where the share of right rows goes, and what one row counts.
struct Share {
  float* to;  // null: not wanted
  float row;
  int top_k;
};

/// sums[block] = loss of the block's rows. A share is the work of one block.
template <class T, bool sparse, int kPerRow>
__global__ void __launch_bounds__(kPerRow > kWarp ? kPerRow : kLargeBlock)
    categorical_kernel(const T* scores, const void* targets, DType target_type, LossNumbers numbers,
                       T* gradient, float* sums, int64_t rows, int64_t C, Share share) {
  __shared__ float space[kLargeBlock / kWarp];
  const int first = static_cast<int>(threadIdx.x) % kPerRow;
  const float scale = numbers.scale();
  float total = 0;
  [[maybe_unused]] float right = 0;
  for (int64_t row = thread_number() / kPerRow; row < rows;
       row += int64_t{gridDim.x} * blockDim.x / kPerRow) {
    const T* x = scores + row * C;
    const int64_t label = sparse ? label_at(targets, target_type, row) : 0;
    const auto target = [&](int64_t c) {
      const float t =
          sparse ? static_cast<float>(c == label) : number_at(targets, target_type, row * C + c);
      return t * numbers.keep + numbers.spread;
    };
    float largest = -INFINITY, sum = 0, sum_t = numbers.keep + numbers.spread * C;
    if (numbers.from_logits) {
      for (int64_t c = first; c < C; c += kPerRow) largest = fmaxf(largest, to_float(x[c]));
      largest = over_row<kPerRow>(largest, -INFINITY, space, LargerNumber());
      for (int64_t c = first; c < C; c += kPerRow) sum += exp_of(to_float(x[c]) - largest);
      sum = over_row<kPerRow>(sum, 0, space, Add());
      if constexpr (!sparse) {
        sum_t = 0;
        for (int64_t c = first; c < C; c += kPerRow) sum_t += target(c);
        sum_t = over_row<kPerRow>(sum_t, 0, space, Add());
      }
    }
    const bool is_class = label >= 0 && label < C;
    if constexpr (sparse)
      if (share.to) {
        float before = is_class ? classes_before(x, label, C, first, kPerRow) : 0;
        before = over_row<kPerRow>(before, 0, space, Add());
        if (first == 0) right += is_class && before < share.top_k ? 1.0f : 0.0f;
      }
    // A label that is no class makes all of its row NaN.
    if (!is_class) sum_t = NAN;
    const float log_sum = logf(sum);
    for (int64_t c = first; c < C; c += kPerRow) {
      const float v = to_float(x[c]), t = target(c);
      float slope, term;
      if (numbers.from_logits) {
        slope = exp_of(v - largest) / sum * sum_t - t;
        term = t * (log_sum + (largest - v));
      } else {
        slope = unless_clipped(v, -t / v) + 0 * sum_t;
        term = -t * log_of_probability(v);
      }
      // A class that is ruled out by -infinity costs nothing.
      if (!sparse || t != 0) total += term;
      gradient[row * C + c] = from_float<T>(slope * scale);
    }
    total += 0 * sum_t;
  }
  if constexpr (kPerRow > kWarp) __syncthreads();  // readers of a row's results are done
  total = over_block(total, 0.0f, space, Add());
  if (threadIdx.x == 0) finish(total * scale, sums + blockIdx.x, numbers.stopped);
  if constexpr (sparse) {
    if (!share.to) return;
    __syncthreads();  // readers of the total are done
    right = over_block(right, 0.0f, space, Add());
    if (threadIdx.x == 0) *share.to = right * share.row;
  }
}

enum class Elements { kBinary, kSquared };

template <class T, Elements kind>
__global__ void __launch_bounds__(kLargeBlock)
    elements_kernel(const T* x, const void* targets, DType target_type, LossNumbers numbers,
                    T* gradient, float* sums, int64_t count) {
  __shared__ float space[kLargeBlock / kWarp];
  const float scale = numbers.scale();
  float total = 0;
  for (int64_t i = thread_number(); i < count; i += int64_t{gridDim.x} * blockDim.x) {
    const float v = to_float(x[i]);
    const float t = number_at(targets, target_type, i) * numbers.keep + numbers.spread;
    float slope;
    if constexpr (kind == Elements::kSquared) {
      slope = 2 * (v - t);
      total += (v - t) * (v - t);
    } else if (numbers.from_logits) {
      const float z = exp_of(-fabsf(v));
      slope = (v < 0 ? z : 1.0f) / (1.0f + z) - t;
      total += (v < 0 ? 0.0f : v) - v * t + log1pf(z);
    } else {
      slope = unless_clipped(v, (v - t) / (v * (1 - v)));
      total -= t * log_of_probability(v) + (1 - t) * log_of_rest(v);
    }
    gradient[i] = from_float<T>(slope * scale);
  }
  total = over_block(total, 0.0f, space, Add());
  if (threadIdx.x == 0) finish(total * scale, sums + blockIdx.x, numbers.stopped);
}

/// loss = the sum of one sum per thread.
__global__ void total_kernel(const float* sums, int count, float* loss, StepBlock* stopped) {
  __shared__ float space[kLargeBlock / kWarp];
  const float sum = static_cast<int>(threadIdx.x) < count ? sums[threadIdx.x] : 0.0f;
  const float total = over_block(sum, 0.0f, space, Add());
  if (threadIdx.x == 0) finish(total, loss, stopped);
}

template <class T>
__global__ void top_k_kernel(const T* scores, const void* labels, DType label_type, float* correct,
                             int64_t rows, int64_t C, int k) {
  const int64_t row = thread_number() / kWarp;
  if (row >= rows) return;
  const T* x = scores + row * C;
  const int64_t label = label_at(labels, label_type, row);
  const bool valid = label >= 0 && label < C;
  int64_t before = valid ? classes_before(x, label, C, threadIdx.x % kWarp, kWarp) : 0;
  before = over_warp(before, [](int64_t a, int64_t b) { return a + b; });
  if (threadIdx.x % kWarp == 0) correct[row] = valid && before < k ? 1.0f : 0.0f;
}

// 2. Entries --------------------------------------------------------------------------------------

/// The numbers that do not change; `units` are rows or elements, `spread` what smoothing adds.
LossNumbers numbers_of(const Problem& problem, int64_t units, double classes) {
  const auto o = problem.options ? problem.get<LossOptions>() : LossOptions();
  const Shape& shape = problem.inputs[0].shape;
  const int64_t samples = shape.rank() > 0 ? std::max<int64_t>(shape[0], 1) : 1;
  return {nullptr,
          nullptr,
          static_cast<float>(samples),
          std::max(1.0f, static_cast<float>(units) / static_cast<float>(samples)),
          static_cast<float>(1 - o.label_smoothing),
          static_cast<float>(o.label_smoothing / classes),
          o.from_logits};
}

/// The blocks of a loss: one large one, or many with a sum each.
struct Division {
  int64_t blocks;
  int threads;
  Division(int64_t elements, int64_t blocks_for_all) {
    const bool one = elements <= kOneBlock;
    blocks = one ? 1 : std::min(blocks_for_all, kMostBlocks);
    threads = one ? kLargeBlock : kThreads;
  }
  size_t workspace() const { return blocks == 1 ? 0 : static_cast<size_t>(blocks) * sizeof(float); }
};

/// Prepare a loss; `start(T(), grid, numbers, sums, arguments)` launches its kernel.
template <class Start>
Prepared prepare_loss(const Problem& problem, const Division& division, LossNumbers numbers,
                      Start start) {
  const DType dtype = problem.inputs[0].dtype;
  const bool stops = problem.options && problem.get<LossOptions>().stops;
  Prepared made = prepared(
      [=](const Arguments& a) {
        auto* block = static_cast<StepBlock*>(const_cast<void*>(a.inputs[2]));
        LossNumbers now = numbers;
        now.block = block;
        if (stops && division.blocks == 1) now.stopped = block;
        auto* loss = static_cast<float*>(a.outputs[0]);
        float* sums = division.blocks == 1 ? loss : static_cast<float*>(a.workspace);
        with_type(dtype, [&](auto zero) {
          start(zero, Grid{division.blocks, 1, 1, division.threads, 0}, now, sums, a);
        });
        if (division.blocks > 1)
          launch("loss", total_kernel, {1, 1, 1, kLargeBlock, 0}, a.stream, sums,
                 static_cast<int>(division.blocks), loss, stops ? block : nullptr);
      },
      division.workspace());
  if (problem.inputs[0].dtype == problem.outputs[1].dtype) made.in_place = {{1, 0, false}};
  return made;
}

template <bool sparse>
Prepared prepare_categorical(const Problem& problem) {
  const Shape& shape = problem.inputs[0].shape;
  const int64_t C = shape[-1], rows = shape.elements() / std::max<int64_t>(C, 1);
  const bool long_rows = C > kLongRow;
  const Division division(shape.elements(), long_rows ? rows : (rows * kWarp - 1) / kThreads + 1);
  const DType target_type = problem.inputs[1].dtype;
  const char* name = sparse ? "sparse_categorical_crossentropy" : "categorical_crossentropy";
  const int top_k = problem.options ? problem.get<LossOptions>().top_k : 0;
  return prepare_loss(
      problem, division, numbers_of(problem, rows, static_cast<double>(std::max<int64_t>(C, 1))),
      [=](auto zero, Grid grid, const LossNumbers& numbers, float* sums, const Arguments& a) {
        using T = decltype(zero);
        if (long_rows) grid.threads = kThreads;
        const auto kernel = long_rows ? categorical_kernel<T, sparse, kThreads>
                                      : categorical_kernel<T, sparse, kWarp>;
        const Share share = {top_k > 0 ? static_cast<float*>(a.outputs[2]) : nullptr,
                             1 / static_cast<float>(rows), top_k};
        launch(name, kernel, grid, a.stream, static_cast<const T*>(a.inputs[0]), a.inputs[1],
               target_type, numbers, static_cast<T*>(a.outputs[1]), sums, rows, C, share);
      });
}

template <Elements kind>
Prepared prepare_elements(const Problem& problem) {
  const int64_t count = problem.inputs[0].shape.elements();
  const Division division(count, (count - 1) / (4 * kThreads) + 1);
  const DType target_type = problem.inputs[1].dtype;
  LossNumbers numbers = numbers_of(problem, count, 2);
  if (kind == Elements::kSquared) numbers.keep = 1, numbers.spread = 0;
  const char* name = kind == Elements::kSquared ? "mean_squared_error" : "binary_crossentropy";
  return prepare_loss(
      problem, division, numbers,
      [=](auto zero, const Grid& grid, const LossNumbers& now, float* sums, const Arguments& a) {
        using T = decltype(zero);
        launch(name, elements_kernel<T, kind>, grid, a.stream, static_cast<const T*>(a.inputs[0]),
               a.inputs[1], target_type, now, static_cast<T*>(a.outputs[1]), sums, count);
      });
}

Prepared prepare_top_k(const Problem& problem) {
  const int64_t C = problem.inputs[0].shape[-1], rows = problem.outputs[0].shape.elements();
  const int k = problem.options ? problem.get<TopKOptions>().k : 1;
  const DType dtype = problem.inputs[0].dtype, label_type = problem.inputs[1].dtype;
  return prepared([=](const Arguments& a) {
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      launch("top_k_correct", top_k_kernel<T>, flat_grid(rows * kWarp), a.stream,
             static_cast<const T*>(a.inputs[0]), a.inputs[1], label_type,
             static_cast<float*>(a.outputs[0]), rows, C, k);
    });
  });
}

/// The first result, a loss or the count of right answers, is float32.
std::string declines_result(const Problem& problem) {
  const DType result = problem.outputs[0].dtype;
  if (result != DType::kF32) return std::string("makes float32, not ") + name_of(result);
  return takes_floats(problem, 0, 1);
}

std::string declines_loss(const Problem& problem) {
  const int top_k = problem.options ? problem.get<LossOptions>().top_k : 0;
  if (top_k > 1) return "counts rows by their largest score; for more the rows are sorted";
  if (top_k > 0 && problem.inputs[0].shape.elements() > kOneBlock)
    return "counts right rows of at most " + std::to_string(kOneBlock) + " scores";
  return declines_result(problem);
}

const bool added = [] {
  add_cuda_entry("sparse_categorical_crossentropy", "direct", prepare_categorical<true>,
                 declines_loss);
  add_cuda_entry("categorical_crossentropy", "direct", prepare_categorical<false>, declines_loss);
  add_cuda_entry("binary_crossentropy", "direct", prepare_elements<Elements::kBinary>,
                 declines_loss);
  add_cuda_entry("mean_squared_error", "direct", prepare_elements<Elements::kSquared>,
                 declines_loss);
  add_cuda_entry("top_k_correct", "direct", prepare_top_k, declines_result);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
