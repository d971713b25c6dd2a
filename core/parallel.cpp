#include <omp.h>
#include <sched.h>
#include <striate/core/error.h>
#include <striate/core/parallel.h>
#include <striate/core/run_alone.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string>

namespace striate {
namespace {

/// At most so many as OpenMP gives: where OMP_THREAD_LIMIT is less than a library's kernels were
/// planned for, they would leave out what the missing threads had to do.
int default_threads() {
  const int limit = omp_get_thread_limit();
  if (const char* text = std::getenv("STRIATE_THREADS")) {
    const int count = std::atoi(text);
    if (count >= 1) return std::min(count, limit);
  }
  cpu_set_t set;
  const int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return std::clamp(cores, 1, limit);
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
  team().store(std::min(count, omp_get_thread_limit()));
}

}  // namespace striate
