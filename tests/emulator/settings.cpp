// Settings by environment variables.
#include <cstdlib>
#include <stdexcept>

#include "machine.h"

namespace emulator {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

[[noreturn]] void refuse(const std::string& name, const std::string& value,
                         const std::string& allowed) {
  throw std::invalid_argument(name + " must be " + allowed + ". Got '" + value + "'.");
}

u64 number(const char* name, u64 otherwise) {
  const std::string value = variable(name);
  if (value.empty()) return otherwise;
  char* end = nullptr;
  const u64 result = std::strtoull(value.c_str(), &end, 0);
  if (*end) refuse(name, value, "a number");
  return result;
}

Checks checks() {
  const std::string value = variable("EMULATOR_CHECKS");
  if (value.empty() || value == "bounds") return Checks::kBounds;
  if (value == "off") return Checks::kOff;
  if (value == "full") return Checks::kFull;
  refuse("EMULATOR_CHECKS", value, "off, bounds or full");
}

u32 capability() {
  const std::string value = variable("EMULATOR_CAPABILITY");
  if (value.empty() || value == "8.0") return 80;
  if (value == "7.0") return 70;
  if (value == "7.5") return 75;
  if (value == "9.0") return 90;
  refuse("EMULATOR_CAPABILITY", value, "7.0, 7.5, 8.0 or 9.0");
}

Mutant mutant() {
  const std::string value = variable("EMULATOR_MUTANT");
  if (value.empty()) return {};
  const size_t first = value.find(':');
  const size_t second = value.find(':', first + 1);
  if (first == std::string::npos || second == std::string::npos) {
    refuse("EMULATOR_MUTANT", value, "kernel:kind:index");
  }
  Mutant mutant;
  mutant.kernel = value.substr(0, first);
  mutant.kind = value.substr(first + 1, second - first - 1);
  mutant.index = static_cast<u32>(std::strtoul(value.c_str() + second + 1, nullptr, 10));
  return mutant;
}

}  // namespace

const Settings& environment_settings() {
  static const Settings settings = [] {
    Settings made;
    made.checks = checks();
    made.threads = static_cast<u32>(number("EMULATOR_THREADS", made.threads));
    made.seed = number("EMULATOR_SEED", made.seed);
    made.capability = capability();
    made.counters = !variable("EMULATOR_COUNTERS").empty() && variable("EMULATOR_COUNTERS") != "0";
    made.sample_blocks = number("EMULATOR_SAMPLE_BLOCKS", made.sample_blocks);
    made.watchdog = number("EMULATOR_WATCHDOG", made.watchdog);
    made.mutant = mutant();
    return made;
  }();
  return settings;
}

}  // namespace emulator
