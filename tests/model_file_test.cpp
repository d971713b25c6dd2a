// Model files whose checksum is right and whose content lies: refused, whatever the lie.
#include <gtest/gtest.h>
#include <striate/core/safetensors.h>
#include <striate/layers/dense.h>
#include <striate/layers/model.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

namespace striate {
namespace {

class ModelFileTest : public testing::Test {
 protected:
  void SetUp() override {
    const Model model = Sequential({Input{{4}}, Layer(Dense{.units = 3}, "d")});
    model.save(path_);
    const SafetensorsFile file(path_);
    metadata_ = file.metadata();
    for (const std::string& name : file.names()) tensors_.emplace_back(name, file.read(name));
  }
  void TearDown() override { std::remove(path_.c_str()); }

  /// Save with the graph changed, `from` replaced by `to`, and expect a refusal.
  void expect_refused(const std::string& from, const std::string& to) {
    auto metadata = metadata_;
    std::string& graph = metadata.at("striate.graph");
    const size_t at = graph.find(from);
    ASSERT_NE(at, std::string::npos) << from << " in " << graph;
    graph.replace(at, from.size(), to);
    save_safetensors(path_, metadata, tensors_);
    EXPECT_THROW(Model::load(path_), FileError) << graph;
  }

  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("model_file_test_" + std::to_string(getpid()) + ".safetensors"))
                          .string();
  std::map<std::string, std::string> metadata_;
  std::vector<std::pair<std::string, Tensor>> tensors_;
};

TEST(ModelMemory, GoesWithTheModel) {
  std::weak_ptr<Node> output;
  {
    const Model model = Sequential({Input({8}), Dense{.units = 4}, Dense{.units = 2}});
    output = model.outputs()[0].node;
    EXPECT_FALSE(output.expired());
  }
  EXPECT_TRUE(output.expired());
}

TEST_F(ModelFileTest, TheFileItselfLoads) {
  save_safetensors(path_, metadata_, tensors_);
  EXPECT_EQ(Model::load(path_).count_params(), 15);
}

TEST_F(ModelFileTest, RefusesLyingGraphs) {
  expect_refused("\"units\":3", "\"units\":4");
  expect_refused("\"units\":3", "\"units\":0");
  expect_refused("\"units\":3", "\"units\":4611686018427387904");
  expect_refused("\"units\":3", "\"units\":\"3\"");
  expect_refused("\"units\":3", "\"unit\":3");
  expect_refused("\"Dense\"", "\"Danse\"");
  expect_refused("\"format\":1", "\"format\":2");
  expect_refused("\"format\":1", "\"format\":null");
  expect_refused("\"calls\":[", "\"callers\":[");
  expect_refused("[-1,0]", "[0,0]");
  expect_refused("[-1,0]", "[-2,0]");
  expect_refused("[-1,0]", "[7,0]");
  expect_refused("[-1,0]", "[-9223372036854775808,0]");
  expect_refused("[-1,0]", "[]");
  expect_refused("[-1,0]", "null");
  expect_refused("\"float32\"", "\"float31\"");
  expect_refused("{", "[");
}

TEST_F(ModelFileTest, RefusesOtherWeights) {
  const auto all = tensors_;
  tensors_.pop_back();
  save_safetensors(path_, metadata_, tensors_);
  EXPECT_THROW(Model::load(path_), FileError);
  tensors_ = all;
  tensors_.emplace_back("stranger", Tensor::zeros({2}));
  save_safetensors(path_, metadata_, tensors_);
  EXPECT_THROW(Model::load(path_), FileError);
  tensors_ = all;
  tensors_[0].second = Tensor::zeros({5});
  save_safetensors(path_, metadata_, tensors_);
  EXPECT_THROW(Model::load(path_), FileError);
}

TEST_F(ModelFileTest, RefusesLyingCheckpoints) {
  for (const char* compile : {"{}", "[]", "3", "{\"optimizer\":\"sgd\"}", "not JSON"}) {
    auto metadata = metadata_;
    metadata["striate.compile"] = compile;
    save_safetensors(path_, metadata, tensors_);
    EXPECT_THROW(Model::load(path_), FileError) << compile;
  }
}

}  // namespace
}  // namespace striate
