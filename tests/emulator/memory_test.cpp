// Loads, stores and atomic operations: spaces, widths, bounds, alignment.
#include "opcode_case.h"

namespace emulator::test {
namespace {

/// Run `body` on one warp over a buffer of words at %rd0; return the buffer.
std::vector<u32> run_on(std::vector<u32> words, const std::string& body,
                        const std::string& variables = "", const Configuration& shape = {}) {
  const Buffer<u32> buffer(words);
  const Report report = execute(kernel_of(body, 1, variables), {buffer.address()}, {}, shape);
  EXPECT_EQ(report.error, kSuccess) << report.message;
  return buffer.values();
}

std::vector<u32> counted(size_t count) {
  std::vector<u32> words(count);
  for (size_t i = 0; i < count; ++i) words[i] = static_cast<u32>(i * 0x01010101u + 7);
  return words;
}

// Each type and vector width: load from the first half, store to the second, in every space.
TEST(Memory, EveryWidthInEverySpace) {
  struct Form {
    const char* type;
    u32 bytes;
    const char* reg;
  };
  const Form forms[] = {{"u8", 1, "%h"}, {"s16", 2, "%h"}, {"b32", 4, "%r"}, {"f64", 8, "%d"}};
  for (const Form& form : forms) {
    for (const u32 vector : {1, 2, 4}) {
      const u32 bytes = form.bytes * vector;
      if (bytes > 16) continue;
      std::string registers;
      for (u32 k = 0; k < vector; ++k) {
        registers += std::string(k ? ", " : "") + form.reg + std::to_string(10 + k);
      }
      if (vector > 1) registers = "{" + registers + "}";
      const std::string suffix =
          (vector > 1 ? ".v" + std::to_string(vector) : "") + "." + form.type;
      for (const std::string space : {"global", "shared", "local", ""}) {
        const std::string dot = space.empty() ? "" : "." + space;
        std::string body = "mul.lo.u32 %r1, %r0, " + std::to_string(bytes) +
                           ";\ncvt.u64.u32 %rd1, %r1;\nadd.u64 %rd2, %rd0, %rd1;\nld.global" +
                           suffix + " " + registers + ", [%rd2];\n";
        if (space == "shared") body += "mov.u64 %rd3, tile;\nadd.u64 %rd3, %rd3, %rd1;\n";
        if (space == "local") body += "mov.u64 %rd3, stack;\n";
        if (space == "")
          body += "mov.u64 %rd3, tile;\ncvta.shared.u64 %rd3, %rd3;\nadd.u64 %rd3, %rd3, %rd1;\n";
        if (space == "global") body += "add.u64 %rd3, %rd2, 512;\n";
        body += "st" + dot + suffix + " [%rd3], " + registers + ";\n";
        // Through other registers, so that a load that does nothing shows.
        std::string others = registers;
        for (size_t at = 0; (at = others.find(std::string(form.reg) + "1", at)) != others.npos;) {
          others.replace(at, 3, std::string(form.reg) + "2");
          at += 3;
        }
        body += "ld" + dot + suffix + " " + others + ", [%rd3];\nst.global" + suffix +
                " [%rd2+512], " + others + ";\n";
        body = ".local .align 16 .b8 stack[16];\n.shared .align 16 .b8 tile[512];\n" + body;
        SCOPED_TRACE(space + suffix);
        const std::vector<u32> before = counted(256), after = run_on(before, body);
        for (u32 i = 0; i < 128; ++i) {
          const u32 moved = 8 * bytes;  // words
          ASSERT_EQ(after[128 + i], i < moved ? before[i] : before[128 + i]) << i;
        }
      }
    }
  }
}

TEST(Memory, NarrowLoadsAreExtended) {
  const auto after = run_on({0xfffe80ffu, 0, 0, 0, 0, 0},
                            "ld.global.s8 %r1, [%rd0];\nld.global.u8 %r2, [%rd0];\n"
                            "ld.global.s16 %r3, [%rd0];\nld.global.s8 %rd1, [%rd0+1];\n"
                            "st.global.u32 [%rd0+4], %r1;\nst.global.u32 [%rd0+8], %r2;\n"
                            "st.global.u32 [%rd0+12], %r3;\nst.global.u64 [%rd0+16], %rd1;");
  EXPECT_EQ(after, (std::vector<u32>{0xfffe80ffu, ~0u, 255, 0xffff80ffu, 0xffffff80u, ~0u}));
}

TEST(Memory, CacheHintsAndScopesChangeNothing) {
  const auto after =
      run_on({5, 0, 0, 0, 0, 0},
             "ld.global.nc.L1::no_allocate.L2::128B.u32 %r1, [%rd0];\nld.volatile.global.u32 %r2, "
             "[%rd0];\n"
             "ld.acquire.gpu.global.u32 %r3, [%rd0];\nld.relaxed.sys.u32 %r4, [%rd0];\n"
             "st.global.cs.u32 [%rd0+4], %r1;\nst.volatile.u32 [%rd0+8], %r2;\n"
             "st.release.cta.global.u32 [%rd0+12], %r3;\nst.global.wt.u32 [%rd0+16], %r4;\n"
             "ldu.global.u32 %r5, [%rd0];\nst.global.u32 [%rd0+20], %r5;");
  EXPECT_EQ(after, (std::vector<u32>{5, 5, 5, 5, 5, 5}));
}

TEST(Memory, ConstantsAndInitialValues) {
  const auto after = run_on({0, 0, 0, 0},
                            "ld.const.u32 %r1, [table+4];\nst.global.u32 [%rd0], %r1;\n"
                            "ld.global.f32 %f1, [scale];\nst.global.f32 [%rd0+4], %f1;\n"
                            "ld.global.u64 %rd1, [pointer];\nld.u32 %r2, [%rd1];\n"
                            "st.global.u32 [%rd0+8], %r2;\nld.const.s8 %r3, [bytes+2];\n"
                            "st.global.u32 [%rd0+12], %r3;",
                            ".const .align 4 .u32 table[3] = {10, 20, 0x1e};\n"
                            ".global .align 4 .f32 scale = 0f3FC00000;\n"
                            ".global .align 8 .u64 pointer = generic(table)+8;\n"
                            ".const .align 1 .b8 bytes[4] = {1, 2, -3};");
  EXPECT_EQ(after, (std::vector<u32>{20, 0x3fc00000u, 30, static_cast<u32>(-3)}));
}

TEST(Memory, ParametersByAddress) {
  const Buffer<u32> buffer(std::vector<u32>(32));
  const std::string ptx =
      ".version 9.0\n.target sm_80\n.address_size 64\n.visible .entry test(.param .u64 to,\n"
      ".param .align 8 .b8 table[16])\n{\n.reg .b32 %r<8>;\n.reg .b64 %rd<8>;\n"
      "ld.param.u64 %rd1, [to];\nmov.u32 %r1, %tid.x;\nand.b32 %r2, %r1, 1;\n"
      "mul.wide.u32 %rd2, %r2, 4;\nmov.b64 %rd3, table;\nadd.s64 %rd4, %rd3, %rd2;\n"
      "ld.param.u32 %r3, [%rd4+8];\ncvta.param.u64 %rd5, %rd4;\nld.u32 %r4, [%rd5];\n"
      "mad.lo.u32 %r5, %r4, 100, %r3;\nmul.wide.u32 %rd6, %r1, 4;\nadd.s64 %rd6, %rd6, %rd1;\n"
      "st.global.u32 [%rd6], %r5;\nret;\n}\n";
  const Report report = execute(ptx, {buffer.address(), u64{2} << 32 | 1, u64{4} << 32 | 3});
  EXPECT_EQ(report.error, kSuccess) << report.message;
  const std::vector<u32> got = buffer.values();
  for (u32 i = 0; i < 32; ++i) EXPECT_EQ(got[i], i % 2 ? 204u : 103u);
}

TEST(Memory, DynamicSharedStartsAfterStatic) {
  Configuration shape;
  shape.dynamic_shared = 64;
  const auto after =
      run_on({0, 0, 0},
             ".shared .align 4 .b8 own[20];\nmov.u32 %r1, own;\nmov.u32 %r2, more;\n"
             "mov.u32 %r3, dynamic;\nsub.u32 %r4, %r2, %r1;\n"
             "st.global.u32 [%rd0], %r4;\nst.global.u32 [%rd0+4], %r3;\n"
             "st.shared.u32 [dynamic+60], 77;\nld.shared.u32 %r5, [%r3+60];\n"
             "st.global.u32 [%rd0+8], %r5;",
             ".shared .align 4 .b8 more[12];\n.extern .shared .align 16 .b8 dynamic[];", shape);
  EXPECT_EQ(after, (std::vector<u32>{20, 32, 77}));
}

void expect_fault(const std::string& body, int error, const std::string& part,
                  const Configuration& shape = {}) {
  SCOPED_TRACE(body);
  const Buffer<u32> buffer(std::vector<u32>(64));
  const Report report = execute(kernel_of(body, 1), {buffer.address()}, {}, shape);
  EXPECT_EQ(report.error, error);
  EXPECT_NE(report.message.find(part), std::string::npos) << report.message;
}

TEST(Memory, BoundsAndAlignment) {
  const std::string place = "cvt.u64.u32 %rd1, %r0;\nmad.lo.u64 %rd2, %rd1, 4, %rd0;\n";
  expect_fault(place + "ld.global.u32 %r1, [%rd2+132];", kIllegalAddress, "thread (31,0,0)");
  expect_fault(place + "st.global.u32 [%rd2-4], %r0;", kIllegalAddress, "thread (0,0,0)");
  expect_fault(place + "ld.global.u32 %r1, [%rd2+2];", kMisalignedAddress, "not aligned");
  expect_fault(place + "ld.global.v4.u32 {%r1, %r2, %r3, %r4}, [%rd2];", kMisalignedAddress,
               "16 bytes");
  expect_fault(".shared .align 4 .b8 tile[64];\nst.shared.u32 [tile+64], %r0;", kIllegalAddress,
               "shared store");
  expect_fault(place + "atom.global.add.u32 %r1, [%rd2+256], 1;", kIllegalAddress, "atomic");
  expect_fault("mov.u64 %rd1, 0;\nld.u32 %r1, [%rd1];", kIllegalAddress, "0x0");
  expect_fault(
      ".local .align 4 .b8 stack[16];\nmov.u64 %rd1, stack;\nst.local.u32 [%rd1-4096], %r0;",
      kIllegalAddress, "local store");
}

TEST(Memory, SpacesOfGenericAddresses) {
  const auto after =
      run_on({0, 0, 0, 0, 0, 0},
             ".shared .align 4 .b8 tile[8];\n.local .align 4 .b8 stack[8];\n"
             "mov.u64 %rd1, tile;\ncvta.shared.u64 %rd2, %rd1;\nmov.u64 %rd3, stack;\n"
             "cvta.local.u64 %rd4, %rd3;\ncvta.to.shared.u64 %rd5, %rd2;\n"
             "isspacep.shared %p1, %rd2;\nisspacep.global %p2, %rd2;\nisspacep.local %p3, %rd4;\n"
             "isspacep.global %p4, %rd0;\nisspacep.shared %p5, %rd0;\n"
             "selp.u32 %r1, 1, 0, %p1;\nselp.u32 %r2, 1, 0, %p2;\nselp.u32 %r3, 1, 0, %p3;\n"
             "selp.u32 %r4, 1, 0, %p4;\nselp.u32 %r5, 1, 0, %p5;\nsetp.eq.u64 %p6, %rd5, %rd1;\n"
             "selp.u32 %r6, 1, 0, %p6;\nst.global.v2.u32 [%rd0], {%r1, %r2};\n"
             "st.global.v2.u32 [%rd0+8], {%r3, %r4};\nst.global.v2.u32 [%rd0+16], {%r5, %r6};");
  EXPECT_EQ(after, (std::vector<u32>{1, 0, 1, 1, 0, 1}));
}

// ---- Atomic operations --------------------------------------------------------------------------

/// All 32 lanes apply `operation` with operand `lane` to one word; returns the word.
u32 all_lanes(const std::string& operation, u32 start, bool shared) {
  std::string body;
  if (shared) {
    body = ".shared .align 4 .b32 cell;\nst.shared.u32 [cell], " + std::to_string(start) +
           ";\nbar.warp.sync -1;\natom.shared." + operation +
           ";\nbar.warp.sync -1;\nld.shared.u32 %r5, [cell];\nst.global.u32 [%rd0], %r5;";
    body.replace(body.find("ADDRESS"), 7, "[cell]");
  } else {
    body = "red.global." + operation + ";";
    body.erase(body.find("%r1, "), 5);
    body.replace(body.find("ADDRESS"), 7, "[%rd0]");
  }
  return run_on({start}, body)[0];
}

TEST(Atomics, OfAllLanes) {
  for (const bool shared : {false, true}) {
    EXPECT_EQ(all_lanes("add.u32 %r1, ADDRESS, %r0", 100, shared), 100u + 496);
    EXPECT_EQ(all_lanes("min.s32 %r1, ADDRESS, %r0", 7, shared), 0u);
    EXPECT_EQ(all_lanes("min.s32 %r1, ADDRESS, %r0", static_cast<u32>(-5), shared),
              static_cast<u32>(-5));
    EXPECT_EQ(all_lanes("min.u32 %r1, ADDRESS, %r0", static_cast<u32>(-5), shared), 0u);
    EXPECT_EQ(all_lanes("max.u32 %r1, ADDRESS, %r0", 7, shared), 31u);
    EXPECT_EQ(all_lanes("max.s32 %r1, ADDRESS, %r0", static_cast<u32>(-5), shared), 31u);
    EXPECT_EQ(all_lanes("or.b32 %r1, ADDRESS, %r0", 64, shared), 95u);
    EXPECT_EQ(all_lanes("and.b32 %r1, ADDRESS, %r0", 64, shared), 0u);
    EXPECT_EQ(all_lanes("xor.b32 %r1, ADDRESS, %r0", 64, shared), 64u);
    EXPECT_EQ(all_lanes("inc.u32 %r1, ADDRESS, 20", 0, shared), 32u % 21);
    EXPECT_EQ(all_lanes("dec.u32 %r1, ADDRESS, 20", 0, shared), 10u);
  }
}

// The old value comes back: the lanes' results are a permutation of the partial sums.
TEST(Atomics, ReturnTheOldValue) {
  std::vector<u32> words(33);
  words = run_on(words,
                 "atom.global.add.u32 %r1, [%rd0], 1;\nmul.wide.u32 %rd1, %r0, 4;\n"
                 "add.u64 %rd1, %rd1, %rd0;\nst.global.u32 [%rd1+4], %r1;");
  std::vector<u32> old(words.begin() + 1, words.end());
  std::sort(old.begin(), old.end());
  for (u32 k = 0; k < 32; ++k) EXPECT_EQ(old[k], k);
  EXPECT_EQ(words[0], 32u);
}

TEST(Atomics, ExchangeAndCompareAndSwap) {
  EXPECT_EQ(run_on({5, 9, 0, 0},
                   "setp.ne.u32 %p1, %r0, 0;\n@%p1 exit;\natom.global.exch.b32 %r1, [%rd0], 8;\n"
                   "atom.global.cas.b32 %r2, [%rd0+4], 9, 77;\natom.cas.b32 %r3, [%rd0+4], 9, 78;\n"
                   "st.global.v2.u32 [%rd0+8], {%r1, %r3};"),
            (std::vector<u32>{8, 77, 5, 77}));
  EXPECT_EQ(
      run_on({1, 2, 3, 0},
             "setp.ne.u32 %p1, %r0, 0;\n@%p1 exit;\nmov.u64 %rd1, 0x0000000200000001;\n"
             "mov.u64 %rd2, -1;\natom.global.cas.b64 %rd3, [%rd0], %rd1, %rd2;\n"
             "atom.global.cas.b16 %h1, [%rd0+8], 3, 4;\natom.global.add.u64 %rd4, [%rd0], 1;"),
      (std::vector<u32>{0, 0, 4, 0}));
}

TEST(Atomics, Floats) {
  // 32 times 0.5 onto 1; f64 2.0; f16x2 1 and 2; bf16 1.
  const auto after =
      run_on({0x3f800000u, 0, 0, 0x40000000u, 0x40003c00u, 0x00003f80u},
             "mov.f32 %f1, 0f3F000000;\nred.global.add.f32 [%rd0], %f1;\n"
             "mov.f64 %d1, 0d3FE0000000000000;\natom.global.add.f64 %d2, [%rd0+8], %d1;\n"
             "mov.b32 %r1, 0x38003800;\natom.global.add.noftz.f16x2 %r2, [%rd0+16], %r1;\n"
             "mov.b16 %h1, 0x3f00;\natom.global.add.noftz.bf16 %h2, [%rd0+20], %h1;");
  EXPECT_EQ(after[0], bits_of(17.0f));
  EXPECT_EQ(u64{after[3]} << 32 | after[2], bits_of(18.0));
  EXPECT_EQ(after[4], 0x4c804c40u);  // 18 and 17
  EXPECT_EQ(after[5], 0x4188u);      // 17
}

TEST(Atomics, ManyThreadsOfTheHost) {
  const Buffer<u32> cell(std::vector<u32>{0, 0});
  Settings settings;
  settings.threads = 4;
  Configuration shape;
  shape.grid.x = 500;
  shape.block.x = 96;
  const Report report =
      execute(kernel_of("red.global.add.u32 [%rd0], 1;\nmov.f32 %f1, 0f3F800000;\n"
                        "red.global.add.f32 [%rd0+4], %f1;",
                        1),
              {cell.address()}, settings, shape);
  EXPECT_EQ(report.error, kSuccess) << report.message;
  EXPECT_EQ(cell.values(), (std::vector<u32>{48000, static_cast<u32>(bits_of(48000.0f))}));
}

}  // namespace
}  // namespace emulator::test
