// ldmatrix, stmatrix, movmatrix and cp.async.
#include <algorithm>
#include <random>

#include "ptx_program.h"

namespace emulator {
namespace {

using test::kUntouched;
using test::Row;
using test::row_of;
using test::run_lanes;

// 32 rows of 8 elements, 48 bytes apart, row r at shared offset 48 r: element (r, c) is 100 r + c.

std::string fill_rows() {
  std::string text =
      ".shared .align 16 .b8 tile[1536];\nmov.u32 %r10, tile;\nmad.lo.u32 %r11, %r0, 48, %r10;\n"
      "mul.lo.u32 %r12, %r0, 100;\n";
  for (int c = 0; c < 8; c += 2) {
    const std::string at = std::to_string(c);
    text += "add.u32 %r13, %r12, " + at + ";\nadd.u32 %r14, %r12, " + std::to_string(c + 1) +
            ";\nshl.b32 %r14, %r14, 16;\nor.b32 %r13, %r13, %r14;\nst.shared.u32 [%r11+" +
            std::to_string(2 * c) + "], %r13;\n";
  }
  return text + "bar.sync 0;\n";
}

u32 pair(u32 low, u32 high) { return low | high << 16; }

TEST(LoadMatrix, OneTwoAndFourMatrices) {
  for (u32 count : {1u, 2u, 4u})
    for (const bool transpose : {false, true}) {
      std::string registers;
      for (u32 m = 0; m < count; ++m) registers += (m ? ", %o" : "%o") + std::to_string(m);
      const auto out =
          run_lanes(fill_rows() + "ldmatrix.sync.aligned.m8n8.x" + std::to_string(count) +
                        (transpose ? ".trans" : "") + ".shared.b16 {" + registers + "}, [%r11];",
                    {}, count);
      for (u32 m = 0; m < count; ++m)
        for (u32 lane = 0; lane < kLanes; ++lane) {
          // "each thread receives a fragment of a row": row lane / 4, elements 2 (lane % 4) and
          // next.
          const u32 row = lane / 4, column = lane % 4 * 2;
          const u32 expected =
              transpose ? pair(100 * (8 * m + column) + row, 100 * (8 * m + column + 1) + row)
                        : pair(100 * (8 * m + row) + column, 100 * (8 * m + row) + column + 1);
          ASSERT_EQ(out[m][lane], expected) << "x" << count << " matrix " << m << " lane " << lane;
        }
    }
}

TEST(LoadMatrix, TakesA64BitAddressAndAnOffset) {
  const auto out = run_lanes(fill_rows() +
                                 "cvt.u64.u32 %rd5, %r10;\nmul.wide.u32 %rd6, %r0, 48;\n"
                                 "add.u64 %rd5, %rd5, %rd6;\n"
                                 "ldmatrix.sync.aligned.m8n8.x1.shared::cta.b16 {%o0}, [%rd5+96];",
                             {}, 1);
  EXPECT_EQ(out[0][5], pair(100 * 3 + 2, 100 * 3 + 3));
}

TEST(LoadMatrix, RowsMustBeAligned) {
  const Report report =
      test::execute(test::kernel_of(".shared .align 16 .b8 tile[1024];\nmov.u32 %r1, tile;\n"
                                    "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r2}, [%r1+8];",
                                    0),
                    {});
  EXPECT_EQ(report.error, kMisalignedAddress) << report.message;
}

TEST(StoreMatrix, IsTheInverseOfLoad) {
  std::mt19937 random(5);
  std::vector<Row> values(4);
  for (Row& row : values)
    for (u32& value : row) value = random();
  for (const std::string transpose : {"", ".trans"}) {
    const auto out = run_lanes(
        ".shared .align 16 .b8 tile[512];\nmov.u32 %r10, tile;\n"
        "mad.lo.u32 %r11, %r0, 16, %r10;\n"
        "stmatrix.sync.aligned.m8n8.x4" +
            transpose +
            ".shared.b16 [%r11], {%a0, %a1, %a2, %a3};\n"
            "ldmatrix.sync.aligned.m8n8.x4" +
            transpose + ".shared.b16 {%o0, %o1, %o2, %o3}, [%r11];",
        values, 4);
    EXPECT_EQ(out, values);
  }
}

TEST(MoveMatrix, Transposes) {
  Row in;
  for (u32 lane = 0; lane < kLanes; ++lane)
    in[lane] = pair(10 * (lane / 4) + lane % 4 * 2, 10 * (lane / 4) + lane % 4 * 2 + 1);
  const auto out = run_lanes("movmatrix.sync.aligned.m8n8.trans.b16 %o0, %a0;", {in}, 1);
  for (u32 lane = 0; lane < kLanes; ++lane)
    EXPECT_EQ(out[0][lane],
              pair(10 * (lane % 4 * 2) + lane / 4, 10 * (lane % 4 * 2 + 1) + lane / 4));
}

// ---- cp.async -----------------------------------------------------------------------------------

/// Copy 16 bytes a lane from the buffer to `tile` as `copy` says ([%r11] and [%rd0]), run `wait`,
/// and return the four words that each lane finds in its part of `tile`.
std::vector<u32> copied(const std::string& copy, const std::string& wait, Checks checks,
                        const Mutant& mutant = {}) {
  std::vector<u32> source(128);
  for (u32 i = 0; i < 128; ++i) source[i] = i;
  const test::Buffer<u32> in(source), out(std::vector<u32>(128, kUntouched));
  const std::string body = R"(
    .shared .align 16 .b8 tile[512];
    mov.u32 %r10, tile;
    mad.lo.u32 %r11, %r0, 16, %r10;
    mul.wide.u32 %rd2, %r0, 16;
    add.u64 %rd0, %rd0, %rd2;
    add.u64 %rd1, %rd1, %rd2;
    mov.u32 %r20, 77;
    st.shared.v4.u32 [%r11], {%r20, %r20, %r20, %r20};
    and.b32 %r15, %r0, 3;
    shl.b32 %r15, %r15, 2;
    setp.lt.u32 %p1, %r0, 16;
    )" + copy + wait + R"(
    ld.shared.v4.u32 {%r1, %r2, %r3, %r4}, [%r11];
    st.global.v4.u32 [%rd1], {%r1, %r2, %r3, %r4};)";
  Settings settings;
  settings.checks = checks;
  settings.mutant = mutant;
  const Report report =
      test::execute(test::kernel_of(body, 2), {in.address(), out.address()}, settings);
  EXPECT_EQ(report.error, kSuccess) << report.message;
  return out.values();
}

const std::string kWait = "cp.async.commit_group;\ncp.async.wait_group 0;\n";

TEST(AsyncCopy, SixteenBytes) {
  for (const Checks checks : {Checks::kBounds, Checks::kFull})
    for (const std::string form :
         {"ca.shared.global", "cg.shared.global", "cg.shared::cta.global.L2::128B"})
      for (const std::string& wait : {kWait, std::string("cp.async.wait_all;\n")}) {
        const auto out = copied("cp.async." + form + " [%r11], [%rd0], 16;\n", wait, checks);
        for (u32 i = 0; i < 128; ++i) ASSERT_EQ(out[i], i) << form;
      }
}

TEST(AsyncCopy, FourAndEightBytesLeaveTheRest) {
  for (u32 bytes : {4u, 8u}) {
    const auto out =
        copied("cp.async.ca.shared.global [%r11], [%rd0], " + std::to_string(bytes) + ";\n", kWait,
               Checks::kFull);
    for (u32 i = 0; i < 128; ++i) ASSERT_EQ(out[i], i % 4 * 4 < bytes ? i : 77u);
  }
}

TEST(AsyncCopy, AMutantTakesAllOfASmallerSource) {
  for (const std::string size : {"%r15", "%p1"}) {
    const auto out = copied("cp.async.cg.shared.global [%r11], [%rd0], 16, " + size + ";\n", kWait,
                            Checks::kFull, {"test", "drop_size", 0});
    for (u32 i = 0; i < 128; ++i) ASSERT_EQ(out[i], i) << size;
  }
}

TEST(AsyncCopy, ASmallerSourceIsFilledWithZeros) {
  for (const Checks checks : {Checks::kBounds, Checks::kFull}) {
    // Lane l takes 4 (l % 4) bytes: 0, 4, 8 or 12.
    const auto out = copied("cp.async.cg.shared.global [%r11], [%rd0], 16, %r15;\n", kWait, checks);
    for (u32 i = 0; i < 128; ++i) ASSERT_EQ(out[i], i % 4 < i / 4 % 4 ? i : 0u) << i;
  }
}

TEST(AsyncCopy, WithASourceSizeOfZeroTheAddressIsNotRead) {
  const auto out =
      copied("cp.async.cg.shared.global [%r11], [%rd31], 16, 0;\n", kWait, Checks::kBounds);
  EXPECT_EQ(out, std::vector<u32>(128, 0));
}

TEST(AsyncCopy, AnIgnoredSourceIsZero) {
  const auto out =
      copied("cp.async.cg.shared.global [%r11], [%rd0], 16, %p1;\n", kWait, Checks::kFull);
  for (u32 i = 0; i < 128; ++i) ASSERT_EQ(out[i], i / 4 < 16 ? 0u : i);
}

TEST(AsyncCopy, WaitGroupLeavesTheYoungest) {
  const std::string body = R"(
    .shared .align 16 .b8 tile[1024];
    mov.u32 %r10, tile;
    mad.lo.u32 %r11, %r0, 4, %r10;
    mul.wide.u32 %rd2, %r0, 4;
    add.u64 %rd0, %rd0, %rd2;
    add.u64 %rd1, %rd1, %rd2;
    cp.async.ca.shared.global [%r11], [%rd0], 4;
    cp.async.commit_group;
    cp.async.ca.shared.global [%r11+128], [%rd0], 4;
    cp.async.commit_group;
    cp.async.wait_group WAIT;
    ld.shared.u32 %r1, [%r11+READ];
    st.global.u32 [%rd1], %r1;)";
  const auto run_with = [&](const std::string& wait, const std::string& read) {
    std::string text = body;
    text.replace(text.find("WAIT"), 4, wait);
    text.replace(text.find("READ"), 4, read);
    const test::Buffer<u32> in(std::vector<u32>(32, 5)), out(std::vector<u32>(32, 0));
    return test::execute(test::kernel_of(text, 2), {in.address(), out.address()},
                         test::with_full_checks());
  };
  EXPECT_EQ(run_with("1", "0").error, kSuccess);
  EXPECT_EQ(run_with("0", "128").error, kSuccess);
  const Report early = run_with("1", "128");
  EXPECT_NE(early.message.find("before the wait for the asynchronous copy"), std::string::npos)
      << early.message;
}

TEST(AsyncCopy, OnlyCommittedGroupsAreWaitedFor) {
  const std::string body = R"(
    .shared .align 16 .b8 tile[128];
    mov.u32 %r10, tile;
    mad.lo.u32 %r11, %r0, 4, %r10;
    mul.wide.u32 %rd2, %r0, 4;
    add.u64 %rd0, %rd0, %rd2;
    cp.async.ca.shared.global [%r11], [%rd0], 4;
    cp.async.wait_group 0;
    ld.shared.u32 %r1, [%r11];)";
  const test::Buffer<u32> in(std::vector<u32>(32, 5));
  const Report report =
      test::execute(test::kernel_of(body, 1), {in.address()}, test::with_full_checks());
  EXPECT_NE(report.message.find("before the wait"), std::string::npos) << report.message;
}

TEST(AsyncCopy, ChecksAlignmentAndBounds) {
  const test::Buffer<u32> in(std::vector<u32>(32, 5));
  const auto run_copy = [&](const std::string& copy) {
    return test::execute(
        test::kernel_of(".shared .align 16 .b8 tile[512];\nmov.u32 %r10, tile;\n" + copy, 1),
        {in.address()}, {}, {{1, 1, 1}, {1, 1, 1}, 0});
  };
  EXPECT_EQ(run_copy("cp.async.cg.shared.global [%r10], [%rd0+4], 16;").error, kMisalignedAddress);
  EXPECT_EQ(run_copy("cp.async.cg.shared.global [%r10], [%rd0+4], 16, 4;").error,
            kMisalignedAddress);
  EXPECT_EQ(run_copy("cp.async.cg.shared.global [%r10+8], [%rd0], 16;").error, kMisalignedAddress);
  EXPECT_EQ(run_copy("cp.async.cg.shared.global [%r10], [%rd0+128], 16;").error, kIllegalAddress);
  EXPECT_EQ(run_copy("cp.async.cg.shared.global [%r10+512], [%rd0], 16;").error, kIllegalAddress);
  EXPECT_EQ(run_copy("cp.async.ca.shared.global [%r10], [%rd0], 4, 8;").error, kIllegalInstruction);
  EXPECT_EQ(run_copy("cp.async.cg.shared.global [%r10], [%rd0+112], 16;").error, kSuccess);
}

}  // namespace
}  // namespace emulator
