// Reordering by oneDNN, between the layouts that its tags name.
#include <striate/kernels/reorder.h>
#include <striate/kernels/vendor/onednn/onednn.h>

namespace striate::kernels {
namespace {

using onednn::Role;

/// Any value of four dimensions can be taken for an image: only its strides count.
std::optional<dnnl::memory::desc> descriptor(const Shape& shape, const Layout& layout) {
  return onednn::descriptor(shape, layout, shape.rank() == 4 ? Role::kImage : Role::kPlain);
}

std::string declines(const Problem& problem) {
  const std::string reason = onednn::declines_by_type(problem);
  if (!reason.empty()) return reason;
  const ValueDesc& x = problem.inputs[0];
  for (const Layout& layout : {x.layout, problem.get<ReorderOptions>().to})
    if (!descriptor(x.shape, layout))
      return "oneDNN has no tag for " + layout.to_string(x.shape.rank());
  return "";
}

Prepared prepare_reorder(const Problem& problem) {
  const ValueDesc& x = problem.inputs[0];
  const Layout to = problem.get<ReorderOptions>().to;
  const auto from_descriptor = *descriptor(x.shape, x.layout),
             to_descriptor = *descriptor(x.shape, to);
  const dnnl::reorder::primitive_desc d(onednn::engine(), from_descriptor, onednn::engine(),
                                        to_descriptor, onednn::attributes());
  onednn::refuse_reference(d);
  auto kernel = std::make_unique<onednn::PrimitiveKernel>(dnnl::reorder(d), problem.threads);
  kernel->input(DNNL_ARG_FROM, from_descriptor, 0);
  kernel->output(DNNL_ARG_TO, to_descriptor, 0);
  kernel->workspace(DNNL_ARG_SCRATCHPAD, d.scratchpad_desc(), 0);

  Prepared prepared;
  prepared.inputs = {x.layout};
  prepared.outputs = {to};
  prepared.workspace = d.scratchpad_desc().get_size();
  prepared.detail = d.impl_info_str();
  prepared.kernel = std::move(kernel);
  return prepared;
}

const Register reorder({"reorder", "onednn", DeviceType::kCpu, declines,
                        onednn::prepare<prepare_reorder>, [](const Problem&) { return 0.6; }});

}  // namespace
}  // namespace striate::kernels
