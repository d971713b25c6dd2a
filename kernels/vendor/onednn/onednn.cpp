#include <omp.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <striate/kernels/vendor/onednn/onednn.h>

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

namespace striate::kernels::onednn {

using dnnl::memory;

const dnnl::engine& engine() {
  static const dnnl::engine cpu = [] {
    // Programs keep their own primitives; this cache only serves equal layers, so it stays small.
    dnnl::set_primitive_cache_capacity(128);
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return cpu;
}

int64_t lanes() { return dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core ? 16 : 8; }

ThreadCount::ThreadCount(int threads)
    : before_(omp_get_max_threads()), was_dynamic_(omp_get_dynamic()) {
  if (threads != before_) omp_set_num_threads(threads);
  if (was_dynamic_) omp_set_dynamic(0);
}
ThreadCount::~ThreadCount() {
  if (omp_get_max_threads() != before_) omp_set_num_threads(before_);
  if (was_dynamic_) omp_set_dynamic(1);
}

namespace {

/// Return for each of oneDNN's dimensions which of ours it is; of grouped filters G and O are both
/// 0.
std::vector<int> ours(int rank, Role role, int64_t groups) {
  if (role == Role::kImage || (role == Role::kFilters && groups == 1)) return {0, 3, 1, 2};
  if (role == Role::kFilters) return {0, 0, 3, 1, 2};
  std::vector<int> same(static_cast<size_t>(rank));
  std::iota(same.begin(), same.end(), 0);
  return same;
}

/// The blocked tags of oneDNN that conv2d's fastest kernels use, by the letters of either side.
struct Blocked {
  const char* ours;
  memory::format_tag theirs;
};
using Tag = memory::format_tag;
constexpr Blocked kBlocked[] = {
    {"aDbc4d", Tag::aBcd4b},         {"aDbc8d", Tag::aBcd8b},
    {"aDbc16d", Tag::aBcd16b},       {"Abcd4a", Tag::Acdb4a},
    {"Abcd8a", Tag::Acdb8a},         {"Abcd16a", Tag::Acdb16a},
    {"Abcd32a", Tag::Acdb32a},       {"Abcd64a", Tag::Acdb64a},
    {"Adbc8a", Tag::Abcd8a},         {"Adbc16a", Tag::Abcd16a},
    {"ADbc8d8a", Tag::ABcd8b8a},     {"ADbc8a8d", Tag::ABcd8a8b},
    {"ADbc16d16a", Tag::ABcd16b16a}, {"ADbc16a16d", Tag::ABcd16a16b},
    {"DAbc16d16a", Tag::BAcd16b16a}, {"DAbc16a16d", Tag::BAcd16a16b},
    {"Dbca16d", Tag::Bcda16b},       {"Dbca32d", Tag::Bcda32b},
    {"Dbca64d", Tag::Bcda64b},
};

}  // namespace

memory::dims sizes_of(const Shape& shape, Role role, int64_t groups) {
  if (role == Role::kImage || (role == Role::kFilters && groups == 1))
    return {shape[0], shape[3], shape[1], shape[2]};
  if (role == Role::kFilters) return {groups, shape[0] / groups, shape[3], shape[1], shape[2]};
  return shape.to_vector();
}

memory::desc any_layout(const Shape& shape, Role role, int64_t groups) {
  return {sizes_of(shape, role, groups), memory::data_type::f32, memory::format_tag::any};
}

std::optional<memory::desc> descriptor(const Shape& shape, const Layout& layout, Role role,
                                       int64_t groups) {
  const memory::dims sizes = sizes_of(shape, role, groups);
  if (layout.block_count() > 0) {
    if (role == Role::kPlain || sizes.size() != 4) return std::nullopt;
    const std::string tag = layout.to_string(4);
    for (const Blocked& blocked : kBlocked)
      if (tag == blocked.ours) return memory::desc(sizes, memory::data_type::f32, blocked.theirs);
    return std::nullopt;
  }
  // Plain: the strides of our dimensions, turned.
  int64_t stride[Shape::kMaxRank], next = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    stride[layout.outer(i)] = next;
    next *= shape[layout.outer(i)];
  }
  memory::dims strides;
  for (int dim : ours(shape.rank(), role, groups)) strides.push_back(stride[dim]);
  if (role == Role::kFilters && groups > 1) strides[0] = stride[0] * (shape[0] / groups);
  return memory::desc(sizes, memory::data_type::f32, strides);
}

std::optional<Layout> layout_of(const memory::desc& descriptor, const Shape& shape, Role role,
                                int64_t groups) {
  if (descriptor.get_format_kind() != memory::format_kind::blocked ||
      descriptor.get_submemory_offset() != 0)
    return std::nullopt;
  const std::vector<int> turn = ours(shape.rank(), role, groups);
  const memory::dims strides = descriptor.get_strides(), padded = descriptor.get_padded_dims();
  const memory::dims block_sizes = descriptor.get_inner_blks();
  const memory::dims block_dims = descriptor.get_inner_idxs();
  const bool grouped = role == Role::kFilters && groups > 1;
  const int64_t outputs = grouped ? shape[0] / groups : 1;

  // Which of oneDNN's dimensions stands for each of ours: of grouped filters O, with G outside it,
  // or G alone when each group has one output.
  std::array<size_t, Shape::kMaxRank> theirs{};
  for (size_t t = 0; t < turn.size(); ++t) theirs[static_cast<size_t>(turn[t])] = t;
  if (grouped && outputs == 1) theirs[0] = 0;

  std::string blocks;
  for (size_t b = 0; b < block_sizes.size(); ++b) {
    const auto t = static_cast<size_t>(block_dims[b]);
    if (theirs[static_cast<size_t>(turn[t])] != t) return std::nullopt;  // the other one of G and O
    blocks += std::to_string(block_sizes[b]) + static_cast<char>('a' + turn[t]);
  }
  auto block_of = [&](size_t t) {
    int64_t size = 1;
    for (size_t b = 0; b < block_sizes.size(); ++b)
      if (static_cast<size_t>(block_dims[b]) == t) size *= block_sizes[b];
    return size;
  };
  auto count = [&](int dim) {  // whole blocks along one of our dimensions
    const int64_t block = block_of(theirs[static_cast<size_t>(dim)]);
    return (shape[dim] + block - 1) / block;
  };
  if (grouped && outputs > 1 &&
      (outputs % block_of(1) != 0 || strides[0] != outputs / block_of(1) * strides[1]))
    return std::nullopt;  // groups do not follow each other as K does

  // Our dimensions by their strides, slowest first. One that is a single block may stand anywhere
  // and has any stride in oneDNN; it stays where it stands in the usual layouts.
  std::vector<int> order(static_cast<size_t>(shape.rank()));
  std::iota(order.begin(), order.end(), 0);
  if (order.size() == 4 && block_of(theirs[3]) > 1) order = {0, 3, 1, 2};
  std::vector<int> counting;
  for (int dim : order)
    if (count(dim) > 1) counting.push_back(dim);
  auto stride = [&](int dim) { return strides[theirs[static_cast<size_t>(dim)]]; };
  std::stable_sort(counting.begin(), counting.end(),
                   [&](int x, int y) { return stride(x) > stride(y); });
  size_t next = 0;
  for (int& dim : order)
    if (count(dim) > 1) dim = counting[next++];

  int64_t expected = std::accumulate(block_sizes.begin(), block_sizes.end(), int64_t{1},
                                     std::multiplies<int64_t>());
  std::string tag(order.size(), 'a');
  for (size_t i = order.size(); i-- > 0;) {
    const int dim = order[i];
    const size_t t = theirs[static_cast<size_t>(dim)];
    if (count(dim) > 1 && stride(dim) != expected) return std::nullopt;
    if (!(grouped && dim == 0) && padded[t] != count(dim) * block_of(t)) return std::nullopt;
    expected *= count(dim);
    tag[i] = static_cast<char>((block_of(t) > 1 ? 'A' : 'a') + dim);
  }
  if (block_sizes.size() > Layout::kMaxBlocks) return std::nullopt;
  return Layout::parse(tag + blocks);
}

void append_activation(dnnl::post_ops& post_ops, Activation activation, double negative_slope) {
  using dnnl::algorithm;
  const auto slope = static_cast<float>(negative_slope);
  switch (activation) {
    case Activation::kNone:
      return;
    case Activation::kRelu:
      // x * clip(max * x, 0, 1) keeps NaN; eltwise_relu makes it 0. Of -infinity it makes NaN.
      return post_ops.append_eltwise(algorithm::eltwise_hardswish,
                                     std::numeric_limits<float>::max(), 0);
    case Activation::kRelu6:
      break;  // see declines_activation
    case Activation::kLeakyRelu:
      return post_ops.append_eltwise(algorithm::eltwise_relu, slope, 0);
    case Activation::kSigmoid:
      return post_ops.append_eltwise(algorithm::eltwise_logistic, 0, 0);
    case Activation::kTanh:
      return post_ops.append_eltwise(algorithm::eltwise_tanh, 0, 0);
  }
}

std::string declines_activation(Activation activation) {
  return activation == Activation::kRelu6 ? "its relu6 makes 0 of NaN" : "";
}

std::string declines_by_type(const Problem& problem) {
  const std::string& name = problem.operation;
  if (problem.same_for_threads && name != "conv2d" && name != "conv2d_backward_input" &&
      name != "reorder")
    return "sums in an order that depends on the number of threads";
  for (const auto* values : {&problem.inputs, &problem.outputs})
    for (const auto& v : *values)
      if (v.dtype != DType::kF32) return std::string("takes float32, got ") + name_of(v.dtype);
  // Above, oneDNN 3.2 divides by products that overflow 32 bits, and the process ends.
  for (const auto* values : {&problem.inputs, &problem.outputs})
    for (const auto& v : *values)
      if (v.shape.elements() > std::numeric_limits<int32_t>::max())
        return "takes values of at most 2^31 - 1 elements, got " + v.shape.to_string();
  for (const auto& v : problem.outputs)
    if (v.shape.elements() == 0) return "an output is empty";
  return problem.inputs[0].shape.elements() == 0 ? "the input is empty" : "";
}

void refuse_reference(const dnnl::primitive_desc_base& description) {
  const std::string name = description.impl_info_str();
  if (name.compare(0, 3, "ref") == 0 || name.compare(0, 8, "gemm:ref") == 0)
    throw KernelError("oneDNN has only its reference for this problem", name);
}

void refuse(const dnnl::error& error) {
  throw KernelError(std::string("oneDNN refuses the problem: ") + error.what(),
                    dnnl_status2str(error.status));
}

dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

PrimitiveKernel::PrimitiveKernel(const dnnl::primitive& primitive, int threads)
    : primitive_(primitive), stream_(engine()), threads_(threads) {}

void PrimitiveKernel::bind(int argument, const memory::desc& descriptor, From from, size_t at) {
  if (descriptor.get_size() == 0) return;
  bound_.push_back({from, at, memory(descriptor, engine(), DNNL_MEMORY_NONE), nullptr});
  arguments_.push_back({argument, bound_.back().memory.get()});
}
void PrimitiveKernel::input(int argument, const memory::desc& descriptor, int index) {
  bind(argument, descriptor, From::kInput, static_cast<size_t>(index));
}
void PrimitiveKernel::output(int argument, const memory::desc& descriptor, int index) {
  bind(argument, descriptor, From::kOutput, static_cast<size_t>(index));
}
void PrimitiveKernel::workspace(int argument, const memory::desc& descriptor, size_t offset) {
  bind(argument, descriptor, From::kWorkspace, offset);
}

void PrimitiveKernel::run(const Arguments& arguments) {
  for (Bound& bound : bound_) {
    void* pointer = bound.from == From::kInput ? const_cast<void*>(arguments.inputs[bound.at])
                    : bound.from == From::kOutput
                        ? arguments.outputs[bound.at]
                        : static_cast<char*>(arguments.workspace) + bound.at;
    if (pointer == bound.pointer) continue;
    bound.memory.set_data_handle(pointer);
    bound.pointer = pointer;
  }
  const ThreadCount threads(threads_);
  const dnnl_status_t status = dnnl_primitive_execute(
      primitive_.get(), stream_.get(), static_cast<int>(arguments_.size()), arguments_.data());
  if (status != dnnl_success)
    throw KernelError("oneDNN failed to execute a primitive", dnnl_status2str(status));
}

}  // namespace striate::kernels::onednn
