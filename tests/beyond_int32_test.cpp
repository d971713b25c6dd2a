// Kernels of devices on values of more than 2^31 elements: no index may be of 32 bits.
//
// The first axis, of pictures or rows, is so long that a value of the operation has more than 2^31
// elements. Only its two ends are written, and only their results are looked at; they must be what
// the reference makes of these two alone. What lies between is zero, so that sums over all of it
// are those of the ends. On an emulated device, which has the addresses but not the memory, a
// process of its own runs a few blocks of each grid: its corners are among them. Where blocks add
// up what others made, another runs all blocks, on a problem that visits little of its memory.
// slice_backward is not here: first it sets all of its result to zero, and so takes the memory.
#include <gtest/gtest.h>
#include <striate/core/allocator.h>
#include <striate/core/error.h>
#include <striate/core/step.h>
#include <striate/kernels/batch_norm.h>
#include <striate/kernels/cast.h>
#include <striate/kernels/chain.h>
#include <striate/kernels/dropout.h>
#include <striate/kernels/loss.h>
#include <striate/kernels/matmul.h>
#include <striate/kernels/optimizer.h>
#include <striate/kernels/pad2d.h>
#include <striate/kernels/pool2d.h>
#include <striate/kernels/reduce.h>
#include <striate/kernels/shape_ops.h>
#include <striate/kernels/unary.h>
#include <striate/tests/kernel_trial.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <tuple>

namespace striate::testing {
namespace {

using Fill = Input::Fill;
constexpr int64_t kLimitOfInt32 = int64_t{1} << 31;

/// An operation for any number of rows or pictures.
struct Long {
  std::function<Case(int64_t rows)> of;
  std::vector<size_t> unchecked = {};  // outputs that blocks which did not run have a share in
  std::string entry = {};              // only this one
};

/// The last row begins a block of its own, however blocks share out the elements; where a fixed
/// number of blocks, sixteen for each of 108 multiprocessors, takes turns, the first block has it.
constexpr int64_t kRowsPerTurn = 4096, kMoreRowsPerTurn = 108 * kRowsPerTurn;

/// Return a number of rows that makes a value have more than 2^31 elements.
int64_t rows_of(const Long& operation) {
  const Case two = operation.of(2), three = operation.of(3);
  int64_t largest = 1;  // elements of a row
  for (size_t i = 0; i < two.inputs.size(); ++i)
    if (two.inputs[i].fill != Fill::kLike)
      largest =
          std::max(largest, three.inputs[i].shape.elements() - two.inputs[i].shape.elements());
  for (size_t j = 0; j < two.outputs.size(); ++j)
    largest =
        std::max(largest, three.outputs[j].shape.elements() - two.outputs[j].shape.elements());
  const int64_t least = kLimitOfInt32 / largest;
  const int64_t turn = least > 4 * kMoreRowsPerTurn ? kMoreRowsPerTurn : kRowsPerTurn;
  return (least + turn - 1) / turn * turn + 1;
}

bool is_emulated(Device device) {
  return backend(device.type).describe(device.index).rfind("emulator", 0) == 0;
}

/// What a value holds on the device: all of it, of which the first and the last row are written.
struct Ends {
  Ends(const Shape& two, const Shape& all, DType dtype, Device where)
      : device(where),
        has_ends(two.elements() != all.elements()),
        row(two.elements() * static_cast<int64_t>(size_of(dtype)) / (has_ends ? 2 : 1)),
        bytes(all.elements() * static_cast<int64_t>(size_of(dtype))),
        buffer(Buffer::allocate(static_cast<size_t>(bytes), where)) {
    const std::vector<char> zeros(is_emulated(where) ? 0 : size_t{1} << 26);  // a GPU's are not
    for (int64_t to = 0; !zeros.empty() && to < bytes; to += int64_t(zeros.size()))
      backend(where.type)
          .copy_from_host(static_cast<char*>(buffer->data()) + to, zeros.data(),
                          std::min(zeros.size(), static_cast<size_t>(bytes - to)), where.index);
  }

  void write(const Bytes& values) {
    for (int end = 0; end <= has_ends; ++end)
      backend(device.type)
          .copy_from_host(at(end), values.data() + end * row, static_cast<size_t>(row),
                          device.index);
  }
  Bytes read() {
    Bytes values(static_cast<size_t>((1 + has_ends) * row));
    for (int end = 0; end <= has_ends; ++end)
      backend(device.type)
          .copy_to_host(values.data() + end * row, at(end), static_cast<size_t>(row), device.index);
    return values;
  }
  char* at(int end) const {
    return static_cast<char*>(buffer->data()) + (end == 0 ? 0 : bytes - row);
  }

  Device device;
  bool has_ends;
  int64_t row, bytes;
  std::shared_ptr<Buffer> buffer;
};

double number_at(const Bytes& bytes, size_t i, DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return reinterpret_cast<const float*>(bytes.data())[i];
    case DType::kF16:
      return half_to_float(reinterpret_cast<const uint16_t*>(bytes.data())[i]);
    case DType::kBF16:
      return bfloat16_to_float(reinterpret_cast<const uint16_t*>(bytes.data())[i]);
    case DType::kI64:
      return static_cast<double>(reinterpret_cast<const int64_t*>(bytes.data())[i]);
    default:
      return bytes[i];
  }
}

/// Run an entry on the long values and compare the ends; return whether it takes them.
bool agrees_at_the_ends(const Long& operation, const kernels::Entry& entry, DType dtype,
                        Device device) {
  const int64_t rows = rows_of(operation);
  const Case floats = operation.of(2);
  Case two = floats, all = operation.of(rows);
  const auto refused = [&](const Case& c) {
    kernels::Problem problem = c.problem();
    problem.device = device;
    return !kernels::refusal(entry, problem).empty();
  };
  if (dtype != DType::kF32) {
    int least_rank = 0;
    if (refused(all.with_floats(dtype))) least_rank = 2;  // parameters and sums stay float32
    two = two.with_floats(dtype, least_rank), all = all.with_floats(dtype, least_rank);
  }
  if (refused(all)) return false;
  kernels::Problem problem = all.problem();
  problem.device = device;
  const std::vector<Values> values = draw_inputs(two);
  std::vector<Values> expected = dtype == DType::kF32 ? run_entry(two, "reference", values)
                                                      : expect_halves(floats, two, values);
  const std::vector<Bytes> bytes = bytes_of(two, values);
  const kernels::Prepared prepared = entry.prepare(problem);
  std::vector<Ends> inputs, outputs;
  std::vector<const void*> from;
  std::vector<void*> to;
  for (size_t i = 0; i < two.inputs.size(); ++i) {
    const bool has_values = !bytes[i].empty();
    const Shape none = {0};
    inputs.emplace_back(has_values ? two.inputs[i].shape : none,
                        has_values ? all.inputs[i].shape : none, two.inputs[i].dtype, device);
    if (has_values) inputs.back().write(bytes[i]);
    from.push_back(has_values ? inputs.back().buffer->data() : nullptr);
  }
  for (size_t j = 0; j < two.outputs.size(); ++j) {
    const auto same = std::find_if(
        prepared.in_place.begin(), prepared.in_place.end(),
        [&](const kernels::InPlace& pair) { return pair.required && pair.output == int(j); });
    if (same != prepared.in_place.end())
      outputs.push_back(inputs[static_cast<size_t>(same->input)]);
    else
      outputs.emplace_back(two.outputs[j].shape, all.outputs[j].shape, two.outputs[j].dtype,
                           device);
    to.push_back(outputs.back().buffer->data());
  }
  const auto workspace = Buffer::allocate(prepared.workspace, device);
  Backend& backend = striate::backend(device.type);
  prepared.kernel->run({from.data(), to.data(), workspace->data(), backend.stream(device.index)});
  backend.wait(device.index);
  for (size_t j = 0; j < outputs.size(); ++j) {
    const auto& unchecked = operation.unchecked;
    if (std::find(unchecked.begin(), unchecked.end(), j) != unchecked.end()) continue;
    const DType stored = two.outputs[j].dtype;
    const Bytes found = outputs[j].read();
    Values numbers;
    for (size_t i = 0; i < expected[j].size(); ++i) numbers.push_back(number_at(found, i, stored));
    const bool stays_float = stored == DType::kF32 && two.limit_of_floats > 0;
    EXPECT_LE(nmse(numbers, expected[j]), stays_float ? two.limit_of_floats : two.limit)
        << two.operation << " " << entry.name << " " << name_of(dtype) << " output " << j << " of "
        << all.describe();
  }
  return true;
}

Input step_block(int64_t rows) {
  StepBlock block;
  block.learning_rate[0] = 0.1f;
  block.loss_divisor = static_cast<float>(rows);
  std::vector<uint8_t> bytes(sizeof block);
  std::memcpy(bytes.data(), &block, sizeof block);
  return Input::of(Shape{static_cast<int64_t>(sizeof block)}, bytes);
}

void add_elementwise(std::vector<Long>& table) {
  const auto x = [](int64_t n) { return Shape{n, 8, 8, 4}; };
  const auto add = [&](auto of) { table.push_back({of}); };
  for (const char* name : {"relu", "tanh"}) {
    add([=](int64_t n) {
      return Case::of(name, UnaryOptions{}, {x(n)}, {x(n)}, kTranscendentalLimit);
    });
    add([=](int64_t n) {
      return Case::of(std::string(name) + "_backward", UnaryOptions{}, {x(n), x(n)}, {x(n)});
    });
  }
  add([=](int64_t n) { return Case::of("add", 0, {x(n), x(n)}, {x(n)}); });
  add([=](int64_t n) { return Case::of("multiply", 0, {x(n), Shape{4}}, {x(n)}); });
  add([=](int64_t n) { return Case::of("greater", 0, {x(n), x(n)}, {{x(n), DType::kBool}}); });
  add([=](int64_t n) {
    const Input condition(x(n), DType::kBool, Fill::kIndices, 0, 2);
    return Case::of("where", 0, {condition, x(n), x(n)}, {x(n)});
  });
  add([=](int64_t n) {
    return Case::of("chain", ChainOptions{"add 1 1; relu 0 1"}, {x(n), x(n)}, {x(n)});
  });
  add([=](int64_t n) {
    return Case::of("cast", CastOptions{DType::kU8}, {Input(x(n), Fill::kUniform, 0, 9)},
                    {{x(n), DType::kU8}});
  });
  add([=](int64_t n) {
    return Case::of("rescale", RescaleOptions{0.5, 1},
                    {Input(x(n), DType::kU8, Fill::kIndices, 0, 255)}, {x(n)});
  });
  SgdOptions sgd;
  sgd.tensors = 1, sgd.momentum = 0.9;
  AdamOptions adam;
  adam.tensors = 1;
  const Input scale = Input::absent({1});
  add([=](int64_t n) {
    const Shape w = {n, 256};
    return Case::of("sgd", sgd, {step_block(2), scale, w, w, w}, {w, w});
  });
  add([=](int64_t n) {
    const Shape w = {n, 256};
    return Case::of("adam", adam, {step_block(2), scale, w, w, w, Input(w, Fill::kUniform, 0, 1)},
                    {w, w, w});
  });
}

void add_moves(std::vector<Long>& table) {
  const auto x = [](int64_t n) { return Shape{n, 8, 8, 4}; };
  const auto small = [](int64_t n) { return Shape{n, 1, 1, 4}; };
  const auto add = [&](auto of) { table.push_back({of}); };
  add([=](int64_t n) {
    return Case::of("concat", ConcatOptions{-1}, {x(n), x(n)}, {Shape{n, 8, 8, 8}});
  });
  add([=](int64_t n) {
    const SliceOptions box{{0, 1, 2, 0}, {n, 6, 5, 4}};
    return Case::of("slice", box, {x(n)}, {Shape{n, 6, 5, 4}});
  });
  add([=](int64_t n) {
    return Case::of("transpose", TransposeOptions{{0, 3, 1, 2}}, {x(n)}, {Shape{n, 4, 8, 8}});
  });
  add([=](int64_t n) { return Case::of("reshape", 0, {x(n)}, {Shape{n, 256}}); });
  add([=](int64_t n) {
    return Case::of("broadcast_to", 0, {small(n), Input::like(x(n))}, {x(n)});
  });
  add([=](int64_t n) { return Case::of("sum_to", 0, {x(n), Input::like(small(n))}, {small(n)}); });
  ReduceOptions pixels;
  pixels.axes = {1, 2};
  for (const char* name : {"reduce_sum", "reduce_mean", "reduce_max"})
    add([=](int64_t n) { return Case::of(name, pixels, {x(n)}, {Shape{n, 4}}); });
  Pad2dOptions pad;
  pad.padding = 1;
  add([=](int64_t n) { return Case::of("pad2d", pad, {Shape{n, 4, 4, 4}}, {Shape{n, 6, 6, 4}}); });
  add([=](int64_t n) {
    const Shape inner = {n, 4, 4, 4};
    return Case::of("pad2d_backward", pad, {Shape{n, 6, 6, 4}, Input::like(inner)}, {inner});
  });
}

/// Groups of channels, and single ones, of which a kernel has a thread for each.
void add_pooling(std::vector<Long>& table, int64_t channels, int stride) {
  const auto x = [=](int64_t n) { return Shape{n, 8, 8, channels}; };
  const auto y = [=](int64_t n) { return Shape{n, 8 / stride, 8 / stride, channels}; };
  const auto add = [&](auto of) { table.push_back({of}); };
  Pool2dOptions pool;
  pool.pool_size = 2;
  pool.strides = stride;
  pool.padding = "same";
  const auto winner = [=](int64_t n) { return Input(y(n), DType::kU8, Fill::kIndices, 0, 4); };
  add([=](int64_t n) {
    return Case::of("max_pool2d", pool, {Input(x(n), Fill::kDistinct)}, {y(n), {y(n), DType::kU8}});
  });
  add([=](int64_t n) {
    return Case::of("max_pool2d_backward", pool, {y(n), winner(n), Input::like(x(n))}, {x(n)});
  });
  add([=](int64_t n) { return Case::of("max_pool2d_gather", pool, {x(n), winner(n)}, {y(n)}); });
  add([=](int64_t n) { return Case::of("avg_pool2d", pool, {x(n)}, {y(n)}); });
  add([=](int64_t n) {
    return Case::of("avg_pool2d_backward", pool, {y(n), Input::like(x(n))}, {x(n)});
  });
  add([=](int64_t n) { return Case::of("global_avg_pool2d", 0, {x(n)}, {Shape{n, channels}}); });
  add([=](int64_t n) {
    return Case::of("global_avg_pool2d_backward", 0, {Shape{n, channels}, Input::like(x(n))},
                    {x(n)});
  });
}

std::vector<Long> sums_of_all_elements(std::vector<size_t> unchecked) {
  const auto x = [](int64_t n) { return Shape{n, 256}; };
  ReduceOptions rows;
  rows.axes = {0};
  return {
      {[=](int64_t n) { return Case::of("squared_norm", 0, {x(n)}, {Shape{1}}); }, unchecked},
      {[=](int64_t n) { return Case::of("reduce_sum", rows, {x(n)}, {Shape{256}}); }, unchecked}};
}

void add_rows(std::vector<Long>& table) {
  const auto x = [](int64_t n) { return Shape{n, 1024}; };
  const auto add = [&](auto of) { table.push_back({of}); };
  for (const char* name : {"softmax", "log_softmax"}) {
    add([=](int64_t n) { return Case::of(name, 0, {x(n)}, {x(n)}, kTranscendentalLimit); });
    add([=](int64_t n) {
      return Case::of(std::string(name) + "_backward", 0,
                      {x(n), Input(x(n), Fill::kUniform, -1, 0)}, {x(n)}, kTranscendentalLimit);
    });
  }
  const std::vector<size_t> loss = {0};
  table.push_back({[=](int64_t n) {
                     return Case::of(
                         "sparse_categorical_crossentropy", LossOptions(),
                         {x(n), Input({n}, DType::kI32, Fill::kIndices, 0, 1024), step_block(2)},
                         {Shape{}, x(n)}, kTranscendentalLimit);
                   },
                   loss});
  for (const char* name :
       {"categorical_crossentropy", "binary_crossentropy", "mean_squared_error"}) {
    const int64_t classes = name[0] == 'c' ? 1024 : 64;
    table.push_back({[=](int64_t n) {
                       const Shape rows = {n, classes};
                       return Case::of(name, LossOptions(),
                                       {rows, Input(rows, Fill::kUniform, 0, 1), step_block(2)},
                                       {Shape{}, rows}, kTranscendentalLimit);
                     },
                     loss});
  }
  const auto image = [](int64_t n) { return Shape{n, 8, 8, 4}; };
  const Shape c = {4};
  const Input positive(c, Fill::kUniform, 0.5, 2);
  add([=](int64_t n) {
    return Case::of("batch_norm_inference", BatchNormOptions(), {image(n), c, c, c, positive},
                    {image(n)}, kTranscendentalLimit);
  });
  // Statistics are of all blocks; that the others find their rows is seen by their bounds alone.
  table.push_back({[=](int64_t n) {
                     return Case::of("batch_norm_training", BatchNormOptions(),
                                     {image(n), c, c, c, positive}, {image(n), c, c, c, c});
                   },
                   {0, 1, 2, 3, 4}});
  table.push_back({[=](int64_t n) {
                     return Case::of("batch_norm_training_backward", BatchNormOptions(),
                                     {image(n), c, c, positive, image(n)}, {image(n), c, c});
                   },
                   {0, 1, 2}});
  for (const Long& dense : sums_of_all_elements({0})) table.push_back(dense);
  MatmulOptions plain;
  add([=](int64_t n) {
    return Case::of("matmul", plain, {Shape{n, 16}, Shape{16, 8}, Shape{8}}, {Shape{n, 8}});
  });
}

Conv2dOptions with(Padding padding, Size2 strides = 1, int64_t groups = 1) {
  Conv2dOptions options;
  options.padding = padding, options.strides = strides, options.groups = groups;
  return options;
}

void add_convolutions(std::vector<Long>& table) {
  const auto both = [&](auto x, Shape w, int64_t groups, const std::string& entry,
                        std::vector<size_t> unchecked) {
    const Conv2dOptions options = with({w[1] / 2, w[1] / 2, 1, 1}, 1, groups);
    table.push_back({[=](int64_t n) {
                       return Case::of("conv2d", options, {x(n), w}, {x(n)});
                     },
                     unchecked, entry});
    table.push_back(
        {[=](int64_t n) {
           return Case::of("conv2d_backward_input", options, {x(n), w, Input::like(x(n))}, {x(n)});
         },
         unchecked, entry});
  };
  const auto square = [](int64_t C) { return [C](int64_t n) { return Shape{n, 8, 8, C}; }; };
  both(square(1), {1, 3, 3, 1}, 1, "", {});
  both(square(4), {4, 3, 3, 4}, 1, "", {});
  both(square(8), {8, 3, 3, 8}, 1, "", {});
  both([](int64_t n) { return Shape{n, 1, 8, 4}; }, {4, 3, 3, 1}, 4, "depthwise", {});
  // One picture, over whose rows no window reaches.
  const auto high = [](int64_t n) { return Shape{1, n, 8, 4}; };
  both(high, {4, 1, 3, 1}, 4, "depthwise", {});
  // Each place of Winograd's tiles is a product of its own, of which a few run.
  both([](int64_t n) { return Shape{n, 2, 2, 128}; }, {128, 3, 3, 128}, 1, "winograd", {0});
}

/// Sums over the pictures: of each picture a window in a corner alone is looked at.
void add_sums(std::vector<Long>& table) {
  for (const int64_t C : {4, 8}) {
    const auto x = [=](int64_t n) { return Shape{n, 256, 256, C}; };
    for (const int64_t groups : {int64_t{1}, C}) {
      Conv2dOptions options = with("valid", 254, groups);
      options.bias = true;
      const auto y = [=](int64_t n) { return Shape{n, 1, 1, C}; };
      const Shape w = {C, 3, 3, C / groups};
      table.push_back({[=](int64_t n) {
        return Case::of("conv2d_backward_weight", options, {x(n), y(n), Input::like(w)},
                        {w, Shape{C}});
      }});
    }
  }
  // These visit all of their memory, which takes an emulated device a quarter of a minute each.
  if (std::getenv("STRIATE_LONG"))
    for (const Long& dense : sums_of_all_elements({})) table.push_back(dense);
}

/// Operations whose rows are independent, and whose blocks are: a few of them show the ends.
const std::map<std::string, std::function<void(std::vector<Long>&)>> kGroups = {
    {"Elementwise", add_elementwise},
    {"Moves", add_moves},
    {"Pooling", [](auto& table) { add_pooling(table, 4, 2), add_pooling(table, 3, 1); }},
    {"Rows", add_rows},
    {"Convolutions", add_convolutions},
    {"Sums", add_sums}};

/// Run this test in a process of its own, with memory that only has addresses; blocks of sums run
/// all, of others a few.
void run_again(const std::string& group) {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string blocks = group == "Sums" ? "1000000000" : "4";
  EXPECT_EQ(std::system(("env -u EMULATOR_COVERAGE -u GTEST_TOTAL_SHARDS -u GTEST_SHARD_INDEX "
                         "EMULATOR_CHECKS=bounds "
                         "EMULATOR_MEMORY_BYTES=200000000000 EMULATOR_SAMPLE_BLOCKS=" +
                         blocks + " '" + self + "' --gtest_brief=1 --gtest_filter=" +
                         test->test_suite_name() + "." + test->name())
                            .c_str()),
            0);
}

/// A group and a type: a process has addresses for so much and not for all.
class LongValues : public ::testing::TestWithParam<std::tuple<std::string, DType>> {};

TEST_P(LongValues, KernelsOfDevicesCountIn64Bits) {
  const auto& [group, dtype] = GetParam();
  std::vector<Long> operations;
  kGroups.at(group)(operations);
  const Device device = device_under_test();
  if (device.type == DeviceType::kCpu) {
    for (const Long& operation : operations) EXPECT_GT(rows_of(operation), 2);
    return;
  }
  if (is_emulated(device) && !std::getenv("EMULATOR_SAMPLE_BLOCKS")) return run_again(group);
  for (const Long& operation : operations) {
    int ran = 0;
    const std::string name = operation.of(2).operation;
    for (const kernels::Entry* entry : kernels::entries(name, device.type)) {
      if (!operation.entry.empty() && entry->name != operation.entry) continue;
      try {
        ran += agrees_at_the_ends(operation, *entry, dtype, device);
      } catch (const OutOfMemoryError& error) {
        if (is_emulated(device)) throw;
        ++ran;  // a GPU has the memory that it has
        std::printf("  left out: %s %s: %s\n", name.c_str(), entry->name.c_str(), error.what());
      }
    }
    const bool only_floats = name == "rescale" || operation.entry == "winograd";
    EXPECT_TRUE(ran > 0 || (only_floats && dtype != DType::kF32)) << name;
  }
}

/// What cannot count in 64 bits says up to where it counts.
TEST(BeyondInt32, WhatKernelsDoNotTakeTheyName) {
  const Device device = device_under_test();
  if (device.type == DeviceType::kCpu) {
    EXPECT_GT((Shape{1, 32768, 16400, 4}).elements(), kLimitOfInt32);
    return;
  }
  const auto said = [&](const Case& c) {
    kernels::Problem problem = c.problem();
    problem.device = device;
    try {
      kernels::choose(problem);
    } catch (const KernelError& error) {
      return std::string(error.what());
    }
    return std::string("it is taken");
  };
  for (const int64_t groups : {1, 4}) {  // one picture of so many elements
    // Depthwise kernels count pixels, the others elements.
    const Shape x = {1, 32768, groups * 16400, 4}, w = {4, 3, 3, 4 / groups};
    const Conv2dOptions options = with(1, 1, groups);
    for (const Case& c : {Case::of("conv2d", options, {x, w}, {x}),
                          Case::of("conv2d_backward_input", options, {x, w, Input::like(x)}, {x}),
                          Case::of("conv2d_backward_weight", options, {x, x, Input::like(w)}, {w})})
      for (const DType dtype : {DType::kF32, DType::kF16})
        EXPECT_NE(said(c.with_floats(dtype)).find("fewer than 2^31"), std::string::npos)
            << c.describe() << ": " << said(c.with_floats(dtype));
  }
  const Shape numbers = {kLimitOfInt32};
  const std::string sort = said(Case::of("sort", 0, {numbers}, {numbers}));
  EXPECT_NE(sort.find("fewer than 2^31"), std::string::npos) << sort;
}

INSTANTIATE_TEST_SUITE_P(
    BeyondInt32, LongValues,
    ::testing::Combine(::testing::Values("Elementwise", "Moves", "Pooling", "Rows", "Convolutions",
                                         "Sums"),
                       ::testing::Values(DType::kF32, DType::kF16, DType::kBF16)),
    [](const auto& info) { return std::get<0>(info.param) + name_of(std::get<1>(info.param)); });

}  // namespace
}  // namespace striate::testing
