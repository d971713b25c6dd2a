// Atomic writes and their failures, and the checksum.
#include <gtest/gtest.h>
#include <striate/core/checksum.h>
#include <striate/core/error.h>
#include <striate/core/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

namespace striate {
namespace {

namespace fs = std::filesystem;

/// A folder of its own for each test.
class FileTest : public testing::Test {
 protected:
  FileTest() : folder_(testing::TempDir() + "striate-file-" + std::to_string(getpid())) {
    fs::create_directories(folder_);
  }
  ~FileTest() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  size_t file_count() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }

  fs::path folder_;
};

/// Limit the size of files, which fails a write as a full disk does.
class SmallDisk {
 public:
  explicit SmallDisk(rlim_t bytes) : handler_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SmallDisk() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  void (*handler_)(int);
};

std::string message_of_write(const std::string& path, const std::string& content) {
  try {
    write_atomically(path, {content});
  } catch (const FileError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST_F(FileTest, WritesAllPiecesAndReplaces) {
  write_atomically(path("a"), {"one ", "", "two"});
  EXPECT_EQ(read_file(path("a")), "one two");
  write_atomically(path("a"), {"x"});
  EXPECT_EQ(read_file(path("a")), "x");
  write_atomically(path("empty"), {});
  EXPECT_EQ(read_file(path("empty")), "");
  EXPECT_EQ(file_count(), 2u);
}

TEST_F(FileTest, AFullDiskLeavesTheOldFile) {
  write_atomically(path("a"), {"old"});
  const std::string large(1 << 20, 'x');
  {
    const SmallDisk disk(1000);
    EXPECT_EQ(message_of_write(path("a"), large),
              "'" + path("a") +
                  "' cannot be written: File too large. Free some space or choose another disk.");
  }
  EXPECT_EQ(read_file(path("a")), "old");
  EXPECT_EQ(file_count(), 1u);
  write_atomically(path("a"), {large});
  EXPECT_EQ(read_file(path("a")), large);
}

TEST_F(FileTest, AbsentFoldersAndFoldersAreRefused) {
  EXPECT_EQ(message_of_write(path("no/a"), "x"),
            "'" + path("no/a") +
                "' cannot be written: No such file or directory. Check the path; its folder must"
                " exist.");
  EXPECT_NE(message_of_write(folder_.string(), "x").find("not a regular file"), std::string::npos);
  EXPECT_NE(message_of_write("/dev/null", "x").find("not a regular file"), std::string::npos);
  EXPECT_NE(message_of_write(path(std::string(300, 'n')), "x").find("File name too long"),
            std::string::npos);
  EXPECT_EQ(file_count(), 0u);
}

TEST_F(FileTest, KeepsModeAndSymbolicLinks) {
  write_atomically(path("target"), {"old"});
  fs::permissions(path("target"), fs::perms::owner_read | fs::perms::owner_write);
  fs::create_symlink("target", path("link"));
  write_atomically(path("link"), {"new"});
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(read_file(path("target")), "new");
  EXPECT_EQ(fs::status(path("target")).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(FileTest, ReadsOnlyWhatIsThere) {
  write_atomically(path("a"), {"0123456789"});
  const InputFile file(path("a"));
  char bytes[4];
  file.read(6, bytes, 4);
  EXPECT_EQ(std::string(bytes, 4), "6789");
  EXPECT_THROW(file.read(7, bytes, 4), FileError);
  fs::resize_file(path("a"), 5);
  EXPECT_THROW(file.read(6, bytes, 4), FileError);
  EXPECT_THROW(InputFile(path("absent")), FileError);
  EXPECT_THROW(InputFile(folder_.string()), FileError);
  mkfifo(path("pipe").c_str(), 0600);
  EXPECT_THROW(InputFile(path("pipe")), FileError);
}

TEST(Checksum, IsTheUsualCrc32) {
  EXPECT_EQ(crc32("123456789", 9), 0xcbf43926u);  // the check value of the CRC catalogue
  EXPECT_EQ(crc32("", 0), 0u);
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(i * 7 + i / 3);
  for (size_t cut : {0u, 1u, 7u, 8u, 9u, 500u, 1000u})
    EXPECT_EQ(crc32(text.data() + cut, 1000 - cut, crc32(text.data(), cut)),
              crc32(text.data(), 1000));
}

}  // namespace
}  // namespace striate
