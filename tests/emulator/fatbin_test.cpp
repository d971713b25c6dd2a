// Containers of PTX, written here byte by byte as nvcc lays them out.
#include "fatbin.h"

#include <gtest/gtest.h>

#include <cstring>

namespace emulator {
namespace {

// Builds a container with its wrapper.
class Fatbin {
 public:
  Fatbin& add(uint16_t kind, uint32_t architecture, std::string payload, uint64_t flags = 0) {
    std::string header(64, '\0');
    put<uint16_t>(header, 0, kind);
    put<uint32_t>(header, 4, 64);
    put<uint64_t>(header, 8, payload.size());
    put<uint32_t>(header, 28, architecture);
    put<uint64_t>(header, 40, flags);
    entries_ += header + payload;
    return *this;
  }
  const void* container() {
    bytes_.assign(16, '\0');
    put<uint32_t>(bytes_, 0, 0xba55ed50);
    put<uint16_t>(bytes_, 4, 1);
    put<uint16_t>(bytes_, 6, 16);
    put<uint64_t>(bytes_, 8, entries_.size() + missing_);
    bytes_ += entries_;
    return bytes_.data();
  }
  /// Claim a size that is smaller than what the entries need.
  Fatbin& cut(size_t bytes) {
    missing_ -= bytes;
    return *this;
  }

 private:
  template <class T>
  static void put(std::string& bytes, size_t at, T value) {
    std::memcpy(&bytes[at], &value, sizeof value);
  }
  std::string entries_, bytes_;
  size_t missing_ = 0;
};

std::string ptx(Fatbin& fatbin, int architecture) {
  return select_ptx(list_entries(fatbin.container()), architecture).text;
}

std::string message(Fatbin& fatbin, int architecture) {
  try {
    ptx(fatbin, architecture);
  } catch (const FatbinError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Fatbin, TakesTheNewestPtxThatTheDeviceKnows) {
  Fatbin fatbin;
  fatbin.add(1, 75, "old").add(2, 80, "machine code").add(1, 80, std::string("new\0\0", 5));
  fatbin.add(1, 90, "newer");
  EXPECT_EQ(ptx(fatbin, 75), "old");
  EXPECT_EQ(ptx(fatbin, 80), "new");
  EXPECT_EQ(ptx(fatbin, 89), "new");
  EXPECT_EQ(ptx(fatbin, 90), "newer");
}

TEST(Fatbin, KnowsTheCodeThatADeviceWouldRun) {
  Fatbin fatbin;
  fatbin.add(2, 75, "a").add(2, 80, "b").add(2, 86, "c").add(1, 80, "ptx");
  const auto entries = list_entries(fatbin.container());
  const auto code = [&](int architecture) {
    const FatbinEntry* entry = select_code(entries, architecture);
    return entry ? std::string(entry->data, entry->size) : "none";
  };
  EXPECT_EQ(code(75), "a");
  EXPECT_EQ(code(80), "b");
  EXPECT_EQ(code(87), "c");
  EXPECT_EQ(code(90), "none");
}

TEST(Fatbin, SaysWhatIsThereWhenNothingFits) {
  Fatbin fatbin;
  fatbin.add(2, 75, "machine code").add(1, 80, "ptx");
  EXPECT_EQ(message(fatbin, 75),
            "no PTX for compute_75 or older in the fat binary, which holds: sm_75, compute_80");
  Fatbin empty;
  EXPECT_NE(message(empty, 80).find("nothing (separable compilation?)"), std::string::npos);
}

TEST(Fatbin, NamesTheOptionAgainstCompression) {
  for (uint64_t flag : {0x8000, 0x2000}) {
    Fatbin fatbin;
    fatbin.add(1, 80, ".version", flag);  // LZ4 leaves the first letters as they are
    EXPECT_EQ(message(fatbin, 80),
              "the PTX for compute_80 is compressed; build with nvcc's option --no-compress");
  }
}

TEST(Fatbin, PassesOverEntriesOfOtherKinds) {
  Fatbin fatbin;
  fatbin.add(16, 80, "something new").add(1, 80, "ptx");
  EXPECT_EQ(ptx(fatbin, 80), "ptx");
}

TEST(Fatbin, RefusesEntriesThatReachPastTheEnd) {
  Fatbin fatbin;
  fatbin.add(1, 80, "0123456789").cut(4);
  EXPECT_NE(message(fatbin, 80).find("reaches past the end"), std::string::npos);
}

TEST(Fatbin, ChecksMagicNumbers) {
  const char nonsense[64] = "no fat binary at all";
  EXPECT_THROW(fatbin_of_wrapper(nonsense), FatbinError);
  EXPECT_THROW(fatbin_of_wrapper(nullptr), FatbinError);
  EXPECT_THROW(list_entries(nonsense), FatbinError);
  struct {
    uint32_t magic, version;
    const void *container, *unused;
  } wrapper{0x466243b1, 1, nonsense, nullptr};
  EXPECT_EQ(fatbin_of_wrapper(&wrapper), nonsense);
}

}  // namespace
}  // namespace emulator
