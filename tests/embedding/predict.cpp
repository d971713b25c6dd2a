// Predicts the class of a picture: predict MODEL IMAGE [THREADS]
//
// IMAGE is a binary PGM (P5) of the model's size. With THREADS, so many threads predict it at the
// same time, each with a Predictor of its own, and their results must be equal bit by bit.
#include <striate/striate.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

namespace {

/// Read a grey picture. Returns u8 [1, height, width, 1]. Throws FileError.
striate::Tensor read_pgm(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string magic;
  int64_t width = 0, height = 0, brightest = 0;
  stream >> magic >> width >> height >> brightest;
  stream.get();
  if (!stream || magic != "P5" || brightest != 255 || width < 1 || height < 1)
    throw striate::FileError(file + " must be a binary PGM of 8 bits", "another content");
  striate::Tensor image({1, height, width, 1}, striate::DType::kU8);
  stream.read(static_cast<char*>(image.data()), static_cast<std::streamsize>(image.bytes()));
  if (!stream) throw striate::FileError(file + " must hold all its pixels", "fewer");
  return image;
}

void predict(const std::string& model_file, const std::string& image_file, int count) {
  const striate::Model model = striate::Model::load(model_file);
  const striate::Tensor image = read_pgm(image_file);
  const auto scores = striate::Predictor(model)(image).to_vector<float>();
  std::vector<std::thread> threads;
  std::atomic<int> differences = 0;
  for (int i = 0; i < count; ++i)
    threads.emplace_back([&] {
      striate::Predictor predictor(model);
      for (int repeat = 0; repeat < 20; ++repeat)
        if (predictor(image).to_vector<float>() != scores) ++differences;
    });
  for (auto& thread : threads) thread.join();
  if (differences != 0) throw striate::Error("predictions must not depend on the thread");
  const auto best = std::max_element(scores.begin(), scores.end());
  std::printf("class %d\n", static_cast<int>(best - scores.begin()));
  for (const float score : scores) std::printf("%.9g\n", static_cast<double>(score));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 && argc != 4) {
    std::cerr << "usage: predict MODEL IMAGE [THREADS]\n";
    return 2;
  }
  try {
    predict(argv[1], argv[2], argc == 4 ? std::stoi(argv[3]) : 0);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
