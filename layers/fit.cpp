#include <striate/core/file.h>
#include <striate/layers/fit.h>
#include <striate/layers/model.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstring>
#include <numeric>

namespace striate {
namespace {

__extension__ using Wide = unsigned __int128;

/// Philox4x64-10 (Salmon et al., SC 2011): the words that NumPy's bit generator of that name gives
/// for the same key, which it keeps the same for ever.
std::array<uint64_t, 4> philox(std::array<uint64_t, 4> counter, std::array<uint64_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const Wide a = Wide{0xD2E7470EE14C6C93} * counter[0];
    const Wide b = Wide{0xCA5A826395121157} * counter[2];
    counter = {static_cast<uint64_t>(b >> 64) ^ counter[1] ^ key[0], static_cast<uint64_t>(b),
               static_cast<uint64_t>(a >> 64) ^ counter[3] ^ key[1], static_cast<uint64_t>(a)};
    key[0] += 0x9E3779B97F4A7C15;
    key[1] += 0xBB67AE8584CAA73B;
  }
  return counter;
}

int64_t count_samples(const std::vector<Tensor>& data, const std::string& what) {
  std::string shapes;
  bool equal = !data.empty();
  for (const Tensor& tensor : data) {
    shapes += (shapes.empty() ? "" : ", ") + tensor.shape().to_string();
    equal = equal && tensor.shape().rank() > 0 && tensor.shape()[0] > 0 &&
            tensor.shape()[0] == data[0].shape()[0];
  }
  if (!equal)
    throw ShapeError("every array must have the same number of samples, at least one",
                     what + " of " + (shapes.empty() ? "nothing" : shapes));
  return data[0].shape()[0];
}

/// The rows of a data set, copied batch by batch into tensors that are used again.
class Batches {
 public:
  Batches(std::vector<Tensor> data, int64_t samples, int64_t batch_size)
      : data_(std::move(data)), samples_(samples), batch_size_(batch_size) {
    if (batch_size < 1)
      throw ShapeError("batch_size must be at least 1", std::to_string(batch_size));
    for (Tensor& tensor : data_) {
      tensor = tensor.to({});
      Shape shape = tensor.shape();
      shape[0] = std::min(batch_size, samples);
      full_.emplace_back(shape, tensor.dtype());
      tail_.push_back(full_.back().rows(0, samples % shape[0]));
    }
  }

  int64_t count() const { return (samples_ + batch_size_ - 1) / batch_size_; }

  /// Return the numbers of the samples of a batch.
  std::span<const int64_t> rows(int64_t batch, const std::vector<int64_t>& order) const {
    const int64_t first = batch * batch_size_;
    const int64_t size = std::min(batch_size_, samples_ - first);
    return {order.data() + first, static_cast<size_t>(size)};
  }

  const std::vector<Tensor>& gather(std::span<const int64_t> rows) {
    const auto size = static_cast<int64_t>(rows.size());
    std::vector<Tensor>& batch = size == full_[0].shape()[0] ? full_ : tail_;
    for (size_t i = 0; i < data_.size(); ++i) {
      const size_t bytes = data_[i].bytes() / static_cast<size_t>(samples_);
      auto* to = static_cast<char*>(batch[i].data());
      const auto* from = static_cast<const char*>(data_[i].data());
      for (size_t row = 0; row < rows.size(); ++row)
        std::memcpy(to + row * bytes, from + static_cast<size_t>(rows[row]) * bytes, bytes);
    }
    return batch;
  }

 private:
  std::vector<Tensor> data_, full_, tail_;
  int64_t samples_, batch_size_;
};

/// Sums of the results of batches, which give the means of an epoch.
class Mean {
 public:
  void add(const StepResult& batch, int64_t rows) {
    const auto weight = static_cast<double>(rows);
    sum_.metrics.resize(batch.metrics.size());
    mean_.metrics.resize(batch.metrics.size());
    rows_ += weight;
    mean_.loss = (sum_.loss += weight * batch.loss) / rows_;
    for (size_t i = 0; i < batch.metrics.size(); ++i)
      mean_.metrics[i] = (sum_.metrics[i] += weight * batch.metrics[i]) / rows_;
  }
  const StepResult& value() const { return mean_; }

 private:
  StepResult sum_, mean_;
  double rows_ = 0;
};

/// x and y of a data set, cut in the same way.
struct Pairs {
  Pairs(const std::vector<Tensor>& x_data, const std::vector<Tensor>& y_data, int64_t batch_size)
      : samples(check(x_data, y_data)),
        x(x_data, samples, batch_size),
        y(y_data, samples, batch_size) {}

  static int64_t check(std::vector<Tensor> all, const std::vector<Tensor>& y) {
    if (y.empty()) count_samples(y, "y");
    all.insert(all.end(), y.begin(), y.end());
    return count_samples(all, "x and y");
  }

  /// Call `step(batch, samples, coming)` for each batch.
  template <class Step>
  void each(const std::vector<int64_t>& order, const Step& step) {
    const auto take = [&](int64_t number) -> std::optional<Batch> {
      if (number == x.count()) return {};
      const auto rows = x.rows(number, order);
      return Batch{x.gather(rows), y.gather(rows)};
    };
    std::optional<Batch> batch = take(0);
    for (int64_t number = 0; batch; ++number) {
      std::optional<Batch> next;
      step(*batch, x.rows(number, order),
           Coming{.taken = number > 0, .next = [&] { return next = take(number + 1); }});
      batch = std::move(next);
    }
  }

  int64_t samples;
  Batches x, y;
};

std::vector<int64_t> in_sequence(int64_t samples) {
  std::vector<int64_t> order(static_cast<size_t>(samples));
  std::iota(order.begin(), order.end(), int64_t{0});
  return order;
}

Json finite(double value) { return std::isfinite(value) ? Json(value) : Json(); }

}  // namespace

std::vector<int64_t> epoch_order(int64_t samples, uint64_t seed, uint64_t epoch) {
  std::vector<uint64_t> words;
  for (uint64_t block = 1; static_cast<int64_t>(words.size()) < samples; ++block)
    for (const uint64_t word : philox({block, 0, 0, 0}, {seed, epoch})) words.push_back(word);
  std::vector<int64_t> order = in_sequence(samples);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return words[static_cast<size_t>(a)] < words[static_cast<size_t>(b)];
  });
  return order;
}

History Model::fit(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                   const FitOptions& options) {
  Pairs data(x, y, options.batch_size);
  History history;
  for (const Metric& metric : compile_options().metrics) history.metrics.push_back(metric.name);
  std::vector<int64_t> order = in_sequence(data.samples);
  for (int e = options.initial_epoch; e < options.initial_epoch + options.epochs; ++e) {
    const auto start = std::chrono::steady_clock::now();
    if (options.shuffle) order = epoch_order(data.samples, options.seed, static_cast<uint64_t>(e));
    Mean mean;
    FitProgress progress = {e + 1, options.initial_epoch + options.epochs, 0, data.x.count(),
                            &mean.value()};
    data.each(order, [&](const Batch& batch, const auto& rows, const Coming& coming) {
      mean.add(train_batch(batch.x, batch.y, rows, coming), static_cast<int64_t>(rows.size()));
      ++progress.batch;
      if (options.progress) options.progress(progress);
    });
    Epoch row = {.epoch = e + 1, .train = mean.value()};
    if (!options.validation_x.empty())
      row.validation = evaluate(options.validation_x, options.validation_y, options.batch_size);
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    row.seconds = taken.count();
    history.epochs.push_back(std::move(row));
    if (options.after_epoch) options.after_epoch(*this, history);
  }
  return history;
}

StepResult Model::evaluate(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                           int64_t batch_size) {
  Pairs data(x, y, batch_size);
  Mean mean;
  data.each(
      in_sequence(data.samples), [&](const Batch& batch, const auto& rows, const Coming& coming) {
        mean.add(test_batch(batch.x, batch.y, rows, coming), static_cast<int64_t>(rows.size()));
      });
  return mean.value();
}

std::vector<Tensor> Model::predict(const std::vector<Tensor>& x, int64_t batch_size) const {
  const int64_t samples = count_samples(x, "x");
  Batches data(x, samples, batch_size);
  const std::vector<int64_t> order = in_sequence(samples);
  std::vector<Tensor> results;
  for (int64_t batch = 0; batch < data.count(); ++batch) {
    const auto rows = data.rows(batch, order);
    const auto size = static_cast<int64_t>(rows.size());
    const std::vector<Tensor> outputs = predict_batch(data.gather(rows));
    for (size_t i = 0; i < outputs.size(); ++i) {
      const Tensor output = outputs[i].to({});
      Shape shape = output.shape();
      if (shape.rank() == 0 || shape[0] != size)
        throw ShapeError("predict needs outputs of a row per sample", shape.to_string(),
                         "Call predict_batch");
      shape[0] = samples;
      if (batch == 0) results.emplace_back(shape, output.dtype());
      const size_t bytes = results[i].bytes() / static_cast<size_t>(samples);
      std::memcpy(static_cast<char*>(results[i].data()) + static_cast<size_t>(rows[0]) * bytes,
                  output.data(), output.bytes());
    }
  }
  return results;
}

Json History::to_json() const {
  Json rows = Json::array();
  for (const Epoch& epoch : epochs) {
    Json row = Json::object({{"epoch", epoch.epoch}});
    const auto set = [&](const std::string& prefix, const StepResult& result) {
      row.set(prefix + "loss", finite(result.loss));
      for (size_t i = 0; i < metrics.size(); ++i)
        row.set(prefix + metrics[i], finite(result.metrics[i]));
    };
    set("", epoch.train);
    if (epoch.validation) set("val_", *epoch.validation);
    row.set("seconds", epoch.seconds);
    rows.push(std::move(row));
  }
  return Json::object({{"epochs", rows}});
}

void History::save(const std::string& path) const {
  write_atomically(path, {to_json().dump(1) + "\n"});
}

}  // namespace striate
