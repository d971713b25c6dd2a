// Reads the gzipped IDX files of MNIST and Fashion-MNIST, through the program gzip.
#pragma once

#include <striate/core/error.h>
#include <striate/core/tensor.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

/// Read the bytes that gzip unpacks from a file. Throws FileError.
inline std::vector<uint8_t> unpack(const std::string& file) {
  if (file.find('\'') != std::string::npos)
    throw striate::FileError("a path must have no quotes", file);
  const std::string command = "gzip -dc -- '" + file + "'";
  const auto close = [](FILE* stream) { pclose(stream); };
  const std::unique_ptr<FILE, decltype(close)> pipe(popen(command.c_str(), "r"), close);
  std::vector<uint8_t> bytes, part(1 << 20);
  while (const size_t count = pipe ? fread(part.data(), 1, part.size(), pipe.get()) : 0)
    bytes.insert(bytes.end(), part.begin(), part.begin() + static_cast<long>(count));
  return bytes;
}

/// Read an IDX file of unsigned bytes. Returns u8 of the shape that it states. Throws FileError.
inline striate::Tensor read_idx(const std::string& file) {
  const std::vector<uint8_t> bytes = unpack(file);
  const size_t rank = bytes.size() < 4 || bytes[2] != 8 ? 0 : bytes[3];
  std::vector<int64_t> sizes;
  size_t place = 4;
  for (size_t i = 0; i < rank && place + 4 <= bytes.size(); ++i, place += 4)
    sizes.push_back(bytes[place] << 24 | bytes[place + 1] << 16 | bytes[place + 2] << 8 |
                    bytes[place + 3]);
  const striate::Shape shape(sizes);
  if (rank == 0 || bytes.size() - place != static_cast<size_t>(shape.elements()))
    throw striate::FileError(file + " must be a gzipped IDX file of bytes", "another content");
  return striate::Tensor::from<uint8_t>(shape,
                                        {bytes.begin() + static_cast<long>(place), bytes.end()});
}
