// Predictors: each has memory of its own on the model's device, and at most so many programs.
#include <gtest/gtest.h>
#include <striate/layers/conv2d.h>
#include <striate/layers/dense.h>
#include <striate/layers/model.h>
#include <striate/layers/reshape.h>

#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace striate {
namespace {

Model compiled() {
  const char* device = std::getenv("STRIATE_TEST_DEVICE");
  set_seed(3);
  Model model =
      Sequential({Input{{6, 6, 1}}, Conv2D{.filters = 4, .kernel_size = 3, .activation = "relu"},
                  Flatten{}, Dense{.units = 3}});
  model.compile({.optimizer = SGD{},
                 .losses = {"sparse_categorical_crossentropy"},
                 .device = device ? device : "cpu"});
  return model;
}

Tensor image(int64_t batch) {
  std::vector<float> values;
  for (int64_t i = 0; i < batch * 36; ++i) values.push_back(static_cast<float>(i % 7) / 7);
  return Tensor::from<float>({batch, 6, 6, 1}, values);
}

TEST(Predictor, AgreesWithTheModelOnItsDevice) {
  const Model model = compiled();
  Predictor predictor(model);
  for (int64_t batch = 1; batch <= 20; ++batch) {  // more sizes than programs are kept
    const Tensor x = image(batch);
    EXPECT_EQ(predictor(std::vector{x})[0].to(Device{}).to_vector<float>(),
              model.predict({x}, 32)[0].to_vector<float>());
  }
}

TEST(Predictor, ThreadsHaveOneEach) {
  const Model model = compiled();
  const Tensor x = image(2);
  const auto expected = model.predict({x})[0].to_vector<float>();
  std::vector<std::vector<float>> results(3);
  std::vector<std::thread> threads;
  for (auto& result : results)
    threads.emplace_back([&] {
      Predictor predictor(model);
      for (int i = 0; i < 3; ++i)
        result = predictor(std::vector{x})[0].to(Device{}).to_vector<float>();
    });
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, expected);
}

}  // namespace
}  // namespace striate
