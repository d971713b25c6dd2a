// The harness that runs every entry of an operation's list on a table of cases.
//
// A test file makes cases and hands them over; a new entry is tested without a line of its own:
//
//   TEST(Relu, EveryEntryAgreesWithTheReference) {
//     std::vector<Case> table;
//     for (Shape s : {Shape{1, 1, 1, 1}, Shape{2, 5, 7, 3}})
//       table.push_back(Case::of("relu", UnaryOptions{}, {s}, {s}));
//     run_table(table);
//   }
//
// `run_table` draws the inputs from a fixed seed, runs `reference`, then every other entry: with
// dense inputs and, for images (rank 4), with inputs that lie in 8- and 16-channel blocks; twice
// with equal bits; in place where the entry allows it. Outputs and the workspace hold NaN (bytes
// 0xFF) before each call and have guard bytes around them; inputs must come back unchanged, the
// padding of a blocked output must be zero. Floating outputs are compared by the normalised mean
// square error sum (a-b)^2 / sum b^2, others bit by bit. STRIATE_TEST_DEVICE=cuda tries that
// device's entries instead, also with float16 and bfloat16 values, and as TF32.
//
// `check_gradient` compares a backward operation with central differences of the forward reference,
// both in float64.
#pragma once

#include <striate/core/dtype.h>
#include <striate/core/layout.h>
#include <striate/core/shape.h>
#include <striate/kernels/conv2d.h>
#include <striate/kernels/impl.h>

#include <memory>
#include <string>
#include <vector>

namespace striate::testing {

/// An input of a case and how its elements are drawn.
struct Input {
  enum class Fill {
    kUniform,   // in [low, high), kinks at 0 avoided: |value| >= 1e-3
    kDistinct,  // a shuffled arithmetic sequence over [low, high): no ties, differences visible
    kIndices,   // whole numbers in [low, high)
    kConstant,  // low
    kBytes,     // `bytes` as they are
    kLike,      // only the shape counts: the pointer is null
    kAbsent,    // an optional input that is left out
  };
  Shape shape;
  DType dtype = DType::kF32;
  Fill fill = Fill::kUniform;
  double low = -1, high = 1;
  std::vector<uint8_t> bytes;

  Input(Shape s) : shape(s) {}  // NOLINT: `{{2, 5, 7, 3}}` reads well
  Input(Shape s, Fill f, double l = -1, double h = 1) : shape(s), fill(f), low(l), high(h) {}
  Input(Shape s, DType d, Fill f, double l = -1, double h = 1)
      : shape(s), dtype(d), fill(f), low(l), high(h) {}
  /// An input with given elements.
  template <class T>
  static Input of(Shape shape, const std::vector<T>& values) {
    Input input(shape, dtype_of<T>(), Fill::kBytes);
    const auto* first = reinterpret_cast<const uint8_t*>(values.data());
    input.bytes.assign(first, first + values.size() * sizeof(T));
    return input;
  }
  static Input like(Shape shape) { return {shape, Fill::kLike}; }
  static Input absent(Shape shape = {}) { return {shape, Fill::kAbsent}; }
};

struct Output {
  Shape shape;
  DType dtype = DType::kF32;
  Output(Shape s, DType d = DType::kF32) : shape(s), dtype(d) {}  // NOLINT
};

inline constexpr double kLimit = 1e-10;               // nmse against the reference
inline constexpr double kTranscendentalLimit = 1e-8;  // where exp, log, tanh ... are approximated
inline constexpr double kTf32Limit = 0x1p-18;  // factors are cut off at 2^-10, so products at 2^-9

/// One problem with its data.
struct Case {
  std::string operation;
  std::shared_ptr<const void> options;
  std::vector<Input> inputs;
  std::vector<Output> outputs;
  double limit = kLimit;
  double limit_of_floats = 0;  // of float32 outputs beside values of 16 bits; 0: `limit`
  std::string name;            // printed with a failure, beside the shapes
  bool exact = false;          // Problem::exact
  bool tf32 = false;           // Problem::tf32
  bool blocked_inputs = true;  // also try inputs in blocked layouts
  std::string path = "test";   // Problem::path
  kernels::Gate gate = {};     // Problem::gate
  bool always = false;         // run it on an emulated device too, however large
  bool surrounded = false;     // on a device also with infinities and NaN before and behind values
  std::string tile = {};       // run only what plans by tiles, with this one: "128x64"

  template <class Options>
  static Case of(std::string operation, Options options, std::vector<Input> inputs,
                 std::vector<Output> outputs, double limit = kLimit) {
    Case c;
    c.operation = std::move(operation);
    c.options = std::make_shared<const Options>(std::move(options));
    c.inputs = std::move(inputs);
    c.outputs = std::move(outputs);
    c.limit = limit;
    return c;
  }

  kernels::Problem problem() const;
  std::string describe() const;
  /// Return the case with every float32 value of that rank and above in another type.
  Case with_floats(DType dtype, int least_rank = 0) const;
};

/// What became of one entry over a table.
struct EntryCount {
  std::string operation, entry;
  int ran = 0, declined = 0;
  double worst = 0;    // nmse
  std::string reason;  // why it declined last
};

/// True when the tables try the entries of a device other than the CPU.
bool is_device_tested();

/// Run every entry on every case; failures are GoogleTest failures that print the case. Prints one
/// line for each entry; an entry that declined more than 80 % of the table is pointed out.
std::vector<EntryCount> run_table(const std::vector<Case>& table);

/// Elements of dense row-major values in double, NaN included.
using Values = std::vector<double>;

/// Draw the case's inputs as `run_table` does (empty for `like` and absent ones).
std::vector<Values> draw_inputs(const Case& c, uint64_t seed = 1);
/// Run one entry on given dense inputs; return the dense outputs. On a device under test the first
/// of its entries that takes the problem stands for one that is not there, `reference` excepted.
/// Throws KernelError when it declines.
std::vector<Values> run_entry(const Case& c, const std::string& entry,
                              const std::vector<Values>& inputs);
/// Return the normalised mean square error; infinity when NaN or infinities are at other places.
double nmse(const Values& values, const Values& expected);

/// Where an input of a backward operation comes from.
struct From {
  enum class Kind { kInput, kOutput, kCotangent, kLike, kAbsent };
  Kind kind;
  int index = 0;
  static From input(int i) { return {Kind::kInput, i}; }
  static From output(int i) { return {Kind::kOutput, i}; }
  static From cotangent(int i) { return {Kind::kCotangent, i}; }  // dy
  static From like(int i) { return {Kind::kLike, i}; }            // the shape of input i
  static From absent() { return {Kind::kAbsent, 0}; }
};

/// A backward operation of a forward case.
struct GradientCase {
  Case forward;          // small: every element is shifted in turn (up to 48 of each input)
  std::string backward;  // empty: the forward operation itself gives the gradients (losses)
  std::vector<From> inputs;
  /// For each output of the backward operation the forward input it is the gradient of; -1: of
  /// none. Without a backward operation: the same for the forward's outputs, output 0 being the
  /// loss.
  std::vector<int> outputs;
  std::shared_ptr<const void> options;  // null: the forward's
};

/// Check against central differences of sum_j <output_j, cotangent_j> in float64: for each element
/// the best of three step sizes must agree to `tolerance` of the largest gradient.
void check_gradient(const GradientCase& g, double tolerance = 1e-7);

}  // namespace striate::testing
