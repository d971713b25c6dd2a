// Pooling in plain loops: the oracle.
#include <striate/kernels/pool2d.h>

#include <algorithm>
#include <cmath>

namespace striate::kernels {
namespace {

/// Index of element (n, i, j, c) of dense [N, rows, columns, C].
struct Dense {
  int64_t rows, columns, channels;
  int64_t operator()(int64_t n, int64_t i, int64_t j, int64_t c) const {
    return ((n * rows + i) * columns + j) * channels + c;
  }
};

template <class Body>
void for_each_output(const Pool2dShape& s, const Body& body) {
  for (int64_t n = 0; n < s.N; ++n)
    for (int64_t p = 0; p < s.h.out; ++p)
      for (int64_t q = 0; q < s.w.out; ++q)
        for (int64_t c = 0; c < s.C; ++c) body(n, p, q, c);
}

/// Return the winner of one window: its place, or -1 when the window has none on the image.
template <class T>
int64_t find_winner(const Pool2dShape& s, const T* x, int64_t n, int64_t p, int64_t q, int64_t c) {
  const Dense in{s.h.size, s.w.size, s.C};
  int64_t place = -1;
  T best = 0;
  for (int64_t r = s.h.first(p); r < s.h.last(p); ++r)
    for (int64_t k = s.w.first(q); k < s.w.last(q); ++k) {
      const T v = x[in(n, s.h.start(p) + r, s.w.start(q) + k, c)];
      if (place < 0 || v > best || (std::isnan(v) && !std::isnan(best))) {
        best = v;
        place = r * s.w.window + k;
      }
    }
  return place;
}

/// Return where on the image the winner `place` of window (p, q) lies; -1 outside it, or for none.
int64_t winner_index(const Pool2dShape& s, int64_t place, int64_t n, int64_t p, int64_t q,
                     int64_t c) {
  if (place < 0 || place >= s.none()) return -1;
  const int64_t i = s.h.start(p) + place / s.w.window, j = s.w.start(q) + place % s.w.window;
  if (i < 0 || i >= s.h.size || j < 0 || j >= s.w.size) return -1;
  return Dense{s.h.size, s.w.size, s.C}(n, i, j, c);
}

template <class T, class Winner>
void max_forward(const Pool2dShape& s, const Arguments& a) {
  const T* x = static_cast<const T*>(a.inputs[0]);
  T* y = static_cast<T*>(a.outputs[0]);
  Winner* winner = static_cast<Winner*>(a.outputs[1]);
  const Dense out{s.h.out, s.w.out, s.C};
  for_each_output(s, [&](int64_t n, int64_t p, int64_t q, int64_t c) {
    const int64_t place = find_winner(s, x, n, p, q, c);
    const T best = place < 0 ? T(0) : x[winner_index(s, place, n, p, q, c)];
    const bool is_none = s.rectified && place >= 0 && !(best > 0);
    winner[out(n, p, q, c)] = static_cast<Winner>(is_none ? s.none() : std::max<int64_t>(place, 0));
    y[out(n, p, q, c)] = best;
  });
}

template <class T, class Winner>
void max_backward(const Pool2dShape& s, const Arguments& a) {
  const T* dy = static_cast<const T*>(a.inputs[0]);
  const Winner* winner = static_cast<const Winner*>(a.inputs[1]);
  T* dx = static_cast<T*>(a.outputs[0]);
  const Dense out{s.h.out, s.w.out, s.C};
  std::vector<double> sum(static_cast<size_t>(s.N * s.h.size * s.w.size * s.C));
  for_each_output(s, [&](int64_t n, int64_t p, int64_t q, int64_t c) {
    const int64_t i = winner_index(s, winner[out(n, p, q, c)], n, p, q, c);
    if (i >= 0) sum[static_cast<size_t>(i)] += dy[out(n, p, q, c)];
  });
  for (size_t i = 0; i < sum.size(); ++i) dx[i] = static_cast<T>(sum[i]);
}

template <class T, class Winner>
void max_gather(const Pool2dShape& s, const Arguments& a) {
  const T* x = static_cast<const T*>(a.inputs[0]);
  const Winner* winner = static_cast<const Winner*>(a.inputs[1]);
  T* y = static_cast<T*>(a.outputs[0]);
  const Dense out{s.h.out, s.w.out, s.C};
  for_each_output(s, [&](int64_t n, int64_t p, int64_t q, int64_t c) {
    const int64_t i = winner_index(s, winner[out(n, p, q, c)], n, p, q, c);
    y[out(n, p, q, c)] = i < 0 ? T(0) : x[i];
  });
}

template <class T>
void avg_forward(const Pool2dShape& s, const Arguments& a) {
  const T* x = static_cast<const T*>(a.inputs[0]);
  T* y = static_cast<T*>(a.outputs[0]);
  const Dense in{s.h.size, s.w.size, s.C}, out{s.h.out, s.w.out, s.C};
  for_each_output(s, [&](int64_t n, int64_t p, int64_t q, int64_t c) {
    double sum = 0;
    for (int64_t r = s.h.first(p); r < s.h.last(p); ++r)
      for (int64_t k = s.w.first(q); k < s.w.last(q); ++k)
        sum += x[in(n, s.h.start(p) + r, s.w.start(q) + k, c)];
    y[out(n, p, q, c)] = static_cast<T>(sum * s.share(p, q));
  });
}

template <class T>
void avg_backward(const Pool2dShape& s, const Arguments& a) {
  const T* dy = static_cast<const T*>(a.inputs[0]);
  T* dx = static_cast<T*>(a.outputs[0]);
  const Dense in{s.h.size, s.w.size, s.C}, out{s.h.out, s.w.out, s.C};
  std::vector<double> sum(static_cast<size_t>(s.N * s.h.size * s.w.size * s.C));
  for_each_output(s, [&](int64_t n, int64_t p, int64_t q, int64_t c) {
    const double part = dy[out(n, p, q, c)] * s.share(p, q);
    for (int64_t r = s.h.first(p); r < s.h.last(p); ++r)
      for (int64_t k = s.w.first(q); k < s.w.last(q); ++k)
        sum[static_cast<size_t>(in(n, s.h.start(p) + r, s.w.start(q) + k, c))] += part;
  });
  for (size_t i = 0; i < sum.size(); ++i) dx[i] = static_cast<T>(sum[i]);
}

template <class T>
void global_forward(const Problem& problem, const Arguments& a) {
  const Shape& image = problem.inputs[0].shape;
  const int64_t C = image[3], places = image[1] * image[2];
  const T* x = static_cast<const T*>(a.inputs[0]);
  T* y = static_cast<T*>(a.outputs[0]);
  for (int64_t n = 0; n < image[0]; ++n)
    for (int64_t c = 0; c < C; ++c) {
      double sum = 0;
      for (int64_t i = 0; i < places; ++i) sum += x[(n * places + i) * C + c];
      y[n * C + c] = places ? static_cast<T>(sum / static_cast<double>(places)) : T(0);
    }
}

template <class T>
void global_backward(const Problem& problem, const Arguments& a) {
  const Shape& image = problem.inputs[1].shape;
  const int64_t C = image[3], places = image[1] * image[2];
  const T* dy = static_cast<const T*>(a.inputs[0]);
  T* dx = static_cast<T*>(a.outputs[0]);
  for (int64_t i = 0; i < image.elements(); ++i)
    dx[i] = static_cast<T>(dy[i / (places * C) * C + i % C] / static_cast<double>(places));
}

/// Run `float_run` or `double_run` by the type of the first input.
using Run = void (*)(const Problem&, const Arguments&);
Entry by_type(const char* operation, Run float_run, Run double_run) {
  return reference_entry(operation, [=](const Problem& problem, const Arguments& a) {
    (problem.inputs[0].dtype == DType::kF64 ? double_run : float_run)(problem, a);
  });
}

/// Run `body(shape, T, Winner)`; the image is input `image`, the winner's type is the options'.
template <class Body>
void with_winner(const Problem& problem, int image, const Body& body) {
  const auto& options = problem.get<Pool2dOptions>();
  const Pool2dShape s = pool2d_shape(options, problem.inputs[static_cast<size_t>(image)].shape);
  const bool is_double = problem.inputs[0].dtype == DType::kF64;
  const bool is_byte = pool2d_winner_dtype(options) == DType::kU8;
  if (is_byte && is_double) body(s, double(), uint8_t());
  if (is_byte && !is_double) body(s, float(), uint8_t());
  if (!is_byte && is_double) body(s, double(), int32_t());
  if (!is_byte && !is_double) body(s, float(), int32_t());
}

template <class T>
void avg_run(const Problem& p, const Arguments& a) {
  avg_forward<T>(pool2d_shape(p.get<Pool2dOptions>(), p.inputs[0].shape), a);
}
template <class T>
void avg_backward_run(const Problem& p, const Arguments& a) {
  avg_backward<T>(pool2d_shape(p.get<Pool2dOptions>(), p.inputs[1].shape), a);
}

const Register max_pool2d(reference_entry("max_pool2d", [](const Problem& p, const Arguments& a) {
  with_winner(p, 0, [&](auto& s, auto t, auto w) { max_forward<decltype(t), decltype(w)>(s, a); });
}));
const Register max_pool2d_backward(reference_entry("max_pool2d_backward", [](const Problem& p,
                                                                             const Arguments& a) {
  with_winner(p, 2, [&](auto& s, auto t, auto w) { max_backward<decltype(t), decltype(w)>(s, a); });
}));
const Register max_pool2d_gather(reference_entry("max_pool2d_gather", [](const Problem& p,
                                                                         const Arguments& a) {
  with_winner(p, 0, [&](auto& s, auto t, auto w) { max_gather<decltype(t), decltype(w)>(s, a); });
}));
const Register avg_pool2d(by_type("avg_pool2d", avg_run<float>, avg_run<double>));
const Register avg_pool2d_backward(by_type("avg_pool2d_backward", avg_backward_run<float>,
                                           avg_backward_run<double>));
const Register global_avg_pool2d(by_type("global_avg_pool2d", global_forward<float>,
                                         global_forward<double>));
const Register global_avg_pool2d_backward(by_type("global_avg_pool2d_backward",
                                                  global_backward<float>, global_backward<double>));

}  // namespace
}  // namespace striate::kernels
