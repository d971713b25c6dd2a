// Batch normalisation over the last axis on CUDA devices, with residual and relu.
//
//   y = act((x - mean) inv_std gamma + beta + residual)
//   dx = gamma inv_std (dy - (dbeta + (x - mean) inv_std dgamma) / rows)
//
// x is a matrix of rows and channels. A block takes a chunk of rows for up to 32 packs of channels;
// each thread follows mean and sum of squared deviations of its rows (Welford 1962), and those of
// threads, then of chunks, are joined pairwise (Chan, Golub and LeVeque 1979): no cancellation, and
// one order. They are of x less its first row, and what is lost when the mean becomes a float goes
// along as a rest: a mean far above the deviation costs no digits. A second kernel joins the
// chunks, a warp a channel; a third writes y or dx.
#include <striate/kernels/batch_norm.h>

#include <algorithm>
#include <striate/kernels/any_element.cuh>
#include <striate/kernels/block_sum.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kThreads = 256, kWarp = 32;
constexpr int64_t kEnoughBlocks = 528;  // four for each of an H100's processors

/// Return the values of a pack's channels.
template <int Size>
__device__ Group<float, Size> of_channels(const float* from) {
  return *reinterpret_cast<const Group<float, Size>*>(from);
}

// 1. Statistics of channels -----------------------------------------------------------------------

__device__ float from_lane(float value, int distance) {
  return __shfl_down_sync(kAllLanes, value, distance);
}

/// What rows of a channel are summed to, forward: their count, mean and squared deviations.
struct Moments {
  float count, first, second;

  static __device__ Moments of(float rows, float first, float second) {
    return {rows, first, second};
  }
  __device__ Moments of_lane(int distance) const {
    return {from_lane(count, distance), from_lane(first, distance), from_lane(second, distance)};
  }
};

/// And backward: dbeta and dgamma.
struct Gradients {
  float first, second;

  static __device__ Gradients of(float, float first, float second) { return {first, second}; }
  __device__ Gradients of_lane(int distance) const {
    return {from_lane(first, distance), from_lane(second, distance)};
  }
};

/// Return what two groups of rows are summed to together.
__device__ Moments joined(const Moments& a, const Moments& b) {
  const float count = a.count + b.count;
  const float share = b.count / fmaxf(count, 1), distance = b.first - a.first;
  return {count, a.first + distance * share,
          a.second + b.second + distance * distance * a.count * share};
}
__device__ Gradients joined(const Gradients& a, const Gradients& b) {
  return {a.first + b.first, a.second + b.second};
}

/// How rows x channels are shared out: `lanes` threads side by side, each with a pack of channels.
struct Chunks {
  int64_t rows, count;
  int channels, lanes, tiles;  // tiles: blocks side by side

  Chunks(int64_t r, int c, int size) : rows(r), channels(c), lanes(1) {
    const int groups = c / size;
    while (lanes < kWarp && lanes < groups) lanes *= 2;
    tiles = (groups + lanes - 1) / lanes;
    const int64_t turn = kThreads / lanes;  // rows that a block takes at once
    count = std::clamp<int64_t>(kEnoughBlocks / std::max(tiles, 1), 1,
                                std::max<int64_t>(1, rows / (16 * turn)));
  }
  __host__ __device__ int64_t length() const { return (rows + count - 1) / count; }
  __device__ int64_t begin(int64_t chunk) const { return min(rows, chunk * length()); }
  __device__ int64_t end(int64_t chunk) const { return min(rows, (chunk + 1) * length()); }
  cuda::Grid grid() const { return {count * tiles, 1, 1, kThreads, 0}; }
};

/// Join what a block's threads hold of the same channels and write it to moments[chunk][2][C].
template <int Size, class Value>
__device__ void write_joined(Value (&own)[Size], float* moments, const Chunks& chunks) {
  __shared__ Value space[kThreads];
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t chunk = blockIdx.x / chunks.tiles;
  const int group =
      static_cast<int>(blockIdx.x % chunks.tiles) * chunks.lanes + (thread & (chunks.lanes - 1));
  for (int k = 0; k < Size; ++k) {
    if (k > 0) __syncthreads();  // readers of the channel before are done
    space[thread] = own[k];
    for (int half = kThreads / 2; half >= chunks.lanes; half /= 2) {
      __syncthreads();
      if (thread < half) space[thread] = joined(space[thread], space[thread + half]);
    }
    const int c = group * Size + k;
    if (thread >= chunks.lanes || c >= chunks.channels) continue;
    float* to = moments + chunk * 2 * chunks.channels + c;
    to[0] = space[thread].first;
    to[chunks.channels] = space[thread].second;
  }
}

/// Call `add(row, element of the first channel)` for this thread's rows of its chunk.
template <int Size, class Add>
__device__ void for_rows(const Chunks& chunks, const Add& add) {
  const int thread = static_cast<int>(threadIdx.x), turn = kThreads / chunks.lanes;
  const int group =
      static_cast<int>(blockIdx.x % chunks.tiles) * chunks.lanes + (thread & (chunks.lanes - 1));
  const int c = group * Size;
  if (c >= chunks.channels) return;
  const int64_t chunk = blockIdx.x / chunks.tiles, end = chunks.end(chunk);
  for (int64_t row = chunks.begin(chunk) + thread / chunks.lanes; row < end; row += turn)
    add(row * chunks.channels + c, c);
}

template <class T, int Size>
__global__ void __launch_bounds__(kThreads)
    statistics_kernel(const T* x, float* moments, Chunks chunks) {
  Moments own[Size] = {};
  float count = 0;
  for_rows<Size>(chunks, [&](int64_t at, int c) {
    const auto v = *reinterpret_cast<const Group<T, Size>*>(x + at);
    const auto about = *reinterpret_cast<const Group<T, Size>*>(x + c);  // stays in the cache
    const float share = 1 / ++count;
    for (int k = 0; k < Size; ++k) {
      const float value = to_float(v.at[k]) - to_float(about.at[k]);
      const float distance = value - own[k].first;
      own[k].first += distance * share;
      own[k].second += distance * (value - own[k].first);
    }
  });
  for (Moments& m : own) m.count = count;
  write_joined<Size>(own, moments, chunks);
}

/// Sums of dy and of dy (x - mean), channel by channel.
template <class T, int Size>
__global__ void __launch_bounds__(kThreads)
    gradient_sums_kernel(const T* x, const T* dy, const float* mean, float* moments,
                         Chunks chunks) {
  Gradients own[Size] = {};
  for_rows<Size>(chunks, [&](int64_t at, int c) {
    const auto v = *reinterpret_cast<const Group<T, Size>*>(x + at);
    const auto d = *reinterpret_cast<const Group<T, Size>*>(dy + at);
    const auto means = of_channels<Size>(mean + c);  // stays in the cache
    for (int k = 0; k < Size; ++k) {
      own[k].first += to_float(d.at[k]);
      own[k].second += to_float(d.at[k]) * (to_float(v.at[k]) - means.at[k]);
    }
  });
  write_joined<Size>(own, moments, chunks);
}

/// Return what channel `c` is summed to over all chunks, in lane 0 of the warp.
template <class Value>
__device__ Value over_chunks(const float* moments, int c, const Chunks& chunks) {
  Value all{};
  for (int64_t i = threadIdx.x % kWarp; i < chunks.count; i += kWarp) {
    const float* from = moments + i * 2 * chunks.channels + c;
    const auto rows = static_cast<float>(chunks.end(i) - chunks.begin(i));
    all = joined(all, Value::of(rows, from[0], from[chunks.channels]));
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    all = joined(all, all.of_lane(distance));
  return all;
}

struct Training {
  const float *moving_mean, *moving_variance;
  float *mean, *rest, *inv_std, *new_moving_mean, *new_moving_variance;
  double epsilon, keep;  // keep: of the moving statistics
};

/// In double, for it is a few operations a channel.
template <class T>
__global__ void finish_statistics_kernel(const T* x, const float* moments, Training t,
                                         Chunks chunks) {
  const int c = static_cast<int>(thread_number() / kWarp);
  if (c >= chunks.channels) return;
  const auto all = over_chunks<Moments>(moments, c, chunks);
  if (threadIdx.x % kWarp != 0) return;
  const bool empty = chunks.rows == 0;
  const double mean = empty ? 0.0 : double{to_float(x[c])} + double{all.first};
  const double variance = empty ? 0.0 : double{all.second} / static_cast<double>(chunks.rows);
  t.mean[c] = static_cast<float>(mean);
  t.rest[c] = static_cast<float>(mean - double{t.mean[c]});
  t.inv_std[c] = static_cast<float>(1 / sqrt(variance + t.epsilon));
  t.new_moving_mean[c] = static_cast<float>(t.keep * t.moving_mean[c] + (1 - t.keep) * mean);
  t.new_moving_variance[c] =
      static_cast<float>(t.keep * t.moving_variance[c] + (1 - t.keep) * variance);
}

/// What turns a variance, as inference has it, or an inv_std, as training, into an inv_std.
struct Deviation {
  const float* values;
  float epsilon;
  bool is_variance;
  __device__ float inverse(float value) const {
    return is_variance ? 1 / sqrtf(value + epsilon) : value;
  }
};

__global__ void finish_gradient_kernel(const float* moments, Deviation deviation, float* dgamma,
                                       float* dbeta, Chunks chunks) {
  const int c = static_cast<int>(thread_number() / kWarp);
  if (c >= chunks.channels) return;
  const auto all = over_chunks<Gradients>(moments, c, chunks);
  if (threadIdx.x % kWarp != 0) return;
  dgamma[c] = all.second * deviation.inverse(deviation.values[c]);
  dbeta[c] = all.first;
}

// 2. Results --------------------------------------------------------------------------------------

/// Return the first channel of the pack that begins at element `i` of a value with C channels.
__device__ int channel_of(int64_t i, int channels) {
  return i <= UINT32_MAX
             ? static_cast<int>(static_cast<uint32_t>(i) % static_cast<uint32_t>(channels))
             : static_cast<int>(i % channels);
}

/// `rest` is what the float `mean` of a batch lacks; that of inference is taken as it is.
template <class T, int Size>
__global__ void normalise_kernel(const T* x, const float* gamma, const float* beta,
                                 const float* mean, const float* rest, Deviation deviation,
                                 const T* residual, T* y, int64_t count, int channels, bool relu) {
  const int64_t at = thread_number() * Size;
  if (at >= count) return;
  const int c = channel_of(at, channels);
  const auto v = *reinterpret_cast<const Group<T, Size>*>(x + at);
  Group<T, Size> r, made;
  if (residual != nullptr) r = *reinterpret_cast<const Group<T, Size>*>(residual + at);
  const auto means = of_channels<Size>(mean + c), gammas = of_channels<Size>(gamma + c),
             betas = of_channels<Size>(beta + c),
             deviations = of_channels<Size>(deviation.values + c);
  Group<float, Size> rests = {};
  if (!deviation.is_variance) rests = of_channels<Size>(rest + c);
  for (int k = 0; k < Size; ++k) {
    float value = to_float(v.at[k]) - means.at[k] - rests.at[k];
    value = value * (deviation.inverse(deviations.at[k]) * gammas.at[k]) + betas.at[k];
    if (residual != nullptr) value += to_float(r.at[k]);
    made.at[k] = from_float<T>(relu && value < 0 ? 0.0f : value);
  }
  *reinterpret_cast<Group<T, Size>*>(y + at) = made;
}

/// `share` is 1 / rows. In inference the statistics are constants.
template <class T, int Size>
__global__ void backward_kernel(const T* x, const T* dy, const float* gamma, const float* mean,
                                Deviation deviation, const float* dgamma, const float* dbeta, T* dx,
                                int64_t count, int channels, float share) {
  const int64_t at = thread_number() * Size;
  if (at >= count) return;
  const int c = channel_of(at, channels);
  const auto v = *reinterpret_cast<const Group<T, Size>*>(x + at);
  const auto d = *reinterpret_cast<const Group<T, Size>*>(dy + at);
  Group<T, Size> made;
  const auto gammas = of_channels<Size>(gamma + c),
             deviations = of_channels<Size>(deviation.values + c);
  Group<float, Size> means = {}, dgammas = {}, dbetas = {};
  if (!deviation.is_variance)
    means = of_channels<Size>(mean + c), dgammas = of_channels<Size>(dgamma + c),
    dbetas = of_channels<Size>(dbeta + c);
  for (int k = 0; k < Size; ++k) {
    const float inverse = deviation.inverse(deviations.at[k]);
    float slope = to_float(d.at[k]);
    if (!deviation.is_variance)
      slope -= share * (dbetas.at[k] + (to_float(v.at[k]) - means.at[k]) * inverse * dgammas.at[k]);
    made.at[k] = from_float<T>(gammas.at[k] * inverse * slope);
  }
  *reinterpret_cast<Group<T, Size>*>(dx + at) = made;
}

// 3. Entries --------------------------------------------------------------------------------------

struct Matrix {
  int64_t rows, count;
  int channels;
  explicit Matrix(const Shape& x)
      : rows(x.product(0, x.rank() - 1)), count(x.elements()), channels(static_cast<int>(x[-1])) {}
};

/// Call `run(T(), size)` with a pack's elements where the channels and all values allow it, else 1.
template <class Run>
void with_packs(DType dtype, int channels, std::initializer_list<const void*> values, Run run) {
  bool packs = true;
  for (const void* v : values) packs = packs && reinterpret_cast<uintptr_t>(v) % 16 == 0;
  with_type(dtype, [&](auto zero) {
    constexpr int kSize = Pack<decltype(zero)>::kSize;
    if (packs && channels % kSize == 0)
      run(zero, std::integral_constant<int, kSize>());
    else
      run(zero, std::integral_constant<int, 1>());
  });
}

const float* numbers(const Arguments& a, size_t input) {
  return static_cast<const float*>(a.inputs[input]);
}
float* result(const Arguments& a, size_t output) { return static_cast<float*>(a.outputs[output]); }

/// Return room for the moments of every chunk, for packs or single channels.
size_t moments_bytes(const Matrix& m) {
  int64_t chunks = 1;
  for (int size : {1, 4, 8})
    if (m.channels % size == 0) chunks = std::max(chunks, Chunks(m.rows, m.channels, size).count);
  return static_cast<size_t>(chunks * 2 * m.channels) * sizeof(float);
}

template <bool training>
Prepared prepare_forward(const Problem& problem) {
  const auto o = problem.get<BatchNormOptions>();
  const Matrix m(problem.inputs[0].shape);
  const DType dtype = problem.inputs[0].dtype;
  const bool residual = problem.has_input(5), relu = o.activation == Activation::kRelu;
  const auto epsilon = static_cast<float>(o.epsilon);
  const size_t moments_size = moments_bytes(m);
  Prepared made = prepared(
      [=](const Arguments& a) {
        const void* added = residual ? a.inputs[5] : nullptr;
        const float* mean = training ? result(a, 1) : numbers(a, 3);
        const Deviation deviation{training ? result(a, 2) : numbers(a, 4), epsilon, !training};
        auto* moments = static_cast<float*>(a.workspace);
        float* rest = training ? moments + moments_size / sizeof(float) : nullptr;
        const auto values = {a.inputs[0],
                             static_cast<const void*>(a.outputs[0]),
                             added,
                             a.inputs[1],
                             a.inputs[2],
                             static_cast<const void*>(mean),
                             static_cast<const void*>(deviation.values)};
        with_packs(dtype, m.channels, values, [&](auto z, auto size) {
          using T = decltype(z);
          const T* x = static_cast<const T*>(a.inputs[0]);
          if constexpr (training) {
            const Chunks chunks(m.rows, m.channels, size);
            launch("batch_norm_training", statistics_kernel<T, size>, chunks.grid(), a.stream, x,
                   moments, chunks);
            const Training t{numbers(a, 3), numbers(a, 4), result(a, 1),
                             rest,          result(a, 2),  result(a, 3),
                             result(a, 4),  o.epsilon,     m.rows > 0 ? o.momentum : 1.0};
            launch("batch_norm_training", finish_statistics_kernel<T>,
                   flat_grid(int64_t{m.channels} * kWarp), a.stream, x, moments, t, chunks);
          }
          launch(training ? "batch_norm_training" : "batch_norm_inference",
                 normalise_kernel<T, size>, flat_grid(m.count, size), a.stream, x, numbers(a, 1),
                 numbers(a, 2), mean, rest, deviation, static_cast<const T*>(added),
                 static_cast<T*>(a.outputs[0]), m.count, m.channels, relu);
        });
      },
      training ? moments_size + static_cast<size_t>(m.channels) * sizeof(float) : 0);
  made.in_place = {{0, 0, false}};
  if (residual) made.in_place.push_back({0, 5, false});
  return made;
}

template <bool training>
Prepared prepare_backward(const Problem& problem) {
  const auto epsilon = static_cast<float>(problem.get<BatchNormOptions>().epsilon);
  const Matrix m(problem.inputs[0].shape);
  const DType dtype = problem.inputs[0].dtype;
  const bool wants_dx = problem.is_read(0);
  const float share = 1 / static_cast<float>(m.rows);
  Prepared made = prepared(
      [=](const Arguments& a) {
        constexpr const char* name =
            training ? "batch_norm_training_backward" : "batch_norm_inference_backward";
        const Deviation deviation{numbers(a, 3), epsilon, !training};
        with_packs(dtype, m.channels,
                   {a.inputs[0], a.inputs[1], a.inputs[2], a.inputs[3], a.inputs[4], a.outputs[0],
                    a.outputs[1], a.outputs[2]},
                   [&](auto zero, auto size) {
                     using T = decltype(zero);
                     const T *x = static_cast<const T*>(a.inputs[0]),
                             *dy = static_cast<const T*>(a.inputs[4]);
                     const Chunks chunks(m.rows, m.channels, size);
                     auto* moments = static_cast<float*>(a.workspace);
                     launch(name, gradient_sums_kernel<T, size>, chunks.grid(), a.stream, x, dy,
                            numbers(a, 2), moments, chunks);
                     launch(name, finish_gradient_kernel, flat_grid(int64_t{m.channels} * kWarp),
                            a.stream, moments, deviation, result(a, 1), result(a, 2), chunks);
                     if (wants_dx)
                       launch(name, backward_kernel<T, size>, flat_grid(m.count, size), a.stream, x,
                              dy, numbers(a, 1), numbers(a, 2), deviation, result(a, 1),
                              result(a, 2), static_cast<T*>(a.outputs[0]), m.count, m.channels,
                              share);
                   });
      },
      moments_bytes(m));
  made.in_place = {{0, 0, false}, {0, 4, false}};
  return made;
}

/// x, residual and dy are floats of one type, all values of a channel float32.
std::string declines(const Problem& problem, std::initializer_list<size_t> of_x) {
  const DType dtype = problem.inputs[0].dtype;
  for (size_t i = 0; i < problem.inputs.size(); ++i) {
    if (!problem.has_input(i)) continue;
    const bool is_x = std::find(of_x.begin(), of_x.end(), i) != of_x.end();
    const DType wanted = is_x ? dtype : DType::kF32, found = problem.inputs[i].dtype;
    if (found != wanted)
      return "takes " + std::string(name_of(wanted)) + " as input " + std::to_string(i) + ", got " +
             name_of(found);
  }
  return takes_floats(problem, 0, 1);
}

const bool added = [] {
  const auto forward = [](const Problem& p) { return declines(p, {0, 5}); };
  const auto backward = [](const Problem& p) { return declines(p, {0, 4}); };
  add_cuda_entry("batch_norm_training", "welford", prepare_forward<true>, forward);
  add_cuda_entry("batch_norm_inference", "direct", prepare_forward<false>, forward);
  add_cuda_entry("batch_norm_training_backward", "direct", prepare_backward<true>, backward);
  add_cuda_entry("batch_norm_inference_backward", "direct", prepare_backward<false>, backward);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
