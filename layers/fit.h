// Training on a whole data set: what `Model::fit` is asked for and what it reports.
#pragma once

#include <striate/core/json.h>
#include <striate/core/tensor.h>
#include <striate/layers/initializer.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace striate {

class Model;

/// The loss, then each metric, as means over samples: of a batch, or of a data set.
struct StepResult {
  double loss = 0;
  std::vector<double> metrics;
};

/// One tensor per input and output of a model, rows first.
struct Batch {
  std::vector<Tensor> x, y;
};

/// What a loop over a data set knows of the batch after the one that it gives. A device copies it
/// while it works.
struct Coming {
  bool taken = false;  // the batch given is the one that `next` of the call before returned
  /// Return the next batch, which must not change until it is given; nothing at the end. Called
  /// when the batch given is no longer read, so that it may be overwritten.
  std::function<std::optional<Batch>()> next = {};
};

/// One row of a history.
struct Epoch {
  int epoch = 0;  // from 1
  StepResult train;
  std::optional<StepResult> validation = {};
  double seconds = 0;
};

/// The record of a training run.
struct History {
  std::vector<std::string> metrics;  // their names
  std::vector<Epoch> epochs;

  /// Return {"epochs": [{epoch, loss, accuracy, val_loss, val_accuracy, seconds}, ...]}; numbers
  /// that are not finite become null.
  Json to_json() const;
  /// Write that as a file, which Python's `History.load` reads. Throws FileError.
  void save(const std::string& path) const;
};

/// Where a running epoch is.
struct FitProgress {
  int epoch = 0, last_epoch = 0;     // from 1
  int64_t batch = 0, batches = 0;    // done, in an epoch
  const StepResult* mean = nullptr;  // of the epoch so far
};

/// How `Model::fit` goes through the data.
///   model.fit({x}, {y}, {.epochs = 4, .validation_x = {vx}, .validation_y = {vy}})
struct FitOptions {
  int64_t batch_size = 32;  // a last smaller batch is trained on too
  int epochs = 1;
  std::vector<Tensor> validation_x = {}, validation_y = {};  // evaluated after each epoch
  bool shuffle = true;             // a new order each epoch, from the seed and the epoch alone
  uint64_t seed = current_seed();  // of the order
  int initial_epoch = 0;           // epochs done before, when training goes on
  /// Called after each step, and after each epoch. What they throw ends the training.
  std::function<void(const FitProgress&)> progress = {};
  std::function<void(Model&, const History&)> after_epoch = {};
};

/// Return the samples of an epoch in the order in which `fit` takes them, in Python too: equal for
/// equal seeds on every machine.
std::vector<int64_t> epoch_order(int64_t samples, uint64_t seed, uint64_t epoch);

}  // namespace striate
