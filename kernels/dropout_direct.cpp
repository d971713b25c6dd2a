// Dropout on the CPU: 16 Philox counters side by side, four words each, for 64 elements at a time.
//
// The mask belongs to the element in dense order, so any split among threads gives the same one. A
// blocked layout keeps groups of four channels together when C and the block are multiples of 4;
// then only the counters differ.
#include <striate/core/parallel.h>
#include <striate/core/random.h>
#include <striate/core/step.h>
#include <striate/kernels/dropout.h>
#include <striate/kernels/image_lanes.h>
#include <striate/kernels/instruction_set.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace striate::kernels {
namespace {

constexpr int64_t kCounters = 16, kElements = 4 * kCounters;

/// How the groups of four elements follow each other in memory.
struct Order {
  int64_t samples, segments;  // a sample is `segments` pieces of consecutive floats
  int64_t floats;             // of a segment
  int64_t run, step, offset;  // group q of segment s: q / run * step + s * offset + q % run

  Order(const Shape& shape, const Layout& layout)
      : samples(shape[0]), segments(1), floats(shape.product(1, shape.rank())) {
    run = (floats + 3) / 4;
    step = offset = 0;
    if (layout.is_dense()) return;
    const Lanes lanes(layout, shape[3]);
    segments = lanes.blocks;
    floats = shape[1] * shape[2] * lanes.lanes;
    run = offset = lanes.lanes / 4;
    step = shape[3] / 4;
  }
};

struct Mask {
  uint32_t key[2];
  uint64_t step, first_sample;
  int32_t threshold;  // kept where the upper 24 bits of a word are not below it
  float scale;
};

/// words[4 * i + w] = word w of the group counters[i].
STRIATE_INLINE void draw(const Mask& mask, uint64_t sample, const uint32_t* counters,
                         uint32_t* words) {
  uint32_t a[kCounters], b[kCounters], c[kCounters], d[kCounters];
  for (int64_t i = 0; i < kCounters; ++i) {
    a[i] = counters[i];
    b[i] = static_cast<uint32_t>(sample);
    c[i] = static_cast<uint32_t>(sample >> 32) ^ static_cast<uint32_t>(mask.step >> 32);
    d[i] = static_cast<uint32_t>(mask.step);
  }
  uint32_t key0 = mask.key[0], key1 = mask.key[1];
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int64_t i = 0; i < kCounters; ++i) {
      const uint64_t p = uint64_t{0xD2511F53} * a[i], q = uint64_t{0xCD9E8D57} * c[i];
      a[i] = static_cast<uint32_t>(q >> 32) ^ b[i] ^ key0;
      b[i] = static_cast<uint32_t>(q);
      c[i] = static_cast<uint32_t>(p >> 32) ^ d[i] ^ key1;
      d[i] = static_cast<uint32_t>(p);
    }
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  for (int64_t i = 0; i < kCounters; ++i) {
    words[4 * i] = a[i];
    words[4 * i + 1] = b[i];
    words[4 * i + 2] = c[i];
    words[4 * i + 3] = d[i];
  }
}

/// Pieces [begin, end) of 64 floats; `pieces` of them make a segment.
struct Loop {
  static STRIATE_INLINE void run(const Order* order, const Mask* mask, const float* x, float* y,
                                 int64_t pieces, int64_t begin, int64_t end) {
    const Order& o = *order;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t segment = i / pieces, first = i % pieces * kCounters;
      const int64_t at = segment * o.floats + 4 * first;
      const int64_t count = std::min(kElements, o.floats - 4 * first);
      uint32_t counters[kCounters], words[kElements];
      int64_t turn = first / o.run, rest = first % o.run;
      for (int64_t k = 0; k < kCounters; ++k) {
        counters[k] = static_cast<uint32_t>(turn * o.step + segment % o.segments * o.offset + rest);
        if (++rest == o.run) {
          rest = 0;
          ++turn;
        }
      }
      draw(*mask, mask->first_sample + static_cast<uint64_t>(segment / o.segments), counters,
           words);
      const float scale = mask->scale;
      const int32_t threshold = mask->threshold;
      const auto apply = [&](int64_t n) STRIATE_INLINED {
#pragma omp simd
        for (int64_t l = 0; l < n; ++l) {
          const uint32_t keep =
              -static_cast<uint32_t>(static_cast<int32_t>(words[l] >> 8) >= threshold);
          y[at + l] = std::bit_cast<float>(std::bit_cast<uint32_t>(x[at + l] * scale) & keep);
        }
      };
      if (count == kElements)
        apply(kElements);
      else
        apply(count);
    }
  }
};

Prepared prepare(const Problem& problem) {
  const Shape& shape = problem.inputs[0].shape;
  Layout layout = lanes_layout(problem.inputs[0]);
  if (!layout.is_dense() && (shape[3] % 4 != 0 || layout.block(0).size % 4 != 0)) layout = Layout();
  const double rate = problem.get<DropoutOptions>().rate;
  const Order order(shape, layout);
  const uint64_t operation = hash_of(problem.path + "/dropout");
  Prepared prepared;
  prepared.inputs = {layout, Layout()};
  prepared.outputs = {layout};
  prepared.in_place = {{0, 0, false}};
  prepared.kernel = make_kernel([=](const Arguments& a) {
    StepBlock block;
    std::memcpy(&block, a.inputs[1], sizeof block);
    const uint64_t key = block.seed ^ operation * 0x9E3779B97F4A7C15;
    const Mask mask{{static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)},
                    static_cast<uint64_t>(block.step),
                    static_cast<uint64_t>(block.first_sample),
                    static_cast<int32_t>(std::ceil(std::clamp(rate, 0.0, 1.0) * 0x1p24)),
                    static_cast<float>(1 / (1 - rate))};
    const float* x = static_cast<const float*>(a.inputs[0]);
    float* y = static_cast<float*>(a.outputs[0]);
    const int64_t pieces = (order.floats + kElements - 1) / kElements;
    parallel_ranges(order.samples * order.segments * pieces, 128, [&](int64_t begin, int64_t end) {
      on_widest<Loop>(&order, &mask, x, y, pieces, begin, end);
    });
  });
  return prepared;
}

Entry direct(const char* operation) {
  Entry entry;
  entry.operation = operation;
  entry.name = "direct";
  entry.declines = [](const Problem& problem) {
    const DType dtype = problem.inputs[0].dtype;
    return dtype == DType::kF32 ? "" : std::string("takes float32, got ") + name_of(dtype);
  };
  entry.prepare = prepare;
  entry.efficiency = [](const Problem&) { return 0.3; };
  return entry;
}

const Register dropout(direct("dropout"));
const Register dropout_backward(direct("dropout_backward"));

}  // namespace
}  // namespace striate::kernels
