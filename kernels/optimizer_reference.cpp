// The optimizers in double, one weight after the other.
#include <striate/kernels/dense_update.h>
#include <striate/kernels/elements.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

namespace striate::kernels {
namespace {

/// One step of an element: reads and returns the weight and its state in double.
struct Element {
  double w, g, state[2];
};

double clip_scale_of(const Problem& problem, const Arguments& arguments) {
  return problem.has_input(1) ? element_at(arguments.inputs[1], problem.inputs[1].dtype, 0) : 1;
}

/// Call `step(element)` for all elements of all weights with `states` state tensors each.
template <class Step>
void for_elements(const Problem& problem, const Arguments& arguments, int tensors, int states,
                  const Step& step) {
  const double scale = clip_scale_of(problem, arguments);
  for (int k = 0; k < tensors; ++k) {
    auto input = [&](int role) { return arguments.inputs[2 + role * tensors + k]; };
    with_element_type(problem.outputs[static_cast<size_t>(k)].dtype, [&](auto t) {
      using T = decltype(t);
      for (int64_t i = 0; i < problem.outputs[static_cast<size_t>(k)].shape.elements(); ++i) {
        auto at = [&](int role) {
          return static_cast<double>(static_cast<const T*>(input(role))[i]);
        };
        Element e{at(0), at(1) * scale, {}};
        for (int s = 0; s < states; ++s) e.state[s] = at(2 + s);
        step(e);
        static_cast<T*>(arguments.outputs[k])[i] = convert<T>(e.w);
        for (int s = 0; s < states; ++s)
          static_cast<T*>(arguments.outputs[(1 + s) * tensors + k])[i] = convert<T>(e.state[s]);
      }
    });
  }
}

void sgd(const Problem& problem, const Arguments& arguments) {
  const auto& o = problem.get<SgdOptions>();
  const auto* block = static_cast<const StepBlock*>(arguments.inputs[0]);
  const double lr = block->learning_rate[o.index];
  for_elements(problem, arguments, o.tensors, o.momentum > 0, [&](Element& e) {
    e.w -= lr * o.weight_decay * e.w;
    double& v = e.state[0];
    v = o.momentum * v - lr * e.g;
    e.w += o.nesterov ? o.momentum * v - lr * e.g : v;
  });
}

void adam(const Problem& problem, const Arguments& arguments) {
  const auto& o = problem.get<AdamOptions>();
  const auto* block = static_cast<const StepBlock*>(arguments.inputs[0]);
  const double lr = block->learning_rate[o.index], t = static_cast<double>(block->step + 1);
  const double corrected = lr * std::sqrt(1 - std::pow(o.beta_2, t)) / (1 - std::pow(o.beta_1, t));
  for_elements(problem, arguments, o.tensors, 2, [&](Element& e) {
    double &m = e.state[0], &v = e.state[1];
    e.w -= lr * o.weight_decay * e.w;
    m += (1 - o.beta_1) * (e.g - m);
    v += (1 - o.beta_2) * (e.g * e.g - v);
    e.w -= corrected * m / (std::sqrt(v) + o.epsilon);
  });
}

void squared_norm(const Problem& problem, const Arguments& arguments) {
  double sum = 0;
  for (size_t k = 0; k < problem.inputs.size(); ++k)
    for (int64_t i = 0; i < problem.inputs[k].shape.elements(); ++i) {
      const double g = element_at(arguments.inputs[k], problem.inputs[k].dtype, i);
      sum += g * g;
    }
  with_element_type(problem.outputs[0].dtype, [&](auto t) {
    *static_cast<decltype(t)*>(arguments.outputs[0]) = convert<decltype(t)>(sum);
  });
}

void clip_scale(const Problem& problem, const Arguments& arguments) {
  const double sum = element_at(arguments.inputs[0], problem.inputs[0].dtype, 0);
  const double scale = problem.get<ClipOptions>().norm / std::sqrt(sum);
  with_element_type(problem.outputs[0].dtype, [&](auto t) {
    // Written so that a NaN norm stays NaN.
    *static_cast<decltype(t)*>(arguments.outputs[0]) = convert<decltype(t)>(scale > 1 ? 1 : scale);
  });
}

/// Make the gradient x^T dy, then call `step`, sgd or adam.
template <void (*step)(const Problem&, const Arguments&)>
void with_product(const Problem& problem, const Arguments& arguments) {
  const DenseUpdateShape s = dense_update_shape(problem);
  Problem apart = problem;  // step_block, [clip_scale], w, g, state...
  apart.inputs = {problem.inputs[0], {}, problem.inputs[3], problem.inputs[3]};
  apart.inputs.insert(apart.inputs.end(), problem.inputs.begin() + 4, problem.inputs.end());
  apart.optional.assign(apart.inputs.size(), true);
  apart.optional[1] = false;
  with_element_type(problem.outputs[0].dtype, [&](auto t) {
    using T = decltype(t);
    const auto* x = static_cast<const T*>(arguments.inputs[1]);
    const auto* dy = static_cast<const T*>(arguments.inputs[2]);
    const auto gradient = std::make_unique<T[]>(static_cast<size_t>(s.M * s.N));
    for (int64_t i = 0; i < s.M * s.N; ++i) {
      double g = 0;
      for (int64_t k = 0; k < s.K; ++k)
        g += static_cast<double>(x[k * s.M + i / s.N]) * static_cast<double>(dy[k * s.N + i % s.N]);
      gradient[i] = convert<T>(g);
    }
    std::vector<const void*> inputs = {arguments.inputs[0], nullptr, arguments.inputs[3],
                                       gradient.get()};
    for (size_t i = 4; i < problem.inputs.size(); ++i) inputs.push_back(arguments.inputs[i]);
    step(apart, {inputs.data(), arguments.outputs});
  });
}

/// A reference entry whose outputs lie in their inputs, as optimizers need.
template <class Options>
Entry in_place_entry(const char* operation, void (*run)(const Problem&, const Arguments&),
                     bool dense = false) {
  Entry entry = reference_entry(operation, run);
  entry.prepare = [run, dense](const Problem& problem) {
    const int tensors = problem.get<Options>().tensors;
    Prepared prepared;
    for (int i = 0; i < static_cast<int>(problem.outputs.size()); ++i)
      prepared.in_place.push_back({i, dense ? 3 + i : 2 + (i < tensors ? i : i + tensors), true});
    prepared.kernel = make_kernel([problem, run](const Arguments& a) { run(problem, a); });
    return prepared;
  };
  return entry;
}

const Register sgd_entry(in_place_entry<SgdOptions>("sgd", sgd));
const Register adam_entry(in_place_entry<AdamOptions>("adam", adam));
const Register dense_sgd(in_place_entry<SgdOptions>("dense_sgd", with_product<sgd>, true));
const Register dense_adam(in_place_entry<AdamOptions>("dense_adam", with_product<adam>, true));
const Register squared_norm_entry(reference_entry("squared_norm", squared_norm));
const Register clip_scale_entry(reference_entry("clip_scale", clip_scale));

}  // namespace
}  // namespace striate::kernels
