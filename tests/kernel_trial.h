// What the parts of the harness share: kernel_table.cpp tries entries, kernel_table_device.cpp runs
// them on a device, with values of 16 bits and as TF32.
#pragma once

#include <striate/kernels/instruction_set.h>
#include <striate/tests/kernel_table.h>

#include <cstdint>
#include <vector>

namespace striate::testing {

using Bytes = std::vector<uint8_t>;

/// Return a case's drawn values in their element types.
std::vector<Bytes> bytes_of(const Case& c, const std::vector<Values>& values);

/// One entry on one case.
struct Trial {
  const Case& c;
  const kernels::Entry& entry;
  const std::vector<Bytes>& inputs;
  const std::vector<Values>& expected;
  EntryCount& count;
};

/// Run the entry in all ways that it offers and compare; return whether it ran at all.
bool try_entry(const Trial& trial);

// On a device (kernel_table_device.cpp)

/// Return the device whose entries the tables try: STRIATE_TEST_DEVICE, by default the CPU.
Device device_under_test();

/// Return whether a case takes too long on an emulated device, where it costs a thousand times what
/// it costs on a GPU. STRIATE_LONG runs all.
bool is_too_long(const Case& c);

/// Return the instruction sets that tests of the CPU's kernels go through: on a device one, since
/// to its kernels they make no difference.
std::vector<kernels::InstructionSet> widths_under_test();

/// Host memory that a run on a device reads or writes; `shift` bytes lie before it on the device,
/// and before these and behind it the bytes `around`.
struct HostRange {
  const void* data;
  size_t bytes;
  size_t shift;
  Bytes around = {};
};

/// Return elements of a type, infinity and NaN by turns: whoever reads one shows it.
Bytes infinities_and_nans(DType dtype);

/// Return the bytes of one element, by which a view begins later than what it is a view of; 0 for
/// step blocks and the like, which nobody cuts.
size_t shift_of(const kernels::ValueDesc& v);

/// Run with copies of the host's values, each an allocation of its own size, so that what lies
/// beyond is nobody's; then copy them back. The workspace is not set. Return whether what lies
/// around them has stayed.
bool run_on_device(Device device, const kernels::Prepared& prepared,
                   const std::vector<HostRange>& inputs, const std::vector<HostRange>& outputs);

/// Return what a case's `values` must give, which `halves` stores in 16 bits, and set its limits.
std::vector<Values> expect_halves(const Case& c, Case& halves, const std::vector<Values>& values);

/// Try a device's entry with values stored in 16 bits.
void try_halves(const Case& c, const kernels::Entry& entry, EntryCount& count);

/// Try a device's entry that takes float32 values only where TF32 is asked for.
void try_tf32(const Trial& trial);

/// Has kernels planned with one tile, "128x64", for as long as it lives; "" changes nothing.
class ForcedTile {
 public:
  explicit ForcedTile(const std::string& tile);
  ~ForcedTile();
  ForcedTile(const ForcedTile&) = delete;
  ForcedTile& operator=(const ForcedTile&) = delete;

 private:
  bool set_;
};

}  // namespace striate::testing
