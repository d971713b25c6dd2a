// Counters: sectors, bank conflicts, classes of instructions, sampled blocks.
#include "counters.h"

#include <algorithm>
#include <set>

#include "ptx_program.h"

namespace emulator {
namespace {

using test::Buffer;

std::array<u64, kLanes> addresses(u64 first, u64 step) {
  std::array<u64, kLanes> out;
  for (u32 lane = 0; lane < kLanes; ++lane) out[lane] = first + lane * step;
  return out;
}

void expect_sectors(u64 first, u64 step, u32 bytes, u32 touched, u32 ideal) {
  const auto at = addresses(first, step);
  const Sectors sectors = count_sectors(at.data(), kAllLanes, bytes);
  EXPECT_EQ(sectors.touched, touched) << first << " " << step << " " << bytes;
  EXPECT_EQ(sectors.ideal, ideal) << first << " " << step << " " << bytes;
}

TEST(Sectors, OfOneRequest) {
  expect_sectors(1024, 4, 4, 4, 4);     // neighbours
  expect_sectors(1028, 4, 4, 5, 4);     // the same, shifted
  expect_sectors(1024, 8, 4, 8, 4);     // every other float
  expect_sectors(1024, 128, 4, 32, 4);  // a column
  expect_sectors(1024, 0, 4, 1, 1);     // all the same
  expect_sectors(1024, 16, 16, 16, 16);
  expect_sectors(1024, 1, 1, 1, 1);
  const auto at = addresses(0, 4);
  EXPECT_EQ(count_sectors(at.data(), 0x3, 4).touched, 1u);
  EXPECT_EQ(count_sectors(at.data(), 0x80000001, 4).bytes, 8u);
}

void expect_wavefronts(u64 step, u32 bytes, u32 needed, u32 ideal) {
  const auto at = addresses(0, step);
  const Wavefronts wavefronts = count_wavefronts(at.data(), kAllLanes, bytes);
  EXPECT_EQ(wavefronts.needed, needed) << step << " " << bytes;
  EXPECT_EQ(wavefronts.ideal, ideal) << step << " " << bytes;
}

TEST(Wavefronts, OfOneRequest) {
  expect_wavefronts(4, 4, 1, 1);
  expect_wavefronts(8, 4, 2, 1);     // two lanes a bank
  expect_wavefronts(128, 4, 32, 1);  // a column of a tile 32 floats wide
  expect_wavefronts(132, 4, 1, 1);   // the same, padded
  expect_wavefronts(0, 4, 1, 1);     // broadcast
  expect_wavefronts(1, 1, 1, 1);     // bytes of a word
  expect_wavefronts(8, 8, 2, 2);     // halves of the warp
  expect_wavefronts(16, 8, 4, 2);
  expect_wavefronts(16, 16, 4, 4);  // quarters
  expect_wavefronts(128, 16, 32, 4);
  expect_wavefronts(144, 16, 4, 4);  // rows of 128 bytes, padded by 16
  const auto at = addresses(0, 128);
  EXPECT_EQ(count_wavefronts(at.data(), 0xff, 16).needed, 8u);  // ldmatrix.x1, unswizzled
}

TEST(Classes, OfInstructions) {
  EXPECT_EQ(class_of("fma.rn.f32 %f1, %f2, %f3, %f4;"), "fma");
  EXPECT_EQ(class_of("mad.lo.s32 %r1, %r2, %r3, %r4;"), "integer");
  EXPECT_EQ(class_of("@%p1 bra $L__BB0_2;"), "control");
  EXPECT_EQ(class_of("@!%p1 ld.global.nc.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1];"), "memory");
  EXPECT_EQ(class_of("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r1}, [%r2];"), "memory");
  EXPECT_EQ(class_of("add.f32 %f1, %f2, %f3;"), "float");
  EXPECT_EQ(class_of("add.s64 %rd1, %rd2, %rd3;"), "integer");
  EXPECT_EQ(class_of("ex2.approx.ftz.f32 %f1, %f2;"), "special");
  EXPECT_EQ(class_of("div.rn.f32 %f1, %f2, %f3;"), "special");
  EXPECT_EQ(class_of("cvt.rn.f16.f32 %h1, %f2;"), "move");
  EXPECT_EQ(class_of("shfl.sync.bfly.b32 %r1, %r2, 1, 31, -1;"), "exchange");
  EXPECT_EQ(class_of("bar.sync 0;"), "control");
  EXPECT_EQ(class_of("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%f1}, {%r1};"), "mma");
}

Settings with_counters() {
  Settings settings;
  settings.counters = true;
  return settings;
}

const char* const kBody = R"(
    .shared .align 16 .b8 tile[4096];
    mov.u32 %r1, %ctaid.x;
    mad.lo.u32 %r1, %r1, 32, %r0;
    mul.wide.u32 %rd2, %r1, 4;
    add.u64 %rd3, %rd0, %rd2;
    ld.global.f32 %f1, [%rd3];
    fma.rn.f32 %f2, %f1, %f1, %f1;
    mov.u32 %r10, tile;
    mad.lo.u32 %r11, %r0, 128, %r10;
    st.shared.f32 [%r11], %f2;
    ld.shared.f32 %f3, [%r11];
    add.u64 %rd4, %rd1, %rd2;
    setp.lt.u32 %p1, %r0, 8;
    @%p1 st.global.f32 [%rd4], %f3;)";

TEST(Counters, OfALaunch) {
  const Buffer<float> x(std::vector<float>(128, 2.0f)), y(std::vector<float>(128, 0.0f));
  const Report report = test::execute(test::kernel_of(kBody, 2), {x.address(), y.address()},
                                      with_counters(), {{4, 1, 1}, {32, 1, 1}, 0});
  ASSERT_EQ(report.error, kSuccess) << report.message;
  ASSERT_TRUE(report.counters);
  const Counters& counters = *report.counters;
  EXPECT_EQ(counters.blocks, 4u);
  EXPECT_EQ(counters.warps, 4u);
  EXPECT_EQ(counters.instructions.at("fma"), 128u);
  EXPECT_EQ(counters.multiply_adds, 128u);
  const Traffic loads = counters.total(Space::kGlobal, AccessKind::kLoad);
  EXPECT_EQ(loads.requests, 4u);
  EXPECT_EQ(loads.bytes, 512u);
  EXPECT_EQ(loads.sectors, 16u);
  EXPECT_EQ(loads.ideal_sectors, 16u);
  const Traffic stores = counters.total(Space::kGlobal, AccessKind::kStore);
  EXPECT_EQ(stores.accesses, 32u);
  EXPECT_EQ(stores.sectors, 4u);
  EXPECT_EQ(counters.total(Space::kShared, AccessKind::kStore).conflicts(), 4u * 31);
  EXPECT_EQ(counters.total(Space::kShared, AccessKind::kLoad).wavefronts, 4u * 32);
  u64 all = 0;
  for (const auto& [name, count] : counters.instructions) all += count;
  EXPECT_EQ(all, report.thread_instructions);
  const std::string json = to_json(counters);
  EXPECT_NE(json.find("\"sectors\": 16"), std::string::npos) << json;
  EXPECT_EQ(std::count(json.begin(), json.end(), '{'), std::count(json.begin(), json.end(), '}'));
}

TEST(Counters, OfSampledBlocks) {
  const Buffer<float> x(std::vector<float>(32 * 64, 2.0f)), y(std::vector<float>(32 * 64, 0.0f));
  Settings settings = with_counters();
  settings.sample_blocks = 8;
  const Report report = test::execute(test::kernel_of(kBody, 2), {x.address(), y.address()},
                                      settings, {{64, 1, 1}, {32, 1, 1}, 0});
  ASSERT_EQ(report.error, kSuccess) << report.message;
  EXPECT_EQ(report.counters->blocks, 8u);
  EXPECT_EQ(report.counters->grid_blocks, 64u);
  const auto out = y.values();
  EXPECT_EQ(std::count(out.begin(), out.end(), 6.0f), 8 * 8);
  EXPECT_EQ(out[0], 6.0f);
  EXPECT_EQ(out[32 * 63], 6.0f);
}

TEST(SampledBlocks, HoldCornersAndEdges) {
  const auto chosen = sample_blocks({7, 5, 1}, 12);
  const std::set<u64> blocks(chosen.begin(), chosen.end());
  EXPECT_EQ(blocks.size(), 12u);
  for (const u64 corner : {0, 6, 28, 34}) EXPECT_TRUE(blocks.count(corner)) << corner;
  EXPECT_TRUE(blocks.count(2 * 7 + 3));                                  // the middle
  EXPECT_TRUE(blocks.count(3) && blocks.count(14) && blocks.count(20));  // middles of edges
  EXPECT_TRUE(std::is_sorted(chosen.begin(), chosen.end()));
  EXPECT_LT(chosen.back(), 35u);
}

TEST(SampledBlocks, AreAllOfASmallGrid) {
  EXPECT_EQ(sample_blocks({3, 2, 1}, 8).size(), 6u);
  EXPECT_EQ(sample_blocks({3, 2, 1}, 0).size(), 6u);
  const auto line = sample_blocks({1000000, 1, 1}, 8);
  EXPECT_EQ(line.size(), 8u);
  EXPECT_EQ(line.front(), 0u);
  EXPECT_EQ(line.back(), 999999u);
}

}  // namespace
}  // namespace emulator
