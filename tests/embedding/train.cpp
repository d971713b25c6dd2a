// Trains a small CNN on Fashion-MNIST: train --data FOLDER --seed 1 --steps 200 --out FILE
//
// With --epochs 2 it fits whole epochs of the first thousand pictures instead.
// twin.py does the same in Python; the two files are equal byte for byte.
#include <striate/striate.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "idx.h"

namespace {

constexpr int64_t kBatch = 32, kFitted = 1000, kWatched = 200;

striate::Model make_model() {
  using namespace striate;
  return Sequential({
      Input{{28, 28, 1}},
      Rescale{.scale = 1.0 / 255},
      Conv2D{.filters = 8, .kernel_size = 3, .padding = "same", .activation = "relu"},
      MaxPool2D{.pool_size = 2},
      Conv2D{.filters = 16, .kernel_size = 3, .use_bias = false},
      BatchNormalization{},
      ReLU{},
      MaxPool2D{.pool_size = 2},
      Flatten{},
      Dropout{.rate = 0.25},
      Dense{.units = 10},
  });
}

void run_steps(striate::Model& model, const striate::Tensor& x, const striate::Tensor& y,
               int64_t steps) {
  const int64_t batches = x.shape()[0] / kBatch;
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t first = step % batches * kBatch, last = first + kBatch;
    const auto result = model.train_batch({x.rows(first, last)}, {y.rows(first, last)});
    if (step % 50 == 49 || step + 1 == steps)
      std::printf("step %lld: loss %.4f, accuracy %.4f\n", static_cast<long long>(step + 1),
                  result.loss, result.metrics[0]);
  }
}

void run_epochs(striate::Model& model, const striate::Tensor& x, const striate::Tensor& y,
                int epochs) {
  const auto history = model.fit({x.rows(0, kFitted)}, {y.rows(0, kFitted)},
                                 {.batch_size = kBatch,
                                  .epochs = epochs,
                                  .validation_x = {x.rows(kFitted, kFitted + kWatched)},
                                  .validation_y = {y.rows(kFitted, kFitted + kWatched)}});
  for (const striate::Epoch& row : history.epochs)
    std::printf("epoch %d: loss %.17g, accuracy %.17g, val_loss %.17g\n", row.epoch, row.train.loss,
                row.train.metrics[0], row.validation->loss);
}

void train(const std::string& data, uint64_t seed, int64_t steps, int epochs,
           const std::string& out) {
  const striate::Tensor images = read_idx(data + "/train-images-idx3-ubyte.gz");
  const striate::Tensor bytes = read_idx(data + "/train-labels-idx1-ubyte.gz");
  const int64_t count = images.shape()[0];
  const striate::Tensor x = images.reshape({count, 28, 28, 1});
  const std::vector<uint8_t> labels = bytes.to_vector<uint8_t>();
  const striate::Tensor y = striate::Tensor::from<int64_t>({count}, {labels.begin(), labels.end()});

  striate::set_seed(seed);
  striate::Model model = make_model();
  model.compile({.optimizer = striate::Adam{.learning_rate = 1e-3},
                 .losses = {"sparse_categorical_crossentropy"},
                 .metrics = {"accuracy"}});
  if (epochs > 0)
    run_epochs(model, x, y, epochs);
  else
    run_steps(model, x, y, steps);
  model.save(out);
}

}  // namespace

int main(int argc, char** argv) {
  std::map<std::string, std::string> options = {
      {"--seed", "1"}, {"--steps", "200"}, {"--epochs", "0"}};
  for (int i = 1; i + 1 < argc; i += 2) options[argv[i]] = argv[i + 1];
  if (argc % 2 == 0 || options["--data"].empty() || options["--out"].empty()) {
    std::cerr << "usage: train --data FOLDER --out FILE [--seed N] [--steps N | --epochs N]\n";
    return 2;
  }
  try {
    train(options["--data"], std::stoull(options["--seed"]), std::stoll(options["--steps"]),
          std::stoi(options["--epochs"]), options["--out"]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
