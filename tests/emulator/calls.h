// Functions of the machine, as calls find them.
#pragma once

#include "machine.h"

namespace emulator {

/// The handler of a function without a body in PTX, such as vprintf; null if there is none.
/// operand[0]: row of the result; operand[1...]: rows of the arguments, both as parameters.
Handler builtin_function(std::string_view name);

}  // namespace emulator
