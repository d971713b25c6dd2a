// Conversion between element types, and of pixels to numbers, on CUDA devices.
//
//   y[i] = convert(x[i])      y[i] = x[i] * scale + offset
//
// One thread converts four elements, read and written at once where both values are aligned.
#include <striate/kernels/cast.h>

#include <limits>
#include <striate/kernels/any_element.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kSize = 4;

template <class T>
constexpr bool is_float =
    std::is_same_v<T, float> || std::is_same_v<T, __half> || std::is_same_v<T, __nv_bfloat16>;

/// Floating to integer truncates, saturates, and makes 0 of NaN; integers keep their low bits; to
/// bool is != 0.
template <class To, class From>
__device__ To converted(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (is_float<From>) {
    const float v = to_float(value);
    if constexpr (is_float<To>)
      return from_float<To>(v);
    else if constexpr (std::is_same_v<To, bool>)
      return v != 0;
    else {
      // The upper limit of int64 is not a float; its successor 2^63 is.
      constexpr float low = static_cast<float>(std::numeric_limits<To>::min());
      constexpr float high = static_cast<float>(std::numeric_limits<To>::max());
      if (v != v) return 0;
      if (v <= low) return std::numeric_limits<To>::min();
      if (v >= high) return std::numeric_limits<To>::max();
      return static_cast<To>(v);
    }
  } else if constexpr (is_float<To>) {
    return from_float<To>(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

template <class From, class To, class Convert>
__device__ void convert_all(const From* x, To* y, int64_t count, bool vectors,
                            const Convert& convert) {
  const int64_t begin = thread_number() * kSize;
  if (begin >= count) return;
  if (vectors && begin + kSize <= count) {
    const Group<From, kSize> from = *reinterpret_cast<const Group<From, kSize>*>(x + begin);
    Group<To, kSize> to;
    for (int i = 0; i < kSize; ++i) to.at[i] = convert(from.at[i]);
    *reinterpret_cast<Group<To, kSize>*>(y + begin) = to;
    return;
  }
  for (int64_t i = begin; i < count && i < begin + kSize; ++i) y[i] = convert(x[i]);
}

template <class From, class To>
__global__ void cast_kernel(const From* x, To* y, int64_t count, bool vectors) {
  convert_all(x, y, count, vectors, [](From v) { return converted<To>(v); });
}

template <class From>
__global__ void rescale_kernel(const From* x, float* y, int64_t count, bool vectors, float scale,
                               float offset) {
  convert_all(x, y, count, vectors, [=](From v) { return converted<float>(v) * scale + offset; });
}

/// Call `run(T())` with the element type; not for float64, which CUDA kernels do not compute with.
template <class Run>
void with_any_type(DType dtype, Run run) {
  switch (dtype) {
    case DType::kU8:
      return run(uint8_t());
    case DType::kI32:
      return run(int32_t());
    case DType::kI64:
      return run(int64_t());
    case DType::kBool:
      return run(bool());
    default:
      return with_type(dtype, run);
  }
}

/// True when groups of four can be read and written; int64 has groups of two vectors, which must
/// start at multiples of 16 bytes as the others.
bool in_groups(const Arguments& a) { return are_aligned(a, 1); }

Prepared prepare_cast(const Problem& problem) {
  const DType from = problem.inputs[0].dtype, to = problem.outputs[0].dtype;
  const int64_t count = problem.outputs[0].shape.elements();
  return elementwise(problem, [=](const Arguments& a) {
    with_any_type(from, [&](auto x) {
      with_any_type(to, [&](auto y) {
        using From = decltype(x);
        using To = decltype(y);
        launch("cast", cast_kernel<From, To>, flat_grid(count, kSize), a.stream,
               static_cast<const From*>(a.inputs[0]), static_cast<To*>(a.outputs[0]), count,
               in_groups(a));
      });
    });
  });
}

std::string declines_cast(const Problem& problem) {
  for (const ValueDesc* v : {&problem.inputs[0], &problem.outputs[0]})
    if (v->dtype == DType::kF64) return "takes all types but float64";
  return "";
}

Prepared prepare_rescale(const Problem& problem) {
  const auto options = problem.options ? problem.get<RescaleOptions>() : RescaleOptions();
  const int64_t count = problem.outputs[0].shape.elements();
  const auto scale = static_cast<float>(options.scale), offset = static_cast<float>(options.offset);
  const bool bytes = problem.inputs[0].dtype == DType::kU8;
  return elementwise(problem, [=](const Arguments& a) {
    const auto start = [&](auto zero) {
      using From = decltype(zero);
      launch("rescale", rescale_kernel<From>, flat_grid(count, kSize), a.stream,
             static_cast<const From*>(a.inputs[0]), static_cast<float*>(a.outputs[0]), count,
             in_groups(a), scale, offset);
    };
    bytes ? start(uint8_t()) : start(float());
  });
}

std::string declines_rescale(const Problem& problem) {
  const DType from = problem.inputs[0].dtype;
  if (from != DType::kU8 && from != DType::kF32)
    return std::string("takes uint8 and float32, got ") + name_of(from);
  return problem.outputs[0].dtype == DType::kF32 ? "" : "makes float32";
}

const bool added = [] {
  add_cuda_entry("cast", "direct", prepare_cast, declines_cast);
  add_cuda_entry("rescale", "direct", prepare_rescale, declines_rescale);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
