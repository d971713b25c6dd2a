// A kernel that fails in a slice of a batch: an error for the caller, as in a batch that is whole.
#include <gtest/gtest.h>
#include <striate/core/error.h>
#include <striate/core/parallel.h>
#include <striate/kernels/impl.h>
#include <striate/layers/activation.h>
#include <striate/layers/dense.h>
#include <striate/layers/model.h>

#include <atomic>
#include <cmath>

namespace striate {
namespace {

std::atomic<bool> is_offered = false;
std::atomic<int> runs_left = 0;  // before it fails

/// The hyperbolic tangent, until it fails.
const kernels::Register failing({
    .operation = "tanh",
    .name = "failing",
    .declines = [](const kernels::Problem&) { return is_offered ? "" : "is for a test"; },
    .prepare =
        [](const kernels::Problem& problem) {
          kernels::Prepared made;
          const int64_t count = problem.outputs[0].shape.elements();
          made.kernel = kernels::make_kernel([count](const kernels::Arguments& a) {
            if (runs_left-- == 0) throw KernelError("the library failed", "out of memory");
            for (int64_t i = 0; i < count; ++i)
              static_cast<float*>(a.outputs[0])[i] =
                  std::tanh(static_cast<const float*>(a.inputs[0])[i]);
          });
          return made;
        },
    .efficiency = [](const kernels::Problem&) { return 1e6; },
});

TEST(Slices, AKernelThatFailsIsAnErrorAndTheNextStepRuns) {
  const int before = threads();
  set_threads(2);
  is_offered = true;
  set_seed(3);
  Model model = Sequential({Input{{6}}, ActivationLayer{"tanh"}, Dense{.units = 3}});
  model.compile({.optimizer = SGD{.learning_rate = 1e-2},
                 .losses = {"mean_squared_error"},
                 .device = "cpu"});
  const Tensor x = Tensor::from<float>({32, 6}, std::vector<float>(32 * 6, 0.5f)),
               y = Tensor::from<float>({32, 3}, std::vector<float>(32 * 3, 0.25f));
  const auto step = [&] { return model.fit({x}, {y}, {.batch_size = 32}).epochs[0].train.loss; };
  runs_left = 1 << 20;
  double last = step();
  EXPECT_EQ((1 << 20) - runs_left, threads());    // one for each slice
  for (int good = 0; good < threads(); ++good) {  // runs before the failure, in any slice
    runs_left = good;
    try {
      step();
      FAIL() << "no error from the run after " << good;
    } catch (const KernelError& error) {
      EXPECT_NE(std::string(error.what()).find("[Activation \"activation\"]"), std::string::npos)
          << error.what();
    }
    runs_left = 1 << 20;
    const double loss = step();
    EXPECT_LT(loss, last);
    last = loss;
  }
  is_offered = false;
  set_threads(before);
}

}  // namespace
}  // namespace striate
