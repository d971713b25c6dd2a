// safetensors files: what is saved comes back, and a damaged or lying file is refused.
#include <gtest/gtest.h>
#include <striate/core/checksum.h>
#include <striate/core/safetensors.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace striate {
namespace {

class SafetensorsTest : public testing::Test {
 protected:
  SafetensorsTest()
      : path_(testing::TempDir() + "striate-" + std::to_string(getpid()) + ".safetensors") {}
  ~SafetensorsTest() override { std::filesystem::remove(path_); }

  void save_sample() const {
    const Tensor half({3}, DType::kF16);
    const uint16_t bits[] = {0x3c00, 0xc000, 0x7bff};
    half.copy_from_host(bits);
    save_safetensors(path_,
                     {{"graph", R"({"a":[1,2]})"},
                      {"title",
                       "Gr\xc3\xb6\xc3\x9f"
                       "e"}},
                     {{"w", Tensor::from<float>({2, 3}, {1, 2, 3, 4, 5, 6})},
                      {"byte", Tensor::from<uint8_t>({3}, {7, 8, 9})},
                      {"half", half},
                      {"scalar", Tensor::from<double>({}, {2.5})},
                      {"empty", Tensor::zeros({0, 4})},
                      {"flag", Tensor::zeros({5}, DType::kBool)},
                      {"count", Tensor::from<int64_t>({1}, {-1})}});
  }

  /// Write a file of this header and so many bytes of data.
  void write(const std::string& header, size_t data_bytes) const {
    std::string prefix;
    for (int i = 0; i < 8; ++i) prefix += static_cast<char>(header.size() >> 8 * i & 255);
    write(prefix + header + std::string(data_bytes, '\1'));
  }

  // As a new file and without fsync, since the tests write thousands: truncating one is slow.
  void write(const std::string& content) const {
    std::filesystem::remove(path_);
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << content;
  }

  std::string refusal() const {
    try {
      const SafetensorsFile file(path_);
      for (const std::string& name : file.names()) file.read(name);
    } catch (const FileError& error) {
      return error.what();
    }
    return "";
  }

  std::string path_;
};

TEST_F(SafetensorsTest, WhatIsSavedComesBack) {
  save_sample();
  const SafetensorsFile file(path_);
  EXPECT_TRUE(file.has_checksum());
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"graph", R"({"a":[1,2]})"},
                                                                 {"title",
                                                                  "Gr\xc3\xb6\xc3\x9f"
                                                                  "e"}}));
  EXPECT_EQ(file.names(),
            (std::vector<std::string>{"byte", "count", "empty", "flag", "half", "scalar", "w"}));
  EXPECT_EQ(file.read("w").shape(), Shape({2, 3}));
  EXPECT_EQ(file.read("w").to_vector<float>(), (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(file.read("byte").to_vector<uint8_t>(), (std::vector<uint8_t>{7, 8, 9}));
  EXPECT_EQ(file.read("scalar").item(), 2.5);
  EXPECT_EQ(file.read("count").item(), -1);
  EXPECT_EQ(file.read("half").rows(2, 3).item(), 65504);
  EXPECT_EQ(file.read("empty").shape(), Shape({0, 4}));
  for (const std::string& name : file.names())
    EXPECT_EQ(file.entry(name).first % size_of(file.entry(name).dtype), 0u) << name;
  EXPECT_FALSE(file.has("x"));
  EXPECT_THROW(file.read("x"), FileError);
}

TEST_F(SafetensorsTest, BytesDependOnTheContentAlone) {
  const Tensor a = Tensor::from<float>({1}, {1}), b = Tensor::from<float>({2}, {2, 3});
  save_safetensors(path_, {}, {{"a", a}, {"b", b}});
  const std::string first = read_file(path_);
  save_safetensors(path_, {{"striate.checksum", "of another file"}}, {{"b", b}, {"a", a}});
  EXPECT_EQ(read_file(path_), first);
  EXPECT_EQ(static_cast<uint8_t>(first[0]) % 8, 0);
  save_safetensors(path_, {}, {});
  EXPECT_TRUE(SafetensorsFile(path_).names().empty());
}

TEST_F(SafetensorsTest, RefusesToSaveWhatCannotBeRead) {
  const Tensor a = Tensor::zeros({1});
  EXPECT_THROW(save_safetensors(path_, {}, {{"a", a}, {"a", a}}), ShapeError);
  EXPECT_THROW(save_safetensors(path_, {}, {{"__metadata__", a}}), ShapeError);
  EXPECT_THROW(save_safetensors(path_, {}, {{"a", Tensor()}}), ShapeError);
  EXPECT_THROW(save_safetensors(path_, {}, {{"\xff", a}}), Error);
  EXPECT_THROW(save_safetensors("/nowhere/at/all", {}, {{"a", a}}), FileError);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SafetensorsTest, ReadsFilesOfOthers) {
  write(R"({"b":{"dtype":"F32","shape":[1,2],"data_offsets":[4,12]},)"
        R"("a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}   )",
        12);
  const SafetensorsFile file(path_);
  EXPECT_FALSE(file.has_checksum());
  EXPECT_EQ(file.read("a").to_vector<uint8_t>(), (std::vector<uint8_t>{1, 1, 1, 1}));
  EXPECT_EQ(file.entry("b").first % 8, 4u + file.entry("a").first % 8);
  write("{}", 0);
  EXPECT_EQ(refusal(), "");
}

struct Lie {
  const char* header;
  size_t bytes;
  const char* expected;
};

TEST_F(SafetensorsTest, RefusesLyingHeaders) {
  const Lie lies[] = {
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7,
       "tensor 'a': its data_offsets must lie inside the 7 bytes"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 9,
       "its tensors must fill the data of 9 bytes"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8,
       "tensor 'a': its bytes must be those of shape [3] of float32"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}})", 9,
       "tensor 'a': its bytes must be"},
      {R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8,
       "tensor 'a': its sizes and offsets must not be negative, got -2"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}})", 8,
       "tensor 'a': its sizes and offsets must not be negative"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}})", 8,
       "tensor 'a': its sizes and offsets must not be negative"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8,
       "tensor 'a': its data_offsets must lie inside"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})", 8,
       "tensor 'a': its data_offsets must be [begin, end]"},
      {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8,
       "tensor 'a': it must be an integer"},
      {R"({"a":{"dtype":"F32","shape":[1e99],"data_offsets":[0,8]}})", 8,
       "tensor 'a': it must be an integer"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,2],"data_offsets":[0,8]}})", 8,
       "tensor 'a': a tensor has at most 2^62 elements"},
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,2],"data_offsets":[0,8]}})", 8,
       "tensor 'a': a tensor has at most 8 dimensions"},
      {R"({"a":{"dtype":"I16","shape":[4],"data_offsets":[0,8]}})", 8,
       "tensor 'a': its dtype must be one of"},
      {R"({"a":{"dtype":5,"shape":[4],"data_offsets":[0,8]}})", 8,
       "tensor 'a': it must be a string"},
      {R"({"a":{"shape":[2],"data_offsets":[0,8]}})", 8, "tensor 'a': it must have a dtype"},
      {R"({"a":7})", 8, "tensor 'a': it must have a dtype"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
       R"("b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}})",
       8, "tensor 'b': its data must begin where that of the tensor before it ends"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
       R"("b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}})",
       8, "tensor 'b': its data must begin"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})", 8,
       "tensor 'a': its data must begin"},
      {R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},)"
       R"("b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})",
       8, "its data must begin"},
      {R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
       R"("a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})",
       8, "the member 'a' may appear only once"},
      {R"({"__metadata__":{"k":5}})", 0, "it must be a string"},
      {R"({"__metadata__":[]})", 0, "it must be an object"},
      {R"({"__metadata__":{"striate.checksum":"crc32:00000000"}})", 0, "damaged or changed"},
      {R"({"__metadata__":{"striate.checksum": "crc32:00000000"}})", 0, "malformed checksum"},
      {R"({"__metadata__":{"striate.checksum":"md5"}})", 0, "malformed checksum"},
      {R"([])", 0, "must begin with '{'"},
      {R"( {})", 0, "must begin with '{'"},
      {R"()", 0, "must begin with '{'"},
      {R"({}x)", 0, "nothing may follow the value"},
      {R"({"a":)", 0, "malformed JSON"}};
  for (const Lie& lie : lies) {
    write(lie.header, lie.bytes);
    EXPECT_NE(refusal().find(lie.expected), std::string::npos) << lie.header << "\n" << refusal();
  }
  write(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", 1);
  EXPECT_EQ(refusal(), "");
  write_atomically(path_,
                   {read_file(path_).substr(0, SafetensorsFile(path_).entry("a").first), "\2"});
  EXPECT_NE(refusal().find("booleans must be 0 or 1"), std::string::npos);
}

TEST_F(SafetensorsTest, RefusesHeadersLargerThanTheFileOrTheLimit) {
  for (uint64_t length : {uint64_t{3}, uint64_t{100'000'001}, UINT64_MAX, UINT64_MAX - 7}) {
    std::string prefix(8, '\0');
    std::memcpy(prefix.data(), &length, 8);
    write(prefix + "{}");
    EXPECT_NE(refusal().find("its header must fit"), std::string::npos) << length;
  }
  write("short");
  EXPECT_NE(refusal().find("at least 8 bytes"), std::string::npos);
}

TEST_F(SafetensorsTest, RefusesEveryTruncationAndNearlyEveryFlippedBit) {
  save_sample();
  const std::string good = read_file(path_);
  const size_t key = good.find("striate.checksum");
  {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    auto put = [&](size_t place, char byte) {
      file.seekp(static_cast<std::streamoff>(place)).put(byte).flush();
    };
    for (size_t i = 0; i < good.size() * 8; i += 5) {
      // A flip inside the checksum's own name hides it; all else is still checked then.
      if (i / 8 >= key && i / 8 < key + 16) continue;
      put(i / 8, static_cast<char>(good[i / 8] ^ 1 << i % 8));
      ASSERT_NE(refusal(), "") << "bit " << i;
      put(i / 8, good[i / 8]);
    }
  }
  EXPECT_EQ(refusal(), "");
  for (size_t size = good.size(); size-- > 0;) {
    std::filesystem::resize_file(path_, size);
    ASSERT_NE(refusal(), "") << size;
  }
}

TEST_F(SafetensorsTest, MutatedHeadersAreReadOrRefused) {
  const std::string valid = R"({"__metadata__":{"k":"v"},)"
                            R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},)"
                            R"("b":{"dtype":"U8","shape":[4],"data_offsets":[8,12]}})";
  std::mt19937 random(2);
  int read = 0, refused = 0;
  for (int i = 0; i < 1500; ++i) {
    std::string header = valid;
    for (unsigned n = random() % 2 + 1; n > 0; --n) {
      const size_t at = random() % header.size();
      if (random() % 2)
        header[at] = "0123456789-,:[]{}\"abFU"[random() % 22];
      else
        header.insert(at, header.substr(random() % header.size(), random() % 12));
    }
    write(header, random() % 4 ? 12 : random() % 16);
    ++(refusal().empty() ? read : refused);
  }
  EXPECT_GT(read, 25);
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace striate
