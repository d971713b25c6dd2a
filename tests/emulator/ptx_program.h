// Runs PTX text on the machine, for tests of single instructions, checks and counters.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "device_memory.h"
#include "machine.h"
#include "parse.h"

namespace emulator::test {

/// Values in device memory, freed at the end of its life.
template <class T>
class Buffer {
 public:
  /// Allocate `count` values that nobody has written.
  explicit Buffer(size_t count) : count_(count) {
    DeviceMemory& memory = DeviceMemory::instance();
    memory.set_tracking(true);
    allocation_ = memory.allocate(count * sizeof(T), MemoryKind::kDevice, "test buffer");
  }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    const DeviceMemory::Access open;
    std::memcpy(reinterpret_cast<void*>(address()), values.data(), values.size() * sizeof(T));
    allocation_->note_write(address(), values.size() * sizeof(T));
    DeviceMemory::instance().take_footprints();
  }
  ~Buffer() { DeviceMemory::instance().release(address()); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  u64 address() const { return allocation_->base; }
  std::vector<T> values() const {
    const DeviceMemory::Access open;
    const T* first = reinterpret_cast<const T*>(address());
    return std::vector<T>(first, first + count_);
  }

 private:
  Allocation* allocation_ = nullptr;
  size_t count_ = 0;
};

struct Configuration {
  Dim3 grid, block{32, 1, 1};
  u32 dynamic_shared = 0;
};

/// Wrap statements into a kernel `test` whose parameters are the addresses %rd0, %rd1, ...; with
/// registers %p<16>, %h<32> (16 bits), %r<64>, %f<64>, %rd<32>, %d<32> and %r0 = %tid.x.
inline std::string kernel_of(const std::string& body, u32 parameters,
                             const std::string& variables = "") {
  std::string text =
      ".version 9.0\n.target sm_90\n.address_size 64\n" + variables + "\n.visible .entry test(";
  for (u32 i = 0; i < parameters; ++i)
    text += std::string(i ? ", " : "") + ".param .u64 test_param_" + std::to_string(i);
  text +=
      ")\n{\n.reg .pred %p<16>;\n.reg .b16 %h<32>;\n.reg .b32 %r<64>;\n.reg .f32 %f<64>;\n"
      ".reg .b64 %rd<32>;\n.reg .f64 %d<32>;\n";
  for (u32 i = 0; i < parameters; ++i)
    text += "ld.param.u64 %rd" + std::to_string(i) + ", [test_param_" + std::to_string(i) + "];\n";
  return text + "mov.u32 %r0, %tid.x;\n" + body + "\nret;\n}\n";
}

/// Run the kernel `test` of a PTX module.
inline Report execute(const std::string& ptx, const std::vector<u64>& addresses,
                      const Settings& settings = {}, const Configuration& shape = {}) {
  const std::unique_ptr<Module> module = parse(ptx);
  LaunchRequest request;
  request.module = module.get();
  request.kernel = "test";
  request.grid = shape.grid;
  request.block = shape.block;
  request.dynamic_shared = shape.dynamic_shared;
  request.parameters.resize(addresses.size() * sizeof(u64));
  std::memcpy(request.parameters.data(), addresses.data(), request.parameters.size());
  return run(request, settings);
}

inline Settings with_full_checks() {
  Settings settings;
  settings.checks = Checks::kFull;
  return settings;
}

using Row = std::array<u32, kLanes>;
constexpr u32 kUntouched = 0xcdcdcdcdu;  // a lane of a result that was not written

inline Row row_of(u32 value) {
  Row row;
  row.fill(value);
  return row;
}

/// Run statements on one warp, with inputs in the 32-bit registers %a0, %a1, ...; return the
/// registers %o0, %o1, ..., which begin as kUntouched. Further registers as in kernel_of.
inline std::vector<Row> run_lanes(const std::string& body, const std::vector<Row>& inputs,
                                  u32 outputs, u32 threads = kLanes) {
  const Buffer<Row> in(inputs.empty() ? std::vector<Row>(1) : inputs);
  const Buffer<Row> out(std::vector<Row>(outputs, row_of(kUntouched)));
  std::string text =
      ".reg .b32 %a<48>;\n.reg .b32 %o<48>;\nmul.wide.u32 %rd2, %r0, 4;\n"
      "add.u64 %rd0, %rd0, %rd2;\nadd.u64 %rd1, %rd1, %rd2;\n";
  for (size_t i = 0; i < inputs.size(); ++i)
    text += "ld.global.u32 %a" + std::to_string(i) + ", [%rd0+" + std::to_string(128 * i) + "];\n";
  for (u32 i = 0; i < outputs; ++i) text += "mov.u32 %o" + std::to_string(i) + ", 0xcdcdcdcd;\n";
  text += body + "\n";
  for (u32 i = 0; i < outputs; ++i)
    text += "st.global.u32 [%rd1+" + std::to_string(128 * i) + "], %o" + std::to_string(i) + ";\n";
  const Report report = execute(kernel_of(text, 2), {in.address(), out.address()}, {},
                                {{1, 1, 1}, {threads, 1, 1}, 0});
  EXPECT_EQ(report.error, kSuccess) << report.message;
  return out.values();
}

}  // namespace emulator::test
