// The vector types of the convolution kernels: all intrinsics are behind these two.
//
// A kernel is a template over one of them and is compiled once in kernels/avx2/ and once in
// kernels/avx512/. Everything in kernels/simd/ that makes code is such a template, so that no
// symbol compiled for a wide instruction set can stand in for one that must run everywhere.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace striate::kernels::simd {

#if defined(__AVX2__) && !defined(__AVX512F__)
/// Eight floats of AVX2 with fused multiply-add.
struct F32x8 {
  static constexpr int kLanes = 8;
  static constexpr int kRegisters = 16;
  using Reg = __m256;

  static Reg zero() { return _mm256_setzero_ps(); }
  static Reg load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Reg a) { _mm256_storeu_ps(p, a); }
  static void prefetch(const float* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  }
  static Reg broadcast(float a) { return _mm256_set1_ps(a); }
  static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
  static Reg subtract(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
  static Reg multiply(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
  /// a * b + c, rounded once.
  static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm256_fmadd_ps(a, b, c); }
  /// b where a < 0, else a; NaN stays NaN.
  static Reg if_negative(Reg a, Reg b) {
    return _mm256_blendv_ps(a, b, _mm256_cmp_ps(a, zero(), _CMP_LT_OQ));
  }
  /// The smaller; NaN in a stays NaN.
  static Reg at_most(Reg a, Reg limit) { return _mm256_min_ps(limit, a); }
  /// Keep the lanes of a where y is above zero; the others become zero.
  static Reg where_positive(Reg y, Reg a) {
    return _mm256_and_ps(_mm256_cmp_ps(y, zero(), _CMP_GT_OQ), a);
  }
  /// The first `count` lanes, zero in the others whatever they hold.
  static Reg first_lanes(Reg a, int64_t count) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i kept = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), lane);
    return _mm256_and_ps(a, _mm256_castsi256_ps(kept));
  }
  /// Keep a value in one register: gcc otherwise folds its load into every use (75 % of the speed).
  static void pin(Reg& a) { asm("" : "+x"(a)); }

  /// Turn rows into columns: r[i][j] becomes r[j][i].
  static void transpose(Reg (&r)[8]) {
    Reg t[8], u[8];
    for (int i = 0; i < 4; ++i) {
      t[2 * i] = _mm256_unpacklo_ps(r[2 * i], r[2 * i + 1]);
      t[2 * i + 1] = _mm256_unpackhi_ps(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 2; ++i) {
      u[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
      u[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xEE);
      u[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
      u[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xEE);
    }
    for (int i = 0; i < 4; ++i) {
      r[i] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x20);
      r[i + 4] = _mm256_permute2f128_ps(u[i], u[i + 4], 0x31);
    }
  }
};
#endif

#if defined(__AVX512F__)
/// Sixteen floats of AVX-512.
struct F32x16 {
  static constexpr int kLanes = 16;
  static constexpr int kRegisters = 32;
  using Reg = __m512;

  static Reg zero() { return _mm512_setzero_ps(); }
  static Reg load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Reg a) { _mm512_storeu_ps(p, a); }
  static void prefetch(const float* p) {
    _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0);
  }
  static Reg broadcast(float a) { return _mm512_set1_ps(a); }
  static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
  static Reg subtract(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
  static Reg multiply(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
  static Reg multiply_add(Reg a, Reg b, Reg c) { return _mm512_fmadd_ps(a, b, c); }
  static Reg if_negative(Reg a, Reg b) {
    return _mm512_mask_mov_ps(a, _mm512_cmp_ps_mask(a, zero(), _CMP_LT_OQ), b);
  }
  static Reg where_positive(Reg y, Reg a) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, zero(), _CMP_GT_OQ), a);
  }
  static Reg at_most(Reg a, Reg limit) {
    return _mm512_mask_mov_ps(a, _mm512_cmp_ps_mask(limit, a, _CMP_LT_OQ), limit);
  }
  static Reg first_lanes(Reg a, int64_t count) {
    return _mm512_maskz_mov_ps(static_cast<__mmask16>((1u << count) - 1), a);
  }
  static void pin(Reg& a) { asm("" : "+v"(a)); }

  static void transpose(Reg (&r)[16]) {
    constexpr __mmask16 kAll = 0xFFFF;  // gcc 12 warns of the unmasked forms' undefined operand
    Reg t[16], u[16];
    for (int i = 0; i < 8; ++i) {
      t[2 * i] = _mm512_maskz_unpacklo_ps(kAll, r[2 * i], r[2 * i + 1]);
      t[2 * i + 1] = _mm512_maskz_unpackhi_ps(kAll, r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; ++i) {
      u[4 * i] = _mm512_maskz_shuffle_ps(kAll, t[4 * i], t[4 * i + 2], 0x44);
      u[4 * i + 1] = _mm512_maskz_shuffle_ps(kAll, t[4 * i], t[4 * i + 2], 0xEE);
      u[4 * i + 2] = _mm512_maskz_shuffle_ps(kAll, t[4 * i + 1], t[4 * i + 3], 0x44);
      u[4 * i + 3] = _mm512_maskz_shuffle_ps(kAll, t[4 * i + 1], t[4 * i + 3], 0xEE);
    }
    for (int i = 0; i < 4; ++i) {  // u[4 * b + i] holds columns i, i + 4, ... of rows 4 * b ...
      const Reg a = _mm512_maskz_shuffle_f32x4(kAll, u[i], u[i + 4], 0x88);
      const Reg b = _mm512_maskz_shuffle_f32x4(kAll, u[i + 8], u[i + 12], 0x88);
      const Reg c = _mm512_maskz_shuffle_f32x4(kAll, u[i], u[i + 4], 0xDD);
      const Reg d = _mm512_maskz_shuffle_f32x4(kAll, u[i + 8], u[i + 12], 0xDD);
      r[i] = _mm512_maskz_shuffle_f32x4(kAll, a, b, 0x88);
      r[i + 8] = _mm512_maskz_shuffle_f32x4(kAll, a, b, 0xDD);
      r[i + 4] = _mm512_maskz_shuffle_f32x4(kAll, c, d, 0x88);
      r[i + 12] = _mm512_maskz_shuffle_f32x4(kAll, c, d, 0xDD);
    }
  }
};
#endif

}  // namespace striate::kernels::simd
