// A tiled product of matrices: right, and at the rate that tests of whole networks count on.
//
// C[m,n] = sum over k of A[k,m] * B[k,n]. A block of 16x16 threads makes a tile of 64x64, 4x4 a
// thread, from slices of 16 rows of A and B in shared memory.
#include <ctime>

#include "ptx_program.h"

namespace emulator::test {
namespace {

constexpr u32 kSize = 256;

std::string number(u32 value) { return std::to_string(value); }

/// Rows of slices: byte `offset` of the row that thread reads in step k.
std::string inner_step(u32 k) {
  const std::string row = number(k * 256);
  std::string text = "ld.shared.v4.f32 {%f16, %f17, %f18, %f19}, [%r10+" + row + "];\n" +
                     "ld.shared.v4.f32 {%f20, %f21, %f22, %f23}, [%r11+" + row + "];\n";
  for (u32 i = 0; i < 4; ++i) {
    for (u32 j = 0; j < 4; ++j) {
      const std::string sum = "%f" + number(4 * i + j);
      text += "fma.rn.f32 " + sum + ", %f" + number(16 + i) + ", %f" + number(20 + j) + ", " + sum +
              ";\n";
    }
  }
  return text;
}

std::string product_kernel() {
  std::string body =
      ".shared .align 16 .b8 a_slice[4096];\n.shared .align 16 .b8 b_slice[4096];\n"
      "mov.u32 %r1, %ctaid.x;\nmov.u32 %r2, %ctaid.y;\nand.b32 %r3, %r0, 15;\nshr.u32 %r4, %r0, "
      "4;\n";
  for (u32 k = 0; k < 16; ++k) body += "mov.f32 %f" + number(k) + ", 0f00000000;\n";
  // The thread copies 16 bytes of row tid / 16 of each slice.
  body +=
      "shl.b32 %r5, %r3, 4;\nmov.u32 %r6, a_slice;\nmov.u32 %r7, b_slice;\nshl.b32 %r8, %r0, 4;\n"
      "add.u32 %r12, %r6, %r8;\nadd.u32 %r13, %r7, %r8;\nadd.u32 %r11, %r7, %r5;\n"
      "shl.b32 %r9, %r4, 4;\nadd.u32 %r10, %r6, %r9;\nmul.lo.u32 %r14, %r4, " +
      number(4 * kSize) +
      ";\nadd.u32 %r14, %r14, %r5;\nmad.lo.u32 %r15, %r2, 256, %r14;\n"
      "mad.lo.u32 %r16, %r1, 256, %r14;\ncvt.u64.u32 %rd3, %r15;\nadd.u64 %rd3, %rd0, %rd3;\n"
      "cvt.u64.u32 %rd4, %r16;\nadd.u64 %rd4, %rd1, %rd4;\nmov.u32 %r17, 0;\n"
      "slice:\nld.global.v4.f32 {%f24, %f25, %f26, %f27}, [%rd3];\n"
      "ld.global.v4.f32 {%f28, %f29, %f30, %f31}, [%rd4];\n"
      "st.shared.v4.f32 [%r12], {%f24, %f25, %f26, %f27};\n"
      "st.shared.v4.f32 [%r13], {%f28, %f29, %f30, %f31};\nbar.sync 0;\n";
  for (u32 k = 0; k < 16; ++k) body += inner_step(k);
  body += "bar.sync 0;\nadd.u64 %rd3, %rd3, " + number(64 * kSize) + ";\nadd.u64 %rd4, %rd4, " +
          number(64 * kSize) + ";\nadd.u32 %r17, %r17, 16;\nsetp.lt.u32 %p1, %r17, " +
          number(kSize) +
          ";\n@%p1 bra slice;\n"
          // Rows 64 * ctaid.y + 4 * (tid / 16) + i, columns 64 * ctaid.x + 4 * (tid % 16).
          "shl.b32 %r18, %r2, 6;\nmad.lo.u32 %r18, %r4, 4, %r18;\nmul.lo.u32 %r18, %r18, " +
          number(4 * kSize) +
          ";\nmad.lo.u32 %r18, %r1, 256, %r18;\nadd.u32 %r18, %r18, %r5;\n"
          "cvt.u64.u32 %rd5, %r18;\nadd.u64 %rd5, %rd2, %rd5;\n";
  for (u32 i = 0; i < 4; ++i) {
    body += "st.global.v4.f32 [%rd5+" + number(4 * kSize * i) + "], {";
    for (u32 j = 0; j < 4; ++j) body += (j ? ", %f" : "%f") + number(4 * i + j);
    body += "};\n";
  }
  return kernel_of(body, 3);
}

TEST(Speed, TiledProduct) {
  std::vector<float> a(kSize * kSize), b(a.size());
  for (u32 i = 0; i < a.size(); ++i) {
    a[i] = static_cast<float>(i * 37 % 101) - 50;
    b[i] = static_cast<float>(i * 53 % 97) - 48;
  }
  const Buffer<float> left(a), right(b), out(a.size());
  Configuration shape;
  shape.grid = {kSize / 64, kSize / 64, 1};
  shape.block = {256, 1, 1};
  const std::string ptx = product_kernel();
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const std::clock_t start = std::clock();
    const Report report = execute(ptx, {left.address(), right.address(), out.address()}, {}, shape);
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    ASSERT_EQ(report.error, kSuccess) << report.message;
    best = std::max(best, static_cast<double>(report.thread_instructions) / seconds);
  }
  // Whole numbers this small are exact in any order.
  const std::vector<float> got = out.values();
  for (u32 m = 0; m < kSize; m += 13) {
    for (u32 n = 0; n < kSize; ++n) {
      float sum = 0;
      for (u32 k = 0; k < kSize; ++k) sum += a[k * kSize + m] * b[k * kSize + n];
      ASSERT_EQ(got[m * kSize + n], sum) << m << ", " << n;
    }
  }
  RecordProperty("thread_instructions_per_second", std::to_string(best));
  std::printf("%.2e thread-instructions a second of one core\n", best);
#ifdef NDEBUG
  EXPECT_GT(best, 8e8);
#endif
}

}  // namespace
}  // namespace emulator::test
