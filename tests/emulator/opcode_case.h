// Runs one instruction over all combinations of edge values and compares with an oracle.
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

#include "ptx_program.h"

namespace emulator::test {

inline std::string register_type(size_t bytes) { return ".b" + std::to_string(8 * bytes); }

inline std::string in_hexadecimal(u64 bits) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(bits));
  return text;
}

template <class T>
u64 bits_of(T value) {
  u64 bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  return bits;
}

/// Equal bits, or both NaN for floating types.
template <class T>
bool same_value(T a, T b) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::isnan(a) && std::isnan(b);
  }
  return bits_of(a) == bits_of(b);
}

/// The kernel: d = instruction(a, b, c, e), one thread an element. With `guarded` only threads
/// whose index has an odd number of set bits execute it; the others keep what d held before.
inline std::string opcode_kernel(const std::string& instruction, size_t result,
                                 const std::vector<size_t>& sources, bool guarded) {
  static const char* const names[] = {"a", "b", "c", "e"};
  std::string text =
      ".version 9.0\n.target sm_90\n.address_size 64\n.visible .entry test(.param .u64 count";
  for (size_t k = 0; k <= sources.size(); ++k) text += ", .param .u64 p" + std::to_string(k);
  text += ")\n{\n.reg .pred %p<4>, p, q;\n.reg .b32 %r<8>;\n.reg .b64 %rd<16>;\n.reg " +
          register_type(result) + " d;\n";
  for (size_t k = 0; k < sources.size(); ++k) {
    text += ".reg " + register_type(sources[k]) + " " + names[k] + ";\n";
  }
  text +=
      "mov.u32 %r0, %tid.x;\nmov.u32 %r1, %ctaid.x;\nmad.lo.u32 %r2, %r1, 64, %r0;\n"
      "ld.param.u64 %rd0, [count];\ncvt.u32.u64 %r3, %rd0;\nsetp.ge.u32 %p0, %r2, %r3;\n"
      "@%p0 exit;\n";
  const auto address = [&](size_t k, size_t bytes) {
    const std::string base = "%rd" + std::to_string(2 + k);
    text += "ld.param.u64 %rd1, [p" + std::to_string(k) + "];\nmad.wide.u32 " + base + ", %r2, " +
            std::to_string(bytes) + ", %rd1;\n";
    return "[" + base + "]";
  };
  const std::string to = address(0, result);
  text += "ld.global" + register_type(result) + " d, " + to + ";\n";
  for (size_t k = 0; k < sources.size(); ++k) {
    const std::string from = address(k + 1, sources[k]);
    text += "ld.global" + register_type(sources[k]) + " " + names[k] + ", " + from + ";\n";
  }
  if (guarded) {
    text += "popc.b32 %r4, %r2;\nand.b32 %r4, %r4, 1;\nsetp.ne.u32 %p1, %r4, 0;\n";
    text += "@!%p1 bra skip;\n" + instruction + ";\nskip:\n";
  } else {
    text += instruction + ";\n";
  }
  return text + "st.global" + register_type(result) + " " + to + ", d;\nret;\n}\n";
}

/// All combinations of the values, one vector a source.
template <class... S>
std::tuple<std::vector<S>...> combinations(const std::vector<S>&... values) {
  std::tuple<std::vector<S>...> all;
  size_t count = 1;
  ((count *= values.size()), ...);
  size_t stride = 1;
  const auto fill = [&](auto& column, const auto& list) {
    for (size_t i = 0; i < count; ++i) column.push_back(list[i / stride % list.size()]);
    stride *= list.size();
  };
  std::apply([&](auto&... columns) { (fill(columns, values), ...); }, all);
  return all;
}

/// Check `instruction`, which reads a, b, c, e and writes d, against `oracle` with `close(got,
/// want)`. Results start as all ones and must stay so where the guard is false.
template <class D, class Close, class Oracle, class... S>
void check_opcode_by(Close close, const std::string& instruction, Oracle oracle,
                     const std::vector<S>&... values) {
  SCOPED_TRACE(instruction);
  const std::tuple<std::vector<S>...> columns = combinations(values...);
  const size_t count = std::get<0>(columns).size();
  D untouched;
  std::memset(&untouched, 0xff, sizeof untouched);
  for (const bool guarded : {false, true}) {
    Buffer<D> result(std::vector<D>(count, untouched));
    const auto buffers = std::apply(
        [](const auto&... column) {
          return std::make_tuple(std::make_unique<Buffer<S>>(column)...);
        },
        columns);
    std::vector<u64> parameters = {count, result.address()};
    std::apply([&](const auto&... buffer) { (parameters.push_back(buffer->address()), ...); },
               buffers);
    const std::string ptx = opcode_kernel(instruction, sizeof(D), {sizeof(S)...}, guarded);
    Configuration shape;
    shape.grid.x = static_cast<u32>((count + 63) / 64);
    shape.block.x = 64;
    const Report report = execute(ptx, parameters, {}, shape);
    ASSERT_EQ(report.error, kSuccess) << report.message;
    const std::vector<D> got = result.values();
    int shown = 0;
    for (size_t i = 0; i < count && shown < 5; ++i) {
      const bool executed = !guarded || __builtin_popcountll(i) % 2;
      std::apply(
          [&](const auto&... column) {
            const D want = executed ? static_cast<D>(oracle(column[i]...)) : untouched;
            const bool right = executed ? close(got[i], want) : bits_of(got[i]) == bits_of(want);
            if (right) return;
            ++shown;
            std::string inputs;
            ((inputs += " " + in_hexadecimal(bits_of(column[i]))), ...);
            ADD_FAILURE() << (guarded ? "guarded, " : "") << "inputs" << inputs << ": got "
                          << in_hexadecimal(bits_of(got[i])) << ", want "
                          << in_hexadecimal(bits_of(want));
          },
          columns);
    }
  }
}

template <class D, class Oracle, class... S>
void check_opcode(const std::string& instruction, Oracle oracle, const std::vector<S>&... values) {
  check_opcode_by<D>([](D got, D want) { return same_value(got, want); }, instruction, oracle,
                     values...);
}

/// For approximate units: `relative` error, or `absolute` near zero.
template <class D, class Oracle, class... S>
void check_near(double relative, double absolute, const std::string& instruction, Oracle oracle,
                const std::vector<S>&... values) {
  check_opcode_by<D>(
      [=](D got, D want) {
        if (std::isnan(want) || std::isinf(want) || want == 0) return same_value(got, want);
        const double error = std::fabs(static_cast<double>(got) - static_cast<double>(want));
        return error <= absolute || error <= relative * std::fabs(static_cast<double>(want));
      },
      instruction, oracle, values...);
}

/// Edge values of an integer type and some in between.
template <class T>
std::vector<T> edges() {
  using Limits = std::numeric_limits<T>;
  return {T(0),
          T(1),
          T(2),
          T(3),
          T(-1),
          T(-2),
          T(7),
          T(31),
          Limits::max(),
          Limits::min(),
          T(Limits::max() - 1),
          T(Limits::min() + 1),
          T(0x5a),
          T(0x1234567890abcdefull),
          T(0xfedcba9876543210ull),
          T(Limits::max() / 2 + 1)};
}

inline std::vector<float> float_edges() {
  const float inf = std::numeric_limits<float>::infinity();
  return {0.0f,        -0.0f,           1.0f,          -1.0f,      1.5f,   -2.5f,
          0.1f,        3.0e38f,         -3e38f,        inf,        -inf,   NAN,
          0x1p-126f,   -0x1p-126f,      0x1p-149f,     -0x1p-149f, 1e-40f, 123.456f,
          16777217.0f, 0x1.fffffep127f, 0x1.000002p0f, 1e10f,      0.5f,   -0.75f};
}

inline std::vector<double> double_edges() {
  const double inf = std::numeric_limits<double>::infinity();
  return {0.0,
          -0.0,
          1.0,
          -1.0,
          1.5,
          -2.5,
          0.1,
          1.7e308,
          -1.7e308,
          inf,
          -inf,
          double(NAN),
          0x1p-1022,
          0x1p-1074,
          -0x1p-1074,
          123.456,
          9007199254740993.0,
          0x1.0000000000001p0};
}

}  // namespace emulator::test
