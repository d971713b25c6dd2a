// The safetensors file format: named tensors and text metadata, no code in the file.
//
//   8 bytes  length of the header, little-endian
//   header   JSON: {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets"}, ...}
//   data     the tensors, row-major, without holes
//
// Our files carry a checksum of all their bytes in the metadata, which other readers ignore.
#pragma once

#include <striate/core/file.h>
#include <striate/core/tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace striate {

/// A safetensors file open for reading. The whole header and, where there is one, the checksum
/// are verified at once, so that what `read` returns is what was saved.
class SafetensorsFile {
 public:
  struct Entry {
    DType dtype = DType::kF32;
    Shape shape;
    uint64_t first = 0;  // byte of the file
    uint64_t bytes = 0;
  };

  /// Throws FileError for a file that is absent, truncated, damaged, alien or lying.
  explicit SafetensorsFile(const std::string& path);

  /// Return the text metadata, without our checksum.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// True when the file carried a checksum (it was right, or the constructor had thrown).
  bool has_checksum() const { return has_checksum_; }
  /// Return the tensors' names in alphabetical order.
  std::vector<std::string> names() const;
  bool has(const std::string& name) const { return entries_.count(name) != 0; }
  /// Return what the header says of a tensor. Throws FileError when it is absent.
  const Entry& entry(const std::string& name) const;
  /// Read one tensor. Throws FileError when it is absent, OutOfMemoryError.
  Tensor read(const std::string& name) const;

 private:
  void parse_header(const std::string& header);
  void check_no_holes() const;
  void check_sum(std::string header) const;

  InputFile file_;
  uint64_t data_ = 0;  // where the data begins
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Entry> entries_;
  bool has_checksum_ = false;
  std::string checksum_;
};

/// Write tensors and metadata, atomically. The bytes depend on nothing but the arguments; tensors
/// lie by element size and name, each aligned to its elements. Throws FileError as
/// write_atomically does and ShapeError for an undefined tensor or a name that occurs twice.
void save_safetensors(const std::string& path, const std::map<std::string, std::string>& metadata,
                      const std::vector<std::pair<std::string, Tensor>>& tensors);

}  // namespace striate
