#include <striate/core/parallel.h>
#include <striate/core/random.h>
#include <striate/layers/initializer.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>

namespace striate {
namespace {

enum class Distribution { kConstant, kUniform, kNormal };

struct InitializerOptions {
  double value = 0;                      // Constant
  double mean = 0, stddev = 0.05;        // RandomNormal
  double minval = -0.05, maxval = 0.05;  // RandomUniform
};

/// Glorot, He and LeCun scale a distribution by the fans; `fans(in, out)` is the divisor.
struct Kind {
  Schema schema;
  Distribution distribution;
  double scale = 0;  // variance = scale / fans; 0: from the options
  double (*fans)(double in, double out) = nullptr;
};

double fan_in_only(double in, double) { return in; }
double fan_average(double in, double out) { return (in + out) / 2; }

const std::map<std::string, Kind>& kinds() {
  static const std::map<std::string, Kind> all = [] {
    std::map<std::string, Kind> made;
    using O = InitializerOptions;
    auto add = [&](Kind kind) { made[kind.schema.name] = std::move(kind); };
    add({Describe<O>("Zeros", "All 0."), Distribution::kConstant});
    add({Describe<O>("Ones", "All 1."), Distribution::kConstant});
    add({Describe<O>("Constant", "All the same value.")
             .field("value", &O::value, "The value.", is_finite()),
         Distribution::kConstant});
    add({Describe<O>("RandomNormal", "Normal numbers.")
             .field("mean", &O::mean, "Mean.", is_finite())
             .field("stddev", &O::stddev, "Standard deviation.", not_negative()),
         Distribution::kNormal});
    add({Describe<O>("RandomUniform", "Uniform numbers.")
             .field("minval", &O::minval, "Least value.", is_finite())
             .field("maxval", &O::maxval, "Largest value.", is_finite()),
         Distribution::kUniform});
    add({Describe<O>("GlorotUniform",
                     "Uniform with variance 2 / (fan_in + fan_out) (Glorot and "
                     "Bengio 2010)."),
         Distribution::kUniform, 1, fan_average});
    add({Describe<O>("GlorotNormal",
                     "Normal with variance 2 / (fan_in + fan_out) (Glorot and "
                     "Bengio 2010)."),
         Distribution::kNormal, 1, fan_average});
    add({Describe<O>("HeUniform", "Uniform with variance 2 / fan_in (He et al. 2015)."),
         Distribution::kUniform, 2, fan_in_only});
    add({Describe<O>("HeNormal", "Normal with variance 2 / fan_in (He et al. 2015)."),
         Distribution::kNormal, 2, fan_in_only});
    add({Describe<O>("LecunUniform", "Uniform with variance 1 / fan_in (LeCun et al. 1998)."),
         Distribution::kUniform, 1, fan_in_only});
    add({Describe<O>("LecunNormal", "Normal with variance 1 / fan_in (LeCun et al. 1998)."),
         Distribution::kNormal, 1, fan_in_only});
    return made;
  }();
  return all;
}

struct Parsed {
  const Kind* kind;
  InitializerOptions options;
};

Parsed parse(const Json& config) {
  const std::string raw = config.is_string() ? config.as_string() : config["type"].as_string();
  static const std::map<std::string, std::string> kAliases = {{"zeros", "Zeros"},
                                                              {"ones", "Ones"},
                                                              {"glorot_uniform", "GlorotUniform"},
                                                              {"glorot_normal", "GlorotNormal"},
                                                              {"he_uniform", "HeUniform"},
                                                              {"he_normal", "HeNormal"},
                                                              {"lecun_uniform", "LecunUniform"},
                                                              {"lecun_normal", "LecunNormal"},
                                                              {"random_normal", "RandomNormal"},
                                                              {"random_uniform", "RandomUniform"}};
  const auto alias = kAliases.find(raw);
  const std::string name = alias == kAliases.end() ? raw : alias->second;
  const auto found = kinds().find(name);
  if (found == kinds().end()) {
    std::string names;
    for (const auto& [known, kind] : kinds()) names += (names.empty() ? "" : ", ") + known;
    throw ShapeError("an initializer must be one of " + names, "'" + raw + "'");
  }
  Json options = Json::object();
  if (config.is_object())
    for (const auto& [key, value] : config.members())
      if (key != "type") options.set(key, value);
  const auto read = found->second.schema.read(options);
  Parsed parsed{&found->second, *static_cast<const InitializerOptions*>(read.get())};
  if (name == "Ones") parsed.options.value = 1;
  return parsed;
}

std::atomic<uint64_t> process_seed{0};

}  // namespace

void set_seed(uint64_t seed) { process_seed = seed; }
uint64_t current_seed() { return process_seed; }

Check<Json> is_initializer() {
  return [](const Json& config) {
    parse(config);
    return std::string();
  };
}

std::vector<const Schema*> initializer_schemas() {
  std::vector<const Schema*> all;
  for (const auto& [name, kind] : kinds()) all.push_back(&kind.schema);
  return all;
}

void initialize(Variable& variable, uint64_t seed) {
  const Parsed parsed = parse(variable.initializer);
  const Shape& shape = variable.type.shape;
  Tensor tensor(shape, DType::kF32);
  float* data = tensor.data_as<float>();
  const int64_t count = tensor.elements();
  // Fans of filters [out, r, s, in] and of matrices [in, out].
  double in = static_cast<double>(variable.fan_in), out = static_cast<double>(variable.fan_out);
  if (in == 0 && shape.rank() == 2) in = shape[0], out = shape[1];
  if (in == 0 && shape.rank() == 4) {
    in = static_cast<double>(shape.product(1, 4));
    out = static_cast<double>(shape.product(0, 3));
  }
  if (in == 0) in = out = static_cast<double>(count);
  const InitializerOptions& o = parsed.options;
  double mean = o.mean, stddev = o.stddev, least = o.minval, most = o.maxval;
  if (parsed.kind->fans) {
    const double variance = parsed.kind->scale / std::max(parsed.kind->fans(in, out), 1.0);
    mean = 0, stddev = std::sqrt(variance);
    most = std::sqrt(3 * variance), least = -most;
  }
  const RandomStream stream{seed, hash_of(variable.path), 0};
  parallel_for((count + 3) / 4, [&](int64_t group) {
    const int64_t i = group * 4;
    const auto words = stream.words(static_cast<uint64_t>(i / 4), 0);
    double four[4];
    if (parsed.kind->distribution == Distribution::kNormal) {
      const auto a = normal_pair(words[0], words[1]), b = normal_pair(words[2], words[3]);
      const double values[4] = {a[0], a[1], b[0], b[1]};
      for (int k = 0; k < 4; ++k) four[k] = mean + stddev * values[k];
    } else if (parsed.kind->distribution == Distribution::kUniform) {
      for (int k = 0; k < 4; ++k) four[k] = least + (most - least) * uniform01(words[k]);
    } else {
      for (double& value : four) value = o.value;
    }
    for (int64_t k = 0; k < 4 && i + k < count; ++k) data[i + k] = static_cast<float>(four[k]);
  });
  variable.assign(tensor);
}

}  // namespace striate
