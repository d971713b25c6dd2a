// Files that are written whole or not at all, and files that are read with every error named.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace striate {

/// Write `pieces`, one after the other, as the file `path`; a file that was there is replaced.
///
/// The bytes go to a temporary file in the same folder, to the disk, and only then to their name:
/// a reader sees the old file or the new one. Throws FileError (full disk, no permission, not a
/// regular file); then the old file is intact and the temporary one is gone.
void write_atomically(const std::string& path, const std::vector<std::string_view>& pieces);

/// A regular file open for reading. Not mapped: a file that shrinks under a mapping would end the
/// process, while here it is a FileError.
class InputFile {
 public:
  /// Throws FileError when it is absent, not readable or not a regular file.
  explicit InputFile(std::string path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }
  /// Read exactly `bytes` from `offset`. Throws FileError when the file ends before.
  void read(uint64_t offset, void* data, size_t bytes) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// Return the whole content of a file. Throws FileError.
std::string read_file(const std::string& path);

}  // namespace striate
