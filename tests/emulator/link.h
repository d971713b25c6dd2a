// What a kernel needs beside its own body: functions it calls and the layout of shared memory.
#pragma once

#include "parse.h"

namespace emulator {

struct Linked {
  std::vector<Function*> functions;                           // [0] is the kernel
  std::map<std::string, u32, std::less<>> module_shared;      // offset of a module-level symbol
  std::map<std::pair<const Function*, u32>, u32> own_shared;  // by function and variable
  u32 static_shared = 0;
  u32 dynamic_start = 0;  // where dynamic shared memory begins
};

/// Collect the functions reachable from a kernel and place its shared memory: the static variables
/// one after another, then every dynamic array at the same place.
Linked link(Module& module, Function& kernel);

}  // namespace emulator
