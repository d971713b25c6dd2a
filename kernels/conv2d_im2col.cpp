// Convolution as a product of matrices: each window of the image becomes a row.
//
//   columns[n,p,q][r,s,c] = x[n, p*stride - top + r*dilation, q*stride - left + s*dilation, c]
//   forward          y  = act(columns * w^T + b + residual)
//   backward_input   dcolumns = dy * w, added back to where the columns came from
//   backward_weight  dw = dy^T * columns
// (Chellapilla, Puri and Simard, "High performance convolutional neural networks for document
// processing", 2006). The products are the best matmul of this build, prepared here once for
// parts of the batch whose columns stay near the cache; so this entry is what serves windows and
// strides that no better one takes. A 1x1 window with stride 1 needs no columns. Sums run over the
// parts in their order, whatever the number of threads.
#include <striate/core/parallel.h>
#include <striate/kernels/activation_value.h>
#include <striate/kernels/conv2d.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/matmul.h>

#include <algorithm>
#include <cstring>

namespace striate::kernels {
namespace {

constexpr int64_t kColumnBytes = int64_t{4} << 20;  // of one part

size_t round_up(size_t bytes) { return (bytes + 63) / 64 * 64; }

std::string declines(const Problem& problem) {
  const std::string refusal = takes_float32(problem, 0, problem.inputs.size());
  if (!refusal.empty()) return refusal;
  const Conv2dShape s = conv2d_shape(problem);
  if (s.groups != 1) return "takes one group, got " + std::to_string(s.groups);
  if (s.N * s.P * s.Q == 0) return "the batch is empty";
  return "";
}

/// The rows of a batch in equal parts, and a last smaller one.
struct Parts {
  explicit Parts(const Conv2dShape& shape) : s(shape) {
    const int64_t image = s.P * s.Q * s.R * s.S * s.C * 4;
    images = std::clamp<int64_t>(kColumnBytes / std::max<int64_t>(image, 1), 1, s.N);
  }
  int64_t count() const { return (s.N + images - 1) / images; }
  int64_t first(int64_t part) const { return part * images; }
  int64_t size(int64_t part) const { return std::min(images, s.N - part * images); }
  int64_t rows(int64_t part) const { return size(part) * s.P * s.Q; }

  Conv2dShape s;
  int64_t images = 1;
};

bool is_plain_product(const Conv2dShape& s) {
  return s.R == 1 && s.S == 1 && s.stride_h == 1 && s.stride_w == 1 &&
         s.top + s.bottom + s.left + s.right == 0;
}

/// Call `move(image pointer offset or -1, column offset)` for each window element of an output row.
template <class Move>
void each_tap(const Conv2dShape& s, int64_t n, int64_t p, const Move& move) {
  const int64_t width = s.R * s.S * s.C;
  for (int64_t q = 0; q < s.Q; ++q)
    for (int64_t r = 0; r < s.R; ++r)
      for (int64_t t = 0; t < s.S; ++t) {
        const int64_t h = p * s.stride_h - s.top + r * s.dilation_h;
        const int64_t w = q * s.stride_w - s.left + t * s.dilation_w;
        const bool inside = h >= 0 && h < s.H && w >= 0 && w < s.W;
        move(inside ? ((n * s.H + h) * s.W + w) * s.C : -1, q * width + (r * s.S + t) * s.C);
      }
}

void gather(const Conv2dShape& s, const float* x, int64_t first, int64_t images, float* columns) {
  const int64_t line = s.Q * s.R * s.S * s.C;
  parallel_for(images * s.P, [&](int64_t i) {
    float* to = columns + i * line;
    each_tap(s, first + i / s.P, i % s.P, [&](int64_t from, int64_t column) {
      if (from < 0)
        std::fill_n(to + column, s.C, 0.0f);
      else
        std::memcpy(to + column, x + from, static_cast<size_t>(s.C) * sizeof(float));
    });
  });
}

void scatter(const Conv2dShape& s, const float* columns, int64_t first, int64_t images, float* dx) {
  const int64_t line = s.Q * s.R * s.S * s.C, image = s.H * s.W * s.C;
  parallel_for(images, [&](int64_t i) {
    std::fill_n(dx + (first + i) * image, image, 0.0f);
    for (int64_t p = 0; p < s.P; ++p) {
      const float* from = columns + (i * s.P + p) * line;
      each_tap(s, first + i, p, [&](int64_t to, int64_t column) {
        if (to < 0) return;
        for (int64_t c = 0; c < s.C; ++c) dx[to + c] += from[column + c];
      });
    }
  });
}

/// A matmul of this build, for the whole parts and for the last one.
struct Product {
  Product(const Parts& parts, const Problem& problem, const MatmulOptions& options,
          Shape (*shapes)(const Conv2dShape&, int64_t rows, int which), bool bias) {
    for (int64_t part : {int64_t{0}, parts.count() - 1}) {
      const int64_t rows = parts.rows(part);
      Problem product;
      product.operation = "matmul";
      product.options = std::make_shared<MatmulOptions>(options);
      for (int which = 0; which < 2; ++which)
        product.inputs.push_back({shapes(parts.s, rows, which), DType::kF32, {}});
      if (bias) product.inputs.push_back({{parts.s.K}, DType::kF32, {}});
      product.outputs = {{shapes(parts.s, rows, 2), DType::kF32, {}}};
      product.threads = problem.threads;
      product.same_for_threads = true;  // as all entries of our own
      Choice choice = choose(product);
      kernels.push_back(std::move(choice.prepared.kernel));
      workspace = std::max(workspace, round_up(choice.prepared.workspace));
      name = choice.entry->name;
    }
  }

  void run(bool last, const float* a, const float* b, const float* bias, float* y, void* space) {
    const void* inputs[] = {a, b, bias};
    void* outputs[] = {y};
    kernels[last ? 1 : 0]->run({inputs, outputs, space, nullptr});
  }

  std::vector<std::unique_ptr<Kernel>> kernels;
  size_t workspace = 0;
  std::string name;
};

struct Im2col : Kernel {
  Im2col(const Problem& problem, const MatmulOptions& matmul,
         Shape (*shapes)(const Conv2dShape&, int64_t, int), bool bias)
      : parts(conv2d_shape(problem)),
        product(parts, problem, matmul, shapes, bias),
        options(problem.get<Conv2dOptions>()),
        plain(is_plain_product(parts.s)) {
    const Conv2dShape& s = parts.s;
    const auto width = static_cast<size_t>(s.R * s.S * s.C);
    if (!plain) column_bytes = round_up(static_cast<size_t>(parts.rows(0)) * width * 4);
    sum_bytes = round_up(static_cast<size_t>(s.K) * width * 4);
  }

  Parts parts;
  Product product;
  Conv2dOptions options;
  bool plain;
  size_t column_bytes = 0, sum_bytes = 0;
};

struct Forward : Im2col {
  explicit Forward(const Problem& p)
      : Im2col(p, matmul(p), shapes, p.has_input(2)),
        has_bias(p.has_input(2)),
        has_residual(p.has_input(3)) {}

  static MatmulOptions matmul(const Problem& p) {
    MatmulOptions made;
    made.transpose_b = true;
    made.negative_slope = p.get<Conv2dOptions>().negative_slope;
    if (!p.has_input(3)) made.activation = p.get<Conv2dOptions>().activation;
    return made;
  }
  static Shape shapes(const Conv2dShape& s, int64_t rows, int which) {
    const int64_t width = s.R * s.S * s.C;
    return which == 0 ? Shape{rows, width} : which == 1 ? Shape{s.K, width} : Shape{rows, s.K};
  }
  size_t workspace() const { return column_bytes + product.workspace; }

  void run(const Arguments& a) override {
    const Conv2dShape& s = parts.s;
    const auto* x = static_cast<const float*>(a.inputs[0]);
    auto* y = static_cast<float*>(a.outputs[0]);
    auto* columns = static_cast<float*>(a.workspace);
    const auto* bias = has_bias ? static_cast<const float*>(a.inputs[2]) : nullptr;
    void* space = static_cast<char*>(a.workspace) + column_bytes;
    for (int64_t part = 0; part < parts.count(); ++part) {
      const int64_t first = parts.first(part);
      const float* rows = plain ? x + first * s.H * s.W * s.C : columns;
      if (!plain) gather(s, x, first, parts.size(part), columns);
      product.run(part + 1 == parts.count(), rows, static_cast<const float*>(a.inputs[1]), bias,
                  y + first * s.P * s.Q * s.K, space);
    }
    if (!has_residual) return;
    const auto* residual = static_cast<const float*>(a.inputs[3]);
    parallel_ranges(s.N * s.P * s.Q * s.K, 4096, [&](int64_t begin, int64_t end) {
      const auto slope = static_cast<float>(options.negative_slope);
      for (int64_t i = begin; i < end; ++i)
        y[i] = activate(options.activation, y[i] + residual[i], slope);
    });
  }

  bool has_bias, has_residual;
};

struct BackwardInput : Im2col {
  explicit BackwardInput(const Problem& p) : Im2col(p, {}, shapes, false) {}

  static Shape shapes(const Conv2dShape& s, int64_t rows, int which) {
    const int64_t width = s.R * s.S * s.C;
    return which == 0 ? Shape{rows, s.K} : which == 1 ? Shape{s.K, width} : Shape{rows, width};
  }
  size_t workspace() const { return column_bytes + product.workspace; }

  void run(const Arguments& a) override {
    const Conv2dShape& s = parts.s;
    const auto* dy = static_cast<const float*>(a.inputs[0]);
    auto* dx = static_cast<float*>(a.outputs[0]);
    auto* columns = static_cast<float*>(a.workspace);
    void* space = static_cast<char*>(a.workspace) + column_bytes;
    for (int64_t part = 0; part < parts.count(); ++part) {
      const int64_t first = parts.first(part);
      product.run(part + 1 == parts.count(), dy + first * s.P * s.Q * s.K,
                  static_cast<const float*>(a.inputs[1]), nullptr,
                  plain ? dx + first * s.H * s.W * s.C : columns, space);
      if (!plain) scatter(s, columns, first, parts.size(part), dx);
    }
  }
};

struct BackwardWeight : Im2col {
  explicit BackwardWeight(const Problem& p) : Im2col(p, matmul(), shapes, false) {}

  static MatmulOptions matmul() {
    MatmulOptions made;
    made.transpose_a = true;
    return made;
  }
  static Shape shapes(const Conv2dShape& s, int64_t rows, int which) {
    const int64_t width = s.R * s.S * s.C;
    return which == 0 ? Shape{rows, s.K} : which == 1 ? Shape{rows, width} : Shape{s.K, width};
  }
  size_t workspace() const { return column_bytes + sum_bytes + product.workspace; }

  void run(const Arguments& a) override {
    const Conv2dShape& s = parts.s;
    const auto* x = static_cast<const float*>(a.inputs[0]);
    const auto* dy = static_cast<const float*>(a.inputs[1]);
    auto* dw = static_cast<float*>(a.outputs[0]);
    auto* columns = static_cast<float*>(a.workspace);
    auto* sum = reinterpret_cast<float*>(static_cast<char*>(a.workspace) + column_bytes);
    void* space = reinterpret_cast<char*>(sum) + sum_bytes;
    const int64_t weights = s.K * s.R * s.S * s.C;
    for (int64_t part = 0; part < parts.count(); ++part) {
      const int64_t first = parts.first(part);
      const float* rows = plain ? x + first * s.H * s.W * s.C : columns;
      if (!plain) gather(s, x, first, parts.size(part), columns);
      product.run(part + 1 == parts.count(), dy + first * s.P * s.Q * s.K, rows, nullptr,
                  part == 0 ? dw : sum, space);
      if (part == 0) continue;
      parallel_ranges(weights, 4096, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) dw[i] += sum[i];
      });
    }
    if (options.bias) sum_bias(dy, static_cast<float*>(a.outputs[1]));
  }

  void sum_bias(const float* dy, float* db) const {
    const Conv2dShape& s = parts.s;
    parallel_for((s.K + 15) / 16, [&](int64_t block) {
      const int64_t first = block * 16, count = std::min<int64_t>(16, s.K - first);
      double sums[16] = {};
      for (int64_t row = 0; row < s.N * s.P * s.Q; ++row)
        for (int64_t k = 0; k < count; ++k)
          sums[k] += static_cast<double>(dy[row * s.K + first + k]);
      for (int64_t k = 0; k < count; ++k) db[first + k] = static_cast<float>(sums[k]);
    });
  }
};

template <class K>
Prepared prepare(const Problem& problem) {
  auto kernel = std::make_unique<K>(problem);
  Prepared prepared;
  prepared.workspace = kernel->workspace();
  prepared.detail = "matmul " + kernel->product.name;
  prepared.kernel = std::move(kernel);
  return prepared;
}

double efficiency(const Problem&) { return 0.2; }

const Register forward({"conv2d", "im2col", DeviceType::kCpu, declines, prepare<Forward>,
                        efficiency});
const Register backward_input({"conv2d_backward_input", "im2col", DeviceType::kCpu, declines,
                               prepare<BackwardInput>, efficiency});
const Register backward_weight({"conv2d_backward_weight", "im2col", DeviceType::kCpu, declines,
                                prepare<BackwardWeight>, efficiency});

}  // namespace
}  // namespace striate::kernels
