// Which places of a kernel, of those that mutants change, a launch has executed: tools/mutate asks.
#pragma once

#include "decode.h"

namespace emulator {

/// A mutant and the index of the instruction it changes.
struct MutantPlace {
  Mutant mutant;
  u32 code = 0;
  std::string_view equivalent;  // why no test can notice it; empty where one might
};

/// All mutants of a decoded kernel (mutate.cpp).
std::vector<MutantPlace> mutant_places(const Program& program);

/// Make an observer that appends to the file EMULATOR_COVERAGE; null if it is not set.
///
/// One line of JSON lists the places of a kernel at its first launch, and one line a launch has a
/// digit for each place: 1 if it was executed, 2 if the mutant changes nothing there (a guard that
/// stopped no lane is left out). Lines of who launches, as which test begins, may stand between.
std::unique_ptr<Observer> make_coverage(Launch& launch);

}  // namespace emulator
