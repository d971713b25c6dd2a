// Branches, barriers, calls, moves, special registers, and what ends a launch.
#include <algorithm>

#include "decode.h"
#include "opcode_case.h"

namespace emulator::test {
namespace {

/// Run `body` with a word a thread: the result is %r10 of each thread.
std::vector<u32> per_thread(const std::string& body, u32 threads = 32, u32 blocks = 1,
                            const std::string& functions = "") {
  const Buffer<u32> out(std::vector<u32>(threads * blocks, 0xdeadu));
  const std::string text = body +
                           "\nmov.u32 %r50, %ctaid.x;\nmov.u32 %r51, %ntid.x;\n"
                           "mad.lo.u32 %r50, %r50, %r51, %r0;\nmul.wide.u32 %rd30, %r50, 4;\n"
                           "add.u64 %rd30, %rd30, %rd0;\nst.global.u32 [%rd30], %r10;";
  Configuration shape;
  shape.grid.x = blocks;
  shape.block.x = threads;
  const Report report = execute(kernel_of(text, 1, functions), {out.address()}, {}, shape);
  EXPECT_EQ(report.error, kSuccess) << report.message;
  return out.values();
}

template <class Expected>
void expect_each(const std::vector<u32>& got, Expected expected) {
  for (u32 i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], expected(i)) << "thread " << i;
}

Report run_report(const std::string& body, u32 threads, Settings settings = {},
                  const std::string& functions = "") {
  const Buffer<u32> out(std::vector<u32>(2048, 0u));
  Configuration shape;
  shape.block.x = threads;
  return execute(kernel_of(body, 1, functions), {out.address()}, settings, shape);
}

TEST(Control, LoopsOfDifferentLength) {
  expect_each(per_thread("mov.u32 %r10, 0;\nmov.u32 %r11, %r0;\nagain:\nsetp.eq.u32 %p1, %r11, 0;\n"
                         "@%p1 bra done;\nadd.u32 %r10, %r10, %r11;\nsub.u32 %r11, %r11, 1;\n"
                         "bra.uni again;\ndone:"),
              [](u32 i) { return i * (i + 1) / 2; });
}

TEST(Control, NestedBranches) {
  expect_each(per_thread("and.b32 %r1, %r0, 1;\nand.b32 %r2, %r0, 2;\nsetp.eq.u32 %p1, %r1, 0;\n"
                         "setp.eq.u32 %p2, %r2, 0;\nmov.u32 %r10, 0;\n@%p1 bra even;\n"
                         "@%p2 bra one;\nadd.u32 %r10, %r10, 3;\nbra join;\none:\n"
                         "add.u32 %r10, %r10, 1;\nbra join;\neven:\n@!%p2 add.u32 %r10, %r10, 2;\n"
                         "join:\nadd.u32 %r10, %r10, 100;"),
              [](u32 i) { return 100 + i % 4; });
}

// Lanes that parted meet again: one executes the join for all of them, once.
TEST(Control, DivergedLanesMeet) {
  const auto got = per_thread(
      "setp.lt.u32 %p1, %r0, 10;\n@%p1 bra small;\nadd.u32 %r1, %r0, 1;\n"
      "small:\nactivemask.b32 %r10;");
  expect_each(got, [](u32) { return ~0u; });
}

TEST(Control, BranchByTable) {
  expect_each(per_thread("rem.u32 %r1, %r0, 3;\ntable: .branchtargets zero, one, two;\n"
                         "brx.idx %r1, table;\nzero:\nmov.u32 %r10, 5;\nbra end;\none:\n"
                         "mov.u32 %r10, 6;\nbra end;\ntwo:\nmov.u32 %r10, 7;\nend:"),
              [](u32 i) { return 5 + i % 3; });
}

TEST(Control, ExitUnderAGuard) {
  expect_each(per_thread("setp.gt.u32 %p1, %r0, 4;\n@%p1 exit;\nmov.u32 %r10, 9;"),
              [](u32 i) { return i > 4 ? 0xdeadu : 9u; });
  expect_each(per_thread("setp.gt.u32 %p1, %r0, 4;\n@%p1 ret;\nmov.u32 %r10, 9;"),
              [](u32 i) { return i > 4 ? 0xdeadu : 9u; });
}

TEST(Control, NestedScopesDeclareAgain) {
  expect_each(per_thread("mov.u32 %r10, 1;\n{\n.reg .b32 %r<20>;\nmov.u32 %r10, 2;\n"
                         "{\n.reg .pred %p1;\nsetp.ne.u32 %p1, %r10, 2;\n@%p1 bra $L;\n$L:\n}\n}"),
              [](u32) { return 1u; });
}

// A lock inside a warp: the lane that holds it must run although the others spin.
TEST(Control, SpinLockInsideAWarp) {
  const Buffer<u32> cells(std::vector<u32>{0, 0});
  const Report report = execute(
      kernel_of("try:\natom.global.cas.b32 %r1, [%rd0], 0, 1;\nsetp.ne.u32 %p1, %r1, 0;\n"
                "@%p1 bra try;\nld.volatile.global.u32 %r2, [%rd0+4];\nadd.u32 %r2, %r2, 1;\n"
                "st.volatile.global.u32 [%rd0+4], %r2;\nmembar.gl;\n"
                "atom.global.exch.b32 %r3, [%rd0], 0;",
                1),
      {cells.address()}, {}, {{3, 1, 1}, {64, 1, 1}, 0});
  EXPECT_EQ(report.error, kSuccess) << report.message;
  EXPECT_EQ(cells.values()[1], 192u);
}

// The block with the greater index is waited for: it must start although the first does not end.
TEST(Control, BlockWaitsForALaterBlock) {
  const Buffer<u32> cell(std::vector<u32>{0});
  const Report report = execute(
      kernel_of("mov.u32 %r1, %ctaid.x;\nsetp.eq.u32 %p1, %r1, 1;\n@%p1 st.global.u32 [%rd0], 1;\n"
                "wait:\nld.volatile.global.u32 %r2, [%rd0];\nsetp.eq.u32 %p2, %r2, 0;\n"
                "@%p2 bra wait;",
                1),
      {cell.address()}, {}, {{2, 1, 1}, {32, 1, 1}, 0});
  EXPECT_EQ(report.error, kSuccess) << report.message;
}

TEST(Barrier, OrdersSharedMemory) {
  expect_each(
      per_thread(".shared .align 4 .b8 tile[1024];\nshl.b32 %r1, %r0, 2;\nmov.u32 %r2, tile;\n"
                 "add.u32 %r3, %r2, %r1;\nst.shared.u32 [%r3], %r0;\nbar.sync 0;\n"
                 "xor.b32 %r4, %r1, 1020;\nadd.u32 %r4, %r4, %r2;\nld.shared.u32 %r10, [%r4];\n"
                 "barrier.sync 1;",
                 256),
      [](u32 i) { return i ^ 255; });
}

TEST(Barrier, Reductions) {
  const std::string set = "setp.eq.u32 %p1, %r0, 70;\n";
  expect_each(per_thread(set + "bar.red.or.pred %p2, 0, %p1;\nselp.u32 %r10, 1, 0, %p2;", 96),
              [](u32) { return 1u; });
  expect_each(per_thread(set + "bar.red.and.pred %p2, 0, !%p1;\nselp.u32 %r10, 1, 0, %p2;", 96),
              [](u32) { return 0u; });
  expect_each(per_thread("setp.lt.u32 %p1, %r0, 41;\nbar.red.popc.u32 %r10, 0, %p1;", 96),
              [](u32) { return 41u; });
}

// Producers arrive and go on; consumers wait for 64 threads.
TEST(Barrier, ArriveAndCount) {
  expect_each(
      per_thread(".shared .align 4 .b32 cell;\nmov.u32 %r10, 0;\nsetp.lt.u32 %p1, %r0, 32;\n"
                 "@%p1 bra consume;\nst.shared.u32 [cell], 42;\nbar.arrive 1, 64;\nbra end;\n"
                 "consume:\nbar.sync 1, 64;\nld.shared.u32 %r10, [cell];\nend:",
                 64),
      [](u32 i) { return i < 32 ? 42u : 0u; });
}

TEST(Barrier, WarpSyncWaitsForItsLanes) {
  // The upper half reads what the lower half writes later in program order.
  expect_each(
      per_thread(".shared .align 4 .b8 tile[128];\nmov.u32 %r2, tile;\n"
                 "mad.lo.u32 %r3, %r0, 4, %r2;\nmov.u32 %r10, 1;\nsetp.ge.u32 %p1, %r0, 16;\n"
                 "@%p1 bra upper;\nst.shared.u32 [%r3], %r0;\nbar.warp.sync -1;\nbra end;\n"
                 "upper:\nbar.warp.sync -1;\nld.shared.u32 %r10, [%r3-64];\nend:"),
      [](u32 i) { return i < 16 ? 1 : i - 16; });
}

TEST(Barrier, LanesMustBeInTheirMask) {
  const Report report = run_report(
      "mov.u32 %r2, 1;\nsetp.lt.u32 %p1, %r0, 4;\n@%p1 mov.u32 %r2, 0xf;\n"
      "bar.warp.sync %r2;",
      32);
  EXPECT_EQ(report.error, kIllegalInstruction);
  EXPECT_NE(report.message.find("not in the member mask"), std::string::npos) << report.message;
}

TEST(Barrier, LanesWithOtherMasksDoNotMeet) {
  expect_each(per_thread("mov.u32 %r2, 0xffff;\nsetp.ge.u32 %p1, %r0, 16;\n"
                         "@%p1 mov.u32 %r2, 0xffff0000;\nbar.warp.sync %r2;\nmov.u32 %r10, 7;"),
              [](u32) { return 7; });
}

TEST(Barrier, CountsMustAgree) {
  for (const char* other : {"bar.sync 1, 96;", "bar.sync 1;"}) {
    const Report report = run_report(std::string("setp.lt.u32 %p1, %r0, 32;\n@%p1 bra first;\n") +
                                         other + "\nbra end;\nfirst:\nbar.sync 1, 64;\nend:",
                                     96);
    EXPECT_EQ(report.error, kIllegalInstruction) << other;
    EXPECT_NE(report.message.find("barrier"), std::string::npos) << report.message;
  }
}

TEST(Barrier, ExitedThreadsDoNotCount) {
  expect_each(
      per_thread("mov.u32 %r10, 3;\nsetp.ge.u32 %p1, %r0, 40;\n@%p1 exit;\nbar.sync 0;", 96),
      [](u32 i) { return i < 40 ? 3u : 0xdeadu; });
}

TEST(Barrier, DeadlocksAreReported) {
  const Report report = run_report(
      "setp.lt.u32 %p1, %r0, 32;\n@%p1 bra first;\nbar.sync 1, 96;\nbra end;\nfirst:\n"
      "bar.sync 2, 96;\nend:",
      64);
  EXPECT_EQ(report.error, kLaunchTimeout);
  EXPECT_NE(report.message.find("wait for each other"), std::string::npos) << report.message;
  EXPECT_NE(report.message.find("bar.sync 2, 96"), std::string::npos) << report.message;
}

TEST(Control, WatchdogEndsALaunch) {
  Settings settings;
  settings.watchdog = 100000;
  const Report report = run_report("forever:\nbra forever;", 32, settings);
  EXPECT_EQ(report.error, kLaunchTimeout);
  EXPECT_NE(report.message.find("EMULATOR_WATCHDOG"), std::string::npos) << report.message;
}

TEST(Control, Trap) {
  for (const std::string opcode : {"trap", "brkpt"}) {
    const Report report = run_report("setp.eq.u32 %p1, %r0, 5;\n@%p1 " + opcode + ";", 32);
    EXPECT_EQ(report.error, kLaunchFailure) << opcode;
    EXPECT_NE(report.message.find("thread (5,0,0)"), std::string::npos) << report.message;
  }
}

TEST(Control, InstructionsWithoutEffect) {
  expect_each(
      per_thread("membar.cta;\nmembar.gl;\nmembar.sys;\nfence.acq_rel.gpu;\nfence.sc.cta;\n"
                 "nanosleep.u32 20;\nprefetch.global.L2 [%rd0];\ngriddepcontrol.wait;\n"
                 "prefetchu.L1 [%rd0];\napplypriority.global.L2::evict_normal [%rd0], 128;\n"
                 "pmevent 3;\nsetmaxnreg.inc.sync.aligned.u32 64;\n"
                 "createpolicy.fractional.L2::evict_last.b64 %rd1, 1.0;\nmov.u32 %r10, 4;"),
      [](u32) { return 4u; });
}

// ---- Calls --------------------------------------------------------------------------------------

const std::string kFunctions = R"(
.func (.param .b32 result) twice(.param .b32 value)
{
  .reg .b32 %r<4>;
  ld.param.u32 %r1, [value];
  shl.b32 %r2, %r1, 1;
  st.param.b32 [result], %r2;
  ret;
}
.func (.param .b32 result) factorial(.param .b32 value)
{
  .reg .pred %p<2>;
  .reg .b32 %r<8>;
  ld.param.u32 %r1, [value];
  setp.gt.u32 %p1, %r1, 1;
  @%p1 bra more;
  st.param.b32 [result], 1;
  ret;
more:
  sub.u32 %r2, %r1, 1;
  {
  .param .b32 in;
  .param .b32 out;
  st.param.b32 [in], %r2;
  call.uni (out), factorial, (in);
  ld.param.b32 %r3, [out];
  }
  mul.lo.u32 %r4, %r3, %r1;
  st.param.b32 [result], %r4;
  ret;
}
.func (.param .align 8 .b8 result[16]) pair(.param .align 8 .b8 value[16])
{
  .local .align 8 .b8 stack[16];
  .reg .b64 %rd<6>;
  ld.param.v2.b64 {%rd1, %rd2}, [value];
  mov.u64 %rd3, stack;
  st.local.u64 [%rd3], %rd2;
  ld.local.u64 %rd4, [%rd3];
  st.param.b64 [result], %rd4;
  st.param.b64 [result+8], %rd1;
  ret;
}
)";

std::string call_of(const std::string& function, const std::string& argument) {
  return "{\n.param .b32 in;\n.param .b32 out;\nst.param.b32 [in], " + argument +
         ";\ncall (out), " + function + ", (in);\nld.param.b32 %r10, [out];\n}\n";
}

TEST(Call, ReturnsAValue) {
  expect_each(per_thread(call_of("twice", "%r0"), 64, 2, kFunctions),
              [](u32 i) { return i % 64 * 2; });
}

TEST(Call, UnderDivergence) {
  expect_each(per_thread("mov.u32 %r10, 7;\nand.b32 %r1, %r0, 1;\nsetp.eq.u32 %p1, %r1, 0;\n"
                         "@%p1 bra skip;\n" +
                             call_of("twice", "%r0") + "skip:",
                         32, 1, kFunctions),
              [](u32 i) { return i % 2 ? 2 * i : 7; });
}

TEST(Call, RecursionKeepsRegisters) {
  expect_each(
      per_thread("rem.u32 %r1, %r0, 11;\n" + call_of("factorial", "%r1"), 32, 1, kFunctions),
      [](u32 i) {
        u32 product = 1;
        for (u32 k = 2; k <= i % 11; ++k) product *= k;
        return product;
      });
}

TEST(Call, StructuresAndLocalMemory) {
  expect_each(
      per_thread(".local .align 8 .b8 mine[8];\nmov.u64 %rd5, mine;\nst.local.u32 [%rd5], %r0;\n"
                 "{\n.param .align 8 .b8 in[16];\n.param .align 8 .b8 out[16];\n"
                 "cvt.u64.u32 %rd1, %r0;\nst.param.b64 [in], %rd1;\nst.param.b64 [in+8], 1000;\n"
                 "call.uni (out), pair, (in);\nld.param.v2.b64 {%rd2, %rd3}, [out];\n}\n"
                 "add.u64 %rd4, %rd2, %rd3;\ncvt.u32.u64 %r10, %rd4;\n"
                 "ld.local.u32 %r11, [%rd5];\nadd.u32 %r10, %r10, %r11;",
                 32, 1, kFunctions),
      [](u32 i) { return 1000 + 2 * i; });
}

TEST(Call, ThroughAPointer) {
  expect_each(
      per_thread("mov.u64 %rd1, twice;\nmov.u64 %rd2, factorial;\nsetp.lt.u32 %p1, %r0, 4;\n"
                 "selp.b64 %rd3, %rd2, %rd1, %p1;\n{\n.param .b32 in;\n.param .b32 out;\n"
                 "st.param.b32 [in], %r0;\n"
                 "kind: .callprototype (.param .b32 _) _ (.param .b32 _);\n"
                 "call (out), %rd3, (in), kind;\nld.param.b32 %r10, [out];\n}",
                 32, 1, kFunctions),
      [](u32 i) {
        return i < 4 ? std::vector<u32>{1, 1, 2, 6}[i] : 2 * i;
      });
}

TEST(Call, EndlessRecursionIsAFault) {
  const std::string loop = ".func loop()\n{\ncall.uni loop, ();\nret;\n}\n";
  const Report report = run_report("call.uni loop, ();", 32, {}, loop);
  EXPECT_EQ(report.error, kIllegalAddress) << report.message;
}

TEST(Call, AssertionsAndPrints) {
  const std::string declarations =
      ".extern .func __assertfail(.param .b64 a, .param .b64 b, .param .b32 c, .param .b64 d, "
      ".param .b64 e);\n.extern .func (.param .b32 r) vprintf(.param .b64 a, .param .b64 b);\n"
      ".global .align 1 .b8 what[6] = {120, 32, 62, 32, 48, 0};\n"
      ".global .align 1 .b8 file[5] = {97, 46, 99, 117, 0};\n"
      ".global .align 1 .b8 form[9] = {37, 100, 32, 37, 46, 49, 102, 10, 0};\n";
  const Report report = run_report(
      "setp.ne.u32 %p1, %r0, 3;\n@%p1 bra fine;\n{\n.param .b64 a;\n.param .b64 b;\n.param .b32 "
      "c;\n"
      ".param .b64 d;\n.param .b64 e;\nmov.u64 %rd1, what;\nst.param.b64 [a], %rd1;\n"
      "mov.u64 %rd2, file;\nst.param.b64 [b], %rd2;\nst.param.b32 [c], 12;\nst.param.b64 [d], "
      "%rd2;\n"
      "st.param.b64 [e], 1;\ncall.uni __assertfail, (a, b, c, d, e);\n}\nfine:",
      32, {}, declarations);
  EXPECT_EQ(report.error, kAssert);
  EXPECT_NE(report.message.find("a.cu:12: assertion `x > 0` failed"), std::string::npos)
      << report.message;
  testing::internal::CaptureStdout();
  const Report printed = run_report(
      ".local .align 8 .b8 args[16];\nsetp.ne.u32 %p1, %r0, 0;\n@%p1 exit;\nmov.u64 %rd1, args;\n"
      "st.local.u32 [%rd1], 42;\nst.local.f64 [%rd1+8], 0d3FF8000000000000;\n{\n.param .b64 a;\n"
      ".param .b64 b;\n.param .b32 r;\nmov.u64 %rd2, form;\nst.param.b64 [a], %rd2;\n"
      "st.param.b64 [b], %rd1;\ncall.uni (r), vprintf, (a, b);\n}",
      32, {}, declarations);
  std::fflush(stdout);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "42 1.5\n");
  EXPECT_EQ(printed.error, kSuccess) << printed.message;
}

// ---- Moves and special registers ----------------------------------------------------------------

TEST(Mov, PacksAndUnpacks) {
  check_opcode<u32>(
      "{\n.reg .b16 l, h;\nmov.b32 {l, h}, a;\nmov.b32 d, {h, l};\n}",
      [](u32 a) { return a << 16 | a >> 16; }, edges<u32>());
  check_opcode<u64>(
      "{\n.reg .b16 w0, w1, w2, w3;\nmov.b64 {w0, w1, w2, w3}, a;\n"
      "mov.b64 d, {w3, w2, w1, w0};\n}",
      [](u64 a) { return a << 48 | (a << 16 & 0xffff00000000) | (a >> 16 & 0xffff0000) | a >> 48; },
      edges<u64>());
  check_opcode<u32>(
      "{\n.reg .b32 h;\nmov.b64 {_, h}, a;\nmov.u32 d, h;\n}",
      [](u64 a) { return static_cast<u32>(a >> 32); }, edges<u64>());
  check_opcode<u16>(
      "mov.b16 d, a", [](u16 a) { return a; }, edges<u16>());
  check_opcode<u64>(
      "mov.b64 d, a", [](u64 a) { return a; }, edges<u64>());
}

TEST(Mov, Immediates) {
  check_opcode<u32>(
      "mov.f32 d, 0f7FA00001", [](u32) { return 0x7fa00001u; }, edges<u32>());
  check_opcode<u32>(
      "mov.f32 d, 1.5", [](u32) { return 0x3fc00000u; }, edges<u32>());
  check_opcode<u64>(
      "mov.f64 d, 0d400921FB54442D18", [](u32) { return 0x400921FB54442D18ull; }, edges<u32>());
  check_opcode<u64>(
      "mov.b64 d, -2", [](u32) { return ~u64{1}; }, edges<u32>());
  check_opcode<u32>(
      "mov.u32 d, 0b1011", [](u32) { return 11; }, edges<u32>());
  check_opcode<u32>(
      "mov.u32 d, WARP_SZ", [](u32) { return 32; }, edges<u32>());
}

TEST(Special, Registers) {
  const auto get = [](const std::string& name, u32 threads = 64) {
    return per_thread("mov.u32 %r10, " + name + ";", threads, 3);
  };
  expect_each(get("%tid.x"), [](u32 i) { return i % 64; });
  expect_each(get("%tid.y"), [](u32) { return 0u; });
  expect_each(get("%ntid.x"), [](u32) { return 64u; });
  expect_each(get("%ctaid.x"), [](u32 i) { return i / 64; });
  expect_each(get("%nctaid.x"), [](u32) { return 3u; });
  expect_each(get("%nctaid.z"), [](u32) { return 1u; });
  expect_each(get("%laneid"), [](u32 i) { return i % 32; });
  expect_each(get("%warpid"), [](u32 i) { return i / 32 % 2; });
  expect_each(get("%lanemask_eq"), [](u32 i) { return 1u << i % 32; });
  expect_each(get("%lanemask_lt"), [](u32 i) { return (1u << i % 32) - 1; });
  expect_each(get("%lanemask_le"), [](u32 i) { return (2u << i % 32) - 1; });
  expect_each(get("%lanemask_gt"), [](u32 i) { return ~((2u << i % 32) - 1); });
  expect_each(get("%lanemask_ge"), [](u32 i) { return ~((1u << i % 32) - 1); });
}

TEST(Special, ThreeDimensions) {
  const Buffer<u32> out(std::vector<u32>(24));
  const Report report = execute(
      kernel_of(
          "mov.u32 %r1, %tid.y;\nmov.u32 %r2, %tid.z;\nmad.lo.u32 %r3, %r2, 3, %r1;\n"
          "mad.lo.u32 %r3, %r3, 2, %r0;\nmad.lo.u32 %r4, %r2, 100, %r0;\n"
          "mad.lo.u32 %r4, %r1, 10, %r4;\nmul.wide.u32 %rd1, %r3, 4;\nadd.u64 %rd1, %rd1, %rd0;\n"
          "st.global.u32 [%rd1], %r4;",
          1),
      {out.address()}, {}, {{1, 1, 1}, {2, 3, 4}, 0});
  EXPECT_EQ(report.error, kSuccess) << report.message;
  expect_each(out.values(), [](u32 i) { return i / 6 * 100 + i / 2 % 3 * 10 + i % 2; });
}

TEST(Special, ClocksGoForward) {
  expect_each(per_thread("mov.u64 %rd1, %clock64;\nmov.u32 %r1, %clock;\nmov.u64 %rd2, %clock64;\n"
                         "setp.gt.u64 %p1, %rd2, %rd1;\nselp.u32 %r10, 1, 0, %p1;"),
              [](u32) { return 1u; });
}

// ---- Unknown instructions, launches that cannot be ----------------------------------------------

TEST(Launch, UnknownInstructionsFailLoudly) {
  for (const std::string body :
       {"frobnicate.u32 %r1, %r0;", "add.u32.strange %r1, %r0, 1;", "add.u32 %r1, %rd0, 1;",
        "mov.u32 %r1, %nosuch;", "mov.u32 %r1, missing;", "add.u32 %r1, %q7, 1;",
        "add.u32 %r1, %r0;"}) {
    const Report report = run_report(body, 32);
    EXPECT_EQ(report.error, kInvalidPtx) << body;
    EXPECT_NE(report.message.find(body.substr(0, body.find('.'))), std::string::npos)
        << report.message;
    EXPECT_NE(report.message.find("PTX line"), std::string::npos) << report.message;
  }
  // A kernel that is not launched does no harm.
  const std::string other = ".visible .entry other()\n{\nfrobnicate.u32 a, b;\nret;\n}\n";
  EXPECT_EQ(run_report("", 32, {}, other).error, kSuccess);
}

TEST(Launch, ShapesAreChecked) {
  EXPECT_EQ(run_report("", 1025).error, kInvalidConfiguration);
  EXPECT_EQ(run_report("", 0).error, kInvalidConfiguration);
  const Buffer<u32> out(std::vector<u32>(1));
  EXPECT_EQ(execute(kernel_of("", 1), {out.address()}, {}, {{1, 65536, 1}, {32, 1, 1}, 0}).error,
            kInvalidConfiguration);
  EXPECT_EQ(execute(kernel_of("", 1), {out.address()}, {}, {{1, 1, 1}, {32, 1, 1}, 200000}).error,
            kInvalidValue);
}

TEST(Mutants, AreEnumeratedAndChangeTheResult) {
  const std::string body =
      "setp.lt.u32 %p1, %r0, 8;\nmov.u32 %r10, 1;\n@%p1 mov.u32 %r10, 2;\nbar.sync 0;\n"
      "mul.wide.u32 %rd1, %r0, 4;\nadd.u64 %rd1, %rd1, %rd0;\nst.global.u32 [%rd1], %r10;";
  const std::string ptx = kernel_of(body, 1);
  const std::unique_ptr<Module> module = parse(ptx);
  std::map<std::string, int> kinds;
  for (const Mutant& mutant : mutants(*module, "test")) ++kinds[mutant.kind];
  EXPECT_EQ(
      kinds,
      (std::map<std::string, int>{
          {"drop_barrier", 1}, {"drop_guard", 1}, {"negate_guard", 1}, {"shift_address", 1}}));
  const auto run_mutant = [&](const std::string& kind) {
    const Buffer<u32> out(std::vector<u32>(33));
    Settings settings;
    settings.mutant = {"test", kind, 0};
    const Report report = execute(ptx, {out.address()}, settings);
    EXPECT_EQ(report.error, kSuccess) << report.message;
    return out.values();
  };
  EXPECT_EQ(run_mutant("drop_guard")[20], 2u);
  EXPECT_EQ(run_mutant("negate_guard")[20], 2u);
  EXPECT_EQ(run_mutant("negate_guard")[0], 1u);
  EXPECT_EQ(run_mutant("shift_address")[0], 0u);
  EXPECT_EQ(run_mutant("shift_address")[32], 1u);
}

}  // namespace
}  // namespace emulator::test
