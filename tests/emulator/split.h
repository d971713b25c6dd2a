// Mutants tried where they first matter: at the launch that executes a mutant's place the process
// forks, and the copy goes on with the mutant while the original waits for what becomes of it.
//
// So the program up to that launch runs once for all mutants. The idea is split-stream execution
// (King and Offutt 1991). tools/mutate says which launch that is, from EMULATOR_COVERAGE.
#pragma once

#include "machine.h"

namespace emulator {

/// Count a launch of the kernel and fork for each mutant that begins at it. Return the mutant in a
/// copy, once, and null otherwise.
///
/// EMULATOR_MUTANTS names a file of lines "kernel kind index launch seconds": launches of a kernel
/// count from 0; a copy that takes longer is ended. To FILE.tried goes a line for each copy:
/// "kernel:kind:index" and its exit code, the negative signal that ended it, or "timeout".
/// The kind "none" changes nothing: such a copy must end as the original does.
const Mutant* split(const std::string& kernel);

/// Tell whether this process is such a copy.
bool is_split();

}  // namespace emulator
