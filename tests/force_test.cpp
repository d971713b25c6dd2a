// Rules that force kernels, and the words that misspelt ones were meant to be.
#include <gtest/gtest.h>
#include <striate/core/nearest.h>
#include <striate/kernels/impl.h>

namespace striate {
namespace {

TEST(Nearest, IsTheWordOfTheFewestChanges) {
  const std::vector<std::string> words = {"conv2d", "conv2d_backward_input", "matmul", "relu"};
  for (const auto& [word, meant] : std::vector<std::pair<std::string, std::string>>{
           {"conv2d", "conv2d"},
           {"Conv2D", "conv2d"},
           {"conv2", "conv2d"},
           {"cnov2d", "conv2d"},
           {"conv2d_backward_inputs", "conv2d_backward_input"},
           {"matmult", "matmul"},
           {"reul", "relu"},
           {"softmax", ""},
           {"x", ""},
           {"", ""}})
    EXPECT_EQ(nearest(word, words), meant) << word;
  EXPECT_EQ(nearest("relu", {}), "");
}

TEST(Force, RefusesWhatDoesNotExist) {
  const std::string before = kernels::force("relu=reference,*=auto");
  for (const char* wrong :
       {"rely=reference", "relu=refrence", "*=refrence", "relu", "relu=", "=auto"})
    EXPECT_THROW(kernels::force(wrong), KernelError) << wrong;
  EXPECT_EQ(kernels::forced(), "relu=reference,*=auto");
  try {
    kernels::force("relu=refrence");
    FAIL() << "accepted";
  } catch (const KernelError& error) {
    EXPECT_EQ(error.values(), "'refrence'");
    EXPECT_EQ(error.fix(), "Perhaps 'reference' is meant");
    EXPECT_NE(error.rule().find("an entry of relu must be auto or one of "), std::string::npos);
  }
  kernels::force(before);
}

}  // namespace
}  // namespace striate
