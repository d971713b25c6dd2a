// Loops over threads with a division of work that does not depend on who runs it.
#pragma once

#include <cstdint>

namespace striate {

/// Return the threads that loops use: STRIATE_THREADS, else the cores this process may use; at most
/// OMP_THREAD_LIMIT.
int threads();
/// Set the threads for all later loops, at most OMP_THREAD_LIMIT. Throws ShapeError below 1.
void set_threads(int count);

/// Call `body(i)` for each i in [0, count), on up to threads() threads; nested calls run in place.
/// `body` must not throw. Which thread runs which i never changes a result: each i owns its
/// outputs.
template <class Body>
void parallel_for(int64_t count, const Body& body) {
  const int team = threads();
  if (count <= 1 || team == 1) {
    for (int64_t i = 0; i < count; ++i) body(i);
    return;
  }
#pragma omp parallel for num_threads(team) schedule(static)
  for (int64_t i = 0; i < count; ++i) body(i);
}

/// Call `body(begin, end)` for consecutive ranges of at least `grain` that cover [0, count).
template <class Body>
void parallel_ranges(int64_t count, int64_t grain, const Body& body) {
  if (count <= 0) return;
  const int64_t pieces = count / grain < 1           ? 1
                         : count / grain < threads() ? count / grain
                                                     : threads();
  parallel_for(pieces, [&](int64_t i) { body(count * i / pieces, count * (i + 1) / pieces); });
}

}  // namespace striate
