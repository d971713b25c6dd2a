// Several functions of elements one after the other, in one pass over memory.
//
//   chain  x, others... -> y    v = x[i];  for each step: v = f(v, alpha)  or  v = f(v, other[i])
//
// A step is written `function other alpha`, steps with a semicolon between them: `other` is 0 for a
// function of one value, else the place of an input, negative where it comes first: `subtract -1 1`
// is others - v. Functions are those of unary.h, their gradients, and binary.h but power. Each
// input has x's shape or one element; all are float32, float16 or bfloat16, steps are in float32.
#pragma once

#include <striate/kernels/impl.h>

#include <string>
#include <vector>

namespace striate {

struct ChainOptions {
  std::string steps;
  DType to = DType::kF32;  // y's
};

namespace kernels {

struct ChainStep {
  std::string function;
  int other = 0;
  float alpha = 1;
};

inline constexpr int kMostChainSteps = 8, kMostChainInputs = 4;

/// Read and write the steps of a chain. Reading throws KernelError for what is none.
std::vector<ChainStep> chain_steps(const std::string& text);
std::string to_string(const std::vector<ChainStep>& steps);

/// True for a function that a chain may hold.
bool is_chainable(const std::string& operation);

}  // namespace kernels
}  // namespace striate
