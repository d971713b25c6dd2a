// Max and average pooling of images and their gradients on CUDA devices.
//
//   y[n,p,q,c] = max or mean over the window
//   dx[n,i,j,c] = sum over the windows that hold (i,j)
//
// One thread computes one place of y (forward) or of dx (backward) for the channels of one pack:
// neighbours in a warp read neighbouring channels, then neighbouring columns. Backward gathers: a
// place adds the gradients of the windows it won, in the windows' order, so nothing is added by two
// threads and the sum has one order. Winners are kept in 8 bits, of windows up to 255 places.
#include <striate/kernels/pool2d.h>

#include <striate/kernels/activation.cuh>
#include <striate/kernels/any_element.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>
#include <striate/kernels/reduction.cuh>
#include <string>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

// 1. Places ---------------------------------------------------------------------------------------

/// One axis of a pooling in 32 bits, which every image side fits.
struct Axis {
  int size, out, window, stride, before;
  explicit Axis(const PoolAxis& a)
      : size(static_cast<int>(a.size)),
        out(static_cast<int>(a.out)),
        window(static_cast<int>(a.window)),
        stride(static_cast<int>(a.stride)),
        before(static_cast<int>(a.before)) {}

  /// Return the first place of window `o`, and the range of its places that lie on the image.
  __device__ int start(int o) const { return o * stride - before; }
  __device__ int first(int o) const { return max(0, -start(o)); }
  __device__ int last(int o) const { return min(window, size - start(o)); }
  /// Return the range of windows that hold place `i`.
  __device__ int first_window(int i) const {
    const int reach = i + before - window + 1;
    return reach <= 0 ? 0 : (reach + stride - 1) / stride;
  }
  __device__ int last_window(int i) const { return min(out, (i + before) / stride + 1); }
};

struct Pooling {
  Axis h, w;
  int64_t images;
  int channels;
  bool count_padding, rectified;
  explicit Pooling(const Pool2dShape& s)
      : h(s.h),
        w(s.w),
        images(s.N),
        channels(static_cast<int>(s.C)),
        count_padding(s.count_padding),
        rectified(s.rectified) {}

  /// Return 1 / the places that the mean of window (p, q) counts.
  __device__ float share(int p, int q) const {
    if (count_padding) return 1.0f / static_cast<float>(int64_t{h.window} * w.window);
    const int rows = h.last(p) - h.first(p), columns = w.last(q) - w.first(q);
    return rows <= 0 || columns <= 0 ? 0.0f : 1.0f / static_cast<float>(int64_t{rows} * columns);
  }
};

/// What a thread computes: channels [c, c + size) of place (row, column) of image n.
struct Place {
  int64_t n;
  int row, column, c;

  /// Thread number `i` over images of rows x columns places and `groups` groups of channels.
  __device__ Place(int64_t i, int rows, int columns, int groups, int size) {
    if (i <= INT32_MAX) {  // 32-bit division is several times as quick
      uint32_t rest = static_cast<uint32_t>(i), next = rest / groups;
      c = static_cast<int>(rest - next * groups) * size;
      rest = next, next = rest / columns;
      column = static_cast<int>(rest - next * columns);
      rest = next, next = rest / rows;
      row = static_cast<int>(rest - next * rows);
      n = next;
    } else {
      c = static_cast<int>(i % groups) * size, i /= groups;
      column = static_cast<int>(i % columns), i /= columns;
      row = static_cast<int>(i % rows), n = i / rows;
    }
  }
  /// Return the element of channel c at (i, j) of the same image.
  __device__ int64_t at(int i, int j, int rows, int columns, int channels) const {
    return ((n * rows + i) * columns + j) * channels + c;
  }
};

template <class T, int Size>
using Channels = Group<T, Size>;

template <int Size, class T>
__device__ Channels<T, Size> load(const T* x) {
  return *reinterpret_cast<const Channels<T, Size>*>(x);
}
template <int Size, class T>
__device__ void store(T* x, const Channels<T, Size>& v) {
  *reinterpret_cast<Channels<T, Size>*>(x) = v;
}

template <class T, int Size>
__device__ Channels<T, Size> rounded(const float (&v)[Size]) {
  Channels<T, Size> made;
  for (int k = 0; k < Size; ++k) made.at[k] = from_float<T>(v[k]);
  return made;
}

// 2. Kernels --------------------------------------------------------------------------------------

/// `winner` may be null: then nobody asks for it.
template <class T, class Winner, int Size>
__global__ void max_kernel(const T* x, T* y, Winner* winner, Pooling s) {
  const int groups = s.channels / Size;
  const int64_t i = thread_number();
  if (i >= s.images * s.h.out * s.w.out * groups) return;
  const Place o(i, s.h.out, s.w.out, groups, Size);
  float best[Size];
  int place[Size];
  for (int k = 0; k < Size; ++k) best[k] = 0, place[k] = -1;
  const int top = s.h.start(o.row), left = s.w.start(o.column);
  const int last_row = s.h.last(o.row), last_column = s.w.last(o.column);
  for (int r = s.h.first(o.row); r < last_row; ++r)
    for (int c = s.w.first(o.column); c < last_column; ++c) {
      const auto v = load<Size>(x + o.at(top + r, left + c, s.h.size, s.w.size, s.channels));
      for (int k = 0; k < Size; ++k) {
        const float value = to_float(v.at[k]);
        if (place[k] < 0 || exceeds(value, best[k])) {  // the first of equals wins
          best[k] = value;
          place[k] = r * s.w.window + c;
        }
      }
    }
  const int64_t to = o.at(o.row, o.column, s.h.out, s.w.out, s.channels);
  store<Size>(y + to, rounded<T>(best));
  if (winner == nullptr) return;
  Channels<Winner, Size> won;
  for (int k = 0; k < Size; ++k) {
    const bool is_none = s.rectified && place[k] >= 0 && !(best[k] > 0);
    won.at[k] = static_cast<Winner>(is_none ? s.h.window * s.w.window : max(place[k], 0));
  }
  store<Size>(winner + to, won);
}

/// The activation's gradient that a pooling's gradient may go through; `y` null: none.
template <class T>
struct Gated {
  const T* y = nullptr;
  AnyGate gate;

  template <int Size>
  __device__ void apply(float (&sum)[Size], int64_t at) const {
    if (y == nullptr) return;
    const auto outputs = load<Size>(y + at);
    for (int k = 0; k < Size; ++k) sum[k] = gate(sum[k], to_float(outputs.at[k]));
  }
};

template <class T>
Gated<T> gated_of(const kernels::Gate& gate, const Arguments& a) {
  return {gate ? static_cast<const T*>(a.inputs[gate.input]) : nullptr, AnyGate(gate)};
}

template <class T, class Winner, int Size>
__global__ void max_backward_kernel(const T* dy, const Winner* winner, T* dx, Pooling s,
                                    Gated<T> gated) {
  const int groups = s.channels / Size;
  const int64_t i = thread_number();
  if (i >= s.images * s.h.size * s.w.size * groups) return;
  const Place o(i, s.h.size, s.w.size, groups, Size);
  float sum[Size] = {};
  const int end_p = s.h.last_window(o.row), end_q = s.w.last_window(o.column);
  for (int p = s.h.first_window(o.row); p < end_p; ++p)
    for (int q = s.w.first_window(o.column); q < end_q; ++q) {
      const int own = (o.row - s.h.start(p)) * s.w.window + o.column - s.w.start(q);
      const int64_t from = o.at(p, q, s.h.out, s.w.out, s.channels);
      const auto d = load<Size>(dy + from);
      const auto won = load<Size>(winner + from);
      for (int k = 0; k < Size; ++k)
        if (static_cast<int>(won.at[k]) == own) sum[k] += to_float(d.at[k]);
    }
  const int64_t to = o.at(o.row, o.column, s.h.size, s.w.size, s.channels);
  gated.apply<Size>(sum, to);
  store<Size>(dx + to, rounded<T>(sum));
}

/// y = x at the winners; 0 where the winner lies in the padding.
template <class T, class Winner>
__global__ void max_gather_kernel(const T* x, const Winner* winner, T* y, Pooling s) {
  const int64_t i = thread_number();
  if (i >= s.images * s.h.out * s.w.out * s.channels) return;
  const Place o(i, s.h.out, s.w.out, s.channels, 1);
  const int place = static_cast<int>(winner[i]);
  const int row = s.h.start(o.row) + place / s.w.window;
  const int column = s.w.start(o.column) + place % s.w.window;
  const bool inside = place >= 0 && place < s.h.window * s.w.window && row >= 0 && row < s.h.size &&
                      column >= 0 && column < s.w.size;
  y[i] = inside ? x[o.at(row, column, s.h.size, s.w.size, s.channels)] : from_float<T>(0);
}

template <class T, int Size>
__global__ void avg_kernel(const T* x, T* y, Pooling s) {
  const int groups = s.channels / Size;
  const int64_t i = thread_number();
  if (i >= s.images * s.h.out * s.w.out * groups) return;
  const Place o(i, s.h.out, s.w.out, groups, Size);
  float sum[Size] = {};
  const int top = s.h.start(o.row), left = s.w.start(o.column);
  const int last_row = s.h.last(o.row), last_column = s.w.last(o.column);
  for (int r = s.h.first(o.row); r < last_row; ++r)
    for (int c = s.w.first(o.column); c < last_column; ++c) {
      const auto v = load<Size>(x + o.at(top + r, left + c, s.h.size, s.w.size, s.channels));
      for (int k = 0; k < Size; ++k) sum[k] += to_float(v.at[k]);
    }
  const float share = s.share(o.row, o.column);
  for (float& v : sum) v *= share;
  store<Size>(y + o.at(o.row, o.column, s.h.out, s.w.out, s.channels), rounded<T>(sum));
}

template <class T, int Size>
__global__ void avg_backward_kernel(const T* dy, T* dx, Pooling s, Gated<T> gated) {
  const int groups = s.channels / Size;
  const int64_t i = thread_number();
  if (i >= s.images * s.h.size * s.w.size * groups) return;
  const Place o(i, s.h.size, s.w.size, groups, Size);
  float sum[Size] = {};
  const int end_p = s.h.last_window(o.row), end_q = s.w.last_window(o.column);
  for (int p = s.h.first_window(o.row); p < end_p; ++p)
    for (int q = s.w.first_window(o.column); q < end_q; ++q) {
      const auto d = load<Size>(dy + o.at(p, q, s.h.out, s.w.out, s.channels));
      const float share = s.share(p, q);
      for (int k = 0; k < Size; ++k) sum[k] += to_float(d.at[k]) * share;
    }
  const int64_t to = o.at(o.row, o.column, s.h.size, s.w.size, s.channels);
  gated.apply<Size>(sum, to);
  store<Size>(dx + to, rounded<T>(sum));
}

/// dx[n,place,c] = dy[n,c] / places
template <class T, int Size>
__global__ void global_backward_kernel(const T* dy, T* dx, int64_t images, int64_t places,
                                       int channels) {
  const int groups = channels / Size;
  const int64_t i = thread_number();
  if (i >= images * places * groups) return;
  const int64_t image = i / (places * groups);
  const int c = static_cast<int>(i % groups) * Size;
  const auto d = load<Size>(dy + image * channels + c);
  float value[Size];
  for (int k = 0; k < Size; ++k) value[k] = to_float(d.at[k]) / static_cast<float>(places);
  store<Size>(dx + i * Size, rounded<T>(value));
}

// 3. Entries --------------------------------------------------------------------------------------

/// Call `run(T(), Winner(), size)` with the winner's type and an integral constant: the channels of
/// a pack where every value allows it, else 1.
template <class Run>
void with_channels(DType dtype, bool packs, int64_t channels, Run run) {
  with_type(dtype, [&](auto zero) {
    constexpr int kSize = Pack<decltype(zero)>::kSize;
    if (packs && channels % kSize == 0)
      run(zero, std::integral_constant<int, kSize>());
    else
      run(zero, std::integral_constant<int, 1>());
  });
}

template <class Run>
void with_winner(DType dtype, Run run) {
  if (dtype == DType::kU8)
    run(uint8_t());
  else
    run(int32_t());
}

bool starts_at_packs(std::initializer_list<const void*> values) {
  for (const void* v : values)
    if (reinterpret_cast<uintptr_t>(v) % 16 != 0) return false;
  return true;
}

Pool2dShape shape_of(const Problem& problem, size_t image) {
  return pool2d_shape(problem.get<Pool2dOptions>(), problem.inputs[image].shape);
}

Prepared prepare_max(const Problem& problem) {
  const Pool2dShape s = shape_of(problem, 0);
  const DType dtype = problem.inputs[0].dtype;
  const DType winner_type = pool2d_winner_dtype(problem.get<Pool2dOptions>());
  const bool wants_winner = problem.is_read(1);
  const int64_t count = problem.outputs[0].shape.elements();
  return prepared([=](const Arguments& a) {
    void* winners = wants_winner ? a.outputs[1] : nullptr;
    const bool packs = starts_at_packs({a.inputs[0], a.outputs[0], winners});
    with_channels(dtype, packs, s.C, [&](auto zero, auto size) {
      with_winner(winner_type, [&](auto w) {
        using T = decltype(zero);
        using Winner = decltype(w);
        launch("max_pool2d", max_kernel<T, Winner, size>, flat_grid(count, size), a.stream,
               static_cast<const T*>(a.inputs[0]), static_cast<T*>(a.outputs[0]),
               static_cast<Winner*>(winners), Pooling(s));
      });
    });
  });
}

Prepared prepare_max_backward(const Problem& problem) {
  const Pool2dShape s = shape_of(problem, 2);
  const DType dtype = problem.inputs[0].dtype, winner_type = problem.inputs[1].dtype;
  const int64_t count = problem.outputs[0].shape.elements();
  const Gate gate = problem.gate;
  return prepared([=](const Arguments& a) {
    const void* gated = gate ? a.inputs[gate.input] : nullptr;
    const bool packs = starts_at_packs({a.inputs[0], a.inputs[1], a.outputs[0], gated});
    with_channels(dtype, packs, s.C, [&](auto zero, auto size) {
      with_winner(winner_type, [&](auto w) {
        using T = decltype(zero);
        using Winner = decltype(w);
        launch("max_pool2d_backward", max_backward_kernel<T, Winner, size>, flat_grid(count, size),
               a.stream, static_cast<const T*>(a.inputs[0]),
               static_cast<const Winner*>(a.inputs[1]), static_cast<T*>(a.outputs[0]), Pooling(s),
               gated_of<T>(gate, a));
      });
    });
  });
}

Prepared prepare_max_gather(const Problem& problem) {
  const Pool2dShape s = shape_of(problem, 0);
  const DType dtype = problem.inputs[0].dtype, winner_type = problem.inputs[1].dtype;
  const int64_t count = problem.outputs[0].shape.elements();
  return prepared([=](const Arguments& a) {
    with_type(dtype, [&](auto zero) {
      with_winner(winner_type, [&](auto w) {
        using T = decltype(zero);
        using Winner = decltype(w);
        launch("max_pool2d_gather", max_gather_kernel<T, Winner>, flat_grid(count), a.stream,
               static_cast<const T*>(a.inputs[0]), static_cast<const Winner*>(a.inputs[1]),
               static_cast<T*>(a.outputs[0]), Pooling(s));
      });
    });
  });
}

Prepared prepare_avg(const Problem& problem) {
  const Pool2dShape s = shape_of(problem, 0);
  const DType dtype = problem.inputs[0].dtype;
  const int64_t count = problem.outputs[0].shape.elements();
  return prepared([=](const Arguments& a) {
    with_channels(dtype, are_aligned(a, 1), s.C, [&](auto zero, auto size) {
      using T = decltype(zero);
      launch("avg_pool2d", avg_kernel<T, size>, flat_grid(count, size), a.stream,
             static_cast<const T*>(a.inputs[0]), static_cast<T*>(a.outputs[0]), Pooling(s));
    });
  });
}

Prepared prepare_avg_backward(const Problem& problem) {
  const Pool2dShape s = shape_of(problem, 1);
  const DType dtype = problem.inputs[0].dtype;
  const int64_t count = problem.outputs[0].shape.elements();
  const Gate gate = problem.gate;
  return prepared([=](const Arguments& a) {
    const void* gated = gate ? a.inputs[gate.input] : nullptr;
    const bool packs = starts_at_packs({a.inputs[0], a.outputs[0], gated});
    with_channels(dtype, packs, s.C, [&](auto zero, auto size) {
      using T = decltype(zero);
      launch("avg_pool2d_backward", avg_backward_kernel<T, size>, flat_grid(count, size), a.stream,
             static_cast<const T*>(a.inputs[0]), static_cast<T*>(a.outputs[0]), Pooling(s),
             gated_of<T>(gate, a));
    });
  });
}

/// The mean over all places is a reduction of [N, H W, C]; that of an empty image is 0.
Prepared prepare_global(const Problem& problem) {
  const Shape& image = problem.inputs[0].shape;
  const int64_t places = image[1] * image[2];
  const Reduction reduction(Reduction::Kind::kSum, {image[0], places, image[3]},
                            {false, true, false},
                            places > 0 ? 1.0f / static_cast<float>(places) : 0.0f);
  const DType dtype = problem.inputs[0].dtype;
  return prepared([=](const Arguments& a) { reduction.run("global_avg_pool2d", dtype, a); },
                  reduction.workspace());
}

Prepared prepare_global_backward(const Problem& problem) {
  const Shape image = problem.inputs[1].shape;
  const DType dtype = problem.inputs[0].dtype;
  return prepared([=](const Arguments& a) {
    with_channels(dtype, are_aligned(a, 1), image[3], [&](auto zero, auto size) {
      using T = decltype(zero);
      launch("global_avg_pool2d_backward", global_backward_kernel<T, size>,
             flat_grid(image.elements(), size), a.stream, static_cast<const T*>(a.inputs[0]),
             static_cast<T*>(a.outputs[0]), image[0], image[1] * image[2],
             static_cast<int>(image[3]));
    });
  });
}

/// Only the first value is of floats; winners are integers, and of x only the shape counts.
std::string takes_float_image(const Problem& problem) { return takes_floats(problem, 0, 1); }

const bool added = [] {
  add_cuda_entry("max_pool2d", "direct", prepare_max, takes_float_image);
  add_cuda_entry("max_pool2d_backward", "direct", prepare_max_backward, takes_float_image, 0.7,
                 true);
  add_cuda_entry("max_pool2d_gather", "direct", prepare_max_gather, takes_float_image);
  add_cuda_entry("avg_pool2d", "direct", prepare_avg, takes_float_image);
  add_cuda_entry("avg_pool2d_backward", "direct", prepare_avg_backward, takes_float_image, 0.7,
                 true);
  add_cuda_entry("global_avg_pool2d", "direct", prepare_global, takes_float_image);
  add_cuda_entry("global_avg_pool2d_backward", "direct", prepare_global_backward,
                 takes_float_image);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
