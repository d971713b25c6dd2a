// The harness on a device: copies of the host's values, values of 16 bits, and TF32.
#include <striate/core/allocator.h>
#include <striate/tests/kernel_trial.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>

namespace striate::testing {

using kernels::Entry;
using kernels::Prepared;
using kernels::Problem;

Device device_under_test() {
  static const Device device = [] {
    const char* name = std::getenv("STRIATE_TEST_DEVICE");
    return device_from_name(name ? name : "cpu");
  }();
  return device;
}

bool is_device_tested() { return device_under_test().type != DeviceType::kCpu; }

std::vector<kernels::InstructionSet> widths_under_test() {
  using kernels::InstructionSet;
  if (device_under_test().type != DeviceType::kCpu) return {InstructionSet::kAvx512};
  return {InstructionSet::kAvx512, InstructionSet::kAvx2};
}

size_t shift_of(const kernels::ValueDesc& v) {
  return v.shape.rank() > 0 && v.dtype != DType::kU8 ? size_of(v.dtype) : 0;
}

Bytes infinities_and_nans(DType dtype) {
  Bytes bytes(256, 0xff);
  const auto fill = [&](auto infinity, auto nan) {
    for (size_t at = 0; at < bytes.size(); at += sizeof nan)
      std::memcpy(&bytes[at], at / sizeof nan % 2 == 0 ? &infinity : &nan, sizeof nan);
  };
  if (dtype == DType::kF32) fill(uint32_t{0x7f800000}, uint32_t{0x7fc00000});
  if (dtype == DType::kF16) fill(uint16_t{0x7c00}, uint16_t{0x7e00});
  if (dtype == DType::kBF16) fill(uint16_t{0x7f80}, uint16_t{0x7fc0});
  return bytes;
}

bool run_on_device(Device device, const Prepared& prepared, const std::vector<HostRange>& inputs,
                   const std::vector<HostRange>& outputs) {
  Backend& backend = striate::backend(device.type);
  struct Copy {
    std::shared_ptr<Buffer> buffer;
    HostRange range;
    char* data() const {
      return static_cast<char*>(buffer->data()) + range.around.size() + range.shift;
    }
    char* before() const { return data() - range.around.size(); }
    char* behind() const { return data() + range.bytes; }
  };
  std::map<const void*, Copy> copies;
  auto take = [&](const HostRange& range) -> void* {
    if (!range.data) return nullptr;
    auto& copy = copies[range.data];
    if (!copy.buffer) {
      const size_t around = range.around.size();
      copy = {Buffer::allocate(range.shift + range.bytes + 2 * around, device), range};
      backend.copy_from_host(copy.data(), range.data, range.bytes, device.index);
      for (char* side : {copy.before(), copy.behind()})
        if (around > 0) backend.copy_from_host(side, range.around.data(), around, device.index);
    }
    return copy.data();
  };
  std::vector<void*> output_pointers;
  std::vector<const void*> input_pointers;
  for (const HostRange& range : outputs) output_pointers.push_back(take(range));
  for (const HostRange& range : inputs) input_pointers.push_back(take(range));
  const auto workspace = Buffer::allocate(prepared.workspace, device);
  prepared.kernel->run({input_pointers.data(), output_pointers.data(), workspace->data(),
                        backend.stream(device.index)});
  backend.wait(device.index);
  bool stays = true;
  for (const auto& [host, copy] : copies) {
    backend.copy_to_host(const_cast<void*>(host), copy.data(), copy.range.bytes, device.index);
    Bytes around(copy.range.around.size());
    for (char* side : {copy.before(), copy.behind()}) {
      if (around.empty()) continue;
      backend.copy_to_host(around.data(), side, around.size(), device.index);
      stays = stays && around == copy.range.around;
    }
  }
  return stays;
}

bool is_too_long(const Case& c) {
  if (device_under_test().type == DeviceType::kCpu || std::getenv("STRIATE_LONG")) return false;
  constexpr double kMostFlops = 1e6, kMostBytes = 4e5;
  const kernels::Cost cost = kernels::cost_of(c.problem());
  return cost.flops > kMostFlops || cost.bytes > kMostBytes;
}

// The reference computes in float32 from the same rounded inputs, so that only the rounding of the
// result remains: at most half a unit in the last place, relative to the value 2^-11 and 2^-8.
std::vector<Values> expect_halves(const Case& c, Case& halves, const std::vector<Values>& values) {
  const bool has_float16 =
      std::any_of(halves.outputs.begin(), halves.outputs.end(),
                  [](const Output& output) { return output.dtype == DType::kF16; });
  halves.limit = std::max(c.limit, has_float16 ? 0x1p-22 : 0x1p-16);
  halves.limit_of_floats = c.limit;  // from the same rounded inputs
  std::vector<Values> expected = run_entry(c, "reference", values);
  constexpr double kBeyondFloat16 = 65520, kInfinity = std::numeric_limits<double>::infinity();
  for (size_t j = 0; j < expected.size(); ++j)
    for (double& v : expected[j])
      if (halves.outputs[j].dtype == DType::kF16 && std::abs(v) >= kBeyondFloat16)
        v = std::copysign(kInfinity, v);
  // Below 2^-14 float16 has steps of 2^-24: half of one is what such a result may be off by.
  for (size_t j = 0; j < expected.size(); ++j) {
    double norm = 0;
    for (double v : expected[j]) norm += v * v;
    if (halves.outputs[j].dtype == DType::kF16 && norm > 0)
      halves.limit =
          std::max(halves.limit, static_cast<double>(expected[j].size()) * 0x1p-50 / norm);
  }
  return expected;
}

void try_halves(const Case& c, const Entry& entry, EntryCount& count) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    // All floats, or those of images and rows while parameters and sums stay float32.
    const auto refused = [&](const Case& halves) {
      Problem problem = halves.problem();
      problem.device = {entry.device, 0};
      return !kernels::refusal(entry, problem).empty();
    };
    Case halves = c.with_floats(dtype);
    if (refused(halves)) halves = c.with_floats(dtype, 2);
    if (refused(halves)) continue;
    const std::vector<Values> values = draw_inputs(halves);
    const std::vector<Values> expected = expect_halves(c, halves, values);
    try_entry({halves, entry, bytes_of(halves, values), expected, count});
  }
}

void try_tf32(const Trial& trial) {
  Case as_tf32 = trial.c;
  as_tf32.tf32 = true;
  as_tf32.limit = std::max(trial.c.limit, kTf32Limit);
  const auto takes = [&](const Case& tried) {
    Problem problem = tried.problem();
    problem.device = {trial.entry.device, 0};
    return kernels::refusal(trial.entry, problem).empty();
  };
  if (!takes(trial.c) && takes(as_tf32))
    try_entry({as_tf32, trial.entry, trial.inputs, trial.expected, trial.count});
}

ForcedTile::ForcedTile(const std::string& tile) : set_(!tile.empty()) {
  if (set_) setenv("STRIATE_TILE", tile.c_str(), 1);
}
ForcedTile::~ForcedTile() {
  if (set_) unsetenv("STRIATE_TILE");
}

}  // namespace striate::testing
