// The one-dimensional transforms of Winograd's convolution F(m, 3), on vectors of channels.
//
//   y  = A^T [(G g) * (B^T d)]    d: m + 2 inputs, g: 3 weights, y: m outputs
//   dg = G^T [(B^T d) * (A dy)]   the gradient of the weights, summed over tiles before G^T
//
// where * is element by element.
// In two dimensions each is applied to columns, then to rows. Toom-Cook at the points p_j and
// infinity gives  A^T[i][j] = p_j^i,  G[j][i] = p_j^i / prod over l != j of (p_j - p_l),  and row j
// of B^T is the polynomial  prod over l != j of (x - p_l).  Lavin and Gray, "Fast algorithms for
// convolutional neural networks", arXiv 1509.09308.
//
// F(4, 3) uses the points 0, +-1/sqrt2, +-sqrt2 in place of the paper's 0, +-1, +-2: points that
// are each other's negative and reciprocal keep the entries near 1, and the error is half as large
// at the same cost. Alam et al., "Winograd convolution for deep neural networks: efficient point
// selection", ACM TECS 21(6), 2022.
#pragma once

#include <striate/kernels/simd/vector.h>

namespace striate::kernels::simd {

/// F(2, 3) at 0, 1, -1: 2.25 times fewer multiplications in two dimensions.
template <class V>
struct Winograd2 {
  using Reg = typename V::Reg;
  static constexpr int kOut = 2, kIn = 4;

  static void input(const Reg* d, Reg* t) {
    t[0] = V::subtract(d[0], d[2]);
    t[1] = V::add(d[1], d[2]);
    t[2] = V::subtract(d[2], d[1]);
    t[3] = V::subtract(d[3], d[1]);
  }
  static void weight(const Reg* g, Reg* u) {
    const Reg half = V::broadcast(0.5f);
    const Reg even = V::multiply(V::add(g[0], g[2]), half), odd = V::multiply(g[1], half);
    u[0] = g[0];
    u[1] = V::add(even, odd);
    u[2] = V::subtract(even, odd);
    u[3] = g[2];
  }
  static void output(const Reg* m, Reg* y) {
    y[0] = V::add(m[0], V::add(m[1], m[2]));
    y[1] = V::add(V::subtract(m[1], m[2]), m[3]);
  }
  static void output_gradient(const Reg* y, Reg* z) {
    z[0] = y[0];
    z[1] = V::add(y[0], y[1]);
    z[2] = V::subtract(y[0], y[1]);
    z[3] = y[1];
  }
  static void weight_gradient(const Reg* u, Reg* g) {
    const Reg half = V::broadcast(0.5f);
    const Reg sum = V::multiply(V::add(u[1], u[2]), half);
    g[0] = V::add(u[0], sum);
    g[1] = V::multiply(V::subtract(u[1], u[2]), half);
    g[2] = V::add(sum, u[3]);
  }
};

/// F(4, 3) at 0, +-a, +-b with a = 1/sqrt2, b = sqrt2: 4 times fewer multiplications.
template <class V>
struct Winograd4 {
  using Reg = typename V::Reg;
  static constexpr int kOut = 4, kIn = 6;
  static constexpr float kA = 0.70710678118654752f, kB = 1.41421356237309505f;

  static void input(const Reg* d, Reg* t) {
    const Reg a = V::broadcast(kA), b = V::broadcast(kB), two = V::broadcast(-2.0f);
    const Reg half = V::broadcast(-0.5f), middle = V::broadcast(-2.5f);
    const Reg even_a = V::multiply_add(two, d[2], d[4]);
    const Reg odd_a = V::multiply(a, V::multiply_add(two, d[1], d[3]));
    const Reg even_b = V::multiply_add(half, d[2], d[4]);
    const Reg odd_b = V::multiply(b, V::multiply_add(half, d[1], d[3]));
    t[0] = V::multiply_add(middle, d[2], V::add(d[0], d[4]));
    t[1] = V::add(even_a, odd_a);
    t[2] = V::subtract(even_a, odd_a);
    t[3] = V::add(even_b, odd_b);
    t[4] = V::subtract(even_b, odd_b);
    t[5] = V::multiply_add(middle, d[3], V::add(d[1], d[5]));
  }
  static void weight(const Reg* g, Reg* u) {
    const Reg third = V::broadcast(-2.0f / 3), sixth = V::broadcast(1.0f / 6);
    const Reg even_a = V::multiply(third, V::multiply_add(V::broadcast(0.5f), g[2], g[0]));
    const Reg odd_a = V::multiply(V::broadcast(-2.0f / 3 * kA), g[1]);
    const Reg even_b = V::multiply(sixth, V::multiply_add(V::broadcast(2.0f), g[2], g[0]));
    const Reg odd_b = V::multiply(V::broadcast(1.0f / 6 * kB), g[1]);
    u[0] = g[0];
    u[1] = V::add(even_a, odd_a);
    u[2] = V::subtract(even_a, odd_a);
    u[3] = V::add(even_b, odd_b);
    u[4] = V::subtract(even_b, odd_b);
    u[5] = g[2];
  }
  static void output(const Reg* m, Reg* y) {
    const Reg sum_a = V::add(m[1], m[2]), sum_b = V::add(m[3], m[4]);
    const Reg odd_a = V::multiply(V::broadcast(kA), V::subtract(m[1], m[2]));
    const Reg odd_b = V::multiply(V::broadcast(kB), V::subtract(m[3], m[4]));
    y[0] = V::add(m[0], V::add(sum_a, sum_b));
    y[1] = V::add(odd_a, odd_b);
    y[2] = V::multiply_add(V::broadcast(0.5f), sum_a, V::add(sum_b, sum_b));
    y[3] = V::add(V::multiply_add(V::broadcast(0.5f), odd_a, m[5]), V::add(odd_b, odd_b));
  }
  static void output_gradient(const Reg* y, Reg* z) {
    const Reg half = V::broadcast(0.5f), two = V::broadcast(2.0f);
    const Reg even_a = V::multiply_add(half, y[2], y[0]);
    const Reg odd_a = V::multiply(V::broadcast(kA), V::multiply_add(half, y[3], y[1]));
    const Reg even_b = V::multiply_add(two, y[2], y[0]);
    const Reg odd_b = V::multiply(V::broadcast(kB), V::multiply_add(two, y[3], y[1]));
    z[0] = y[0];
    z[1] = V::add(even_a, odd_a);
    z[2] = V::subtract(even_a, odd_a);
    z[3] = V::add(even_b, odd_b);
    z[4] = V::subtract(even_b, odd_b);
    z[5] = y[3];
  }
  static void weight_gradient(const Reg* u, Reg* g) {
    const Reg third = V::broadcast(-2.0f / 3), sixth = V::broadcast(1.0f / 6);
    const Reg sum_a = V::multiply(third, V::add(u[1], u[2]));
    const Reg sum_b = V::multiply(sixth, V::add(u[3], u[4]));
    const Reg odd_a = V::multiply(V::broadcast(-2.0f / 3 * kA), V::subtract(u[1], u[2]));
    g[0] = V::add(u[0], V::add(sum_a, sum_b));
    g[1] = V::multiply_add(V::broadcast(1.0f / 6 * kB), V::subtract(u[3], u[4]), odd_a);
    g[2] = V::add(V::multiply_add(V::broadcast(0.5f), sum_a, u[5]), V::add(sum_b, sum_b));
  }
};

}  // namespace striate::kernels::simd
