#include <sched.h>
#include <striate/core/error.h>
#include <striate/core/parallel.h>
#include <striate/core/run_alone.h>

#include <atomic>
#include <cstdlib>
#include <string>

namespace striate {
namespace {

int default_threads() {
  if (const char* text = std::getenv("STRIATE_THREADS")) {
    const int count = std::atoi(text);
    if (count >= 1) return count;
  }
  cpu_set_t set;
  const int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return cores < 1 ? 1 : cores;
}

std::atomic<int>& team() {
  static std::atomic<int> count{default_threads()};
  return count;
}

thread_local bool alone = false;

}  // namespace

RunAlone::RunAlone() : before_(alone) { alone = true; }
RunAlone::~RunAlone() { alone = before_; }

int threads() { return alone ? 1 : team().load(std::memory_order_relaxed); }

void set_threads(int count) {
  if (count < 1 || count > 4096)
    throw ShapeError("the number of threads must be from 1 to 4096", std::to_string(count));
  team().store(count);
}

}  // namespace striate
