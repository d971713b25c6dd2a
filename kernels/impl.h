// The list of implementations of each operation, and the choice among them.
//
// An operation has one list per device. An entry says why it declines a problem, how near to the
// roofline it comes, and prepares a run. A general entry named `reference` accepts every problem.
#pragma once

#include <striate/core/device.h>
#include <striate/core/dtype.h>
#include <striate/core/error.h>
#include <striate/core/layout.h>
#include <striate/core/shape.h>
#include <striate/kernels/activation.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace striate::kernels {

/// A value as an entry sees it.
struct ValueDesc {
  Shape shape;
  DType dtype = DType::kF32;
  Layout layout;  // of an input: as it lies now; of an output: ignored, the entry chooses
};

/// An entry to take where it accepts and no rule forces another, and why: it was measured, or kept.
struct Preferred {
  std::string entry, why;
};

/// One operation on known shapes.
struct Problem {
  std::string operation;
  std::shared_ptr<const void> options;  // the operation's options struct
  std::vector<ValueDesc> inputs;
  std::vector<ValueDesc> outputs;
  std::vector<bool>
      optional;              // inputs the caller leaves out have a false here (empty: all present)
  std::vector<bool> unread;  // outputs that nobody reads: a kernel may leave them unwritten
  Device device;
  int threads = 1;
  bool exact = false;             // decline methods with a larger rounding error than direct sums
  bool same_for_threads = false;  // decline methods whose bits depend on the number of threads
  bool tf32 = false;           // products may read the factors' first 10 bits after the point alone
  bool weights_change = true;  // false in inference
  /// Inputs that are the same in all parts of a step, and in inference in all steps: weights. Who
  /// sets it runs Prepared::packing (empty: none).
  std::vector<bool> lasting;
  std::string path;  // the layer's path and role; keys random numbers
  Preferred preferred = {};
  Gate gate = {};

  template <class Options>
  const Options& get() const {
    return *static_cast<const Options*>(options.get());
  }
  bool is_lasting(size_t i) const { return i < lasting.size() && lasting[i]; }
  bool has_input(size_t i) const { return i < inputs.size() && (optional.empty() || optional[i]); }
  bool is_read(size_t output) const { return output >= unread.size() || !unread[output]; }
};

/// Pointers of one run, in the order of the problem's inputs and outputs. An absent optional input
/// and an input of which only the shape counts are null.
struct Arguments {
  const void* const* inputs = nullptr;
  void* const* outputs = nullptr;
  void* workspace = nullptr;  // aligned to 64 bytes
  void* stream = nullptr;     // of the device; null on the CPU
};

/// A prepared run. `run` allocates nothing, looks nothing up, and may be called from one thread at
/// a time with any pointers.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual void run(const Arguments& arguments) = 0;
};

/// Output `output` lies in the memory of input `input`: must (the kernel adds to or updates what is
/// there) or may (element by element).
struct InPlace {
  int output = 0;
  int input = 0;
  bool required = false;
  bool view = false;  // the bytes are the same: where the memory is shared nothing need run
};

/// An input that the kernel takes in a form of its own, made before the first run and whenever the
/// input has changed.
struct Packing {
  std::unique_ptr<Kernel> kernel;  // from the input, in its wanted layout, to the form; null: none
  int input = 0;
  size_t bytes = 0;
};

/// What an entry makes of a problem.
struct Prepared {
  std::unique_ptr<Kernel> kernel;
  std::vector<Layout> inputs;   // wanted; empty: all dense
  std::vector<Layout> outputs;  // made; empty: all dense
  std::vector<InPlace> in_place;
  Packing packing;       // only of lasting inputs
  size_t workspace = 0;  // bytes
  std::string detail;    // for reports: tile, instruction set, the library's own name
};

/// One implementation of one operation on one kind of device.
struct Entry {
  std::string operation;
  std::string name;  // the algorithm: direct, implicit_gemm, winograd, onednn, reference, ...
  DeviceType device = DeviceType::kCpu;
  /// Return the reason why it cannot or should not do the problem; empty: it accepts.
  std::function<std::string(const Problem&)> declines;
  /// Prepare a run. Throws KernelError when a library refuses after all.
  std::function<Prepared(const Problem&)> prepare;
  /// Return the expected fraction of the roofline (above 1: fewer multiplications than counted).
  std::function<double(const Problem&)> efficiency;
  bool gates = false;  // applies a problem's gate; the others are not offered one
};

/// Adds an entry when its static object is made: `const Register r({...});` in the kernel's file.
struct Register {
  explicit Register(Entry entry);
};

/// Make the entry `reference` from a function that runs a problem on dense host memory.
Entry reference_entry(std::string operation,
                      std::function<void(const Problem&, const Arguments&)> run,
                      double efficiency = 0.002);

/// Make a Kernel from a callable `void(const Arguments&)`.
template <class Run>
std::unique_ptr<Kernel> make_kernel(Run run) {
  struct Callable : Kernel {
    explicit Callable(Run r) : run_(std::move(r)) {}
    void run(const Arguments& arguments) override { run_(arguments); }
    Run run_;
  };
  return std::make_unique<Callable>(std::move(run));
}

/// Floating point operations and the least bytes that a problem must move.
struct Cost {
  double flops = 0;
  double bytes = 0;
};
/// Register how an operation's cost is counted; without it only the bytes of all values count.
struct RegisterCost {
  RegisterCost(const std::string& operation, std::function<Cost(const Problem&)> cost);
};
Cost cost_of(const Problem& problem);
/// Return the seconds below which no kernel can do it on this device (peak and bandwidth).
double roofline_seconds(const Problem& problem);

/// Return all entries of an operation on a device, best expected first, `reference` last.
std::vector<const Entry*> entries(const std::string& operation, DeviceType device);
/// Return the names of all operations that have entries.
std::vector<std::string> operations_with_entries();

/// One line of a choice's report.
struct Candidate {
  const Entry* entry = nullptr;
  std::string reason;  // why it declined or failed; empty: it could do it
  double estimate_seconds = 0;
};
struct Choice {
  const Entry* entry = nullptr;
  Prepared prepared;
  std::vector<Candidate> candidates;
  std::string why;  // forced by ..., preferred, lowest estimate, only candidate
};
/// Return why an entry declines a problem, its gate included; empty: it accepts.
std::string refusal(const Entry& entry, const Problem& problem);
/// Return the same problem with no gate, and without the input that the gate reads.
Problem without_gate(Problem problem);
/// True when an entry other than `reference` accepts; with a gate, when by the estimates it takes no
/// longer than the quickest entry without it and a pass of its own.
bool is_served(const Problem& problem);
/// Choose and prepare. A forced entry that declines throws KernelError with its reason; a preferred
/// one that declines or is absent gives way to the usual choice.
Choice choose(const Problem& problem);

/// Force entries as STRIATE_KERNELS does: `conv2d=implicit_gemm,*=auto`. Of several, the last, but
/// an operation's own before `*`. Returns those before. Throws KernelError for what does not exist.
std::string force(const std::string& rules);
std::string forced();

}  // namespace striate::kernels
