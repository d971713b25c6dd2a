// What STRIATE_VERBOSE prints about the programs that are compiled.
#pragma once

#include <striate/layers/graph/program.h>

#include <string>

namespace striate {

/// Return STRIATE_VERBOSE: 0 prints nothing (the default), 1 a line for each compiled program,
/// 2 each kernel choice with its refusals too.
int verbosity();

/// Describe a program: the line that 1 prints, with the lines that 2 prints below it.
std::string describe(const Program& program, int verbosity);

/// Print what `verbosity()` asks for to the standard error.
void report(const Program& program);

}  // namespace striate
