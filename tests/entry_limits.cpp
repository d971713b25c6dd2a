// The limits are those that F(4x4,3x3) is allowed, and for all others less than twice the worst
// that the tables showed, the guest library's gradient of filters included.
#include <striate/tests/entry_limits.h>

#include <algorithm>
#include <map>

namespace striate::testing {
namespace {

struct Limits {
  double sums;     // conv2d and conv2d_backward_input: sums over a window and its channels
  double weights;  // conv2d_backward_weight: sums over all places of all images
};

const std::map<std::string, Limits>& limits() {
  static const std::map<std::string, Limits> all = {
      {"winograd", {3e-6, 5e-6}},  {"winograd_2x2", {1.2e-6, 1.2e-6}},
      {"direct", {7e-7, 1.2e-6}},  {"batch_lanes", {1.5e-6, 1.2e-6}},
      {"depthwise", {3e-7, 5e-7}}, {"im2col", {1.5e-6, 1e-6}},
      {"onednn", {1.5e-6, 3e-6}},  {"reference", {1e-7, 1e-7}},
  };
  return all;
}

}  // namespace

std::optional<double> rms_limit(const std::string& operation, const std::string& entry) {
  const bool weights = operation == "conv2d_backward_weight";
  if (!weights && operation != "conv2d" && operation != "conv2d_backward_input") return {};
  const auto found = limits().find(entry);
  if (found == limits().end()) return {};
  return weights ? found->second.weights : found->second.sums;
}

double nmse_limit(const Case& c, const kernels::Entry& entry) {
  if (entry.device != DeviceType::kCpu) return c.limit;
  const auto limit = rms_limit(c.operation, entry.name);
  return limit ? std::min(c.limit, *limit * *limit) : c.limit;
}

}  // namespace striate::testing
