// Products of matrices by packed panels, for builds without a library that does it better.
//
// K is cut into pieces. Of each piece A is packed into panels of 6 rows, B into panels of 16
// columns (a transposed factor only packs with other strides); then every tile of 6 x 16 results
// adds its piece of the sum in registers. This is the scheme of Goto and van de Geijn, "Anatomy of
// high-performance matrix multiplication" (2008). Each result belongs to one tile and adds its
// products in one order, so the number of threads changes no bit.
#include <striate/core/parallel.h>
#include <striate/kernels/activation_value.h>
#include <striate/kernels/instruction_set.h>
#include <striate/kernels/matmul.h>

#include <algorithm>

namespace striate::kernels {
namespace {

constexpr int64_t kRows = 6, kColumns = 16, kPiece = 256;

int64_t panels(int64_t size, int64_t width) { return (size + width - 1) / width; }

/// The floats of `count` numbers along the panel and `depth` sums, `stride`s apart in memory.
struct Factor {
  const float* data;
  int64_t count, stride, depth_stride;
};

/// Pack panel `panel` as [depth][width], zero beyond the factor's end.
template <int64_t kWidth>
void pack(const Factor& f, int64_t panel, int64_t depth_begin, int64_t depth, float* packed) {
  const int64_t first = panel * kWidth, valid = std::min(kWidth, f.count - first);
  const float* from = f.data + first * f.stride + depth_begin * f.depth_stride;
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t i = 0; i < kWidth; ++i)
      packed[k * kWidth + i] = i < valid ? from[i * f.stride + k * f.depth_stride] : 0.0f;
}

/// tile[6][16] = sum over k of a[k][6] * b[k][16].
struct Tile {
  using Vector __attribute__((vector_size(32), aligned(4), may_alias)) = float;

  static STRIATE_INLINE void run(const float* a, const float* b, int64_t depth, float* tile) {
    Vector sum[kRows][2] = {};
    for (int64_t k = 0; k < depth; ++k, a += kRows, b += kColumns) {
      const Vector left = *reinterpret_cast<const Vector*>(b);
      const Vector right = *reinterpret_cast<const Vector*>(b + 8);
#pragma GCC unroll 6
      for (int64_t m = 0; m < kRows; ++m) {
        sum[m][0] += a[m] * left;
        sum[m][1] += a[m] * right;
      }
    }
#pragma GCC unroll 6
    for (int64_t m = 0; m < kRows; ++m) {
      *reinterpret_cast<Vector*>(tile + m * kColumns) = sum[m][0];
      *reinterpret_cast<Vector*>(tile + m * kColumns + 8) = sum[m][1];
    }
  }
};

void run(const Problem& problem, const Arguments& arguments) {
  const MatmulShape d = matmul_shape(problem);
  const auto& options = problem.get<MatmulOptions>();
  const Factor a = {static_cast<const float*>(arguments.inputs[0]), d.M,
                    options.transpose_a ? 1 : d.K, options.transpose_a ? d.M : 1};
  const Factor b = {static_cast<const float*>(arguments.inputs[1]), d.N,
                    options.transpose_b ? d.K : 1, options.transpose_b ? 1 : d.N};
  const auto* bias =
      problem.has_input(2) ? static_cast<const float*>(arguments.inputs[2]) : nullptr;
  auto* y = static_cast<float*>(arguments.outputs[0]);
  auto* packed_a = static_cast<float*>(arguments.workspace);
  const int64_t rows = panels(d.M, kRows), columns = panels(d.N, kColumns);
  float* packed_b = packed_a + rows * kRows * std::min(kPiece, d.K);

  for (int64_t k = 0; k < d.K; k += kPiece) {
    const int64_t depth = std::min(kPiece, d.K - k);
    parallel_ranges(rows + columns, 16, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        if (i < rows)
          pack<kRows>(a, i, k, depth, packed_a + i * kRows * depth);
        else
          pack<kColumns>(b, i - rows, k, depth, packed_b + (i - rows) * kColumns * depth);
    });
    parallel_ranges(rows * columns, 1 + 40000 / depth, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t row = i % rows * kRows, column = i / rows * kColumns;
        float tile[kRows * kColumns];
        on_widest<Tile>(packed_a + row * depth, packed_b + column * depth, depth, tile);
        for (int64_t m = 0; m < std::min(kRows, d.M - row); ++m)
          for (int64_t n = 0; n < std::min(kColumns, d.N - column); ++n) {
            float& out = y[(row + m) * d.N + column + n];
            float sum = tile[m * kColumns + n];
            if (k > 0) sum += out;
            if (k + depth == d.K) {
              if (bias) sum += bias[column + n];
              if (options.activation == Activation::kRelu)
                sum = sum < 0 ? 0 : sum;
              else if (options.activation != Activation::kNone)
                sum = static_cast<float>(
                    activate(options.activation, static_cast<double>(sum), options.negative_slope));
            }
            out = sum;
          }
      }
    });
  }
}

std::string declines(const Problem& problem) {
  if (problem.outputs[0].dtype != DType::kF32)
    return std::string("takes float32, got ") + name_of(problem.outputs[0].dtype);
  if (problem.get<MatmulOptions>().column_sums) return "makes no column sums";
  return matmul_shape(problem).K == 0 ? "there is nothing to sum" : "";
}

Prepared prepare(const Problem& problem) {
  const MatmulShape d = matmul_shape(problem);
  Prepared prepared;
  prepared.workspace =
      static_cast<size_t>((panels(d.M, kRows) * kRows + panels(d.N, kColumns) * kColumns) *
                          std::min(kPiece, d.K)) *
      sizeof(float);
  prepared.detail = "6x16";
  prepared.kernel = make_kernel([problem](const Arguments& a) { run(problem, a); });
  return prepared;
}

const Register matmul({"matmul", "blocked", DeviceType::kCpu, declines, prepare,
                       [](const Problem&) { return 0.3; }});

}  // namespace
}  // namespace striate::kernels
