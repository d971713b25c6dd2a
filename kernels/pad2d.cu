// Padding of images by a constant, by reflection or by the edge, and its gradient, on CUDA devices.
//
//   y[n,p,q,c] = x[n, source(p), source(q), c]       dx[n,i,j,c] = sum of dy where (i,j) is shown
//
// One thread writes one pack of channels. Backward gathers: along an axis a pixel shows itself, and
// in at most one range of places before the image and one behind it, so its sum has one order.
#include <striate/kernels/pad2d.h>

#include <striate/kernels/any_element.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>
#include <string>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

enum class Mode { kConstant, kReflect, kEdge };

/// One axis: `size` pixels, `before` and `after` places around them.
struct Axis {
  int size, before, after;
  __host__ __device__ int padded() const { return before + size + after; }

  /// Return the pixel that place `p` shows; -1 for the constant.
  __device__ int source(int p, Mode mode) const {
    const int i = p - before;
    if (i >= 0 && i < size) return i;
    if (mode == Mode::kConstant) return -1;
    if (mode == Mode::kEdge) return i < 0 ? 0 : size - 1;
    return i < 0 ? -i : 2 * (size - 1) - i;
  }

  /// Set the three ranges [begin, end) of places that show pixel `i`, in order.
  __device__ void places(int i, Mode mode, int (&begin)[3], int (&end)[3]) const {
    begin[0] = end[0] = begin[2] = end[2] = 0;
    begin[1] = i + before, end[1] = begin[1] + 1;
    if (mode == Mode::kEdge) {
      if (i == 0) end[0] = before;
      if (i == size - 1) begin[2] = before + size, end[2] = padded();
    } else if (mode == Mode::kReflect) {
      if (i >= 1 && i <= before) begin[0] = before - i, end[0] = begin[0] + 1;
      const int mirrored = before + 2 * (size - 1) - i;
      if (mirrored >= before + size && mirrored < padded())
        begin[2] = mirrored, end[2] = mirrored + 1;
    }
  }
};

struct Padded {
  int64_t images;
  Axis h, w;
  int channels;
  Mode mode;
};

template <class T, int Size>
__global__ void pad2d_kernel(const T* x, T* y, Padded s, float value) {
  const int groups = s.channels / Size, rows = s.h.padded(), columns = s.w.padded();
  const int64_t i = thread_number();
  if (i >= s.images * rows * columns * groups) return;
  const int64_t place = i / groups;
  const int c = static_cast<int>(i - place * groups) * Size;
  const int64_t line = place / columns, n = line / rows;
  const int row = s.h.source(static_cast<int>(line - n * rows), s.mode);
  const int column = s.w.source(static_cast<int>(place - line * columns), s.mode);
  Group<T, Size> v;
  if (row < 0 || column < 0)
    for (T& element : v.at) element = from_float<T>(value);
  else
    v = *reinterpret_cast<const Group<T, Size>*>(
        x + ((n * s.h.size + row) * s.w.size + column) * s.channels + c);
  *reinterpret_cast<Group<T, Size>*>(y + i * Size) = v;
}

template <class T, int Size>
__global__ void pad2d_backward_kernel(const T* dy, T* dx, Padded s) {
  const int groups = s.channels / Size, rows = s.h.padded(), columns = s.w.padded();
  const int64_t i = thread_number();
  if (i >= s.images * s.h.size * s.w.size * groups) return;
  const int64_t place = i / groups;
  const int c = static_cast<int>(i - place * groups) * Size;
  const int64_t line = place / s.w.size, n = line / s.h.size;
  int top[3], bottom[3], left[3], right[3];
  s.h.places(static_cast<int>(line - n * s.h.size), s.mode, top, bottom);
  s.w.places(static_cast<int>(place - line * s.w.size), s.mode, left, right);
  float sum[Size] = {};
#pragma unroll
  for (int above = 0; above < 3; ++above)
    for (int p = top[above]; p < bottom[above]; ++p)
#pragma unroll
      for (int beside = 0; beside < 3; ++beside)
        for (int q = left[beside]; q < right[beside]; ++q) {
          const auto d = *reinterpret_cast<const Group<T, Size>*>(
              dy + ((n * rows + p) * columns + q) * s.channels + c);
          for (int k = 0; k < Size; ++k) sum[k] += to_float(d.at[k]);
        }
  Group<T, Size> made;
  for (int k = 0; k < Size; ++k) made.at[k] = from_float<T>(sum[k]);
  *reinterpret_cast<Group<T, Size>*>(dx + i * Size) = made;
}

Padded padded_of(const Problem& problem, const Shape& image) {
  const auto& o = problem.get<Pad2dOptions>();
  const Padding& p = o.padding;
  // Throws what every device throws for a wrong mode or too much reflection.
  pad_sources(o.mode, image[1], p.top, p.bottom);
  pad_sources(o.mode, image[2], p.left, p.right);
  const auto number = [](int64_t v) { return static_cast<int>(v); };
  const Mode mode = o.mode == "reflect" ? Mode::kReflect
                    : o.mode == "edge"  ? Mode::kEdge
                                        : Mode::kConstant;
  return {image[0],
          {number(image[1]), number(p.top), number(p.bottom)},
          {number(image[2]), number(p.left), number(p.right)},
          number(image[3]),
          mode};
}

/// Call `run(T(), size)` with a pack's elements where the values allow it, else 1.
template <class Run>
void with_packs(const Arguments& a, DType dtype, int channels, Run run) {
  with_type(dtype, [&](auto zero) {
    constexpr int kSize = Pack<decltype(zero)>::kSize;
    if (channels % kSize == 0 && are_aligned(a, 1))
      run(zero, std::integral_constant<int, kSize>());
    else
      run(zero, std::integral_constant<int, 1>());
  });
}

Prepared prepare_forward(const Problem& problem) {
  const Padded s = padded_of(problem, problem.inputs[0].shape);
  const auto value = static_cast<float>(problem.get<Pad2dOptions>().value);
  const DType dtype = problem.inputs[0].dtype;
  const int64_t count = problem.outputs[0].shape.elements();
  return prepared([=](const Arguments& a) {
    with_packs(a, dtype, s.channels, [&](auto zero, auto size) {
      using T = decltype(zero);
      launch("pad2d", pad2d_kernel<T, size>, flat_grid(count, size), a.stream,
             static_cast<const T*>(a.inputs[0]), static_cast<T*>(a.outputs[0]), s, value);
    });
  });
}

Prepared prepare_backward(const Problem& problem) {
  const Padded s = padded_of(problem, problem.inputs[1].shape);
  const DType dtype = problem.inputs[0].dtype;
  const int64_t count = problem.outputs[0].shape.elements();
  return prepared([=](const Arguments& a) {
    with_packs(a, dtype, s.channels, [&](auto zero, auto size) {
      using T = decltype(zero);
      launch("pad2d_backward", pad2d_backward_kernel<T, size>, flat_grid(count, size), a.stream,
             static_cast<const T*>(a.inputs[0]), static_cast<T*>(a.outputs[0]), s);
    });
  });
}

std::string declines(const Problem& problem) { return takes_floats(problem, 0, 1); }

const bool added = [] {
  add_cuda_entry("pad2d", "direct", prepare_forward, declines);
  add_cuda_entry("pad2d_backward", "direct", prepare_backward, declines);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
