// Cases that reach kernels of their own on devices: element types, wide windows, long rows, and
// what a device does with the fault of a step.
#include <gtest/gtest.h>
#include <striate/core/allocator.h>
#include <striate/core/device.h>
#include <striate/core/plugin.h>
#include <striate/core/step.h>
#include <striate/kernels/loss.h>
#include <striate/kernels/optimizer.h>
#include <striate/kernels/pool2d.h>
#include <striate/kernels/reduce.h>
#include <striate/kernels/reorder.h>
#include <striate/tests/kernel_table.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace striate::testing {
namespace {

using Fill = Input::Fill;
using kernels::Problem;

TEST(DeviceKernels, WideWindowsKeepTheirWinnerIn32Bits) {
  Pool2dOptions options;
  options.pool_size = Size2(17, 16);
  options.strides = 2;
  const Shape x{2, 22, 24, 8}, y{2, 3, 5, 8};
  const auto wide = [&](Case c) {
    c.always = true;
    return c;
  };
  std::vector<Case> table;
  // Windows that lie beyond an edge.
  Pool2dOptions beyond_edge = options;
  beyond_edge.padding = Padding(18, 0, 0, 0);
  for (const int64_t channels : {8, 4, 3})
    table.push_back(
        wide(Case::of("max_pool2d", beyond_edge, {Input({1, 18, 20, channels}, Fill::kDistinct)},
                      {Output({1, 10, 3, channels}), Output({1, 10, 3, channels}, DType::kI32)})));
  // Windows that reach beyond all edges, and some more of them.
  Pool2dOptions padded = options;
  padded.padding = Padding(9, 7, 7, 8);
  for (const int64_t channels : {8, 4, 3})
    for (const bool rectified : {false, true}) {
      padded.rectified = rectified;
      const Shape image{1, 18, 20, channels}, pooled{1, 9, 10, channels};
      // Half of what relu makes 0 before such a pooling; without relu the same for all.
      Case c = wide(Case::of("max_pool2d", padded, {Input(image, Fill::kDistinct, -2, 0.002)},
                             {Output(pooled), Output(pooled, DType::kI32)}));
      table.push_back(c);
      Values corner = draw_inputs(c)[0];  // NaN at the first places of the windows at the left
      for (int64_t i = 3 * 20 * channels; i < (3 * 20 + 1) * channels; ++i)
        corner[static_cast<size_t>(i)] = NAN;
      c.inputs = {Input::of(image, std::vector<float>(corner.begin(), corner.end()))};
      table.push_back(c);
      // The largest is in the window's last row, in one of the columns before its groups of four.
      for (const int64_t peak : {0, 1, 2}) {
        std::vector<float> ridge;
        for (int64_t i = 0; i < image.elements(); ++i) {
          const int64_t row = i / (20 * channels), column = i / channels % 20;
          ridge.push_back(static_cast<float>(row - std::abs(column - peak)) / 64);
        }
        c.inputs = {Input::of(image, ridge)};
        table.push_back(c);
      }
      table.push_back(wide(Case::of(
          "max_pool2d_backward", padded,
          {Input(pooled), Input(pooled, DType::kI32, Fill::kIndices, 9 * 16 + 8, 9 * 16 + 9),
           Input::like(image)},
          {image})));
    }
  const Case forward = wide(Case::of("max_pool2d", options, {Input(x, Fill::kDistinct)},
                                     {Output(y), Output(y, DType::kI32)}));
  for (const int64_t channels : {8, 4, 3}) {  // the last row belongs to no window
    const Shape image{2, 22, 24, channels}, pooled{2, 3, 5, channels};
    const Input winners(pooled, DType::kI32, Fill::kIndices, 0, 17 * 16 + 1);
    table.push_back(wide(Case::of("max_pool2d_backward", options,
                                  {Input(pooled), winners, Input::like(image)}, {image})));
  }
  // All below zero, and NaN, which wins over all numbers.
  Values numbers = draw_inputs(forward)[0];
  std::vector<float> negative(numbers.begin(), numbers.end());
  for (float& v : negative) v -= 2;
  Case below = forward;
  below.inputs = {Input::of(x, negative)};
  table.insert(table.end(), {forward, below});
  for (size_t first = 4; first < 8; ++first) {  // in each turn of a loop, for each channel
    std::vector<float> nan = negative;
    for (size_t channel = 0; channel < 8; ++channel)
      nan[(3 * 24 + 4 + (first + channel) % 4) * 8 + channel] = NAN;
    Case beyond = forward;
    beyond.inputs = {Input::of(x, nan)};
    table.push_back(beyond);
  }
  run_table(table);
}

TEST(DeviceKernels, LongRowsAreABlocksWork) {
  std::vector<Case> table;
  for (const char* name : {"reduce_max", "reduce_sum"}) {
    ReduceOptions options;
    options.axes = {1};
    for (int64_t length : {1025, 9000}) {
      table.push_back(Case::of(name, options, {Input({2, length})}, {Output({2})}));
      table.back().always = true;
    }
    // So many parts that those of the second pass take several turns, too.
    options.axes = {0};
    table.push_back(Case::of(name, options, {Input({33 * 128, 32})}, {Output({32})}));
    table.back().always = true;
    table.push_back(Case::of(name, options, {Input({132 * 4096})}, {Output({})}));
    table.back().always = true;
  }
  run_table(table);
}

TEST(DeviceKernels, ChoicesBetweenValuesOfAnySizeByConditionsOfAnyType) {
  std::vector<Case> table;
  for (DType type : {DType::kU8, DType::kF16, DType::kI32, DType::kI64})
    for (DType condition : {DType::kBool, DType::kU8, DType::kI32, DType::kI64, DType::kF16,
                            DType::kBF16, DType::kF32, DType::kF64}) {
      Case c;
      c.operation = "where";
      c.inputs = {Input({3, 5}, condition, Fill::kIndices, 0, 2),
                  Input({3, 5}, type, Fill::kIndices, 0, 50),
                  Input({5}, type, Fill::kIndices, 50, 100)};
      c.outputs = {Output({3, 5}, type)};
      table.push_back(c);
    }
  run_table(table);
}

TEST(DeviceKernels, TheNormOfGradientsOfRankTwo) {
  Case c;
  c.operation = "squared_norm";
  c.inputs = {Input({3, 7}), Input({70, 100}), Input({1, 1})};
  c.outputs = {Output({1})};
  run_table({c});
}

bool has_device() { return cuda_plugin().loaded && backend(DeviceType::kCuda).count() > 0; }

/// Device memory with the bytes of a value.
template <class T>
std::shared_ptr<Buffer> on_device(const std::vector<T>& values, Device device) {
  auto buffer = Buffer::allocate(values.size() * sizeof(T), device);
  backend(device.type).copy_from_host(buffer->data(), values.data(), values.size() * sizeof(T), 0);
  return buffer;
}
template <class T>
std::vector<T> to_host(const Buffer& buffer, size_t count) {
  std::vector<T> values(count);
  backend(DeviceType::kCuda).copy_to_host(values.data(), buffer.data(), count * sizeof(T), 0);
  return values;
}

/// Run the entry `direct` of a problem on the first CUDA device.
void run(const Problem& problem, const std::vector<const void*>& inputs,
         const std::vector<void*>& outputs) {
  const kernels::Entry& entry = *kernels::entries(problem.operation, DeviceType::kCuda).at(0);
  ASSERT_EQ(entry.declines(problem), "");
  Backend& cuda = backend(DeviceType::kCuda);
  const kernels::Prepared prepared = entry.prepare(problem);
  const auto workspace = Buffer::allocate(prepared.workspace, {DeviceType::kCuda, 0});
  prepared.kernel->run({inputs.data(), outputs.data(), workspace->data(), cuda.stream(0)});
  cuda.wait(0);
}

const Shape kBlock{static_cast<int64_t>(sizeof(StepBlock))};

TEST(DeviceKernels, ValuesThatAreNotFiniteSetTheFault) {
  // The CPU looks at its results itself and needs no such kernel.
  EXPECT_TRUE(kernels::entries("check_finite", DeviceType::kCpu).empty());
  if (!has_device()) return;
  const Device device{DeviceType::kCuda, 0};
  const float infinity = std::numeric_limits<float>::infinity();
  Problem problem;
  problem.operation = "check_finite";
  problem.inputs = {{{5001}, DType::kF32, {}}, {{3}, DType::kF32, {}}, {kBlock, DType::kU8, {}}};
  problem.device = device;
  for (const auto& [place, value] : {std::pair<int, float>{-1, 0},
                                     {0, infinity},
                                     {256, NAN},
                                     {512, infinity},
                                     {768, NAN},
                                     {1024, NAN},
                                     {2048, NAN},
                                     {3072, NAN},
                                     {4232, NAN},
                                     {5000, NAN},
                                     {4096, -infinity},
                                     {5003, infinity}}) {
    for (const size_t before : {0, 1}) {  // a view of what begins one element earlier
      std::vector<float> a(5001 + before, 1), b(3, -1e38f);
      if (place >= 0)
        (place < 5001 ? a[static_cast<size_t>(place) + before]
                      : b[static_cast<size_t>(place - 5001)]) = value;
      const auto x = on_device(a, device), y = on_device(b, device);
      const auto block = on_device(std::vector<StepBlock>(1), device);
      run(problem, {static_cast<float*>(x->data()) + before, y->data(), block->data()}, {});
      EXPECT_EQ(to_host<StepBlock>(*block, 1)[0].fault, place < 0 ? 0u : 1u) << place;
    }
  }
}

TEST(DeviceKernels, ValuesOf16BitsThatAreNotFiniteSetTheFault) {
  if (!has_device()) return;
  const Device device{DeviceType::kCuda, 0};
  constexpr uint16_t kHalf = 0x7bff, kBfloat = 0x7f7f;  // the largest numbers; infinity is next
  // In each turn of the threads, and what the first of them alone reads.
  constexpr int kPlaces[] = {-1, 0, 5, 256, 261, 512, 517, 768, 773, 1029, 2048, 4232, 5000};
  for (const auto& [type, largest] : {std::pair(DType::kF16, kHalf), {DType::kBF16, kBfloat}}) {
    Problem problem;
    problem.operation = "check_finite";
    for (const size_t tensors : {1, 3})   // the last of them has what is looked for
      for (const size_t before : {0, 1})  // a view of what begins one element earlier
        for (const int place : kPlaces) {
          problem.inputs.assign(tensors, {{77}, type, {}});
          problem.inputs.back().shape = {5001};
          problem.inputs.push_back({kBlock, DType::kU8, {}});
          problem.device = device;
          std::vector<uint16_t> values(5001 + before, largest);
          if (place >= 0) ++values[static_cast<size_t>(place) + before];
          const auto x = on_device(values, device);
          const auto good = on_device(std::vector<uint16_t>(77, largest), device);
          const auto block = on_device(std::vector<StepBlock>(1), device);
          std::vector<const void*> inputs(tensors, good->data());
          inputs.back() = static_cast<uint16_t*>(x->data()) + before;
          inputs.push_back(block->data());
          run(problem, inputs, {});
          EXPECT_EQ(to_host<StepBlock>(*block, 1)[0].fault, place < 0 ? 0u : 1u) << place;
        }
  }
}

/// Ones but for one value that is not a number, in 16 bits or 32.
std::shared_ptr<Buffer> ones(size_t count, DType type, bool finite, Device device) {
  if (type == DType::kF32) {
    std::vector<float> values(count, 1);
    if (!finite) values.back() = NAN;
    return on_device(values, device);
  }
  std::vector<uint16_t> values(count, type == DType::kF16 ? 0x3c00 : 0x3f80);
  if (!finite) values.back() = 0x7fff;
  return on_device(values, device);
}

TEST(DeviceKernels, ALossOfAnyKindThatIsNotFiniteSetsTheFault) {
  if (!has_device()) return;
  const Device device{DeviceType::kCuda, 0};
  for (const char* name : {"sparse_categorical_crossentropy", "categorical_crossentropy",
                           "binary_crossentropy", "mean_squared_error"})
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16})
      for (const auto& [shape, stops] :
           {std::pair(Shape{7, 10}, true), {Shape{2, 1100}, true}, {Shape{2, 1100}, false}})
        for (const bool finite : {true, false})
          for (const int top_k : {0, 1}) {
            const bool labels = std::string(name) == "sparse_categorical_crossentropy";
            if (top_k && !labels) continue;
            LossOptions options;
            options.stops = stops;
            options.top_k = top_k;
            Problem problem;
            problem.operation = name;
            problem.options = std::make_shared<const LossOptions>(options);
            problem.inputs = {{shape, type, {}},
                              {labels ? Shape{shape[0]} : shape, DType::kF32, {}},
                              {kBlock, DType::kU8, {}}};
            problem.outputs = {{Shape{}, DType::kF32, {}}, {shape, type, {}}};
            if (top_k) problem.outputs.push_back({Shape{}, DType::kF32, {}});
            problem.device = device;
            const auto count = static_cast<size_t>(shape.elements());
            const auto x = ones(count, type, finite, device);
            const auto targets = on_device(std::vector<float>(count, 0), device);
            const auto block = on_device(std::vector<StepBlock>(1), device);
            const auto loss = Buffer::allocate(sizeof(float), device);
            const auto gradient = Buffer::allocate(count * sizeof(float), device);
            const auto share = Buffer::allocate(sizeof(float), device);
            run(problem, {x->data(), targets->data(), block->data()},
                {loss->data(), gradient->data(), share->data()});
            EXPECT_EQ(to_host<StepBlock>(*block, 1)[0].fault, stops && !finite ? 1u : 0u) << name;
          }
}

TEST(DeviceKernels, AStepOf16BitsWithAFaultChangesNothing) {
  if (!has_device()) return;
  const Device device{DeviceType::kCuda, 0};
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16})
    for (const uint32_t fault : {0u, 1u}) {
      AdamOptions options;
      options.tensors = 1;
      Problem step;
      step.operation = "adam";
      step.options = std::make_shared<AdamOptions>(options);
      const kernels::ValueDesc value{{5}, type, {}};
      step.inputs = {{kBlock, DType::kU8, {}}, {{1}, DType::kF32, {}}, value, value, value, value};
      step.optional = {true, false, true, true, true, true};
      step.outputs = {value, value, value};
      step.device = device;
      StepBlock now;
      now.fault = fault;
      now.learning_rate[0] = 1;
      const auto block = on_device(std::vector<StepBlock>{now}, device);
      std::vector<std::shared_ptr<Buffer>> v;
      for (int i = 0; i < 4; ++i) v.push_back(ones(5, type, true, device));
      const auto before = to_host<uint8_t>(*v[0], 5 * size_of(type));
      run(step, {block->data(), nullptr, v[0]->data(), v[1]->data(), v[2]->data(), v[3]->data()},
          {v[0]->data(), v[2]->data(), v[3]->data()});
      EXPECT_EQ(to_host<uint8_t>(*v[0], 5 * size_of(type)) == before, fault != 0);
    }
}

TEST(DeviceKernels, ALossThatIsNotFiniteSetsTheFault) {
  EXPECT_EQ(kernels::entries("mean_squared_error", DeviceType::kCuda).empty(),
            !cuda_plugin().loaded);
  if (!has_device()) return;
  const Device device{DeviceType::kCuda, 0};
  // The work of one block, and of many.
  for (const int64_t rows : {int64_t{7}, int64_t{4000}})
    for (const char* name : {"sparse_categorical_crossentropy", "mean_squared_error"})
      for (const bool finite : {true, false})
        for (const bool stops : {true, false}) {
          const Shape shape = {rows, 10};
          const auto count = static_cast<size_t>(shape.elements());
          const bool labels = std::string(name) != "mean_squared_error";
          LossOptions options;
          options.stops = stops;
          Problem problem;
          problem.operation = name;
          problem.options = std::make_shared<const LossOptions>(options);
          problem.inputs = {{shape, DType::kF32, {}},
                            {labels ? Shape{rows} : shape, DType::kF32, {}},
                            {kBlock, DType::kU8, {}}};
          problem.outputs = {{Shape{}, DType::kF32, {}}, {shape, DType::kF32, {}}};
          problem.device = device;
          std::vector<float> scores(count, 1);
          if (!finite) scores.back() = NAN;
          const auto x = on_device(scores, device);
          const auto targets = on_device(std::vector<float>(count, 3), device);
          const auto block = on_device(std::vector<StepBlock>(1), device);
          const auto loss = Buffer::allocate(sizeof(float), device);
          const auto gradient = Buffer::allocate(count * sizeof(float), device);
          run(problem, {x->data(), targets->data(), block->data()},
              {loss->data(), gradient->data()});
          EXPECT_EQ(std::isfinite(to_host<float>(*loss, 1)[0]), finite) << name << rows;
          EXPECT_EQ(to_host<StepBlock>(*block, 1)[0].fault, stops && !finite ? 1u : 0u)
              << name << rows;
        }
}

TEST(DeviceKernels, AStepWithAFaultChangesNothing) {
  EXPECT_EQ(kernels::entries("sgd", DeviceType::kCuda).empty(), !cuda_plugin().loaded);
  if (!has_device()) return;
  const Device device{DeviceType::kCuda, 0};
  Problem copy;
  copy.operation = "reorder";
  copy.options = std::make_shared<ReorderOptions>();
  copy.inputs = {{{5}, DType::kF32, {}}, {kBlock, DType::kU8, {}}};
  copy.outputs = {{{5}, DType::kF32, {}}};
  copy.device = device;
  SgdOptions options;
  options.tensors = 1;
  Problem step;
  step.operation = "sgd";
  step.options = std::make_shared<SgdOptions>(options);
  step.inputs = {{kBlock, DType::kU8, {}}, {{1}, DType::kF32, {}}, copy.inputs[0], copy.inputs[0]};
  step.optional = {true, false, true, true};
  step.outputs = copy.outputs;
  step.device = device;
  for (uint32_t fault : {0u, 1u}) {
    StepBlock now;
    now.fault = fault;
    now.learning_rate[0] = 1;
    const auto block = on_device(std::vector<StepBlock>{now}, device);
    const auto x = on_device<float>({1, 2, 3, 4, 5}, device);
    const auto y = on_device<float>({9, 9, 9, 9, 9}, device);
    run(copy, {x->data(), block->data()}, {y->data()});
    EXPECT_EQ(to_host<float>(*y, 5)[1], fault ? 9 : 2);
    // Byte by byte where a value begins at an odd one.
    const auto bytes = on_device<uint8_t>({1, 2, 3, 4, 5, 6, 7, 8}, device);
    const auto to = on_device<uint8_t>({9, 9, 9, 9, 9, 9, 9, 9}, device);
    Problem odd = copy;
    odd.inputs[0] = odd.outputs[0] = {{7}, DType::kU8, {}};
    run(odd, {static_cast<uint8_t*>(bytes->data()) + 1, block->data()},
        {static_cast<uint8_t*>(to->data()) + 1});
    EXPECT_EQ(to_host<uint8_t>(*to, 8)[7], fault ? 9 : 8);
    const auto w = on_device<float>({9, 9, 9, 9, 9}, device);
    run(step, {block->data(), nullptr, w->data(), x->data()}, {w->data()});
    EXPECT_EQ(to_host<float>(*w, 5)[4], fault ? 9 : 4);
  }
}

TEST(DeviceKernels, ACopyOfAnyAlignmentStopsAtAFault) {
  if (!has_device()) return;
  const Device device{DeviceType::kCuda, 0};
  Problem copy;
  copy.operation = "reorder";
  copy.options = std::make_shared<ReorderOptions>();
  copy.inputs = {{{21}, DType::kU8, {}}, {kBlock, DType::kU8, {}}};
  copy.outputs = {{{21}, DType::kU8, {}}};
  copy.device = device;
  for (const int shift : {0, 1, 2, 4, 8})
    for (const uint32_t fault : {0u, 1u}) {
      StepBlock now;
      now.fault = fault;
      const auto block = on_device(std::vector<StepBlock>{now}, device);
      std::vector<uint8_t> from(32), expected(32, 99);
      std::iota(from.begin(), from.end(), uint8_t{0});
      const auto x = on_device(from, device), y = on_device(expected, device);
      const auto at = [&](const Buffer& buffer) {
        return static_cast<uint8_t*>(const_cast<void*>(buffer.data())) + shift;
      };
      run(copy, {at(*x), block->data()}, {at(*y)});
      if (!fault) std::copy_n(from.begin() + shift, 21, expected.begin() + shift);
      EXPECT_EQ(to_host<uint8_t>(*y, 32), expected) << "shift " << shift;
    }
}

TEST(DeviceKernels, AStepOfEveryKindWithAFaultChangesNothing) {
  if (!has_device()) return;
  const Device device{DeviceType::kCuda, 0};
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16})
    for (const auto& [momentum, nesterov] : {std::pair(0.0, false), {0.5, false}, {0.5, true}})
      for (const uint32_t fault : {0u, 1u}) {
        SgdOptions options;
        options.tensors = 1;
        options.momentum = momentum;
        options.nesterov = nesterov;
        Problem step;
        step.operation = "sgd";
        step.options = std::make_shared<SgdOptions>(options);
        const kernels::ValueDesc value{{5}, type, {}};
        step.inputs = {{kBlock, DType::kU8, {}}, {{1}, DType::kF32, {}}, value, value};
        step.optional = {true, false, true, true};
        step.outputs = {value};
        if (momentum > 0) {
          step.inputs.push_back(value);
          step.optional.push_back(true);
          step.outputs.push_back(value);
        }
        step.device = device;
        StepBlock now;
        now.fault = fault;
        now.learning_rate[0] = 1;
        const auto block = on_device(std::vector<StepBlock>{now}, device);
        const auto w = ones(5, type, true, device), g = ones(5, type, true, device),
                   v = ones(5, type, true, device);
        const auto before = to_host<uint8_t>(*w, 5 * size_of(type));
        if (momentum > 0)
          run(step, {block->data(), nullptr, w->data(), g->data(), v->data()},
              {w->data(), v->data()});
        else
          run(step, {block->data(), nullptr, w->data(), g->data()}, {w->data()});
        EXPECT_EQ(to_host<uint8_t>(*w, 5 * size_of(type)) == before, fault != 0);
      }
}

}  // namespace
}  // namespace striate::testing
