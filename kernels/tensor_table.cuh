// Many tensors in one launch: a table of pointers as the kernel's parameter, cut into pieces of
// equal size, one a block. A network has many small weights, and a launch for each costs more than
// the work. (The idea of "multi-tensor apply", NVIDIA Apex 2018.)
#pragma once

#include <striate/kernels/impl.h>

#include <cstdint>
#include <striate/kernels/elements.cuh>
#include <striate/kernels/launch.cuh>
#include <type_traits>
#include <vector>

namespace striate::cuda {

inline constexpr int64_t kPieceElements = 4096;
inline constexpr int kPieceThreads = 256;

/// Elements [begin, end) of one tensor.
struct Piece {
  int tensor;
  int64_t begin, end;
};

/// As many tensors of `Roles` values each as fit in a kernel's 4 KiB of parameters, with room left.
template <int Roles>
struct TensorTable {
  static constexpr int kMax = 3840 / (8 * Roles + 12);

  void* data[Roles][kMax];
  int64_t count[kMax];
  int32_t first_block[kMax];  // of each tensor
  int32_t tensors = 0, blocks = 0;
  int32_t blocks_before = 0;  // in the tables before this one
  bool vectors = true;        // all values start at multiples of 16 bytes

  cuda::Grid grid() const { return {blocks, 1, 1, kPieceThreads, 0}; }

#if defined(__CUDACC__)
  /// Return the piece of block `block`.
  __device__ Piece find(int block) const {
    int tensor = 0, end = tensors;
    while (end - tensor > 1) {
      const int middle = (tensor + end) / 2;
      if (first_block[middle] <= block)
        tensor = middle;
      else
        end = middle;
    }
    const int64_t begin = int64_t{block - first_block[tensor]} * kPieceElements;
    const int64_t rest = count[tensor] - begin;
    return {tensor, begin, begin + (rest < kPieceElements ? rest : kPieceElements)};
  }
#endif
};

/// Return the elements of inputs [first, last).
inline std::vector<int64_t> element_counts(const kernels::Problem& problem, size_t first,
                                           size_t last) {
  std::vector<int64_t> counts;
  for (size_t i = first; i < last; ++i) counts.push_back(problem.inputs[i].shape.elements());
  return counts;
}

/// Return the pieces of tensors of so many elements.
inline int64_t piece_count(const std::vector<int64_t>& counts) {
  int64_t pieces = 0;
  for (int64_t count : counts) pieces += (count + kPieceElements - 1) / kPieceElements;
  return pieces;
}

/// Call `run(table)` for tables that hold all tensors; `data(role, tensor)` gives the pointers.
template <int Roles, class Data, class Run>
void for_tables(const std::vector<int64_t>& counts, const Data& data, const Run& run) {
  TensorTable<Roles> table;
  const auto finish = [&] {
    if (table.blocks > 0) run(table);
    const int32_t before = table.blocks_before + table.blocks;
    table = TensorTable<Roles>();
    table.blocks_before = before;
  };
  for (size_t k = 0; k < counts.size(); ++k) {
    if (counts[k] == 0) continue;
    for (int role = 0; role < Roles; ++role) {
      table.data[role][table.tensors] = data(static_cast<size_t>(role), k);
      table.vectors = table.vectors && is_aligned(table.data[role][table.tensors], 0, 1);
    }
    table.count[table.tensors] = counts[k];
    table.first_block[table.tensors] = table.blocks;
    table.blocks += static_cast<int32_t>((counts[k] + kPieceElements - 1) / kPieceElements);
    if (++table.tensors == TensorTable<Roles>::kMax) finish();
  }
  finish();
}

#if defined(__CUDACC__)
/// Call `body(first element, std::integral_constant<int, elements>)` for all elements of a piece:
/// `Size` at a time where vectors are allowed, the rest one by one.
template <int Size, class Body>
__device__ void for_piece(const Piece& piece, bool vectors, const Body& body) {
  const int64_t whole = vectors ? (piece.end - piece.begin) / Size * Size : 0;
  for (int64_t i = threadIdx.x * Size; i < whole; i += kPieceThreads * Size)
    body(piece.begin + i, std::integral_constant<int, Size>());
  for (int64_t i = piece.begin + whole + threadIdx.x; i < piece.end; i += kPieceThreads)
    body(i, std::integral_constant<int, 1>());
}

/// Read or write `Size` elements: a whole pack, or one.
template <int Size, class T>
__device__ Pack<T> load_some(const T* x) {
  if constexpr (Size > 1) return *reinterpret_cast<const Pack<T>*>(x);
  Pack<T> pack;
  pack.at[0] = *x;
  return pack;
}
template <int Size, class T>
__device__ void store_some(T* x, const Pack<T>& pack) {
  if constexpr (Size > 1)
    *reinterpret_cast<Pack<T>*>(x) = pack;
  else
    *x = pack.at[0];
}
#endif

}  // namespace striate::cuda
