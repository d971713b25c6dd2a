// How kernels hand their work to threads, and what follows when sums were divided into parts.
#pragma once

#include <striate/core/parallel.h>
#include <striate/kernels/simd/conv_kernels.h>
#include <striate/kernels/simd/vector.h>

#include <algorithm>
#include <atomic>

namespace striate::kernels::simd {

inline constexpr int64_t kLine = 16;  // floats of a cache line

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Call `body(worker, i)` for each i in [0, count): a worker takes the next when it has done one,
/// so that a disturbed core does less. Which worker does i must not change the result.
template <class Body>
void share_work(int workers, int64_t count, const Body& body) {
  std::atomic<int64_t> next{0};
  parallel_for(workers < count ? workers : count, [&](int64_t worker) {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) body(worker, i);
  });
}

/// The same, but a worker first does what lies in its own even share of [0, count), and only then
/// helps the others: kernels that follow each other find what they read in their own core's cache.
template <class Body>
void share_ranges(int workers, int64_t count, const Body& body) {
  constexpr int kMost = 64;
  struct alignas(64) Range {
    std::atomic<int64_t> next;
    int64_t end;
  };
  Range ranges[kMost];
  const int64_t all = std::min<int64_t>({workers, count, kMost});
  for (int64_t i = 0; i < all; ++i) {
    ranges[i].next.store(count * i / all, std::memory_order_relaxed);
    ranges[i].end = count * (i + 1) / all;
  }
  parallel_for(all, [&](int64_t worker) {
    for (int64_t turn = 0; turn < all; ++turn) {
      Range& range = ranges[(worker + turn) % all];
      for (int64_t i; (i = range.next.fetch_add(1, std::memory_order_relaxed)) < range.end;)
        body(worker, i);
    }
  });
}

/// Set `floats`, a multiple of the lanes, to zero.
template <class V>
void clear(float* to, int64_t floats) {
  for (int64_t i = 0; i < floats; i += V::kLanes) V::store(to + i, V::zero());
}

/// Add `pixels` vectors to `sums`, in four strands since one would wait for each addition.
template <class V>
void add_pixels(const float* dy, int64_t pixels, float* sums) {
  typename V::Reg sum[4] = {V::load(sums), V::zero(), V::zero(), V::zero()};
  int64_t i = 0;
  for (; i + 4 <= pixels; i += 4)
    for (int j = 0; j < 4; ++j) sum[j] = V::add(sum[j], V::load(dy + (i + j) * V::kLanes));
  for (; i < pixels; ++i) sum[0] = V::add(sum[0], V::load(dy + i * V::kLanes));
  V::store(sums, V::add(V::add(sum[0], sum[1]), V::add(sum[2], sum[3])));
}

/// Add the parts of dw, `floats` each and a multiple of the lanes, where there is more than one.
template <class V>
void add_parts(const DirectPlan& p, const float* partial, int64_t floats, float* dw) {
  constexpr int64_t kPiece = 4096;
  if (p.parts <= 1) return;
  share_work(p.workers, ceil_div(floats, kPiece), [&](int64_t, int64_t piece) {
    const int64_t end = piece * kPiece + kPiece < floats ? piece * kPiece + kPiece : floats;
    for (int64_t i = piece * kPiece; i < end; i += V::kLanes) {
      auto sum = V::load(partial + i);
      for (int64_t j = 1; j < p.parts; ++j) sum = V::add(sum, V::load(partial + j * floats + i));
      V::store(dw + i, sum);
    }
  });
}

/// Write zeros over the lanes of the last of the K / lanes blocks that are no filter, which
/// infinite inputs may have made NaN. A block has `vectors` vectors.
template <class V>
void clear_padding(float* dw, int64_t filters, int64_t vectors) {
  const int64_t used = filters % V::kLanes;
  if (used == 0) return;
  float* last = dw + filters / V::kLanes * vectors * V::kLanes;
  for (int64_t i = 0; i < vectors; ++i, last += V::kLanes)
    V::store(last, V::first_lanes(V::load(last), used));
}

/// Add the parts of db, which lie `apart` floats apart.
template <class V>
void add_sums(const DirectPlan& p, const float* sums, int64_t apart, float* db) {
  for (int64_t k = 0; k < p.out_c; ++k) {
    float sum = 0;
    for (int64_t i = 0; i < p.parts; ++i) sum += sums[i * apart + k];
    db[k] = sum;
  }
}

}  // namespace striate::kernels::simd
