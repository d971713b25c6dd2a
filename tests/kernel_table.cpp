#include <gtest/gtest.h>
#include <striate/core/error.h>
#include <striate/core/parallel.h>
#include <striate/core/random.h>
#include <striate/tests/entry_limits.h>
#include <striate/tests/kernel_trial.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <new>
#include <sstream>

namespace striate::testing {

using kernels::Arguments;
using kernels::Entry;
using kernels::Prepared;
using kernels::Problem;

namespace {

// 1. Elements as double and as bytes
// ---------------------------------------------------------------

double load(const uint8_t* at, DType dtype) {
  auto as = [at](auto value) {
    std::memcpy(&value, at, sizeof value);
    return value;
  };
  switch (dtype) {
    case DType::kF32:
      return as(float{});
    case DType::kF64:
      return as(double{});
    case DType::kF16:
      return half_to_float(as(uint16_t{}));
    case DType::kBF16:
      return bfloat16_to_float(as(uint16_t{}));
    case DType::kI32:
      return as(int32_t{});
    case DType::kI64:
      return static_cast<double>(as(int64_t{}));
    case DType::kU8:
    case DType::kBool:
      return *at;
  }
  return 0;
}

void store(uint8_t* at, DType dtype, double v) {
  auto as = [at](auto value) { std::memcpy(at, &value, sizeof value); };
  switch (dtype) {
    case DType::kF32:
      return as(static_cast<float>(v));
    case DType::kF64:
      return as(v);
    case DType::kF16:
      return as(float_to_half(static_cast<float>(v)));
    case DType::kBF16:
      return as(float_to_bfloat16(static_cast<float>(v)));
    case DType::kI32:
      return as(static_cast<int32_t>(v));
    case DType::kI64:
      return as(static_cast<int64_t>(v));
    case DType::kU8:
    case DType::kBool:
      *at = static_cast<uint8_t>(v);
  }
}

Bytes to_bytes(const Values& values, DType dtype) {
  Bytes bytes(values.size() * size_of(dtype));
  for (size_t i = 0; i < values.size(); ++i) store(&bytes[i * size_of(dtype)], dtype, values[i]);
  return bytes;
}

Values to_values(const Bytes& bytes, DType dtype) {
  Values values(bytes.size() / size_of(dtype));
  for (size_t i = 0; i < values.size(); ++i) values[i] = load(&bytes[i * size_of(dtype)], dtype);
  return values;
}

// 2. Layouts, by the definition of Layout::offset and nothing cleverer
// -----------------------------

/// Call `visit(dense index, stored index)` for each element.
template <class Visit>
void for_each_element(const Shape& shape, const Layout& layout, const Visit& visit) {
  const int64_t count = shape.elements();
  int64_t index[Shape::kMaxRank] = {};
  for (int64_t i = 0; i < count; ++i) {
    visit(static_cast<size_t>(i),
          static_cast<size_t>(layout.is_dense() ? i : layout.offset(shape, index)));
    for (int d = shape.rank() - 1; d >= 0 && ++index[d] == shape[d]; --d) index[d] = 0;
  }
}

Bytes stored_as(const Bytes& dense, const Shape& shape, const Layout& layout, size_t size) {
  Bytes stored(static_cast<size_t>(layout.elements(shape)) * size, 0);
  for_each_element(shape, layout, [&](size_t from, size_t to) {
    std::memcpy(&stored[to * size], &dense[from * size], size);
  });
  return stored;
}

/// Return the dense elements; `padding_is_zero` tells whether every other stored byte is 0.
Bytes dense_of(const uint8_t* stored, const Shape& shape, const Layout& layout, size_t size,
               bool* padding_is_zero) {
  Bytes dense(static_cast<size_t>(shape.elements()) * size);
  Bytes rest(stored, stored + static_cast<size_t>(layout.elements(shape)) * size);
  for_each_element(shape, layout, [&](size_t to, size_t from) {
    std::memcpy(&dense[to * size], stored + from * size, size);
    std::memset(&rest[from * size], 0, size);
  });
  *padding_is_zero = std::all_of(rest.begin(), rest.end(), [](uint8_t byte) { return byte == 0; });
  return dense;
}

/// Memory aligned to 64 bytes with guard bytes on both sides, filled with 0xFF: NaN as a float.
class Guarded {
 public:
  static constexpr size_t kGuard = 256;
  explicit Guarded(size_t bytes)
      : bytes_(bytes),
        size_((bytes + 2 * kGuard + 63) / 64 * 64),
        memory_(static_cast<uint8_t*>(std::aligned_alloc(64, size_)), &std::free) {
    if (!memory_) throw std::bad_alloc();
    std::memset(memory_.get(), 0xFF, size_);
    std::memset(memory_.get(), 0xA5, kGuard);
    std::memset(data() + bytes_, 0xA5, size_ - kGuard - bytes_);
  }
  uint8_t* data() const { return memory_.get() + kGuard; }
  size_t bytes() const { return bytes_; }
  bool guards_hold() const {
    auto holds = [](const uint8_t* begin, const uint8_t* end) {
      return std::all_of(begin, end, [](uint8_t byte) { return byte == 0xA5; });
    };
    return holds(memory_.get(), data()) && holds(data() + bytes_, memory_.get() + size_);
  }

 private:
  size_t bytes_, size_;
  std::unique_ptr<uint8_t, void (*)(void*)> memory_;
};

// 3. One run
// ---------------------------------------------------------------------------------------

struct Run {
  std::vector<Bytes> outputs;       // dense
  std::vector<std::string> faults;  // what the run did that it must not
};

/// How values lie in a device's memory: alone, one element behind the begin of it, or with
/// infinities and NaN before and behind, too.
enum class Lie { kAlone, kAsView, kSurrounded, kSurroundedView };

Run run_prepared(const Problem& problem, const Prepared& prepared, const std::vector<Bytes>& inputs,
                 bool in_place, Lie lie = Lie::kAlone) {
  Run result;
  auto layout_of = [](const std::vector<Layout>& layouts, size_t i) {
    return i < layouts.size() ? layouts[i] : Layout();
  };
  std::vector<Guarded> outputs;
  std::vector<void*> output_pointers;
  for (size_t j = 0; j < problem.outputs.size(); ++j) {
    const auto& v = problem.outputs[j];
    outputs.emplace_back(static_cast<size_t>(layout_of(prepared.outputs, j).elements(v.shape)) *
                         size_of(v.dtype));
    output_pointers.push_back(outputs.back().data());
  }
  std::vector<Guarded> stored;
  std::vector<Bytes> originals;
  std::vector<bool> taken(outputs.size());
  std::vector<const void*> input_pointers;
  for (size_t i = 0; i < problem.inputs.size(); ++i) {
    const auto& v = problem.inputs[i];
    if (inputs[i].empty() && !(problem.has_input(i) && v.shape.elements() == 0)) {
      stored.emplace_back(0), originals.emplace_back(), input_pointers.push_back(nullptr);
      continue;
    }
    originals.push_back(
        stored_as(inputs[i], v.shape, layout_of(prepared.inputs, i), size_of(v.dtype)));
    stored.emplace_back(originals.back().size());
    uint8_t* at = stored.back().data();
    for (const auto& pair : prepared.in_place) {
      if (static_cast<size_t>(pair.input) != i || !(pair.required || in_place)) continue;
      if (taken[static_cast<size_t>(pair.output)]) continue;  // a + b may lie in a or in b
      taken[static_cast<size_t>(pair.output)] = true;
      at = outputs[static_cast<size_t>(pair.output)].data();
      if (outputs[static_cast<size_t>(pair.output)].bytes() != originals.back().size())
        result.faults.push_back("in_place joins values of different sizes");
      originals.back().resize(
          std::min(originals.back().size(), outputs[static_cast<size_t>(pair.output)].bytes()));
    }
    if (!originals.back().empty())
      std::memcpy(at, originals.back().data(), originals.back().size());
    input_pointers.push_back(at);
  }
  Guarded workspace(prepared.workspace);
  Guarded packed(prepared.packing.bytes);
  if (prepared.packing.kernel) {
    const void*& input = input_pointers[static_cast<size_t>(prepared.packing.input)];
    void* to = packed.data();
    prepared.packing.kernel->run({&input, &to, nullptr, nullptr});
    if (!packed.guards_hold()) result.faults.push_back("packs beyond what it asked for");
    input = to;
  }
  if (problem.device.type == DeviceType::kCpu) {
    prepared.kernel->run(
        {input_pointers.data(), output_pointers.data(), workspace.data(), nullptr});
  } else {
    const bool is_view = lie == Lie::kAsView || lie == Lie::kSurroundedView;
    const bool surrounded = lie == Lie::kSurrounded || lie == Lie::kSurroundedView;
    const auto range = [&](const void* data, size_t bytes, const kernels::ValueDesc& v) {
      return HostRange{data, bytes, is_view ? shift_of(v) : 0,
                       surrounded ? infinities_and_nans(v.dtype) : Bytes()};
    };
    std::vector<HostRange> from, to;
    for (size_t j = 0; j < outputs.size(); ++j)
      to.push_back(range(outputs[j].data(), outputs[j].bytes(), problem.outputs[j]));
    for (size_t i = 0; i < input_pointers.size(); ++i)
      from.push_back(range(input_pointers[i], originals[i].size(), problem.inputs[i]));
    if (!run_on_device(problem.device, prepared, from, to))
      result.faults.push_back("writes beside its values");
  }

  if (!workspace.guards_hold()) result.faults.push_back("writes outside its workspace");
  for (size_t i = 0; i < stored.size(); ++i)
    if (input_pointers[i] == stored[i].data() && !originals[i].empty() &&
        (!stored[i].guards_hold() ||
         std::memcmp(stored[i].data(), originals[i].data(), originals[i].size()) != 0))
      result.faults.push_back("changes its input " + std::to_string(i));
  for (size_t j = 0; j < outputs.size(); ++j) {
    const auto& v = problem.outputs[j];
    bool padding_is_zero = true;
    if (!outputs[j].guards_hold())
      result.faults.push_back("writes outside its output " + std::to_string(j));
    result.outputs.push_back(dense_of(outputs[j].data(), v.shape, layout_of(prepared.outputs, j),
                                      size_of(v.dtype), &padding_is_zero));
    if (!padding_is_zero)
      result.faults.push_back("leaves the padding of output " + std::to_string(j) + " not zero");
  }
  return result;
}

/// Return the entry of that name. On a device under test, whose entries have names of their own,
/// the first that takes the problem stands for each that is not there or declines, but never for
/// the reference.
const Entry* find_entry(Problem problem, const std::string& name) {
  problem.device = name == "reference" ? Device{} : device_under_test();
  const Entry *last = nullptr, *first = nullptr;
  for (const Entry* entry : kernels::entries(problem.operation, problem.device.type)) {
    if (problem.device.type == DeviceType::kCpu) {
      if (entry->name == name) return entry;
    } else if (kernels::refusal(*entry, problem).empty()) {
      if (entry->name == name) return entry;
      if (!first) first = entry;
    }
    last = entry;
  }
  if (!last || problem.device.type == DeviceType::kCpu)
    throw KernelError("no entry '" + name + "'", problem.operation);
  return first ? first : last;  // the last says why it declines
}

// 4. One entry on one case
// -------------------------------------------------------------------------

void compare(const Trial& t, const Run& run, const std::string& how) {
  for (const std::string& fault : run.faults)
    ADD_FAILURE() << t.c.operation << " " << t.entry.name << " " << fault << " (" << how << ") on "
                  << t.c.describe();
  for (size_t j = 0; j < run.outputs.size(); ++j) {
    const DType dtype = t.c.outputs[j].dtype;
    const double error = nmse(to_values(run.outputs[j], dtype), t.expected[j]);
    t.count.worst = std::max(t.count.worst, error);
    const bool stays_float = dtype == DType::kF32 && t.c.limit_of_floats > 0;
    const double limit = !is_floating(dtype) ? 0
                         : stays_float       ? t.c.limit_of_floats
                                             : nmse_limit(t.c, t.entry);
    if (!(error <= limit))
      ADD_FAILURE() << t.c.operation << " " << t.entry.name << " output " << j << " has nmse "
                    << error << ", limit " << limit << " (" << how << ") on " << t.c.describe();
  }
}

void expect_same_bits(const Trial& t, const Run& a, const Run& b, const std::string& how) {
  if (a.outputs != b.outputs)
    ADD_FAILURE() << t.c.operation << " " << t.entry.name << " gives other bits " << how << " on "
                  << t.c.describe();
}

std::string signature(const Problem& problem, const Prepared& prepared) {
  std::ostringstream text;
  text << prepared.detail;
  for (size_t i = 0; i < prepared.inputs.size(); ++i)
    text << " " << prepared.inputs[i].to_string(problem.inputs[i].shape.rank());
  for (size_t j = 0; j < prepared.outputs.size(); ++j)
    text << " " << prepared.outputs[j].to_string(problem.outputs[j].shape.rank());
  return text.str();
}

/// Results may not depend on the number of threads; only the guest library's do. The reference is
/// left out because it is slow.
bool promises_equal_bits_for_any_threads(const Entry& entry) {
  return entry.name.compare(0, 6, "onednn") != 0 && entry.name != "reference";
}

/// Up to this size a device's entries also get values that begin one element into their memory.
constexpr double kViewBytes = 65536;

}  // namespace

std::vector<Bytes> bytes_of(const Case& c, const std::vector<Values>& values) {
  std::vector<Bytes> bytes;
  for (size_t i = 0; i < c.inputs.size(); ++i)
    bytes.push_back(to_bytes(values[i], c.inputs[i].dtype));
  return bytes;
}

bool try_entry(const Trial& t) {
  std::vector<std::string> seen;
  bool ran = false;
  for (const char* tag : {"abcd", "aDbc8d", "aDbc16d", "Abcd8a", "Abcd16a"}) {
    Problem problem = t.c.problem();
    problem.device = {t.entry.device, 0};
    const bool on_cpu = t.entry.device == DeviceType::kCpu;
    bool image = false;
    for (auto& v : problem.inputs)
      if (v.shape.rank() == 4) v.layout = Layout::parse(tag), image = true;
    if (tag[1] == 'D' && !(image && t.c.blocked_inputs && on_cpu)) continue;
    const std::string reason = kernels::refusal(t.entry, problem);
    if (!reason.empty()) {
      t.count.reason = reason;
      continue;
    }
    const double efficiency = t.entry.efficiency(problem);
    EXPECT_TRUE(efficiency > 0 && efficiency < 100) << t.entry.name << " " << efficiency;
    Prepared prepared;
    try {
      const ForcedTile tile(t.c.tile);
      prepared = t.entry.prepare(problem);
    } catch (const KernelError& error) {
      t.count.reason = error.what();
      continue;
    }
    if (prepared.detail.compare(0, t.c.tile.size(), t.c.tile) != 0) {
      t.count.reason = "does not plan with the tile " + t.c.tile;
      continue;
    }
    ran = true;
    if (t.entry.name == "reference" && prepared.in_place.empty()) return true;  // has just run
    const std::string made = signature(problem, prepared);
    if (std::find(seen.begin(), seen.end(), made) != seen.end()) continue;
    seen.push_back(made);
    const std::string how = std::string("inputs ") + tag + ":" + made;
    const Run first = run_prepared(problem, prepared, t.inputs, false);
    compare(t, first, how);
    if (t.entry.name != "reference")  // else `first` was the second run already
      expect_same_bits(t, first, run_prepared(problem, prepared, t.inputs, false),
                       "when run twice");
    if (!prepared.in_place.empty())
      compare(t, run_prepared(problem, prepared, t.inputs, true), how + " in place");
    if (!on_cpu && kernels::cost_of(problem).bytes < kViewBytes)
      compare(t, run_prepared(problem, prepared, t.inputs, false, Lie::kAsView), how + " as views");
    if (!on_cpu && t.c.surrounded)
      for (const Lie lie : {Lie::kSurrounded, Lie::kSurroundedView})
        compare(t, run_prepared(problem, prepared, t.inputs, false, lie), how + " among NaN");
    if (seen.size() == 1 && on_cpu && promises_equal_bits_for_any_threads(t.entry)) {
      const int before = threads();
      for (int team : {1, 3}) {
        set_threads(team);
        problem.threads = team;
        expect_same_bits(t, first, run_prepared(problem, t.entry.prepare(problem), t.inputs, false),
                         "with " + std::to_string(team) + " threads");
      }
      set_threads(before);
      problem.threads = before;
      problem.lasting.assign(problem.inputs.size(), true);
      for (const bool change : {false, true}) {
        problem.weights_change = change;
        EXPECT_GT(t.entry.efficiency(problem), 0) << t.entry.name;
        const Prepared packed = t.entry.prepare(problem);
        if (packed.packing.kernel)
          expect_same_bits(t, first, run_prepared(problem, packed, t.inputs, false),
                           "with a packed input");
      }
    }
  }
  return ran;
}

// 5. Cases
// -----------------------------------------------------------------------------------------

Problem Case::problem() const {
  Problem problem;
  problem.operation = operation;
  problem.options = options;
  for (const Input& input : inputs) {
    problem.inputs.push_back({input.shape, input.dtype, {}});
    problem.optional.push_back(input.fill != Input::Fill::kAbsent);
  }
  for (const Output& output : outputs) problem.outputs.push_back({output.shape, output.dtype, {}});
  problem.threads = threads();
  problem.exact = exact;
  problem.tf32 = tf32;
  problem.path = path;
  problem.gate = gate;
  return problem;
}

std::string Case::describe() const {
  std::ostringstream text;
  text << operation << (name.empty() ? name : std::string(" '").append(name).append("'")) << ":";
  for (const Input& input : inputs)
    if (input.fill == Input::Fill::kAbsent)
      text << " -";
    else
      text << " " << input.shape.to_string() << (input.fill == Input::Fill::kLike ? "like" : "");
  text << " ->";
  for (const Output& output : outputs) text << " " << output.shape.to_string();
  return text.str();
}

Case Case::with_floats(DType dtype, int least_rank) const {
  Case c = *this;
  for (Input& input : c.inputs)
    if (input.dtype == DType::kF32 && input.shape.rank() >= least_rank) {
      if (input.fill == Input::Fill::kBytes)
        input.bytes = to_bytes(to_values(input.bytes, DType::kF32), dtype);
      input.dtype = dtype;
    }
  for (Output& output : c.outputs)
    if (output.dtype == DType::kF32 && output.shape.rank() >= least_rank) output.dtype = dtype;
  return c;
}

std::vector<Values> draw_inputs(const Case& c, uint64_t seed) {
  std::vector<Values> drawn;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const Input& input = c.inputs[i];
    Values values;
    if (input.fill == Input::Fill::kBytes) {
      values = to_values(input.bytes, input.dtype);
    } else if (input.fill != Input::Fill::kLike && input.fill != Input::Fill::kAbsent) {
      const RandomStream stream{seed, i + 1, 0};
      std::array<uint32_t, 4> words{};
      const auto count = static_cast<size_t>(input.shape.elements());
      const double range = input.high - input.low;
      values.resize(count);
      for (size_t e = 0; e < count; ++e) {
        if (e % 4 == 0) words = stream.words(e / 4, 0);
        const double u = uniform01(words[e % 4]);
        double v = input.low + range * u;
        if (input.fill == Input::Fill::kIndices) v = std::floor(v);
        if (input.fill == Input::Fill::kConstant) v = input.low;
        if (input.fill == Input::Fill::kDistinct)
          v = input.low + range * static_cast<double>(e) / static_cast<double>(count);
        if (input.fill == Input::Fill::kUniform && std::abs(v) < 1e-3) v = v < 0 ? -1e-3 : 1e-3;
        values[e] = v;
      }
      if (input.fill == Input::Fill::kDistinct)
        for (size_t e = count; e > 1; --e)
          std::swap(values[e - 1], values[stream.words(e, 1)[0] % e]);
    }
    // As the kernel sees them: rounded to the element type.
    drawn.push_back(to_values(to_bytes(values, input.dtype), input.dtype));
  }
  return drawn;
}

std::vector<Values> run_entry(const Case& c, const std::string& entry,
                              const std::vector<Values>& inputs) {
  Problem problem = c.problem();
  const Entry* found = find_entry(problem, entry);
  problem.device = {found->device, 0};
  const std::string reason = kernels::refusal(*found, problem);
  if (!reason.empty()) throw KernelError("'" + found->name + "' declines: " + reason, c.describe());
  const Run run = run_prepared(problem, found->prepare(problem), bytes_of(c, inputs), false);
  for (const std::string& fault : run.faults)
    ADD_FAILURE() << c.operation << " " << found->name << " " << fault << " on " << c.describe();
  std::vector<Values> outputs;
  for (size_t j = 0; j < run.outputs.size(); ++j)
    outputs.push_back(to_values(run.outputs[j], c.outputs[j].dtype));
  return outputs;
}

double nmse(const Values& values, const Values& expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double a = values[i], b = expected[i];
    if (std::isfinite(a) && std::isfinite(b)) {
      difference += (a - b) * (a - b);
      norm += b * b;
    } else if (!(a == b || (std::isnan(a) && std::isnan(b)))) {
      return std::numeric_limits<double>::infinity();
    }
  }
  if (difference == 0) return 0;
  return norm == 0 ? std::numeric_limits<double>::infinity() : difference / norm;
}

// 6. The table
// -------------------------------------------------------------------------------------

std::vector<EntryCount> run_table(const std::vector<Case>& table) {
  EXPECT_FALSE(table.empty()) << "an empty table tests nothing";
  const DeviceType device = device_under_test().type;
  std::map<std::pair<std::string, std::string>, EntryCount> counts;
  int left_out = 0;
  for (const Case& c : table) {
    if (!c.always && is_too_long(c)) {
      ++left_out;
      continue;
    }
    const std::vector<Values> values = draw_inputs(c);
    const std::vector<Bytes> inputs = bytes_of(c, values);
    try {
      const std::vector<Values> expected = run_entry(c, "reference", values);
      const auto entries = kernels::entries(c.operation, device);
      EXPECT_FALSE(entries.empty()) << c.operation << " has no kernel for this device";
      for (const Entry* entry : entries) {
        EntryCount& count = counts[{c.operation, entry->name}];
        count.operation = c.operation, count.entry = entry->name;
        ++(try_entry({c, *entry, inputs, expected, count}) ? count.ran : count.declined);
        if (device != DeviceType::kCpu) try_halves(c, *entry, count);
        if (device != DeviceType::kCpu) try_tf32({c, *entry, inputs, expected, count});
      }
    } catch (const Error& error) {
      ADD_FAILURE() << error.what() << " on " << c.describe();
    }
  }
  if (left_out > 0)
    std::printf("  %d of %zu cases are left to --long, being too large for an emulator\n", left_out,
                table.size());
  std::map<std::string, int> ran;
  for (const auto& [key, count] : counts) ran[key.first] += count.ran;
  for (const auto& [operation, times] : ran)
    EXPECT_GT(times, 0) << "no entry ran any case of " << operation;
  std::vector<EntryCount> report;
  for (const auto& [key, count] : counts) {
    report.push_back(count);
    const bool mostly_declines = count.declined > 4 * count.ran;
    std::printf("  %-28s %-16s ran %4d, declined %4d, worst nmse %.1e%s%s\n",
                count.operation.c_str(), count.entry.c_str(), count.ran, count.declined,
                count.worst, mostly_declines ? "  DECLINES OVER 80 %: " : "",
                mostly_declines ? count.reason.c_str() : "");
  }
  return report;
}

}  // namespace striate::testing
