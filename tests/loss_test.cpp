#include <gtest/gtest.h>
#include <striate/core/step.h>
#include <striate/kernels/loss.h>
#include <striate/tests/kernel_table.h>
#include <striate/tests/printed_seed.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace striate::testing {
namespace {

using Fill = Input::Fill;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
const char* const kEntries[] = {"reference", "direct"};

Input step_block(float divisor) {
  StepBlock block;
  block.loss_divisor = divisor;
  std::vector<uint8_t> bytes(sizeof block);
  std::memcpy(bytes.data(), &block, sizeof block);
  return Input::of(Shape{static_cast<int64_t>(sizeof block)}, bytes);
}

Values block_values(float divisor) {
  const Input block = step_block(divisor);
  return {block.bytes.begin(), block.bytes.end()};
}

Case loss_case(const std::string& name, const Shape& shape, LossOptions options = {},
               DType label_type = DType::kI64, double high = 4) {
  const bool logits = options.from_logits || name == "mean_squared_error";
  const Input x(shape, Fill::kUniform, logits ? -high : 0.01, logits ? high : 0.99);
  Input target(shape, Fill::kUniform, 0, 1);
  if (name == "sparse_categorical_crossentropy") {
    const Shape rows(shape.begin(), shape.end() - 1);
    target = Input(rows, label_type, Fill::kIndices, 0, static_cast<double>(shape[-1]));
  }
  const float divisor = shape.rank() > 0 && shape[0] > 0 ? static_cast<float>(shape[0]) : 1;
  return Case::of(name, options, {x, target, step_block(divisor)}, {Shape{}, shape},
                  kTranscendentalLimit);
}

/// Return {loss, gradient}.
std::vector<Values> run_loss(const Case& c, const std::string& entry, const Values& x,
                             const Values& targets, float divisor = 1) {
  return run_entry(c, entry, {x, targets, block_values(divisor)});
}

const char* const kLosses[] = {"sparse_categorical_crossentropy", "categorical_crossentropy",
                               "binary_crossentropy", "mean_squared_error"};
const std::vector<Shape> kShapes = {{1, 10},      {64, 10},  {0, 10},       {7, 3},    {5, 16},
                                    {3, 17},      {2, 1000}, {300, 33},     {2, 3, 4}, {3000, 10},
                                    {2, 5, 7, 3}, {1, 9000}, {2, 4, 4, 21}, {0, 1100}};

TEST(Loss, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const char* name : kLosses)
    for (const Shape& shape : kShapes)
      for (const LossOptions& options :
           {LossOptions{}, LossOptions{true, 0.1}, LossOptions{false, 0}, LossOptions{false, 0.2}})
        table.push_back(loss_case(name, shape, options));
  for (DType type : {DType::kU8, DType::kI32, DType::kI64, DType::kF32})
    table.push_back(loss_case("sparse_categorical_crossentropy", {64, 10}, {}, type));
  for (const char* name : kLosses) {
    table.push_back(loss_case(name, {20, 10}, {}, DType::kI64, 500));
    table.push_back(
        loss_case(name, {3, 1}));  // one class: the loss is 0 but for smoothing's rounding
  }
  // Of so many elements a device's blocks make partial sums.
  for (const char* name : {"sparse_categorical_crossentropy", "mean_squared_error"})
    table.push_back(loss_case(name, {300, 110}));
  run_table(table);
}

/// A case with given scores, and with labels or with targets that are 1 at them.
Case loss_of(const std::string& name, const Shape& shape, const std::vector<float>& scores,
             const std::vector<int64_t>& labels, const LossOptions& options) {
  Case c = loss_case(name, shape, options);
  c.inputs[0] = Input::of(shape, scores);
  if (name == "sparse_categorical_crossentropy") {
    c.inputs[1] = Input::of(Shape{shape[0]}, labels);
  } else {
    std::vector<float> targets(scores.size(), 0);
    for (size_t row = 0; row < labels.size(); ++row)
      targets[row * static_cast<size_t>(shape[1]) + static_cast<size_t>(labels[row])] = 1;
    c.inputs[1] = Input::of(shape, targets);
  }
  c.always = true;
  return c;
}

// A row depends on each of its classes: in each row one, elsewhere, has most of the weight, or so
// much that exp of it is infinite, and it alone comes before the label, and that before the rest.
// They are those of a warp's first thread, or of a block's: one for each turn of its loops, of
// which there are 5, 6 and 7, whole ones.
TEST(Loss, EachClassOfALongRowCounts) {
  std::vector<Case> table;
  const std::pair<int64_t, int64_t> rows_of[] = {{160, 32},   {192, 32},   {224, 32},
                                                 {1280, 256}, {1536, 256}, {1792, 256}};
  for (const auto& [classes, threads] : rows_of) {
    std::vector<int64_t> heavy;
    for (int64_t place = 0; place < classes; place += threads) heavy.push_back(place);
    heavy.push_back(classes - 1);
    const auto rows = static_cast<int64_t>(heavy.size());
    std::vector<int64_t> other = heavy;
    std::rotate(other.begin(), other.begin() + 1, other.end());
    for (const float largest : {0.9f, 5.0f, 200.0f}) {
      const bool logits = largest > 1;
      for (const auto& labels : {heavy, other}) {
        std::vector<float> scores(static_cast<size_t>(rows * classes), logits ? -3.0f : 0.01f);
        for (size_t row = 0; row < heavy.size(); ++row) {
          float* of_row = scores.data() + row * static_cast<size_t>(classes);
          of_row[labels[row]] = logits ? -2.5f : 0.0125f;
          of_row[heavy[row]] = largest;
        }
        for (const int top_k : {0, 1}) {
          LossOptions options{logits, 0};
          options.top_k = top_k;
          table.push_back(
              loss_of("sparse_categorical_crossentropy", {rows, classes}, scores, labels, options));
          if (top_k)
            table.back().outputs.emplace_back(Shape{});
          else
            table.push_back(
                loss_of("categorical_crossentropy", {rows, classes}, scores, labels, options));
        }
      }
    }
    for (const int64_t place : heavy) {  // NaN for the class that counts
      std::vector<float> scores(static_cast<size_t>(classes), 0.01f);
      scores[static_cast<size_t>(place)] = NAN;
      for (const char* name : {"sparse_categorical_crossentropy", "categorical_crossentropy"})
        table.push_back(loss_of(name, {1, classes}, scores, {place}, {false, 0}));
    }
  }
  run_table(table);
}

// Infinities and NaN in scores and probabilities, whole rows of them, and labels that are no class.
TEST(Loss, ValuesThatAreNotFinite) {
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<Case> table;
  for (const int64_t classes : {3, 1100})
    for (const char* name : kLosses)
      for (const bool logits : {true, false})
        for (const float value : {NAN, infinity, -infinity}) {
          if (logits && value == infinity) continue;  // NaN or infinite, whoever adds it up
          const Shape shape{3, classes};
          std::vector<float> scores(static_cast<size_t>(shape.elements()), 0.25f);
          scores[static_cast<size_t>(classes) + 1] = value;
          table.push_back(loss_of(name, shape, scores, {0, 2, 1}, {logits, 0}));
          if (classes == 3) table.push_back(loss_of(name, shape, scores, {0, 1, 1}, {logits, 0.1}));
        }
  for (const int64_t classes : {3, 1100})
    for (const int64_t label : {int64_t{-1}, classes}) {
      const std::vector<float> scores(static_cast<size_t>(2 * classes), 0.25f);
      for (const bool logits : {true, false})
        table.push_back(loss_of("sparse_categorical_crossentropy", {2, classes}, scores, {1, label},
                                {logits, 0}));
    }
  run_table(table);
}

// Labels and targets of every type, for what one thread, a warp and a block make of a row; those of
// float32 beside scores of every type.
TEST(Loss, TargetsOfEveryType) {
  std::vector<Case> table;
  for (const char* name : kLosses) {
    const bool sparse = name == std::string("sparse_categorical_crossentropy");
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kI32, DType::kI64,
                             DType::kF64, DType::kU8, DType::kBool})
      for (const Shape& shape : {Shape{5, 3}, Shape{3, 80}, Shape{2, 1100}})
        for (const bool logits : {true, false}) {
          if (sparse && type == DType::kBool) continue;
          LossOptions options{logits, 0};
          options.top_k = sparse ? 1 : 0;
          Case c = loss_case(name, shape, options);
          // Below 256: uint8 has no more, and all types hold whole numbers up to there.
          c.inputs[1] = Input(sparse ? Shape{shape[0]} : shape, type, Fill::kIndices, 0,
                              sparse ? std::min(200.0, static_cast<double>(shape[1])) : 2);
          if (sparse) c.outputs.emplace_back(Shape{});
          table.push_back(c);
          if (type != DType::kF32) continue;
          for (const DType scores : {DType::kF16, DType::kBF16}) {
            table.push_back(c);
            table.back().inputs[0].dtype = table.back().outputs[1].dtype = scores;
            table.back().limit = 0x1p-16;
          }
        }
  }
  run_table(table);
}

// Probabilities at and beyond the clips, and logits of any size, for each target.
TEST(Loss, TheEdgesOfTwoClasses) {
  const std::vector<float> probabilities = {0, 1, 0.5f, 1e-9f, 6e-8f, 1.5f, -1, 0.9990234375f};
  const std::vector<float> logits = {0, -0.0f, 20, -20, 100, -100, 3e4f, -3e4f};
  std::vector<Case> table;
  for (const std::vector<float>& scores : {probabilities, logits})
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kU8, DType::kI64})
      for (const double t : {0, 1}) {
        const Shape shape{static_cast<int64_t>(scores.size()), 1};
        Case c = loss_case("binary_crossentropy", shape, {&scores == &logits, 0});
        c.inputs[0] = Input::of(shape, scores);
        c.inputs[1] = Input(shape, type, Fill::kConstant, t);
        table.push_back(c);
      }
  run_table(table);
}

TEST(Loss, RandomProblems) {
  PrintedSeed random;
  std::vector<Case> table;
  for (const char* name : kLosses)
    for (int i = 0; i < 12; ++i)
      table.push_back(loss_case(name, {1 + random.below(100), 2 + random.below(200)},
                                {random.below(3) > 0, 0.1 * static_cast<double>(random.below(4))}));
  run_table(table);
}

TEST(Loss, KnownValues) {
  const Values p = {0.09003057317038046, 0.24472847105479767, 0.6652409557748219};
  for (const char* entry : kEntries) {
    const Case c = loss_case("sparse_categorical_crossentropy", {1, 3});
    const auto made = run_loss(c, entry, {1, 2, 3}, {1}, 4);
    EXPECT_NEAR(made[0][0], -std::log(p[1]) / 4, 1e-6) << entry;
    for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(made[1][i], (p[i] - (i == 1)) / 4, 1e-7) << entry;

    const auto soft = run_loss(loss_case("categorical_crossentropy", {1, 3}), entry, {1, 2, 3},
                               {0.5, 0.25, 0.25});
    EXPECT_NEAR(soft[0][0], -(0.5 * std::log(p[0]) + 0.25 * std::log(p[1] * p[2])), 1e-6) << entry;

    const auto two = run_loss(loss_case("binary_crossentropy", {2, 1}), entry, {2, -1}, {1, 1}, 2);
    EXPECT_NEAR(two[0][0], (std::log1p(std::exp(-2)) + std::log1p(std::exp(1))) / 2, 1e-6) << entry;
    EXPECT_NEAR(two[1][0], -0.5 / (1 + std::exp(2)), 1e-7) << entry;

    const auto squares =
        run_loss(loss_case("mean_squared_error", {2, 2}), entry, {1, 2, 3, 4}, {0, 2, 5, 4}, 2);
    EXPECT_NEAR(squares[0][0], 1.25, 1e-6) << entry;  // (1 + 0 + 4 + 0) / 2 elements / 2 samples
    EXPECT_EQ(squares[1], (Values{0.5, 0, -1, 0})) << entry;
  }
}

TEST(Loss, FromProbabilities) {
  const LossOptions options{false, 0};
  for (const char* entry : kEntries) {
    const auto made = run_loss(loss_case("sparse_categorical_crossentropy", {1, 3}, options), entry,
                               {0.25, 0.5, 0.25}, {1});
    EXPECT_NEAR(made[0][0], std::log(2), 1e-6) << entry;
    EXPECT_EQ(made[1], (Values{0, -2, 0})) << entry;
    // Clipped: the loss stays finite, the slope beyond the limits is 0.
    const auto sure =
        run_loss(loss_case("binary_crossentropy", {2, 1}, options), entry, {0, 1}, {1, 0});
    EXPECT_NEAR(sure[0][0], -2 * std::log(1e-7), 1e-5) << entry;
    EXPECT_EQ(sure[1], (Values{0, 0})) << entry;
  }
}

TEST(Loss, ManyRowsOfASampleCountAsTheirMean) {
  for (const char* entry : kEntries) {
    const Values x = {1, 2, 3, 0, 1, 0, 2, 2, 2, 1, 0, 0};
    const Values labels = {0, 1, 2, 0};
    const auto rows =
        run_loss(loss_case("sparse_categorical_crossentropy", {4, 3}), entry, x, labels, 4);
    const auto pixels =
        run_loss(loss_case("sparse_categorical_crossentropy", {2, 2, 3}), entry, x, labels, 2);
    EXPECT_EQ(rows[0], pixels[0]) << entry;
    EXPECT_EQ(rows[1], pixels[1]) << entry;
  }
}

TEST(Loss, ShardsAddUpToTheBatch) {
  const Values x = {1, 2, 3, 0, 1, 0}, labels = {0, 1};
  for (const char* entry : kEntries) {
    const Case one = loss_case("sparse_categorical_crossentropy", {1, 3});
    const auto both =
        run_loss(loss_case("sparse_categorical_crossentropy", {2, 3}), entry, x, labels, 2);
    const auto a = run_loss(one, entry, {1, 2, 3}, {0}, 2);
    const auto b = run_loss(one, entry, {0, 1, 0}, {1}, 2);
    EXPECT_NEAR(both[0][0], a[0][0] + b[0][0], 1e-6) << entry;
    EXPECT_EQ(both[1][0], a[1][0]) << entry;
    EXPECT_EQ(both[1][3], b[1][0]) << entry;
  }
}

TEST(Loss, LargeLogitsStayFinite) {
  for (const char* entry : kEntries) {
    const auto wrong =
        run_loss(loss_case("sparse_categorical_crossentropy", {1, 2}), entry, {30000, -30000}, {1});
    EXPECT_EQ(wrong[0][0], 60000) << entry;
    EXPECT_EQ(wrong[1], (Values{1, -1})) << entry;
    const auto right =
        run_loss(loss_case("sparse_categorical_crossentropy", {1, 2}), entry, {30000, -30000}, {0});
    EXPECT_EQ(right[0][0], 0) << entry;
    EXPECT_EQ(right[1], (Values{0, 0})) << entry;
    const auto two =
        run_loss(loss_case("binary_crossentropy", {2, 1}), entry, {-5000, 5000}, {1, 1});
    EXPECT_EQ(two[0][0], 5000) << entry;
    EXPECT_EQ(two[1], (Values{-1, 0})) << entry;
  }
}

TEST(Loss, LabelSmoothing) {
  for (const char* entry : kEntries) {
    const Case sparse = loss_case("sparse_categorical_crossentropy", {1, 4}, {true, 0.2});
    const Case dense = loss_case("categorical_crossentropy", {1, 4});
    const auto smooth = run_loss(sparse, entry, {1, 2, 3, 4}, {2});
    const auto by_hand = run_loss(dense, entry, {1, 2, 3, 4}, {0.05, 0.05, 0.85, 0.05});
    EXPECT_NEAR(smooth[0][0], by_hand[0][0], 1e-6) << entry;
    for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(smooth[1][i], by_hand[1][i], 1e-7) << entry;
    const auto two =
        run_loss(loss_case("binary_crossentropy", {1, 1}, {true, 0.2}), entry, {0.5}, {1});
    EXPECT_NEAR(two[0][0], std::log1p(std::exp(0.5)) - 0.9 * 0.5, 1e-6) << entry;
  }
}

TEST(Loss, ALabelOutsideTheClassesMakesItsRowNan) {
  for (const char* entry : kEntries)
    for (bool from_logits : {true, false})
      for (double label : {-1.0, 3.0, 1e9}) {
        const Case c = loss_case("sparse_categorical_crossentropy", {2, 3}, {from_logits, 0});
        const auto made = run_loss(c, entry, {.1, .2, .7, .4, .3, .3}, {0, label});
        EXPECT_TRUE(std::isnan(made[0][0])) << entry << " " << label;
        for (size_t i = 0; i < 6; ++i)
          EXPECT_EQ(std::isnan(made[1][i]), i >= 3) << entry << " " << label << " element " << i;
      }
}

TEST(Loss, NanAndInfinity) {
  for (const char* entry : kEntries)
    for (const char* name :
         {"categorical_crossentropy", "binary_crossentropy", "mean_squared_error"}) {
      const auto made = run_loss(loss_case(name, {2, 2}), entry, {1, NAN, 0.5, 0.25}, {0, 1, 1, 0});
      EXPECT_TRUE(std::isnan(made[0][0])) << name << " " << entry;
      EXPECT_TRUE(std::isnan(made[1][1])) << name << " " << entry;
      EXPECT_TRUE(std::isfinite(made[1][2])) << name << " " << entry;
    }
  for (const char* entry : kEntries)
    EXPECT_EQ(run_loss(loss_case("sparse_categorical_crossentropy", {1, 2}), entry, {0, -kInfinity},
                       {0})[0][0],
              0)
        << entry;
}

TEST(Loss, AnEmptyBatchHasLossZero) {
  for (const char* entry : kEntries)
    for (const char* name : kLosses)
      EXPECT_EQ(run_loss(loss_case(name, {0, 3}), entry, {}, {})[0], (Values{0})) << name << entry;
}

Case share_case(const Shape& shape, int k, DType label_type = DType::kI64) {
  LossOptions options;
  options.top_k = k;
  options.stops = true;
  Case c = loss_case("sparse_categorical_crossentropy", shape, options, label_type);
  c.inputs[0].fill = Fill::kDistinct;
  c.outputs.emplace_back(Shape{});
  return c;
}

TEST(Loss, CountsTheRightRowsToo) {
  std::vector<Case> table;
  for (const Shape& shape : {Shape{1, 1}, Shape{1, 10}, Shape{64, 10}, Shape{7, 3}, Shape{2, 1000},
                             Shape{300, 33}, Shape{3, 9000}, Shape{2, 5, 7, 3}})
    for (int k : {1, 3}) table.push_back(share_case(shape, k));
  for (DType type : {DType::kU8, DType::kI32}) table.push_back(share_case({64, 10}, 1, type));
  run_table(table);

  const Values scores = {3, 3, 1, 3, 3, 1, 5, 9, 1, 1, 7, 2}, labels = {0, 1, 1, 2};
  EXPECT_EQ(run_loss(share_case({4, 3}, 1), "reference", scores, labels)[2], (Values{0.5}));
  EXPECT_EQ(run_loss(share_case({4, 3}, 2), "reference", scores, labels)[2], (Values{1}));
  const LossOptions counting{.top_k = 1};
  Case c = share_case({4, 3}, 1);
  c.options = std::make_shared<const LossOptions>(counting);
  EXPECT_EQ(run_loss(c, "reference", scores, {0, 1, 1, 3})[2], (Values{0.5}));  // no class 3
}

TEST(Loss, StopsAStepWhenItIsNotFinite) {
  Case c = loss_case("sparse_categorical_crossentropy", {2, 3}, {});
  const Values scores = {.1, .2, .7, .4, .3, .3};
  for (const bool stops : {false, true})
    for (const double label : {2.0, 3.0}) {
      LossOptions options;
      options.stops = stops;
      c.options = std::make_shared<const LossOptions>(options);
      StepBlock block;
      const std::vector<float> x(scores.begin(), scores.end());
      const std::vector<int64_t> labels = {0, static_cast<int64_t>(label)};
      const void* inputs[] = {x.data(), labels.data(), &block};
      float loss = 0;
      std::vector<float> gradient(6);
      void* outputs[] = {&loss, gradient.data()};
      for (const kernels::Entry* entry : kernels::entries(c.operation, DeviceType::kCpu))
        if (entry->name == "reference")
          entry->prepare(c.problem()).kernel->run({inputs, outputs, nullptr, nullptr});
      EXPECT_EQ(block.fault, stops && label == 3 ? 1u : 0u);
    }
}

TEST(Loss, Gradients) {
  for (const char* name : kLosses)
    for (const Shape& shape : {Shape{1, 1}, Shape{4, 5}, Shape{2, 3, 4}})
      for (const LossOptions& options : {LossOptions{}, LossOptions{true, 0.1},
                                         LossOptions{false, 0}, LossOptions{false, 0.2}}) {
        GradientCase g;
        g.forward = loss_case(name, shape, options);
        g.forward.inputs[0].low = options.from_logits ? -2 : 0.1;
        g.forward.inputs[0].high = options.from_logits ? 2 : 0.9;
        g.outputs = {-1, 0};
        check_gradient(g);
      }
}

Case top_k_case(const Shape& shape, int k) {
  return Case::of("top_k_correct", TopKOptions{k},
                  {Input(shape, Fill::kDistinct), Input({shape[0]}, DType::kI32, Fill::kIndices, 0,
                                                        static_cast<double>(shape[1]))},
                  {Shape{shape[0]}});
}

TEST(TopK, EveryEntryAgreesWithTheReference) {
  std::vector<Case> table;
  for (const Shape& shape : {Shape{0, 5}, Shape{1, 1}, Shape{7, 100}, Shape{11, 10}})
    for (int k : {1, 3, 5}) table.push_back(top_k_case(shape, k));
  // A sort of many rows is an emulator's work of minutes.
  for (const Shape& shape : {Shape{64, 10}, Shape{900, 50}}) {
    table.push_back(top_k_case(shape, 1));
    if (!is_device_tested()) table.push_back(top_k_case(shape, 5));
  }
  run_table(table);
}

// Ties, NaN and labels that are no class, and a long row with one class above the label in each
// turn of a warp's loop, whole turns.
TEST(TopK, InEveryType) {
  const std::vector<float> ties = {3, 3, 1, 3, 3, 1, NAN, 9, 1, 1, NAN, 2, 1, 2, 3, 1, 2, 3};
  constexpr size_t kClasses = 224, kTurn = 32, kRows = 8;
  std::vector<float> above(kRows * kClasses, 1);
  std::vector<int32_t> labels(kRows, 6 * kTurn);
  labels[6] = 0, labels[7] = kClasses - 1;
  for (size_t row = 0; row < kRows; ++row) {
    above[row * kClasses + static_cast<size_t>(labels[row])] = 2;
    if (row < 7) above[row * kClasses + row * kTurn] = 3;
  }
  std::vector<Case> table;
  for (const int k : {1, 2}) {
    Case c = top_k_case({6, 3}, k);
    c.inputs = {Input::of({6, 3}, ties), Input::of<int32_t>({6}, {0, 1, 1, 1, 3, -1})};
    table.push_back(c);
    c.inputs[1] = Input::of<int64_t>({6}, {0, 1, 1, 1, 3, -1});
    table.push_back(c);
    c.inputs[1] = Input::of<uint8_t>({6}, {0, 1, 1, 1, 3, 255});
    table.push_back(c);
    c.inputs[1] = Input::of<float>({6}, {0, NAN, NAN, 1, 3, -1});
    table.push_back(c);
    // Right, but not where a label is read as one of another type.
    c = top_k_case({2, 5}, k);
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kI32,
                             DType::kI64, DType::kU8}) {
      c.inputs = {Input::of<float>({2, 5}, {0, 0, 0, 1, 2, 0, 0, 0, 1, 2}),
                  Input({2}, type, Fill::kConstant, 4)};
      table.push_back(c);
    }
    if (k > 1) continue;  // are sorted
    c = top_k_case({6, 3}, k);
    c.inputs[0] = Input::of({6, 3}, ties);
    for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kBool}) {
      c.inputs[1] = Input({6}, type, Fill::kIndices, 0, 2);
      table.push_back(c);
    }
    c = top_k_case({kRows, kClasses}, k);
    c.inputs = {Input::of({kRows, kClasses}, above), Input::of(Shape{kRows}, labels)};
    table.push_back(c);
    c = share_case({kRows, kClasses}, k);
    c.inputs[0] = Input::of({kRows, kClasses}, above);
    c.inputs[1] = Input::of(Shape{kRows}, labels);
    table.push_back(c);
  }
  run_table(table);
}

TEST(TopK, TiesNanAndLabelsOutside) {
  const Values scores = {3, 3, 1, 3, 3, 1, NAN, 9, 1, 1, NAN, 2, 1, 2, 3, 1, 2, 3};
  const Values labels = {0, 1, 1, 1, 3, -1};
  for (const char* entry : kEntries) {
    EXPECT_EQ(run_entry(top_k_case({6, 3}, 1), entry, {scores, labels})[0],
              (Values{1, 0, 0, 0, 0, 0}))
        << entry;
    EXPECT_EQ(run_entry(top_k_case({6, 3}, 2), entry, {scores, labels})[0],
              (Values{1, 1, 1, 0, 0, 0}))
        << entry;
  }
}

}  // namespace
}  // namespace striate::testing
