// The full checks on kernels with one mistake each (check_kernels.cu): found, at the right line;
// and on correct kernels: nothing found. EMULATOR_CHECK_KERNELS is the PTX of that file, and
// EMULATOR_CHECK_SOURCE the file itself.
#include <fstream>
#include <sstream>

#include "ptx_program.h"

namespace emulator {
namespace {

using test::Buffer;
using test::Configuration;
using test::with_full_checks;

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Module& kernels() {
  static const std::string text = text_of(EMULATOR_CHECK_KERNELS);
  static const std::unique_ptr<Module> module = parse(text);
  return *module;
}

/// The lines of the source that hold `MISTAKE name`.
std::vector<u32> lines_of(const std::string& name) {
  std::istringstream source(text_of(EMULATOR_CHECK_SOURCE));
  std::vector<u32> lines;
  std::string line;
  for (u32 number = 1; std::getline(source, line); ++number) {
    const std::string marker = "MISTAKE " + name;
    if (line.size() >= marker.size() &&
        line.compare(line.size() - marker.size(), marker.size(), marker) == 0)
      lines.push_back(number);
  }
  EXPECT_FALSE(lines.empty()) << name;
  return lines;
}

/// Launch kernel(y, x, n).
Report launch(const std::string& kernel, u64 y, u64 x, u32 n, const Configuration& shape,
              const Settings& settings) {
  LaunchRequest request;
  request.module = &kernels();
  request.kernel = kernel;
  request.grid = shape.grid;
  request.block = shape.block;
  request.dynamic_shared = shape.dynamic_shared;
  request.parameters.resize(20);
  std::memcpy(request.parameters.data(), &y, 8);
  std::memcpy(request.parameters.data() + 8, &x, 8);
  std::memcpy(request.parameters.data() + 16, &n, 4);
  return run(request, settings);
}

constexpr u32 kThreads = 64;

struct Mistake {
  const char* kernel;
  const char* message;
  u32 n = 64;
  u32 inputs = 256, outputs = 64;
  u32 blocks = 1;
  u32 dynamic_shared = 0;
  bool write_y = false;  // initialise y
};

const Mistake kMistakes[] = {
    {"bad_missing_syncthreads", "read of shared memory"},
    {"bad_reuse_without_barrier", "race: ", 128},
    {"bad_missing_syncwarp", "race: read of shared memory"},
    {"bad_two_writers", "race: write of shared memory"},
    {"bad_missing_wait", "before the wait for the asynchronous copy"},
    {"bad_wait_for_too_few", "before the wait for the asynchronous copy", 64, 256, 64, 1, 0, true},
    {"bad_wait_without_barrier", "read of shared memory"},
    {"bad_out_of_bounds", "out of bounds", 63, 63},
    {"bad_shared_out_of_bounds", "out of bounds", 1, 256, 64, 1, 256},
    {"bad_alignment", "not aligned"},
    {"bad_uninitialised_shared", "that nobody has written"},
    {"bad_uninitialised_global", "global memory that nobody has written"},
    {"bad_uninitialised_local", "local memory that the thread has not written", 3},
    {"bad_barrier_after_exit", "exit", 40},
    {"bad_divergent_barrier", "divergent barrier"},
    {"bad_syncwarp_mask", "which has exited", 40},
    {"bad_threads_write_the_same", "race: write of"},
    {"bad_read_of_a_neighbour", "not ordered by a barrier"},
    {"bad_blocks_write_the_same", "race between blocks: write", 64, 256, 64, 3},
    {"bad_blocks_read_each_other", "race between blocks", 64, 64, 192, 3, 0, true},
    {"bad_missing_fence", "race between blocks: read", 64, 64, 2, 4, 0, true},
};

TEST(FullChecks, FindEachMistakeAtItsLine) {
  for (const Mistake& it : kMistakes) {
    SCOPED_TRACE(it.kernel);
    const std::vector<u32> lines = lines_of(it.kernel);
    for (u64 seed = 0; seed < 5; ++seed) {
      const Buffer<float> x(std::vector<float>(it.inputs, 1.0f));
      const Buffer<float> written(std::vector<float>(it.outputs, 0.0f)), fresh(it.outputs);
      const Buffer<float>& y = it.write_y ? written : fresh;
      Settings settings = with_full_checks();
      settings.seed = seed;
      const Report report =
          launch(it.kernel, y.address(), x.address(), it.n,
                 {{it.blocks, 1, 1}, {kThreads, 1, 1}, it.dynamic_shared}, settings);
      ASSERT_NE(report.error, kSuccess);
      EXPECT_NE(report.message.find(it.message), std::string::npos) << report.message;
      EXPECT_NE(report.message.find("kernel " + std::string(it.kernel)), std::string::npos);
      bool right_line = false;
      for (const u32 line : lines)
        for (const char* end : {",", " "})  // of the thread that stops, and of the other party
          right_line |= report.message.find("check_kernels.cu:" + std::to_string(line) + end) !=
                        std::string::npos;
      EXPECT_TRUE(right_line) << "not at the line of the mistake: " << report.message;
    }
  }
}

TEST(FullChecks, BoundsAndAlignmentAreFoundInTheLightModeToo) {
  for (const Mistake& it : kMistakes) {
    const std::string name = it.kernel;
    if (name.find("out_of_bounds") == std::string::npos && name != "bad_alignment") continue;
    const Buffer<float> x(std::vector<float>(it.inputs, 1.0f)), y(it.outputs);
    const Report report = launch(name, y.address(), x.address(), it.n,
                                 {{1, 1, 1}, {kThreads, 1, 1}, it.dynamic_shared}, {});
    EXPECT_EQ(report.error, name == "bad_alignment" ? kMisalignedAddress : kIllegalAddress)
        << report.message;
    EXPECT_NE(report.message.find(it.message), std::string::npos) << report.message;
  }
}

TEST(FullChecks, AccessToFreedMemory) {
  u64 freed = 0;
  {
    const Buffer<float> gone(std::vector<float>(64, 1.0f));
    freed = gone.address();
  }
  const Buffer<float> y(64);
  const Report report = launch("good_tile", y.address(), freed, 64, {{1, 1, 1}, {64, 1, 1}, 0}, {});
  EXPECT_EQ(report.error, kIllegalAddress);
  EXPECT_NE(report.message.find("freed"), std::string::npos) << report.message;
}

TEST(FullChecks, ARaceNamesBothSides) {
  const Buffer<float> x(std::vector<float>(64, 1.0f)), y(64);
  const Report report = launch("bad_missing_syncwarp", y.address(), x.address(), 64,
                               {{1, 1, 1}, {64, 1, 1}, 0}, with_full_checks());
  const u32 line = lines_of("bad_missing_syncwarp")[0];
  EXPECT_NE(report.message.find("check_kernels.cu:" + std::to_string(line)), std::string::npos);
  EXPECT_NE(report.message.find("check_kernels.cu:" + std::to_string(line - 1)), std::string::npos)
      << report.message;
  EXPECT_NE(report.message.find("`st.shared"), std::string::npos);
}

// ---- Correct kernels ----------------------------------------------------------------------------

std::vector<float> counting(u32 count) {
  std::vector<float> values(count);
  for (u32 i = 0; i < count; ++i) values[i] = static_cast<float>(i % 13);
  return values;
}

/// Launch under full checks with several orders of blocks and warps; y must be `expected`.
void expect_clean(const std::string& kernel, const std::vector<float>& input, u32 n,
                  const std::vector<float>& expected, u32 threads = 64, u32 blocks = 1) {
  for (u64 seed = 0; seed < 5; ++seed) {
    const Buffer<float> x(input), y(expected.size());
    Settings settings = with_full_checks();
    settings.seed = seed;
    const Report report =
        launch(kernel, y.address(), x.address(), n, {{blocks, 1, 1}, {threads, 1, 1}, 0}, settings);
    ASSERT_EQ(report.error, kSuccess) << report.message;
    EXPECT_EQ(y.values(), expected) << kernel;
  }
}

TEST(FullChecks, TilesWithBarriersAreClean) {
  const auto x = counting(256);
  std::vector<float> sums(64);
  for (u32 i = 0; i < 256; ++i) sums[63 - i % 64] += x[i];
  expect_clean("good_tile", x, 256, sums);
}

TEST(FullChecks, AnExchangeInGlobalMemoryIsClean) {
  const auto x = counting(64);
  std::vector<float> swapped(64);
  for (u32 i = 0; i < 64; ++i) swapped[i] = x[i ^ 32];
  expect_clean("good_exchange_in_global_memory", x, 64, swapped);
}

TEST(FullChecks, WarpBarriersAreClean) {
  const auto x = counting(64);
  std::vector<float> sums(64);
  for (u32 i = 0; i < 64; ++i)
    for (u32 other = 0; other < 32; ++other) sums[i] += x[i / 32 * 32 + other];
  expect_clean("good_syncwarp", x, 64, sums);
}

TEST(FullChecks, APipelineOfAsynchronousCopiesIsClean) {
  const auto x = counting(1024);
  std::vector<float> sums(64);
  for (u32 i = 0; i < 1024; ++i) sums[63 - i % 64] += x[i];
  expect_clean("good_pipeline", x, 1024, sums);
}

TEST(FullChecks, NamedBarriersAreClean) {
  const auto x = counting(128);
  for (u64 seed = 0; seed < 5; ++seed) {
    const Buffer<float> in(x), y(64);
    Settings settings = with_full_checks();
    settings.seed = seed;
    const Report report = launch("good_named_barriers", y.address(), in.address(), 128,
                                 {{1, 1, 1}, {64, 1, 1}, 0}, settings);
    ASSERT_EQ(report.error, kSuccess) << report.message;
    const auto out = y.values();
    for (u32 lane = 0; lane < 32; ++lane)
      EXPECT_EQ(out[32 + lane], x[31 - lane] + x[63 - lane] + x[95 - lane] + x[127 - lane]);
  }
}

TEST(FullChecks, SharedAtomicsAreClean) {
  const auto x = counting(64);
  std::vector<float> bins(8);
  for (const float value : x) ++bins[static_cast<size_t>(value) & 7];
  expect_clean("good_shared_atomics", x, 64, bins);
}

TEST(FullChecks, LocalArraysAreClean) {
  const auto x = counting(20);
  std::vector<float> sums(64);
  for (u32 i = 0; i < 64; ++i)
    for (const float value : x) sums[i] += (static_cast<u32>(value) & 7) == (i & 7) ? value : 0;
  expect_clean("good_local_array", x, 20, sums);
}

TEST(FullChecks, WholeWarpsMayExit) {
  const auto x = counting(64);
  float sum = 0;
  for (u32 i = 0; i < 32; ++i) sum += x[i];
  expect_clean("good_whole_warps_exit", x, 32, std::vector<float>(32, sum));
}

TEST(FullChecks, ReleaseAndAcquireOrderBlocks) {
  for (u64 seed = 0; seed < 5; ++seed) {
    const Buffer<float> x(8), y(std::vector<float>(2, 0.0f));
    Settings settings = with_full_checks();
    settings.seed = seed;
    const Report report = launch("good_last_block_sums", y.address(), x.address(), 0,
                                 {{8, 1, 1}, {64, 1, 1}, 0}, settings);
    ASSERT_EQ(report.error, kSuccess) << report.message;
    EXPECT_EQ(y.values()[0], 28.0f);
  }
}

TEST(FullChecks, BytesOfOneWordMayHaveDifferentWriters) {
  std::vector<u8> values(64);
  for (u32 i = 0; i < 64; ++i) values[i] = static_cast<u8>(3 * i);
  const Buffer<u8> x(values), y(192);
  const Report report = launch("good_bytes", y.address(), x.address(), 0,
                               {{3, 1, 1}, {64, 1, 1}, 0}, with_full_checks());
  ASSERT_EQ(report.error, kSuccess) << report.message;
  const auto out = y.values();
  for (u32 i = 0; i < 192; ++i) EXPECT_EQ(out[i], values[i % 64]);
}

}  // namespace
}  // namespace emulator
