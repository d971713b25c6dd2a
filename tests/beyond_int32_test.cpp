// Kernels of devices on values of more than 2^31 elements: no index may be of 32 bits.
//
// A batch is so large that its images, 8 x 8 pixels of 4 channels, have more than 2^31 elements.
// Only its first and its last image are written, and only their results are looked at; they must be
// what the reference makes of these two alone. On an emulated device, which has the addresses but
// not the memory, a process of its own runs a few blocks of each grid: its corners are among them.
#include <gtest/gtest.h>
#include <striate/core/allocator.h>
#include <striate/kernels/pad2d.h>
#include <striate/kernels/pool2d.h>
#include <striate/kernels/unary.h>
#include <striate/tests/kernel_trial.h>

#include <cstdlib>
#include <filesystem>

namespace striate::testing {
namespace {

constexpr int64_t kImages = (int64_t{1} << 23) + 1;

/// Return the case for another number of images; filters stay as they are.
Case with_images(Case c, int64_t images) {
  for (Input& input : c.inputs)
    if (input.shape[0] == 2) input.shape[0] = images;
  for (Output& output : c.outputs)
    if (output.shape[0] == 2) output.shape[0] = images;
  return c;
}

/// What a value holds on the device: all of it, of which the first and the last image are written.
struct Ends {
  Ends(const Shape& shape, DType dtype, int64_t images, Device where)
      : device(where),
        row(shape.elements() / 2 * static_cast<int64_t>(size_of(dtype))),
        rows(shape[0] == 2 ? images : 2),
        buffer(Buffer::allocate(static_cast<size_t>(rows * row), where)) {}

  void write(const Bytes& both) {
    for (int end : {0, 1})
      backend(device.type)
          .copy_from_host(at(end), both.data() + end * row, static_cast<size_t>(row), device.index);
  }
  Bytes read() {
    Bytes both(static_cast<size_t>(2 * row));
    for (int end : {0, 1})
      backend(device.type)
          .copy_to_host(both.data() + end * row, at(end), static_cast<size_t>(row), device.index);
    return both;
  }
  char* at(int end) const {
    return static_cast<char*>(buffer->data()) + (end == 0 ? 0 : (rows - 1) * row);
  }

  Device device;
  int64_t row, rows;
  std::shared_ptr<Buffer> buffer;
};

/// Run an entry on the large batch and compare the ends; return whether it takes it.
bool agrees_at_the_ends(const Case& two, const kernels::Entry& entry, Device device) {
  kernels::Problem problem = with_images(two, kImages).problem();
  problem.device = device;
  if (!kernels::refusal(entry, problem).empty()) return false;
  const std::vector<Values> values = draw_inputs(two);
  const std::vector<Bytes> bytes = bytes_of(two, values);
  std::vector<Ends> inputs, outputs;
  std::vector<const void*> from;
  std::vector<void*> to;
  for (size_t i = 0; i < two.inputs.size(); ++i) {
    inputs.emplace_back(two.inputs[i].shape, two.inputs[i].dtype, kImages, device);
    inputs.back().write(bytes[i]);
    from.push_back(inputs.back().buffer->data());
  }
  for (const Output& output : two.outputs) {
    outputs.emplace_back(output.shape, output.dtype, kImages, device);
    to.push_back(outputs.back().buffer->data());
  }
  const kernels::Prepared prepared = entry.prepare(problem);
  const auto workspace = Buffer::allocate(prepared.workspace, device);
  Backend& backend = striate::backend(device.type);
  prepared.kernel->run({from.data(), to.data(), workspace->data(), backend.stream(device.index)});
  backend.wait(device.index);
  const std::vector<Values> expected = run_entry(two, "reference", values);
  for (size_t j = 0; j < outputs.size(); ++j) {
    const Bytes found = outputs[j].read();
    Values numbers;
    for (size_t i = 0; i < expected[j].size(); ++i)
      numbers.push_back(two.outputs[j].dtype == DType::kF32
                            ? reinterpret_cast<const float*>(found.data())[i]
                            : found[i]);
    EXPECT_LE(nmse(numbers, expected[j]), two.limit)
        << two.operation << " " << entry.name << " output " << j;
  }
  return true;
}

std::vector<Case> table() {
  const Shape x{2, 8, 8, 4}, half{2, 4, 4, 4}, filters{4, 3, 3, 4};
  Pool2dOptions pool;
  pool.pool_size = 2;
  pool.strides = 2;
  Pad2dOptions pad;
  pad.padding = 1;
  Conv2dOptions same;
  same.padding = 1;
  return {
      Case::of("relu", UnaryOptions{}, {x}, {x}),
      Case::of("max_pool2d", pool, {Input(x, Input::Fill::kDistinct)},
               {half, Output(half, DType::kU8)}),
      Case::of("pad2d", pad, {x}, {Shape{2, 10, 10, 4}}),
      Case::of("conv2d", same, {x, filters}, {x}),
  };
}

TEST(BeyondInt32, KernelsOfDevicesCountIn64Bits) {
  const Device device = device_under_test();
  if (device.type == DeviceType::kCpu) {
    EXPECT_GT(with_images(table()[0], kImages).inputs[0].shape.elements(), int64_t{1} << 31);
    return;
  }
  const bool emulated = backend(device.type).describe(device.index).rfind("emulator", 0) == 0;
  if (emulated && !std::getenv("EMULATOR_SAMPLE_BLOCKS")) {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    EXPECT_EQ(std::system(("env -u EMULATOR_COVERAGE -u GTEST_TOTAL_SHARDS -u GTEST_SHARD_INDEX "
                           "EMULATOR_CHECKS=bounds "
                           "EMULATOR_SAMPLE_BLOCKS=8 EMULATOR_MEMORY_BYTES=64000000000 '" +
                           self + "' --gtest_brief=1 --gtest_filter=BeyondInt32.*")
                              .c_str()),
              0);
    return;
  }
  for (const Case& two : table()) {
    int ran = 0;
    for (const kernels::Entry* entry : kernels::entries(two.operation, device.type))
      ran += agrees_at_the_ends(two, *entry, device);
    EXPECT_GT(ran, 0) << two.operation;
  }
}

}  // namespace
}  // namespace striate::testing
