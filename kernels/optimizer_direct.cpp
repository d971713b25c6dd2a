// The optimizers on float32: all weights in one parallel loop over chunks of fixed size.
//
// A network has many small weights and few large ones, so chunks, not tensors, are shared among the
// threads. Each chunk is a plain loop over stored elements, in whatever layout w has.
// Where the gradient of large dense weights has no other reader, dense_update.h steps them instead.
#include <striate/kernels/clones.h>
#include <striate/kernels/dense_update.h>
#include <striate/kernels/elementwise.h>
#include <striate/kernels/lanes.h>

#include <algorithm>
#include <vector>

namespace striate::kernels {
namespace {

constexpr int64_t kChunk = 16384;

/// Elements [begin, end) of tensor `tensor`.
struct Chunk {
  int tensor;
  int64_t begin, end;
};

std::vector<Chunk> chunks_of(const std::vector<int64_t>& counts) {
  std::vector<Chunk> chunks;
  for (size_t k = 0; k < counts.size(); ++k)
    for (int64_t begin = 0; begin < counts[k]; begin += kChunk)
      chunks.push_back({static_cast<int>(k), begin, std::min(begin + kChunk, counts[k])});
  return chunks;
}

/// Call `body(chunk)` for all chunks, each thread on neighbouring ones of equal elements.
template <class Body>
void for_chunks(const std::vector<Chunk>& chunks, const std::vector<int64_t>& ends,
                const Body& body) {
  if (ends.empty()) return;
  parallel_ranges(ends.back(), 2 * kChunk, [&](int64_t begin, int64_t end) {
    auto chunk_at = [&](int64_t element) {
      return std::upper_bound(ends.begin(), ends.end(), element) - ends.begin();
    };
    const auto last = end == ends.back() ? static_cast<int64_t>(chunks.size()) : chunk_at(end);
    for (auto i = begin == 0 ? 0 : chunk_at(begin); i < last; ++i)
      body(chunks[static_cast<size_t>(i)], static_cast<size_t>(i));
  });
}

/// Return the elements up to the end of each chunk.
std::vector<int64_t> ends_of(const std::vector<Chunk>& chunks) {
  std::vector<int64_t> ends;
  for (const Chunk& c : chunks) ends.push_back((ends.empty() ? 0 : ends.back()) + c.end - c.begin);
  return ends;
}

// 1. The loops ------------------------------------------------------------------------------------

STRIATE_CLONES void sgd_loop(float* w, const float* g, int64_t count, SgdStep s) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) sgd_step(w[i], g[i], s);
}

STRIATE_CLONES void momentum_loop(float* w, const float* g, float* v, int64_t count, SgdStep s) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) momentum_step(w[i], g[i], v[i], s);
}

STRIATE_CLONES void nesterov_loop(float* w, const float* g, float* v, int64_t count, SgdStep s) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) nesterov_step(w[i], g[i], v[i], s);
}

STRIATE_CLONES void adam_loop(float* w, const float* g, float* m, float* v, int64_t count,
                              AdamStep s) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) adam_step(w[i], g[i], m[i], v[i], s);
}

STRIATE_CLONES double squares(const float* g, int64_t count) {
  return sum_in_lanes<double>(count, [g](int64_t i) { return static_cast<double>(g[i]) * g[i]; });
}

// 2. Entries --------------------------------------------------------------------------------------

/// Prepare an optimizer whose values are step_block, [clip scale], then `roles` values per weight:
/// w, g and the state. `make_step(block, scale)` gives the numbers of a step, `loop` runs a chunk.
template <class MakeStep, class Loop>
Prepared prepare_step(const Problem& problem, int tensors, int roles, MakeStep make_step,
                      Loop loop) {
  Prepared prepared;
  prepared.inputs.resize(problem.inputs.size());
  std::vector<int64_t> counts;
  for (int k = 0; k < tensors; ++k) {
    const ValueDesc& w = problem.inputs[static_cast<size_t>(2 + k)];
    counts.push_back(w.layout.elements(w.shape));
    for (int role = 0; role < roles; ++role)
      prepared.inputs[static_cast<size_t>(2 + role * tensors + k)] = w.layout;
  }
  for (int i = 0; i < static_cast<int>(problem.outputs.size()); ++i) {
    const int input = 2 + (i < tensors ? i : i + tensors);
    prepared.in_place.push_back({i, input, true});
    prepared.outputs.push_back(prepared.inputs[static_cast<size_t>(input)]);
  }
  const bool clips = problem.has_input(1);
  const std::vector<Chunk> chunks = chunks_of(counts);
  const std::vector<int64_t> ends = ends_of(chunks);
  prepared.kernel = make_kernel([=](const Arguments& arguments) {
    const float scale = clips ? *static_cast<const float*>(arguments.inputs[1]) : 1;
    const auto step = make_step(*static_cast<const StepBlock*>(arguments.inputs[0]), scale);
    for_chunks(chunks, ends, [&](const Chunk& c, size_t) {
      auto output = [&](int role) {
        return static_cast<float*>(arguments.outputs[role * tensors + c.tensor]) + c.begin;
      };
      const float* g = static_cast<const float*>(arguments.inputs[2 + tensors + c.tensor]);
      loop(output, g + c.begin, c.end - c.begin, step);
    });
  });
  return prepared;
}

Prepared prepare_sgd(const Problem& problem) {
  const auto o = problem.get<SgdOptions>();
  auto make_step = [o](const StepBlock& block, float scale) {
    return sgd_step_of(o, block, scale);
  };
  auto loop = [o](const auto& output, const float* g, int64_t count, const SgdStep& step) {
    if (o.momentum <= 0)
      sgd_loop(output(0), g, count, step);
    else if (o.nesterov)
      nesterov_loop(output(0), g, output(1), count, step);
    else
      momentum_loop(output(0), g, output(1), count, step);
  };
  return prepare_step(problem, o.tensors, o.momentum > 0 ? 3 : 2, make_step, loop);
}

Prepared prepare_adam(const Problem& problem) {
  const auto o = problem.get<AdamOptions>();
  auto make_step = [o](const StepBlock& block, float scale) {
    return adam_step_of(o, block, scale);
  };
  auto loop = [](const auto& output, const float* g, int64_t count, const AdamStep& step) {
    adam_loop(output(0), g, output(1), output(2), count, step);
  };
  return prepare_step(problem, o.tensors, 4, make_step, loop);
}

Prepared prepare_squared_norm(const Problem& problem) {
  Prepared prepared;
  std::vector<int64_t> counts;
  for (const ValueDesc& g : problem.inputs) {  // padding is zero and adds nothing
    prepared.inputs.push_back(g.layout);
    counts.push_back(g.layout.elements(g.shape));
  }
  const std::vector<Chunk> chunks = chunks_of(counts);
  const std::vector<int64_t> ends = ends_of(chunks);
  prepared.workspace = chunks.size() * sizeof(double);
  prepared.kernel = make_kernel([=](const Arguments& arguments) {
    double* sums = static_cast<double*>(arguments.workspace);
    for_chunks(chunks, ends, [&](const Chunk& c, size_t i) {
      sums[i] =
          squares(static_cast<const float*>(arguments.inputs[c.tensor]) + c.begin, c.end - c.begin);
    });
    double total = 0;
    for (size_t i = 0; i < chunks.size(); ++i) total += sums[i];
    *static_cast<float*>(arguments.outputs[0]) = static_cast<float>(total);
  });
  return prepared;
}

std::string takes_float32_weights(const Problem& problem) {
  return takes_float32(problem, 1, problem.inputs.size());
}

const Register sgd(direct_entry("sgd", takes_float32_weights, prepare_sgd));
const Register adam(direct_entry("adam", takes_float32_weights, prepare_adam));
const Register squared_norm(direct_entry(
    "squared_norm", [](const Problem& p) { return takes_float32(p, 0, p.inputs.size()); },
    prepare_squared_norm));

}  // namespace
}  // namespace striate::kernels
