// Instructions that exchange values between the lanes of a warp.
#include <algorithm>
#include <random>

#include "ptx_program.h"

namespace emulator {
namespace {

using test::kUntouched;
using test::Row;
using test::row_of;
using test::run_lanes;

Row random_row(u32 seed) {
  std::mt19937 random(seed);
  Row row;
  for (u32& value : row) value = random();
  return row;
}

Row lane_numbers() {
  Row row;
  for (u32 lane = 0; lane < kLanes; ++lane) row[lane] = lane;
  return row;
}

// CUDA's __shfl_*_sync in words: the warp is cut into segments of `width` lanes; a lane that would
// reach out of its segment keeps its own value, and its predicate is false.
TEST(Shuffle, EveryModeWidthAndDistance) {
  const Row values = random_row(1);
  for (const std::string mode : {"up", "down", "bfly", "idx"})
    for (u32 width : {1, 2, 4, 8, 16, 32})
      for (u32 by = 0; by < 32; ++by) {
        const u32 clamp = (32 - width) << 8 | (mode == "up" ? 0 : 31);
        const auto out =
            run_lanes("shfl.sync." + mode + ".b32 %o0|%p1, %a0, " + std::to_string(by) + ", " +
                          std::to_string(clamp) + ", -1;\nselp.u32 %o1, 1, 0, %p1;",
                      {values}, 2);
        for (u32 lane = 0; lane < kLanes; ++lane) {
          const int first = lane / width * width, last = first + width - 1, self = lane;
          int from = 0;
          if (mode == "up") from = self - static_cast<int>(by);
          if (mode == "down") from = self + static_cast<int>(by);
          if (mode == "bfly") from = self ^ static_cast<int>(by);
          if (mode == "idx") from = first + static_cast<int>(by % width);
          const bool inside = from <= last && (mode != "up" || from >= first);
          ASSERT_EQ(out[1][lane], inside) << mode << width << " " << by << " lane " << lane;
          ASSERT_EQ(out[0][lane], values[inside ? from : self])
              << mode << width << " " << by << " lane " << lane;
        }
      }
}

TEST(Shuffle, ButterflyReachesEarlierSegmentsButNotLaterOnes) {
  const auto out = run_lanes("shfl.sync.bfly.b32 %o0, %a0, 16, 0x101f, -1;", {lane_numbers()}, 1);
  for (u32 lane = 0; lane < kLanes; ++lane)  // segments of 16
    EXPECT_EQ(out[0][lane], lane < 16 ? lane : lane - 16);
}

TEST(Shuffle, OnlyTheLowFiveBitsOfTheDistanceCount) {
  const auto out = run_lanes("shfl.sync.idx.b32 %o0, %a0, 35, 31, -1;", {lane_numbers()}, 1);
  EXPECT_EQ(out[0], row_of(3));
}

TEST(Shuffle, EachLaneChoosesItsOwnSource) {
  Row from;
  for (u32 lane = 0; lane < kLanes; ++lane) from[lane] = 31 - lane;
  const Row values = random_row(2);
  const auto out = run_lanes("shfl.sync.idx.b32 %o0, %a0, %a1, 31, -1;", {values, from}, 1);
  for (u32 lane = 0; lane < kLanes; ++lane) EXPECT_EQ(out[0][lane], values[31 - lane]);
}

TEST(Shuffle, WritesOverItsSource) {
  const auto out =
      run_lanes("shfl.sync.up.b32 %a0, %a0, 1, 0, -1;\nmov.u32 %o0, %a0;", {lane_numbers()}, 1);
  for (u32 lane = 0; lane < kLanes; ++lane) EXPECT_EQ(out[0][lane], lane ? lane - 1 : 0);
}

TEST(Shuffle, ALaneThatTakesNoPartGivesPoison) {
  const auto out =
      run_lanes("setp.lt.u32 %p1, %r0, 16;\n@%p1 shfl.sync.down.b32 %o0, %a0, 8, 31, 0xffff;",
                {lane_numbers()}, 1);
  for (u32 lane = 0; lane < kLanes; ++lane)
    EXPECT_EQ(out[0][lane], lane < 8 ? lane + 8 : lane < 16 ? 0xffffffffu : kUntouched);
}

TEST(Shuffle, ABlockOfFewerThreadsUsesTheFullMask) {
  const auto out = run_lanes("shfl.sync.bfly.b32 %o0, %a0, 1, 31, -1;", {lane_numbers()}, 1, 16);
  for (u32 lane = 0; lane < kLanes; ++lane)
    EXPECT_EQ(out[0][lane], lane < 16 ? lane ^ 1 : kUntouched);
}

TEST(Shuffle, LanesOfDifferentBranchesWaitForEachOther) {
  const std::string body = R"(
    setp.lt.u32 %p1, %r0, 7;
    @%p1 bra LOW;
    mov.u32 %r1, 0;
  AGAIN:
    add.u32 %r1, %r1, 1;
    setp.lt.u32 %p2, %r1, 20;
    @%p2 bra AGAIN;
    add.u32 %a0, %a0, 100;
  LOW:
    shfl.sync.idx.b32 %o0, %a0, 31, 31, -1;)";
  EXPECT_EQ(run_lanes(body, {lane_numbers()}, 1)[0], row_of(131));
}

// What `execute` says when a lane breaks the rules of member masks.
std::string trouble(const std::string& body) {
  return test::execute(test::kernel_of(body, 0), {}).message;
}

TEST(MemberMask, ALaneMustBeInItsOwnMask) {
  EXPECT_NE(trouble("shfl.sync.idx.b32 %r1, %r0, 0, 31, 0xfffffffe;").find("own member mask"),
            std::string::npos);
}

TEST(MemberMask, PartnersMustNameEachOther) {
  const std::string body =
      "setp.eq.u32 %p1, %r0, 3;\nselp.b32 %r2, 0x8, 0xffffffff, %p1;\n"
      "shfl.sync.idx.b32 %r1, %r0, 0, 31, %r2;";
  EXPECT_NE(trouble(body).find("has the mask"), std::string::npos);
}

TEST(Vote, AllAnyUniformAndBallot) {
  for (u32 votes : {0u, 1u, 0x80000000u, 0xffffffffu, 0x0f0f1234u}) {
    Row in;
    for (u32 lane = 0; lane < kLanes; ++lane) in[lane] = votes >> lane & 1;
    const auto out = run_lanes(R"(
        setp.ne.u32 %p1, %a0, 0;
        vote.sync.all.pred %p2, %p1, -1;
        vote.sync.any.pred %p3, %p1, -1;
        vote.sync.uni.pred %p4, %p1, -1;
        vote.sync.ballot.b32 %o3, %p1, -1;
        vote.sync.any.pred %p5, !%p1, -1;
        selp.u32 %o0, 1, 0, %p2;
        selp.u32 %o1, 1, 0, %p3;
        selp.u32 %o2, 1, 0, %p4;
        selp.u32 %o4, 1, 0, %p5;)",
                               {in}, 5);
    EXPECT_EQ(out[0], row_of(votes == 0xffffffffu));
    EXPECT_EQ(out[1], row_of(votes != 0));
    EXPECT_EQ(out[2], row_of(votes == 0 || votes == 0xffffffffu));
    EXPECT_EQ(out[3], row_of(votes));
    EXPECT_EQ(out[4], row_of(votes != 0xffffffffu));
  }
}

TEST(Vote, HalvesOfAWarpVoteApart) {
  Row masks;
  for (u32 lane = 0; lane < kLanes; ++lane) masks[lane] = lane < 16 ? 0xffffu : 0xffff0000u;
  const auto out = run_lanes(
      "setp.lt.u32 %p1, %r0, 20;\nvote.ballot.sync.b32 %o0, %p1, %a0;\n"
      "vote.sync.all.pred %p2, %p1, %a0;\nselp.u32 %o1, 1, 0, %p2;",
      {masks}, 2);
  for (u32 lane = 0; lane < kLanes; ++lane) {
    EXPECT_EQ(out[0][lane], lane < 16 ? 0xffffu : 0xf0000u);
    EXPECT_EQ(out[1][lane], lane < 16);
  }
}

TEST(Vote, LanesThatHaveExitedDoNotVote) {
  const auto out = run_lanes(
      "setp.ge.u32 %p1, %r0, 24;\n@%p1 ret;\nsetp.ge.u32 %p2, %r0, 1;\n"
      "vote.sync.ballot.b32 %o0, %p2, -1;",
      {}, 1);
  for (u32 lane = 0; lane < kLanes; ++lane)
    EXPECT_EQ(out[0][lane], lane < 24 ? 0x00fffffeu : kUntouched);
}

TEST(Match, AnyGivesTheLanesOfEqualValue) {
  std::mt19937 random(3);
  Row values;
  for (u32& value : values) value = random() % 5;
  const auto out = run_lanes(R"(
      match.any.sync.b32 %o0, %a0, -1;
      mov.b64 %rd5, {%a0, %a0};
      match.any.sync.b64 %o1, %rd5, -1;)",
                             {values}, 2);
  for (u32 lane = 0; lane < kLanes; ++lane) {
    u32 same = 0;
    for (u32 other = 0; other < kLanes; ++other)
      if (values[other] == values[lane]) same |= 1u << other;
    EXPECT_EQ(out[0][lane], same);
    EXPECT_EQ(out[1][lane], same);
  }
}

TEST(Match, SixtyFourBitsCompareWhole) {
  const auto out =
      run_lanes("mov.b64 %rd5, {%a0, %r0};\nmatch.any.sync.b64 %o0, %rd5, -1;", {row_of(7)}, 1);
  for (u32 lane = 0; lane < kLanes; ++lane) EXPECT_EQ(out[0][lane], 1u << lane);
}

TEST(Match, AllGivesTheMaskOrNothing) {
  Row mixed = row_of(5);
  mixed[9] = 6;
  for (const bool equal : {true, false}) {
    const auto out = run_lanes("match.all.sync.b32 %o0|%p1, %a0, -1;\nselp.u32 %o1, 1, 0, %p1;",
                               {equal ? row_of(5) : mixed}, 2);
    EXPECT_EQ(out[0], row_of(equal ? kAllLanes : 0));
    EXPECT_EQ(out[1], row_of(equal));
  }
}

TEST(Redux, EveryOperation) {
  const Row values = random_row(4);
  u32 sum = 0, all = ~0u, any = 0, odd = 0, low = ~0u, high = 0;
  i32 lowest = INT32_MAX, highest = INT32_MIN;
  for (const u32 value : values) {
    sum += value;
    all &= value | 0xff;
    any |= value & 0xff00;
    odd ^= value;
    low = std::min(low, value);
    high = std::max(high, value);
    lowest = std::min(lowest, static_cast<i32>(value));
    highest = std::max(highest, static_cast<i32>(value));
  }
  const auto out = run_lanes(R"(
      or.b32 %r1, %a0, 0xff;
      and.b32 %r2, %a0, 0xff00;
      redux.sync.add.s32 %o0, %a0, -1;
      redux.sync.add.u32 %o1, %a0, -1;
      redux.sync.and.b32 %o2, %r1, -1;
      redux.sync.or.b32 %o3, %r2, -1;
      redux.sync.xor.b32 %o4, %a0, -1;
      redux.sync.min.u32 %o5, %a0, -1;
      redux.sync.max.u32 %o6, %a0, -1;
      redux.sync.min.s32 %o7, %a0, -1;
      redux.sync.max.s32 %o8, %a0, -1;)",
                             {values}, 9);
  const u32 expected[] = {
      sum, sum, all, any, odd, low, high, static_cast<u32>(lowest), static_cast<u32>(highest)};
  for (u32 i = 0; i < 9; ++i) EXPECT_EQ(out[i], row_of(expected[i])) << i;
}

TEST(Redux, OverTheLanesOfTheMask) {
  const auto out =
      run_lanes("setp.lt.u32 %p1, %r0, 3;\n@%p1 redux.sync.add.u32 %o0, %a0, 7;", {row_of(10)}, 1);
  for (u32 lane = 0; lane < kLanes; ++lane) EXPECT_EQ(out[0][lane], lane < 3 ? 30 : kUntouched);
}

TEST(Elect, OneLaneOfTheMask) {
  const auto out = run_lanes(
      "setp.ge.u32 %p1, %r0, 4;\n@%p1 elect.sync %o0|%p2, 0xfffffff0;\nselp.u32 %o1, 1, 0, %p2;",
      {}, 2);
  for (u32 lane = 4; lane < kLanes; ++lane) {
    EXPECT_EQ(out[0][lane], 4u);
    EXPECT_EQ(out[1][lane], lane == 4);
  }
}

TEST(ActiveMask, IsOfTheLanesThatExecute) {
  const auto out = run_lanes("setp.lt.u32 %p1, %r0, 5;\n@%p1 activemask.b32 %o0;", {}, 1);
  for (u32 lane = 0; lane < kLanes; ++lane) EXPECT_EQ(out[0][lane], lane < 5 ? 31 : kUntouched);
}

}  // namespace
}  // namespace emulator
