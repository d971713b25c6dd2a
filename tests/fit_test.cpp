// Model::fit, evaluate and predict: the order of samples, tails, validation, reports and errors.
#include <gtest/gtest.h>
#include <striate/core/file.h>
#include <striate/core/parallel.h>
#include <striate/layers/dense.h>
#include <striate/layers/dropout.h>
#include <striate/layers/model.h>
#include <striate/tests/kernel_trial.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace striate {
namespace {

constexpr int64_t kSamples = 23, kFeatures = 6;

Tensor features() {
  std::vector<float> values;
  for (int64_t i = 0; i < kSamples * kFeatures; ++i)
    values.push_back(static_cast<float>(std::sin(0.37 * static_cast<double>(i * i % 101))));
  return Tensor::from<float>({kSamples, kFeatures}, values);
}

Tensor labels() {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < kSamples; ++i) values.push_back(i * i % 3);
  return Tensor::from<int64_t>({kSamples}, values);
}

Model compiled(const std::string& device = "cpu") {
  set_seed(3);
  Model model = Sequential({Input{{kFeatures}}, Dense{.units = 8, .activation = "tanh"},
                            Dropout{.rate = 0.2}, Dense{.units = 3}});
  model.compile({.optimizer = Adam{.learning_rate = 1e-2},
                 .losses = {"sparse_categorical_crossentropy"},
                 .metrics = {"accuracy"},
                 .device = device});
  return model;
}

std::vector<float> weights_of(const Model& model) {
  std::vector<float> all;
  for (const auto& variable : model.weights())
    for (float value : variable->value().to_vector<float>()) all.push_back(value);
  return all;
}

/// Return the rows of a tensor in another order.
Tensor reordered(const Tensor& tensor, const std::vector<int64_t>& order) {
  Shape shape = tensor.shape();
  shape[0] = static_cast<int64_t>(order.size());
  Tensor made(shape, tensor.dtype());
  for (size_t i = 0; i < order.size(); ++i) {
    const Tensor row = tensor.rows(order[i], order[i] + 1);
    std::memcpy(static_cast<char*>(made.data()) + i * row.bytes(), row.data(), row.bytes());
  }
  return made;
}

TEST(Fit, OrderIsThatOfTheRecordedWords) {
  EXPECT_EQ(epoch_order(5, 1, 0), (std::vector<int64_t>{3, 2, 0, 1, 4}));  // np.random.Philox
  EXPECT_EQ(epoch_order(5, 1, 1), (std::vector<int64_t>{0, 3, 4, 2, 1}));
  EXPECT_EQ(epoch_order(6, 3, 0), (std::vector<int64_t>{1, 5, 2, 4, 3, 0}));
  std::vector<int64_t> order = epoch_order(1001, 7, 2);
  EXPECT_NE(order, epoch_order(1001, 7, 3));
  EXPECT_NE(order, epoch_order(1001, 8, 2));
  std::sort(order.begin(), order.end());
  for (size_t i = 0; i < order.size(); ++i) ASSERT_EQ(order[i], static_cast<int64_t>(i));
  EXPECT_TRUE(epoch_order(0, 1, 1).empty());
}

TEST(Fit, IsTheLoopThatOneWouldWrite) {
  const Tensor x = features(), y = labels();
  Model fitted = compiled(), looped = compiled();
  const History history = fitted.fit(
      {x}, {y},
      {.batch_size = 8, .epochs = 3, .validation_x = {x}, .validation_y = {y}, .seed = 11});
  ASSERT_EQ(history.epochs.size(), 3u);
  for (uint64_t epoch = 0; epoch < 3; ++epoch) {
    const auto order = epoch_order(kSamples, 11, epoch);
    const Tensor xs = reordered(x, order), ys = reordered(y, order);
    double loss = 0, accuracy = 0;
    for (int64_t first = 0; first < kSamples; first += 8) {
      const int64_t last = std::min(first + 8, kSamples);
      const auto& result = looped.train_batch({xs.rows(first, last)}, {ys.rows(first, last)});
      loss += static_cast<double>(last - first) * result.loss;
      accuracy += static_cast<double>(last - first) * result.metrics[0];
    }
    const Epoch& row = history.epochs[epoch];
    EXPECT_EQ(row.epoch, static_cast<int>(epoch) + 1);
    EXPECT_EQ(row.train.loss, loss / kSamples);
    EXPECT_EQ(row.train.metrics[0], accuracy / kSamples);
    EXPECT_EQ(row.validation->loss, looped.evaluate({x}, {y}, 8).loss);
    EXPECT_GT(row.seconds, 0);
  }
  EXPECT_EQ(weights_of(fitted), weights_of(looped));
  EXPECT_EQ(fitted.step(), 9);
}

TEST(Fit, DevicesAreGivenTheNextBatchWhileTheyWork) {
  const Tensor x = features(), y = labels();
  const Device device = testing::device_under_test();
  Model fitted = compiled(device.to_string()), looped = compiled(device.to_string());
  const auto given_ahead = [&](int64_t rows, const std::string& purpose) {
    return fitted.program(purpose, {{{rows, kFeatures}, DType::kF32}}, {{{rows}, DType::kI64}})
        ->taken_ahead();
  };
  fitted.fit({x}, {y}, {.batch_size = 4, .epochs = 2, .shuffle = false});
  for (int epoch = 0; epoch < 2; ++epoch)
    for (int64_t first = 0; first < kSamples; first += 4) {
      const int64_t last = std::min(first + 4, kSamples);
      looped.train_batch({x.rows(first, last)}, {y.rows(first, last)});
    }
  EXPECT_EQ(weights_of(fitted), weights_of(looped));
  // All but the first of an epoch, and but the one whose program was not there yet.
  const bool works_beside = device.type != DeviceType::kCpu;
  EXPECT_EQ(given_ahead(4, "train"), works_beside ? 8 : 0);
  EXPECT_EQ(given_ahead(3, "train"), works_beside ? 1 : 0);
  EXPECT_EQ(fitted.evaluate({x}, {y}, 8).loss, looped.evaluate({x}, {y}, 8).loss);
  EXPECT_EQ(given_ahead(8, "test"), works_beside ? 1 : 0);
}

TEST(Fit, AFailureWhileTheNextBatchIsMadeComesAfterTheStep) {
  const Tensor x = features(), y = labels();
  Model model = compiled(testing::device_under_test().to_string());
  const Coming coming = {
      .next = []() -> std::optional<Batch> { throw std::runtime_error("unreadable"); }};
  EXPECT_THROW(model.train_batch({x}, {y}, {}, coming), std::runtime_error);
  EXPECT_EQ(model.step(), 1);
}

TEST(Fit, ABatchThatWasGivenUpIsForgotten) {
  const Tensor x = features(), y = labels();
  const std::string device = testing::device_under_test().to_string();
  Model one = compiled(device), other = compiled(device);
  const Tensor place = Tensor::from<float>({8, kFeatures}, x.rows(0, 8).to_vector<float>());
  const Coming ahead = {.next = [&] { return Batch{{place}, {y.rows(0, 8)}}; }};
  one.train_batch({x.rows(8, 16)}, {y.rows(8, 16)}, {}, ahead);
  other.train_batch({x.rows(8, 16)}, {y.rows(8, 16)});
  std::memcpy(place.data(), x.rows(15, 23).data(), place.bytes());
  for (Model* model : {&one, &other}) model->train_batch({place}, {y.rows(0, 8)});
  EXPECT_EQ(weights_of(one), weights_of(other));
}

TEST(Fit, GoesOnWhereItWas) {
  const Tensor x = features(), y = labels();
  Model whole = compiled(), parts = compiled();
  whole.fit({x}, {y}, {.batch_size = 5, .epochs = 4});
  parts.fit({x}, {y}, {.batch_size = 5, .epochs = 1});
  const History rest = parts.fit({x}, {y}, {.batch_size = 5, .epochs = 3, .initial_epoch = 1});
  EXPECT_EQ(rest.epochs[0].epoch, 2);
  EXPECT_EQ(weights_of(whole), weights_of(parts));
}

TEST(Fit, TellsItsProgress) {
  const Tensor x = features(), y = labels();
  Model model = compiled();
  std::vector<int64_t> batches;
  int epochs = 0;
  double last_mean = 0;
  const History history =
      model.fit({x}, {y},
                {.batch_size = 10,
                 .epochs = 2,
                 .progress =
                     [&](const FitProgress& now) {
                       batches.push_back(now.epoch * 100 + now.batch * 10 + now.batches);
                       last_mean = now.mean->loss;
                     },
                 .after_epoch =
                     [&](Model& trained, const History& so_far) {
                       ++epochs;
                       EXPECT_EQ(&trained, &model);
                       EXPECT_EQ(static_cast<int>(so_far.epochs.size()), epochs);
                     }});
  EXPECT_EQ(batches, (std::vector<int64_t>{113, 123, 133, 213, 223, 233}));
  EXPECT_EQ(last_mean, history.epochs[1].train.loss);
  EXPECT_EQ(epochs, 2);
  const auto stop = [](const FitProgress&) { throw std::runtime_error("enough"); };
  EXPECT_THROW(model.fit({x}, {y}, {.progress = stop}), std::runtime_error);
  EXPECT_EQ(model.step(), 7);
  model.fit({x}, {y});
}

TEST(Fit, ReportsAsPythonReadsIt) {
  Model model = compiled();
  const Tensor x = features(), y = labels();
  const History history =
      model.fit({x}, {y}, {.epochs = 2, .validation_x = {x}, .validation_y = {y}});
  const std::string path = ::testing::TempDir() + "striate_history.json";
  history.save(path);
  const Json read = Json::parse(read_file(path));
  std::filesystem::remove(path);
  ASSERT_EQ(read["epochs"].items().size(), 2u);
  std::string keys;
  for (const auto& [key, value] : read["epochs"].items()[1].members()) keys += key + " ";
  EXPECT_EQ(keys, "epoch loss accuracy val_loss val_accuracy seconds ");
  EXPECT_EQ(read["epochs"].items()[1]["loss"].as_number(), history.epochs[1].train.loss);
  History lost;
  lost.epochs.push_back({.epoch = 1, .train = {.loss = std::nan(""), .metrics = {}}});
  EXPECT_TRUE(lost.to_json()["epochs"].items()[0]["loss"].is_null());
}

TEST(Fit, EvaluatesAndPredictsInBatchesOfAnySize) {
  const Tensor x = features(), y = labels();
  Model model = compiled();
  const StepResult whole = model.evaluate({x}, {y});
  EXPECT_NEAR(model.evaluate({x}, {y}, 4).loss, whole.loss, 1e-6);
  EXPECT_NEAR(model.evaluate({x}, {y}, 4).metrics[0], whole.metrics[0], 1e-6);
  EXPECT_EQ(model.step(), 0);
  const auto expected = model.predict_batch({x})[0].to_vector<float>();
  const Tensor scores = model.predict({x}, 5)[0];
  EXPECT_EQ(scores.shape(), (Shape{kSamples, 3}));
  const auto found = scores.to_vector<float>();
  for (size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], expected[i], 1e-6);
}

template <class E, class Call>
E thrown(const Call& call) {
  try {
    call();
  } catch (const E& error) {
    return error;
  }
  throw std::logic_error("nothing was thrown");
}

TEST(Fit, ErrorsNameTheSampleOfTheDataSet) {
  Tensor x = features(), y = labels();
  Model model = compiled();
  y.data_as<int64_t>()[17] = 5;
  const auto fit = [&] { model.fit({x}, {y}, {.batch_size = 4}); };
  EXPECT_EQ(thrown<LabelError>(fit).values(), "label 5 of sample 17");
  EXPECT_EQ(thrown<LabelError>([&] { model.evaluate({x}, {y}, 4); }).values(),
            "label 5 of sample 17");
  EXPECT_EQ(
      thrown<LabelError>([&] { model.train_batch({x.rows(15, 19)}, {y.rows(15, 19)}); }).values(),
      "label 5 of sample 2 of the batch");
  y.data_as<int64_t>()[17] = 1;
  x.data_as<float>()[9 * kFeatures + 2] = INFINITY;
  EXPECT_EQ(thrown<NumericsError>(fit).values(), "NaN or infinity in sample 9");
  x.data_as<float>()[9 * kFeatures + 2] = 0;
  fit();
}

TEST(Fit, RefusesDataThatIsNone) {
  const Tensor x = features(), y = labels();
  Model model = compiled();
  EXPECT_THROW(model.fit({}, {}), ShapeError);
  EXPECT_THROW(model.fit({x}, {}), ShapeError);
  EXPECT_THROW(model.fit({x.rows(0, 0)}, {y.rows(0, 0)}), ShapeError);
  EXPECT_EQ(thrown<ShapeError>([&] { model.fit({x}, {y.rows(0, 5)}); }).values(),
            "x and y of [23, 6], [5]");
  EXPECT_THROW(model.fit({x}, {y}, {.batch_size = 0}), ShapeError);
  EXPECT_THROW(model.evaluate({x}, {y}, -1), ShapeError);
  EXPECT_THROW(model.predict({x}, 0), ShapeError);
  EXPECT_THROW(model.predict({}), ShapeError);
  EXPECT_EQ(model.step(), 0);
}

TEST(Fit, AResumedModelSaysWhatIsOtherwise) {
  const std::string path = ::testing::TempDir() + "striate_checkpoint.safetensors";
  const Tensor x = features(), y = labels();
  Model model = compiled();
  model.fit({x}, {y}, {.batch_size = 8});
  model.save(path, true);
  EXPECT_TRUE(Model::load(path).resume_differences().empty());
  const int before = threads();
  set_threads(before > 1 ? before - 1 : before + 1);
  const int other = threads();  // the same, where one thread is the limit
  const std::string rules = kernels::force("matmul=reference");
  const std::vector<std::string> found = Model::load(path).resume_differences();
  kernels::force(rules);
  set_threads(before);
  std::filesystem::remove(path);
  std::vector<std::string> expected;
  if (other != before)
    expected.push_back("the number of threads was " + std::to_string(before) + ", now it is " +
                       std::to_string(other));
  expected.push_back("the rule that forces kernels was '" + rules +
                     "', now it is 'matmul=reference'");
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace striate
