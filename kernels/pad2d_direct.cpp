// Padding on the CPU, dense NHWC and channels in blocks alike: rows are copied, not pixels.
//
// Threads own rows of what is written. Backward copies the row under the image itself and adds to
// it what the padding shows of it, so nothing is cleared first.
#include <striate/core/parallel.h>
#include <striate/kernels/image_lanes.h>
#include <striate/kernels/pad2d.h>

#include <algorithm>
#include <cstring>

namespace striate::kernels {
namespace {

/// A padded column of the image and the column it shows (-1: the constant).
struct Column {
  int64_t padded, source;
};

struct View {
  int64_t outer, lanes, height, width, padded_height, padded_width, top, left;
  float value;
  std::vector<int64_t> rows;                   // for each padded row the row it shows, or -1
  std::vector<Column> border;                  // the columns left and right of the image
  std::vector<std::vector<int64_t>> shown_by;  // for each row the padded rows beyond its own

  View(const Pad2dOptions& o, const Shape& image, const Layout& layout) {
    const Lanes l(layout, image[3]);
    outer = image[0] * l.blocks;
    lanes = l.lanes;
    height = image[1];
    width = image[2];
    top = o.padding.top;
    left = o.padding.left;
    value = static_cast<float>(o.value);
    rows = pad_sources(o.mode, height, top, o.padding.bottom);
    const auto columns = pad_sources(o.mode, width, left, o.padding.right);
    padded_height = static_cast<int64_t>(rows.size());
    padded_width = static_cast<int64_t>(columns.size());
    for (int64_t q = 0; q < padded_width; ++q)
      if (q < left || q >= left + width) border.push_back({q, columns[static_cast<size_t>(q)]});
    shown_by.resize(static_cast<size_t>(height));
    for (int64_t p = 0; p < padded_height; ++p) {
      const int64_t source = rows[static_cast<size_t>(p)];
      if (source >= 0 && p != top + source) shown_by[static_cast<size_t>(source)].push_back(p);
    }
  }
  int64_t grain() const {
    return 1 + (int64_t{1} << 14) / std::max<int64_t>(padded_width * lanes, 1);
  }
};

void copy_row(const View& v, const float* x, float* y) {
  for (const Column& column : v.border) {
    float* to = y + column.padded * v.lanes;
    if (column.source < 0)
      std::fill(to, to + v.lanes, v.value);
    else
      std::copy_n(x + column.source * v.lanes, v.lanes, to);
  }
  std::copy_n(x, v.width * v.lanes, y + v.left * v.lanes);
}

void add(const float* from, int64_t count, float* __restrict to) {
  for (int64_t i = 0; i < count; ++i) to[i] += from[i];
}

void add_border(const View& v, const float* dy, float* dx) {
  for (const Column& column : v.border)
    if (column.source >= 0)
      add(dy + column.padded * v.lanes, v.lanes, dx + column.source * v.lanes);
}

void forward(const View& v, const float* x, float* y) {
  const int64_t row = v.padded_width * v.lanes;
  parallel_ranges(v.outer * v.padded_height, v.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / v.padded_height;
      const int64_t source = v.rows[static_cast<size_t>(i % v.padded_height)];
      if (source < 0)
        std::fill(y + i * row, y + (i + 1) * row, v.value);
      else
        copy_row(v, x + (o * v.height + source) * v.width * v.lanes, y + i * row);
    }
  });
}

void backward(const View& v, const float* dy, float* dx) {
  const int64_t row = v.padded_width * v.lanes, image_row = v.width * v.lanes;
  parallel_ranges(v.outer * v.height, v.grain(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t o = i / v.height, h = i % v.height;
      const float* image = dy + o * v.padded_height * row;
      float* to = dx + i * image_row;
      std::copy_n(image + (v.top + h) * row + v.left * v.lanes, image_row, to);
      add_border(v, image + (v.top + h) * row, to);
      for (int64_t p : v.shown_by[static_cast<size_t>(h)]) {
        add(image + p * row + v.left * v.lanes, image_row, to);
        add_border(v, image + p * row, to);
      }
    }
  });
}

std::string declines(const Problem& problem) {
  const DType dtype = problem.inputs[0].dtype;
  return dtype == DType::kF32 ? "" : std::string("takes float32, got ") + name_of(dtype);
}

Prepared prepare(const Problem& problem, const Shape& image, Layout layout,
                 void (*run)(const View&, const float*, float*)) {
  const auto& options = problem.get<Pad2dOptions>();
  // A constant other than 0 must not reach the lanes that hold no channel.
  if (options.value != 0 && layout.has_padding(image)) layout = Layout();
  Prepared prepared;
  prepared.inputs.assign(problem.inputs.size(), layout);
  prepared.outputs = {layout};
  prepared.kernel = make_kernel([v = View(options, image, layout), run](const Arguments& a) {
    run(v, static_cast<const float*>(a.inputs[0]), static_cast<float*>(a.outputs[0]));
  });
  return prepared;
}

double efficiency(const Problem&) { return 0.5; }

const Register pad2d({"pad2d", "direct", DeviceType::kCpu, declines,
                      [](const Problem& problem) {
                        return prepare(problem, problem.inputs[0].shape,
                                       lanes_layout(problem.inputs[0]), forward);
                      },
                      efficiency});
const Register pad2d_backward({"pad2d_backward", "direct", DeviceType::kCpu, declines,
                               [](const Problem& problem) {
                                 return prepare(problem, problem.inputs[1].shape,
                                                lanes_layout(problem.inputs[0]), backward);
                               },
                               efficiency});

}  // namespace
}  // namespace striate::kernels
