// Functions that the machine itself provides: vprintf, __assertfail, malloc, free.
#include <bit>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "calls.h"
#include "decode.h"
#include "device_memory.h"
#include "lanes.h"

namespace emulator {
namespace {

std::string text_at(u64 address) {
  return address ? std::string(reinterpret_cast<const char*>(address)) : std::string("(null)");
}

/// Bring one conversion of a format to text; `at` walks over the argument buffer.
std::string format_one(std::string form, u64& at) {
  char buffer[512];
  const char kind = form.back();
  const auto read = [&at](auto value) {
    at = (at + sizeof value - 1) / sizeof value * sizeof value;
    std::memcpy(&value, reinterpret_cast<const void*>(at), sizeof value);
    at += sizeof value;
    return value;
  };
  const bool wide = form.find('l') != std::string::npos || form.find('z') != std::string::npos ||
                    form.find('j') != std::string::npos;
  if (kind == 's') return text_at(read(u64{}));
  if (std::strchr("fFeEgGaA", kind)) {
    std::snprintf(buffer, sizeof buffer, form.c_str(), read(double{}));
  } else if (wide || kind == 'p') {
    std::snprintf(buffer, sizeof buffer, form.c_str(), read(u64{}));
  } else {
    std::snprintf(buffer, sizeof buffer, form.c_str(), read(u32{}));
  }
  return buffer;
}

std::string format_text(const std::string& format, u64 arguments) {
  std::string text;
  u64 at = arguments;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      text += format[i];
      continue;
    }
    if (i + 1 < format.size() && format[i + 1] == '%') {
      text += '%';
      ++i;
      continue;
    }
    const size_t end = format.find_first_of("diouxXcsfFeEgGaAp", i + 1);
    if (end == std::string::npos) return text + format.substr(i);
    text += format_one(format.substr(i, end + 1 - i), at);
    i = end;
  }
  return text;
}

template <class T>
T argument(const Warp& warp, u32 row, u32 lane) {
  T value;
  std::memcpy(&value, warp.registers + row + lane * sizeof value, sizeof value);
  return value;
}

/// operand[0]: result, operand[1...]: arguments; these are rows of parameters.
void print(Warp& warp, const Instruction& i) {
  each_lane(warp.mask, [&](u32 lane) {
    const std::string format = text_at(argument<u64>(warp, i.operand[1], lane));
    const std::string text = format_text(format, argument<u64>(warp, i.operand[2], lane));
    std::fputs(text.c_str(), stdout);
    warp.row<u32>(i.operand[0])[lane] = static_cast<u32>(text.size());
  });
}

void assertion_failed(Warp& warp, const Instruction& i) {
  const u32 lane = static_cast<u32>(std::countr_zero(warp.mask));
  const std::string what = text_at(argument<u64>(warp, i.operand[1], lane));
  const std::string file = text_at(argument<u64>(warp, i.operand[2], lane));
  const u32 line = argument<u32>(warp, i.operand[3], lane);
  fault(warp, i, kAssert, lane,
        file + ":" + std::to_string(line) + ": assertion `" + what + "` failed");
}

std::mutex& heap_lock() {
  static std::mutex lock;
  return lock;
}

void allocate(Warp& warp, const Instruction& i) {
  const std::lock_guard<std::mutex> hold(heap_lock());
  each_lane(warp.mask, [&](u32 lane) {
    const u64 bytes = argument<u64>(warp, i.operand[1], lane);
    const Allocation* got = DeviceMemory::instance().allocate(bytes, MemoryKind::kDevice, "malloc");
    warp.row<u64>(i.operand[0])[lane] = got ? got->base : 0;
  });
}

void release(Warp& warp, const Instruction& i) {
  const std::lock_guard<std::mutex> hold(heap_lock());
  each_lane(warp.mask, [&](u32 lane) {
    DeviceMemory::instance().release(argument<u64>(warp, i.operand[1], lane));
  });
}

struct Builtin {
  std::string_view name;
  Handler handler;
};
constexpr Builtin kBuiltins[] = {{"vprintf", print},
                                 {"__assertfail", assertion_failed},
                                 {"malloc", allocate},
                                 {"free", release}};

}  // namespace

Handler builtin_function(std::string_view name) {
  for (const Builtin& builtin : kBuiltins) {
    if (builtin.name == name) return builtin.handler;
  }
  return nullptr;
}

}  // namespace emulator
