// Sorting of rows on CUDA devices, by CUB's segmented radix sort: the one file that uses CUB.
//
//   sort           x[..., C] -> y
//   top_k          x[..., C] -> values, indices[..., k]
//   top_k_correct  logits[N, C], labels[N] -> correct[N], for k > 1: the label is among the first k
//
// Each element becomes a key of 32 bits whose order as a whole number is the order wanted, NaN at
// the large end; the radix sort takes the keys and the elements' places, and is stable. Results are
// then read from x by their places, so one sort serves all element types. Radix sort: Merrill and
// Grimshaw 2011, "High Performance and Scalable Radix Sorting".
#include <striate/kernels/cuda/status.h>
#include <striate/kernels/loss.h>
#include <striate/kernels/sort.h>

#include <algorithm>
#include <cub/device/device_segmented_radix_sort.cuh>
#include <striate/kernels/any_element.cuh>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/entry.cuh>
#include <striate/kernels/launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

/// Rows in the workspace: keys and places, each twice, where each row begins, and CUB's own.
struct Rows {
  int64_t rows = 0, count = 0;
  size_t scratch = 0;  // CUB's bytes

  explicit Rows(const Shape& shape)
      : rows(shape.elements() / std::max<int64_t>(shape[-1], 1)), count(shape[-1]) {}

  int64_t elements() const { return rows * count; }
  size_t part() const { return (static_cast<size_t>(elements()) * 4 + 255) / 256 * 256; }
  size_t begins() const { return (static_cast<size_t>(rows + 1) * 4 + 255) / 256 * 256; }
  size_t workspace() const { return 4 * part() + begins() + scratch; }
  template <class T>
  T* at(const Arguments& a, size_t i) const {
    return reinterpret_cast<T*>(static_cast<char*>(a.workspace) + i * part());
  }
};

template <class T>
__global__ void keys_kernel(const T* x, uint32_t* keys, int* places, int* begins, int64_t elements,
                            int count, bool descending) {
  const int64_t i = thread_number();
  if (i > elements) return;
  if (i % count == 0) begins[i / count] = static_cast<int>(i);
  if (i == elements) return;
  const float v = to_float(x[i]);
  const uint32_t bits = __float_as_uint(v == 0 ? 0.0f : v);
  const uint32_t key = isnan(v) ? ~0u : bits >> 31 ? ~bits : bits | 0x80000000u;
  keys[i] = descending ? ~key : key;
  places[i] = static_cast<int>(i % count);
}

template <class T>
__global__ void take_kernel(const T* x, const int* places, T* y, int* indices, int64_t elements,
                            int count, int kept) {
  const int64_t i = thread_number();
  if (i >= elements) return;
  const int64_t row = i / kept;
  const int place = places[row * count + i % kept];
  y[i] = x[row * count + place];
  if (indices) indices[i] = place;
}

template <class T>
__global__ void is_among_kernel(const T* scores, const void* labels, DType label_type,
                                const int* places, float* correct, int64_t rows, int count,
                                int kept) {
  const int64_t row = thread_number();
  if (row >= rows) return;
  const int64_t label = label_at(labels, label_type, row);
  bool found = false;
  // A score that is NaN comes after all others; sorted they come first.
  if (label >= 0 && label < count && isnan(to_float(scores[row * count + label])))
    found = kept >= count;
  else
    for (int i = 0; i < kept && i < count; ++i) found = found || places[row * count + i] == label;
  correct[row] = found ? 1.0f : 0.0f;
}

/// Sort the places of all rows; return where they lie.
int* sort_places(const Rows& rows, DType dtype, bool descending, const Arguments& a) {
  auto* begins = rows.at<int>(a, 4);
  cub::DoubleBuffer<uint32_t> keys(rows.at<uint32_t>(a, 0), rows.at<uint32_t>(a, 1));
  cub::DoubleBuffer<int> places(rows.at<int>(a, 2), rows.at<int>(a, 3));
  with_type(dtype, [&](auto zero) {
    using T = decltype(zero);
    launch("sort", keys_kernel<T>, flat_grid(rows.elements() + 1), a.stream,
           static_cast<const T*>(a.inputs[0]), keys.Current(), places.Current(), begins,
           rows.elements(), static_cast<int>(rows.count), descending);
  });
  size_t scratch = rows.scratch;
  auto* memory = reinterpret_cast<char*>(begins) + rows.begins();
  check_launch(cub::DeviceSegmentedRadixSort::SortPairs(
                   memory, scratch, keys, places, static_cast<int>(rows.elements()),
                   static_cast<int>(rows.rows), begins, begins + 1, 0, 32,
                   static_cast<cudaStream_t>(a.stream)),
               "sort", {rows.rows, 1, 1, 256, 0});
  return places.Current();
}

/// Return the rows of a problem with what CUB needs for them.
Rows rows_of(const Problem& problem) {
  Rows rows(problem.inputs[0].shape);
  cub::DoubleBuffer<uint32_t> keys;
  cub::DoubleBuffer<int> places;
  int* none = nullptr;  // of the type that sort_places gives: others would be kernels of their own
  const cudaError_t status = cub::DeviceSegmentedRadixSort::SortPairs(
      nullptr, rows.scratch, keys, places, static_cast<int>(rows.elements()),
      static_cast<int>(rows.rows), none, none, 0, 32);
  if (status == cudaErrorNoKernelImageForDevice) check_launch(status, "sort", {});
  // Nothing is launched here. After a fault CUB finds no device; what stays is the fault's name.
  if (status != cudaSuccess) check(cudaPeekAtLastError(), "work on the GPU failed");
  check(status, "sorting cannot be prepared");
  return rows;
}

Prepared prepare_sorted(const Problem& problem, bool descending, bool has_indices) {
  const Rows rows = rows_of(problem);
  const auto kept = static_cast<int>(problem.outputs[0].shape[-1]);
  return prepared(
      [=, dtype = problem.inputs[0].dtype](const Arguments& a) {
        if (rows.elements() == 0) return;
        const int* places = sort_places(rows, dtype, descending, a);
        with_type(dtype, [&](auto zero) {
          using T = decltype(zero);
          launch("sort", take_kernel<T>, flat_grid(rows.rows * kept), a.stream,
                 static_cast<const T*>(a.inputs[0]), places, static_cast<T*>(a.outputs[0]),
                 has_indices ? static_cast<int*>(a.outputs[1]) : nullptr, rows.rows * kept,
                 static_cast<int>(rows.count), kept);
        });
      },
      rows.workspace());
}

Prepared prepare_correct(const Problem& problem) {
  const Rows rows = rows_of(problem);
  const int k = problem.get<TopKOptions>().k;
  return prepared(
      [=, dtype = problem.inputs[0].dtype, labels = problem.inputs[1].dtype](const Arguments& a) {
        if (rows.elements() == 0) return;
        const int* places = sort_places(rows, dtype, true, a);
        with_type(dtype, [&](auto zero) {
          using T = decltype(zero);
          launch("top_k_correct", is_among_kernel<T>, flat_grid(rows.rows), a.stream,
                 static_cast<const T*>(a.inputs[0]), a.inputs[1], labels, places,
                 static_cast<float*>(a.outputs[0]), rows.rows, static_cast<int>(rows.count), k);
        });
      },
      rows.workspace());
}

std::string declines(const Problem& problem) {
  if (problem.inputs[0].shape.elements() > INT32_MAX - 256) return "takes fewer than 2^31 elements";
  return takes_floats(problem, 0, 1);
}

const bool added = [] {
  add_cuda_entry(
      "sort", "radix_sort",
      [](const Problem& p) { return prepare_sorted(p, p.get<SortOptions>().descending, false); },
      declines);
  add_cuda_entry(
      "top_k", "radix_sort", [](const Problem& p) { return prepare_sorted(p, true, true); },
      declines);
  add_cuda_entry(
      "top_k_correct", "radix_sort", prepare_correct,
      [](const Problem& p) -> std::string {
        if (!p.options || p.get<TopKOptions>().k < 2) return "the largest is found without sorting";
        if (p.inputs[0].shape[-1] == 0) return "takes rows of one class and more";
        if (p.outputs[0].dtype != DType::kF32) return "makes float32";
        return declines(p);
      },
      0.75);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
