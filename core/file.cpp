#include <fcntl.h>
#include <striate/core/error.h>
#include <striate/core/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace striate {
namespace {

[[noreturn]] void fail(const std::string& path, const char* action, int error) {
  std::string fix;
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    fix = "Free some space or choose another disk";
  else if (error == EACCES || error == EPERM || error == EROFS)
    fix = "Choose a place where you have the permission";
  else if (error == ENOENT)
    fix = "Check the path; its folder must exist";
  throw FileError(
      "'" + path + "' cannot be " + action + ": " + std::generic_category().message(error), "",
      fix);
}

/// A new file beside its future name; gone again unless it was renamed.
class TemporaryFile {
 public:
  TemporaryFile(const std::filesystem::path& folder, const std::string& target) : target_(target) {
    static std::atomic<int> counter{0};
    do {
      path_ = folder / (".striate-" + std::to_string(getpid()) + "-" +
                        std::to_string(counter.fetch_add(1)) + ".tmp");
      descriptor_ = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (descriptor_ < 0 && errno == EEXIST);
    if (descriptor_ < 0) fail(target_, "written", errno);
  }

  ~TemporaryFile() {
    if (descriptor_ >= 0) close(descriptor_);
    if (!renamed_) unlink(path_.c_str());
  }

  void keep_mode(mode_t mode) { check(fchmod(descriptor_, mode & 07777) == 0); }

  void write(std::string_view piece) {
    while (!piece.empty()) {
      const ssize_t written =
          ::write(descriptor_, piece.data(), std::min(piece.size(), size_t{1} << 30));
      if (written < 0 && errno == EINTR) continue;
      check(written >= 0);
      piece.remove_prefix(static_cast<size_t>(written));
    }
  }

  void rename_to(const std::filesystem::path& path) {
    // Some file systems have nothing to sync and say so with EINVAL.
    check(fsync(descriptor_) == 0 || errno == EINVAL || errno == ENOTSUP);
    const int descriptor = descriptor_;
    descriptor_ = -1;
    check(close(descriptor) == 0);
    check(rename(path_.c_str(), path.c_str()) == 0);
    renamed_ = true;
  }

 private:
  void check(bool good) const {
    if (!good) fail(target_, "written", errno);
  }

  std::string target_;
  std::filesystem::path path_;
  int descriptor_ = -1;
  bool renamed_ = false;
};

}  // namespace

void write_atomically(const std::string& path, const std::vector<std::string_view>& pieces) {
  struct stat old {};
  const bool replaces = stat(path.c_str(), &old) == 0;
  // A device such as /dev/full would be replaced by a file.
  if (replaces && !S_ISREG(old.st_mode))
    throw FileError("'" + path + "' cannot be written: it is not a regular file", "",
                    "Choose a file name");
  // A symbolic link stays one; the file that it names is replaced.
  std::error_code none;
  std::filesystem::path target = replaces ? std::filesystem::canonical(path, none) : "";
  if (target.empty()) target = path;
  std::filesystem::path folder = target.parent_path();
  if (folder.empty()) folder = ".";

  TemporaryFile file(folder, path);
  if (replaces) file.keep_mode(old.st_mode);
  for (std::string_view piece : pieces) file.write(piece);
  file.rename_to(target);

  // Makes the new name last over a power cut. The file is in place, so an error changes nothing.
  const int descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0) {
    fsync(descriptor);
    close(descriptor);
  }
}

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  // O_NONBLOCK: opening a pipe must not wait for its writer.
  descriptor_ = open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail(path_, "read", errno);
  struct stat status {};
  const int error = fstat(descriptor_, &status) == 0 ? 0 : errno;
  if (error == 0 && S_ISREG(status.st_mode)) {
    size_ = static_cast<uint64_t>(status.st_size);
    return;
  }
  close(descriptor_);
  if (error) fail(path_, "read", error);
  throw FileError("'" + path_ + "' cannot be read: it is not a regular file", "",
                  "Choose a file name");
}

InputFile::~InputFile() { close(descriptor_); }

void InputFile::read(uint64_t offset, void* data, size_t bytes) const {
  auto* place = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t count =
        pread(descriptor_, place, std::min(bytes, size_t{1} << 30), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail(path_, "read", errno);
    if (count == 0)
      throw FileError("'" + path_ + "' is truncated", "its end at byte " + std::to_string(offset));
    place += count;
    offset += static_cast<uint64_t>(count);
    bytes -= static_cast<size_t>(count);
  }
}

std::string read_file(const std::string& path) {
  const InputFile file(path);
  std::string content(file.size(), '\0');
  file.read(0, content.data(), content.size());
  return content;
}

}  // namespace striate
