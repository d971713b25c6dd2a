// Convolution by Winograd's method F(2x2, 3x3) on CUDA cores: 2.25 times fewer multiplications.
//
//   Y = A^T [ sum over c of (G g G^T) * (B^T d B) ] A      * element by element
//
// d is a 4x4 tile of the image, g a filter, Y the tile's 2x2 outputs. Four steps, each a kernel:
// filters to U[16][K][C], tiles to V[16][tiles][C], their products M[16][tiles][K] (one tiled
// product for each of the 16 places), and outputs with bias, residual and activation. A thread of
// the transforms takes one tile and four neighbouring channels. The gradient of the input is the
// same convolution of dy with the filters turned by half a circle and their axes exchanged.
//
// The transforms' coefficients are 0, 1 and 1/2, so rounding is that of direct sums; a NaN spreads
// over its tile. Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks".
#include <striate/kernels/conv2d_sizes.h>

#include <memory>
#include <striate/kernels/gemm_launch.cuh>
#include <striate/kernels/tensor_launch.cuh>

namespace striate::kernels {
namespace {

using namespace striate::cuda;

constexpr int kPlaces = 16;

/// A convolution of stride 1 as tiles: an image [N, H, W, C] to one [N, P, Q, K].
struct Winograd {
  const float *x, *w;
  float *u, *v, *m;
  Destination<float> to;
  AnyActivation activation;
  AnyGate gate;
  int64_t tiles;
  int H, W, C, P, Q, K, top, left, tile_rows, tile_columns, column_tiles;
  bool turned;  // filters are [C, 3, 3, K], to be turned
};

__device__ float4 operator+(float4 a, float4 b) {
  return make_float4(a.x + b.x, a.y + b.y, a.z + b.z, a.w + b.w);
}
__device__ float4 operator-(float4 a, float4 b) {
  return make_float4(a.x - b.x, a.y - b.y, a.z - b.z, a.w - b.w);
}

/// U = G g G^T; one thread for each pair of output and input channel.
__global__ void winograd_filters_kernel(const __grid_constant__ Winograd p) {
  const int64_t i = thread_number();
  if (i >= int64_t{p.K} * p.C) return;
  const int64_t k = i / p.C, c = i % p.C;
  float g[3][3], rows[4][3];
#pragma unroll
  for (int r = 0; r < 3; ++r)
#pragma unroll
    for (int s = 0; s < 3; ++s)
      g[r][s] = p.turned ? p.w[(c * 9 + (2 - r) * 3 + (2 - s)) * p.K + k]
                         : p.w[(k * 9 + r * 3 + s) * p.C + c];
#pragma unroll
  for (int s = 0; s < 3; ++s) {
    rows[0][s] = g[0][s], rows[3][s] = g[2][s];
    rows[1][s] = 0.5f * (g[0][s] + g[1][s] + g[2][s]);
    rows[2][s] = 0.5f * (g[0][s] - g[1][s] + g[2][s]);
  }
  const int64_t pitch = int64_t{p.K} * p.C;
  float* u = p.u + i;
#pragma unroll
  for (int r = 0; r < 4; ++r, u += 4 * pitch) {
    const float* row = rows[r];
    u[0] = row[0], u[3 * pitch] = row[2];
    u[pitch] = 0.5f * (row[0] + row[1] + row[2]);
    u[2 * pitch] = 0.5f * (row[0] - row[1] + row[2]);
  }
}

/// A thread's tile and the first of its four channels, of so many.
struct TilePlace {
  int64_t tile, image;
  int row, column, channel;

  __device__ TilePlace(const Winograd& p, int64_t thread, int channels) {
    tile = thread / (channels / 4), channel = static_cast<int>(thread % (channels / 4)) * 4;
    const int per_image = p.tile_rows * p.tile_columns;
    image = tile / per_image;
    const int within = static_cast<int>(tile % per_image);
    row = within / p.tile_columns * 2, column = within % p.tile_columns * 2;
  }
};

/// Rows of B^T: d0 - d2, d1 + d2, d2 - d1, d1 - d3.
__device__ void transform_tile(float4& a, float4& b, float4& c, float4& d) {
  const float4 first = a - c, second = b + c, third = c - b, fourth = b - d;
  a = first, b = second, c = third, d = fourth;
}

/// V = B^T d B.
__global__ void __launch_bounds__(128) winograd_tiles_kernel(const __grid_constant__ Winograd p) {
  const int64_t i = thread_number();
  if (i >= p.tiles * (p.C / 4)) return;
  const TilePlace at(p, i, p.C);
  const float* image = p.x + at.image * p.H * p.W * p.C + at.channel;
  float4 d[4][4];
#pragma unroll
  for (int r = 0; r < 4; ++r)
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      const int h = at.row - p.top + r, w = at.column - p.left + s;
      const bool inside = static_cast<unsigned>(h) < static_cast<unsigned>(p.H) &&
                          static_cast<unsigned>(w) < static_cast<unsigned>(p.W);
      d[r][s] = make_float4(0, 0, 0, 0);
      if (inside) d[r][s] = *reinterpret_cast<const float4*>(image + (h * p.W + w) * p.C);
    }
#pragma unroll
  for (int s = 0; s < 4; ++s) transform_tile(d[0][s], d[1][s], d[2][s], d[3][s]);
#pragma unroll
  for (int r = 0; r < 4; ++r) transform_tile(d[r][0], d[r][1], d[r][2], d[r][3]);
  const int64_t pitch = p.tiles * p.C;
  float* v = p.v + at.tile * p.C + at.channel;
#pragma unroll
  for (int r = 0; r < 4; ++r)
#pragma unroll
    for (int s = 0; s < 4; ++s) *reinterpret_cast<float4*>(v + (r * 4 + s) * pitch) = d[r][s];
}

/// M[place] = V[place] U[place]^T: the place is the grid's second axis.
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 2)
    winograd_products_kernel(const __grid_constant__ Winograd p) {
  __shared__ __align__(16) float shared[Tile::kSharedFloats];
  __shared__ int64_t offsets[Tile::kRows];
  const int64_t row = int64_t{static_cast<int>(blockIdx.x) / p.column_tiles} * Tile::kRows;
  const int column = static_cast<int>(blockIdx.x) % p.column_tiles * Tile::kColumns;
  const int64_t place = blockIdx.y;
  place_rows<Tile>(offsets, [&](int i) {
    return row + i < p.tiles ? (place * p.tiles + row + i) * p.K + column : -1;
  });
  PlainRows<float, Tile, Tile::kRows, true> left(p.v + (place * p.tiles + row) * p.C, p.C,
                                                 p.tiles - row, p.C);
  PlainRows<float, Tile, Tile::kColumns, true> right(p.u + (place * p.K + column) * p.C, p.C,
                                                     p.K - column, p.C);
  const Sums<Tile> sums =
      multiply<Tile>(left, right, (p.C + Tile::kDepth - 1) / Tile::kDepth, shared);
  Destination<float> to;
  to.y = p.m;
  store<true>(sums, to, static_cast<const float*>(nullptr), 0, offsets, p.K - column, shared);
}

/// Y = A^T M A, with what follows.
__global__ void __launch_bounds__(128) winograd_outputs_kernel(const __grid_constant__ Winograd p) {
  const int64_t i = thread_number();
  if (i >= p.tiles * (p.K / 4)) return;
  const TilePlace at(p, i, p.K);
  const int64_t pitch = p.tiles * p.K;
  const float* m = p.m + at.tile * p.K + at.channel;
  float4 rows[2][4];
#pragma unroll
  for (int s = 0; s < 4; ++s) {
    float4 column[4];
#pragma unroll
    for (int r = 0; r < 4; ++r)
      column[r] = *reinterpret_cast<const float4*>(m + (r * 4 + s) * pitch);
    rows[0][s] = column[0] + column[1] + column[2];
    rows[1][s] = column[1] - column[2] - column[3];
  }
  float4 bias = make_float4(0, 0, 0, 0);
  if (p.to.bias) bias = *reinterpret_cast<const float4*>(p.to.bias + at.channel);
#pragma unroll
  for (int o = 0; o < 4; ++o) {
    const int h = at.row + o / 2, w = at.column + o % 2;
    if (h >= p.P || w >= p.Q) continue;
    const float4* row = o < 2 ? rows[0] : rows[1];
    float4 y = bias + (o % 2 ? row[1] - row[2] - row[3] : row[0] + row[1] + row[2]);
    const int64_t to = ((at.image * p.P + h) * p.Q + w) * p.K + at.channel;
    if (p.to.residual) y = y + *reinterpret_cast<const float4*>(p.to.residual + to);
    if (p.to.gated) {
      const float4 gated = *reinterpret_cast<const float4*>(p.to.gated + to);
      y = make_float4(p.gate(y.x, gated.x), p.gate(y.y, gated.y), p.gate(y.z, gated.z),
                      p.gate(y.w, gated.w));
    } else {
      y = make_float4(p.activation(y.x), p.activation(y.y), p.activation(y.z), p.activation(y.w));
    }
    *reinterpret_cast<float4*>(p.to.y + to) = y;
  }
}

/// Return the sizes of a convolution, or of its gradient by the input as one.
Winograd sizes_of(const Conv2dShape& s, bool backward) {
  Winograd p = {};
  const auto set = [](int& to, int64_t size) { to = static_cast<int>(size); };
  set(p.H, backward ? s.P : s.H), set(p.W, backward ? s.Q : s.W), set(p.C, backward ? s.K : s.C);
  set(p.P, backward ? s.H : s.P), set(p.Q, backward ? s.W : s.Q), set(p.K, backward ? s.C : s.K);
  set(p.top, backward ? 2 - s.top : s.top), set(p.left, backward ? 2 - s.left : s.left);
  p.tile_rows = (p.P + 1) / 2, p.tile_columns = (p.Q + 1) / 2;
  p.tiles = s.N * p.tile_rows * p.tile_columns;
  p.turned = backward;
  return p;
}

size_t elements_of(const Winograd& p, int rows) {
  return static_cast<size_t>(kPlaces) * static_cast<size_t>(rows) * static_cast<size_t>(p.C);
}

void run(Winograd p, const GemmPlan& plan, const Arguments& a) {
  p.u = static_cast<float*>(a.workspace);
  p.v = p.u + elements_of(p, p.K);
  p.m = p.v + kPlaces * p.tiles * p.C;
  const char* name = "conv2d winograd";
  launch(name, winograd_filters_kernel, flat_grid(int64_t{p.K} * p.C), a.stream, p);
  launch(name, winograd_tiles_kernel, flat_grid(p.tiles * (p.C / 4), 1, 128), a.stream, p);
  Winograd product = p;
  product.column_tiles = static_cast<int>(plan.column_tiles);
  with_vector_tile<8>(plan.tile, [&](auto tile, auto) {
    using Tile = decltype(tile);
    launch(name, winograd_products_kernel<Tile>,
           {plan.row_tiles * plan.column_tiles, kPlaces, 1, Tile::kThreads, 0}, a.stream, product);
  });
  launch(name, winograd_outputs_kernel, flat_grid(p.tiles * (p.K / 4), 1, 128), a.stream, p);
}

template <bool backward>
Prepared prepare(const Problem& problem) {
  const Conv2dShape s = conv2d_shape(problem);
  check_sizes(s);
  Winograd sizes = sizes_of(s, backward);
  GemmSize size;
  size.rows = sizes.tiles, size.columns = sizes.K, size.depth = sizes.C, size.batch = kPlaces;
  GemmChoice choice;
  choice.large = sizes.C % 8 == 0;
  choice.depth_step = sizes.C;  // no slices
  const GemmPlan plan = plan_gemm(size, choice);
  size_t gated = 0;
  if (backward) {
    sizes.gate = AnyGate(problem.gate);
    if (problem.gate) gated = static_cast<size_t>(problem.gate.input);
  } else {
    const auto& options = problem.get<Conv2dOptions>();
    sizes.activation = {options.activation, options.negative_slope};
  }
  const bool has_bias = !backward && problem.has_input(2);
  const bool has_residual = !backward && problem.has_input(3);
  const auto floats = static_cast<size_t>(sizes.tiles) * static_cast<size_t>(sizes.C + sizes.K);
  auto singly = std::make_shared<Prepared>(prepare_other(problem, "implicit_gemm"));
  Prepared made = prepared(
      [=](const Arguments& a) {
        Winograd p = sizes;
        const auto value = [&](size_t i) { return static_cast<const float*>(a.inputs[i]); };
        p.x = value(0), p.w = value(1);
        p.to.y = static_cast<float*>(a.outputs[0]);
        if (has_bias) p.to.bias = value(2);
        if (has_residual) p.to.residual = value(3);
        if (gated) p.to.gated = value(gated);
        if (all_aligned(p.x, p.w, p.to.y, p.to.bias, p.to.residual, p.to.gated))
          run(p, plan, a);
        else
          singly->kernel->run(a);
      },
      std::max((elements_of(sizes, sizes.K) + kPlaces * floats) * sizeof(float),
               singly->workspace));
  made.detail = plan.to_string() + " products of 2x2 outputs";
  return made;
}

std::string declines(const Problem& problem) {
  for (size_t i = 0; i < problem.inputs.size(); ++i)
    if (problem.has_input(i) && problem.inputs[i].dtype != DType::kF32)
      return std::string("takes float32, got ") + name_of(problem.inputs[i].dtype);
  const Conv2dShape s = conv2d_shape(problem);
  if (s.R != 3 || s.S != 3) return "takes windows of 3x3";
  if (s.stride_h != 1 || s.stride_w != 1) return "takes stride 1";
  if (s.dilation_h != 1 || s.dilation_w != 1) return "takes no dilation";
  if (s.groups != 1) return "takes one group";
  if (s.C % 4 != 0 || s.K % 4 != 0) return "takes channels and filters in multiples of 4";
  // Below that the transforms move more than the products save.
  if (s.C < 128 || s.K < 128) return "pays from 128 channels and filters on";
  return "";
}

const bool added = [] {
  add_cuda_entry("conv2d", "winograd", prepare<false>, declines, 0.65);
  add_cuda_entry("conv2d_backward_input", "winograd", prepare<true>, declines, 0.65, true);
  return true;
}();

}  // namespace
}  // namespace striate::kernels
