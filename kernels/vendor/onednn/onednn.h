// What the oneDNN entries share: memory descriptors against our layouts, and a prepared primitive.
//
// oneDNN names image dimensions N, C, H, W and filters O, I, H, W; our shapes are [N, H, W, C] and
// [K, R, S, C / groups]. Both turn by the same permutation. Grouped filters are G, O, I, H, W there
// and keep their four dimensions here, K running over groups and then outputs.
#pragma once

#include <striate/kernels/activation.h>
#include <striate/kernels/impl.h>

#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <string>
#include <vector>

namespace striate::kernels::onednn {

/// Return the CPU engine that all primitives share.
const dnnl::engine& engine();

/// OpenMP's number of threads for this calling thread, put back at the end: oneDNN reads it when a
/// primitive is described and when it runs.
class ThreadCount {
 public:
  explicit ThreadCount(int threads);
  ~ThreadCount();
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_, was_dynamic_;
};

/// Return the floats of one vector register that oneDNN uses here: the channels of its blocks.
int64_t lanes();

/// The roles of values, which decide how dimensions turn.
enum class Role {
  kPlain,    // same dimensions in the same order
  kImage,    // [N, H, W, C] is N, C, H, W
  kFilters,  // [K, R, S, C / groups] is O, I, H, W or G, O, I, H, W
};

/// Return oneDNN's sizes of a value.
dnnl::memory::dims sizes_of(const Shape& shape, Role role, int64_t groups = 1);
/// Return a descriptor that leaves the layout to the primitive.
dnnl::memory::desc any_layout(const Shape& shape, Role role, int64_t groups = 1);
/// Return the descriptor of a value in a layout; none when oneDNN has no such layout.
std::optional<dnnl::memory::desc> descriptor(const Shape& shape, const Layout& layout, Role role,
                                             int64_t groups = 1);
/// Return the layout that a descriptor means; none when ours cannot express it.
std::optional<Layout> layout_of(const dnnl::memory::desc& descriptor, const Shape& shape, Role role,
                                int64_t groups = 1);

/// Append the activation to the post-operations: one that `declines_activation` takes.
void append_activation(dnnl::post_ops& post_ops, Activation activation, double negative_slope);
/// Return why oneDNN cannot apply an activation.
std::string declines_activation(Activation activation);

/// Return why oneDNN cannot do a problem: an element type but float32, too many elements, or
/// nothing to compute.
std::string declines_by_type(const Problem& problem);

/// Throw KernelError when oneDNN would use its own reference, which is slower than ours.
void refuse_reference(const dnnl::primitive_desc_base& description);

/// A primitive with its memory objects and argument list, made once. `run` sets pointers and
/// executes.
class PrimitiveKernel : public Kernel {
 public:
  PrimitiveKernel(const dnnl::primitive& primitive, int threads);

  void input(int argument, const dnnl::memory::desc& descriptor, int index);
  void output(int argument, const dnnl::memory::desc& descriptor, int index);
  /// Bind an argument to the workspace at a multiple of 64 bytes.
  void workspace(int argument, const dnnl::memory::desc& descriptor, size_t offset);

  void run(const Arguments& arguments) override;

 private:
  enum class From { kInput, kOutput, kWorkspace };
  struct Bound {
    From from;
    size_t at;  // index, or bytes into the workspace
    dnnl::memory memory;
    void* pointer;
  };
  void bind(int argument, const dnnl::memory::desc& descriptor, From from, size_t at);

  dnnl::primitive primitive_;
  dnnl::stream stream_;
  int threads_;
  std::vector<Bound> bound_;
  std::vector<dnnl_exec_arg_t> arguments_;
};

/// Throw the KernelError that says what oneDNN refused.
[[noreturn]] void refuse(const dnnl::error& error);

/// Call `Describe` under the problem's number of threads; oneDNN's refusals become KernelErrors.
template <Prepared (*Describe)(const Problem&)>
Prepared prepare(const Problem& problem) {
  const ThreadCount threads(problem.threads);
  try {
    return Describe(problem);
  } catch (const dnnl::error& error) {
    refuse(error);
  }
}

/// Return the attributes of all our primitives: the scratchpad is the caller's.
dnnl::primitive_attr attributes();

}  // namespace striate::kernels::onednn
