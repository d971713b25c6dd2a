// The machine that executes PTX on the CPU: instructions, warps, blocks, launches, observers.
//
// A virtual register is a row of 32 lanes inside the warp's register file; a predicate is one word
// with a bit per lane. Immediates and special registers are rows filled before the block starts, so
// that an instruction is a function and the byte offsets of its operands. Global addresses are host
// addresses; shared addresses are offsets into the block's shared memory.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace emulator {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

constexpr u32 kLanes = 32;
constexpr u32 kAllLanes = 0xffffffffu;
constexpr u32 kBarriers = 16;

struct Block;
struct Counters;  // counters.h
struct Launch;
struct Module;   // parse.h
struct Program;  // decode.h: a kernel decoded for execution
struct Warp;

// ---- Instructions -------------------------------------------------------------------------------

struct Instruction;

/// Execute one instruction for the lanes in `warp.mask`, which is never empty.
using Handler = void (*)(Warp& warp, const Instruction& instruction);

/// Where an instruction comes from, for messages.
struct Origin {
  std::string_view text;  // the PTX instruction as written
  u32 ptx_line = 0;       // line in the PTX text
  std::string_view file;  // CUDA source, by the nearest `.loc`; empty without -lineinfo
  u32 line = 0;
};

/// One decoded instruction. Offsets are in bytes into Warp::registers.
struct Instruction {
  Handler execute = nullptr;
  std::array<u32, 6> operand{};  // set by the selector that chose the handler
  const u32* list = nullptr;     // longer operand lists (vectors, matrix fragments)
  std::array<i64, 2> addend{};   // of the memory operands, in order
  u32 guard = 0;                 // predicate; an always-true one where none is written
  u32 guard_flip = 0;            // xor-ed to the predicate: ~0 for `@!%p`
  u32 target = 0;                // branch target, or entry of a called function (index into code)
  std::array<u32, 2> data{};     // private to the handler
  u32 index = 0;                 // of this instruction in its program
  const Origin* origin = nullptr;
};

// ---- Faults -------------------------------------------------------------------------------------

/// Error codes of the CUDA runtime that the machine reports.
enum Error : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kInvalidConfiguration = 9,
  kInvalidDeviceFunction = 98,
  kInvalidPtx = 218,
  kIllegalAddress = 700,
  kLaunchTimeout = 702,
  kAssert = 710,
  kMisalignedAddress = 716,
  kIllegalInstruction = 715,
  kLaunchFailure = 719,
};

/// A launch that cannot go on; `run` turns it into a Report.
struct Fault {
  int error = kLaunchFailure;
  std::string message;
};

/// Throw a Fault that names kernel, source line, instruction, block and thread.
[[noreturn]] void fault(const Warp& warp, const Instruction& instruction, int error, u32 lane,
                        const std::string& what);

/// The sentence `fault` adds: kernel, source file:line, PTX instruction, block, thread.
std::string place(const Warp& warp, const Instruction& instruction, u32 lane);

// ---- State --------------------------------------------------------------------------------------

/// One call of a device function by lanes that run together.
struct Frame {
  u32 function = 0;  // index into Program::entries
  u32 back = 0;      // pc to return to
  u32 depth = 1;
  const u32* results = nullptr;  // where they go: calls.cpp
  std::shared_ptr<Frame> parent;
  std::vector<std::byte> saved;  // rows of a function that calls itself
};

/// Lanes of a diverged warp that run together.
struct Group {
  u32 pc = 0;
  u32 mask = 0;
  std::shared_ptr<Frame> frame;  // null in the kernel itself
  u32 waits_for = 0;             // lanes named by a *.sync that have not come yet
  u32 barrier = 0;               // 1 + number of the block barrier it waits at, 0 if none
  bool meets = false;            // waits at a bar.warp.sync
  bool rested = false;           // gave way to others after many backward branches
};

/// Why the running group stopped.
enum class Stop : u8 { kNo, kReconsider, kBlocked };

/// A copy begun by cp.async. Owned by tensor.cpp, which lands it at once or at its wait.
struct AsyncCopy {
  u64 from = 0;    // global
  u32 to = 0;      // shared
  u32 bytes = 0;   // size at the destination
  u32 copied = 0;  // bytes taken from the source; the rest is zero
  u32 lane = 0;
  u32 group = 0;  // number of commits of the lane before it
  const Instruction* instruction = nullptr;
};

/// Copies in flight of one warp; `commits[lane]` counts its cp.async.commit_group.
struct AsyncCopies {
  std::vector<AsyncCopy> pending;
  std::array<u32, kLanes> commits{};
};

/// Addresses [begin, end) known to be one living allocation.
struct KnownRange {
  u64 begin = 0, end = 0;
};

struct Warp {
  std::byte* registers = nullptr;
  u32 mask = 0;           // lanes that execute the current instruction: active and guard
  u32 active = 0;         // lanes of the running group
  u32 pc = 0;             // next instruction of the running group
  u32 alive = 0;          // lanes that exist and have not exited
  u32 index = 0;          // in the block
  u32 limit = kAllLanes;  // pc at which the running group may meet another
  u32 backward = 0;       // backward branches while diverged
  Stop stop = Stop::kNo;  // set by a handler after which a group must be chosen anew
  Block* block = nullptr;
  std::shared_ptr<Frame> frame;  // of the running group
  std::vector<Group> groups;     // the other groups while diverged, or all of them while parked
  KnownRange* ranges = nullptr;  // memory last touched, by instruction
  u64 executed = 0;              // warp-instructions
  u64 lanes_executed = 0;        // thread-instructions
  AsyncCopies copies;

  /// The 32 lanes of the register at `offset`.
  template <class T>
  T* row(u32 offset) const {
    return reinterpret_cast<T*>(registers + offset);
  }
  /// The predicate at `offset`, a bit per lane.
  u32& predicate(u32 offset) const { return *reinterpret_cast<u32*>(registers + offset); }
};

/// A barrier of the block. Threads are counted, as from compute capability 7.0 on.
struct Barrier {
  u32 expected = 0;  // threads; 0 while nobody has come
  u32 arrived = 0;
  bool whole = false;  // counts all living threads of the block
  u32 population = 0;  // of bar.red: threads whose predicate was true
};

struct Block {
  Launch* launch = nullptr;
  std::array<u32, 3> index{};
  u64 linear = 0;
  std::byte* shared = nullptr;
  u32 shared_bytes = 0;        // static + dynamic
  std::byte* local = nullptr;  // local memory of all threads, `local_bytes` each
  u32 local_bytes = 0;
  u32 threads = 0;
  u32 alive = 0;  // threads that have not exited
  std::array<Barrier, kBarriers> barriers{};
  std::vector<Warp> warps;
  void* checks = nullptr;  // state of an observer for this block
};

// ---- Memory accesses ----------------------------------------------------------------------------

enum class Space : u8 { kGlobal, kShared, kLocal, kConst, kParam, kGeneric };
enum class AccessKind : u8 { kLoad, kStore, kAtomic };

/// What one warp-instruction is about to do to memory.
struct Access {
  Space space = Space::kGlobal;  // never kGeneric: generic accesses are split before
  AccessKind kind = AccessKind::kLoad;
  u32 bytes = 0;                 // per lane, all vector elements together
  u32 mask = 0;                  // lanes
  const u64* address = nullptr;  // [32], valid for lanes in mask; offsets for kShared
  bool asynchronous = false;     // one half of a cp.async
};

/// Check alignment and bounds (throws Fault), then show the access to the observers. Every handler
/// that touches memory calls this before data move; with EMULATOR_CHECKS=off it does nothing.
void check_access(Warp& warp, const Instruction& instruction, const Access& access);

/// Lane addresses of a memory operand: row at `offset` of 4 or 8 bytes a lane, plus addend.
void lane_addresses(const Warp& warp, u32 offset, u32 width, i64 addend, u64 out[kLanes]);

// ---- Observers ----------------------------------------------------------------------------------

/// Sees what a launch does: the full checks and the counters are observers. Launches with observers
/// run on one thread, so an observer needs no locks. Throw through `fault` to stop the launch.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void block_begins(Block&) {}
  virtual void block_ends(Block&) {}
  /// Before each warp-instruction with a non-empty mask.
  virtual void instruction(Warp&, const Instruction&) {}
  /// An instruction that the guard lets no lane execute.
  virtual void skipped(Warp&, const Instruction&) {}
  /// Before data move, after bounds and alignment were found right.
  virtual void access(Warp&, const Instruction&, const Access&) {}
  /// Lanes `mask` arrive at block barrier `barrier` (`waits`: they also wait, as bar.sync does).
  virtual void barrier_arrives(Warp&, const Instruction&, u32 barrier, u32 mask, bool waits) {
    (void)barrier, (void)mask, (void)waits;
  }
  /// The barrier is complete: memory of its participants is ordered.
  virtual void barrier_releases(Block&, u32 barrier) { (void)barrier; }
  /// Lanes `mask` of one warp meet at a *.sync instruction that orders memory (bar.warp.sync).
  virtual void warp_meets(Warp&, const Instruction&, u32 mask) { (void)mask; }
  /// The bytes of a cp.async of this warp arrive in shared memory, at `wait`.
  virtual void copy_lands(Warp&, const Instruction& wait, const AsyncCopy& copy) {
    (void)wait, (void)copy;
  }
  /// Lanes `mask` exit.
  virtual void lanes_exit(Warp&, const Instruction&, u32 mask) { (void)mask; }
  virtual void launch_ends(Launch&) {}
};

/// Make the observer of EMULATOR_CHECKS=full (checks.cpp).
std::unique_ptr<Observer> make_checks(Launch& launch);

/// Make the observer that fills `counters` (counters.cpp).
std::unique_ptr<Observer> make_counters(Launch& launch, Counters& counters);
std::shared_ptr<Counters> new_counters();

// ---- Lanes that wait (schedule.cpp) -------------------------------------------------------------

/// For a *.sync instruction: the lanes of `warp.mask` whose partners `members[lane]` (those alive)
/// all execute it now. The others are parked and will execute the instruction again later. A
/// handler does nothing for lanes that are not in the result.
u32 gather_lanes(Warp& warp, const Instruction& instruction, const u32* members);

/// The same when every lane names the same partners.
u32 gather_lanes(Warp& warp, const Instruction& instruction, u32 members);

// ---- Launches -----------------------------------------------------------------------------------

enum class Checks { kOff, kBounds, kFull };

/// One change to a kernel's instructions, to see whether the tests notice.
struct Mutant {
  std::string kernel;  // mangled name; empty: no mutation
  std::string kind;    // drop_barrier, drop_guard, ...: mutate.cpp
  u32 index = 0;       // among the kernel's places of that kind
};

struct Settings {
  Checks checks = Checks::kBounds;
  u32 threads = 1;            // EMULATOR_THREADS
  u64 seed = 0;               // EMULATOR_SEED; order of blocks and warps in full mode
  u32 capability = 80;        // EMULATOR_CAPABILITY=8.0
  bool counters = false;      // EMULATOR_COUNTERS
  u64 watchdog = 4000000000;  // EMULATOR_WATCHDOG: warp-instructions one block may take
  Mutant mutant;              // EMULATOR_MUTANT=kernel:kind:index
  u64 sample_blocks = 0;      // EMULATOR_SAMPLE_BLOCKS: run only so many of a launch; 0: all
};

/// Settings by the environment, read once. A value that is not understood throws
/// std::invalid_argument.
const Settings& environment_settings();

struct Dim3 {
  u32 x = 1, y = 1, z = 1;
};

struct LaunchRequest {
  Module* module = nullptr;
  std::string kernel;  // mangled name
  Dim3 grid, block;
  u32 dynamic_shared = 0;
  std::vector<std::byte> parameters;  // packed as the kernel's PTX parameters are (parse.h)
  bool cooperative = false;           // all blocks make progress together
};

struct Report {
  int error = kSuccess;  // cudaError_t
  std::string message;   // empty on success
  u64 thread_instructions = 0;
  std::shared_ptr<Counters> counters;  // with Settings::counters
};

/// A launch on its way: shared by all blocks.
struct Launch {
  const LaunchRequest* request = nullptr;
  const Settings* settings = nullptr;
  const Program* program = nullptr;
  const std::byte* parameters = nullptr;
  u32 shared_bytes = 0;  // static and dynamic
  std::atomic<u64> thread_instructions{0};
  std::vector<Observer*> observers;
};

/// Execute a kernel to its end. Never throws for what the kernel does: see Report.
Report run(const LaunchRequest& request, const Settings& settings);

}  // namespace emulator
