// Messages of faults.
#include "decode.h"

namespace emulator {
namespace {

std::string triple(u64 x, u64 y, u64 z) {
  return "(" + std::to_string(x) + "," + std::to_string(y) + "," + std::to_string(z) + ")";
}

}  // namespace

std::string place(const Warp& warp, const Instruction& instruction, u32 lane) {
  const Block& block = *warp.block;
  const Launch& launch = *block.launch;
  const Dim3 size = launch.request->block;
  const u64 thread = warp.index * kLanes + lane;
  const Origin& origin = *instruction.origin;
  std::string text = "kernel " + launch.program->kernel->name + ", ";
  if (!origin.file.empty()) {
    text += std::string(origin.file) + ":" + std::to_string(origin.line) + ", ";
  }
  text += "PTX line " + std::to_string(origin.ptx_line) + " `" + std::string(origin.text) + "`";
  text += ", block " + triple(block.index[0], block.index[1], block.index[2]);
  text += ", thread " + triple(thread % size.x, thread / size.x % size.y, thread / size.x / size.y);
  return text;
}

void fault(const Warp& warp, const Instruction& instruction, int error, u32 lane,
           const std::string& what) {
  throw Fault{error, what + "; " + place(warp, instruction, lane)};
}

}  // namespace emulator
