// The section .nv.info of a cubin is a list of attributes, {format, name, size or value, payload};
// one of them gives the register count of a symbol. Offsets read off files of nvcc 13.
#include "cubin.h"

#include <elf.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace emulator {
namespace {

constexpr uint8_t kSizedFormat = 4;
constexpr uint8_t kRegisterCount = 0x2f;

class Cubin {
 public:
  Cubin(const char* data, size_t size) : data_(data), size_(size) {
    Elf64_Ehdr header;
    if (!read(0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return;
    for (unsigned i = 0; i < header.e_shnum; ++i) {
      Elf64_Shdr section;
      if (!read(header.e_shoff + uint64_t{i} * header.e_shentsize, section)) return;
      sections_.push_back(section);
    }
    names_ = header.e_shstrndx;
  }

  std::map<std::string, int> registers() const {
    std::map<std::string, int> found;
    for (const Elf64_Shdr& section : sections_) {
      if (string(names_, section.sh_name) != ".nv.info") continue;
      uint64_t at = section.sh_offset;
      const uint64_t end = at + section.sh_size;
      struct Attribute {
        uint8_t format, name;
        uint16_t size;
      } attribute;
      for (; at < end && read(at, attribute); at += sizeof attribute) {
        if (attribute.format != kSizedFormat) continue;
        struct {
          uint32_t symbol, count;
        } value;
        if (attribute.name == kRegisterCount && read(at + sizeof attribute, value))
          found[symbol(value.symbol)] = static_cast<int>(value.count);
        at += attribute.size;
      }
    }
    return found;
  }

 private:
  template <class T>
  bool read(uint64_t at, T& value) const {
    if (at > size_ || sizeof value > size_ - at) return false;
    std::memcpy(&value, data_ + at, sizeof value);
    return true;
  }
  std::string string(size_t table, uint64_t offset) const {
    if (table >= sections_.size()) return {};
    const uint64_t at = sections_[table].sh_offset + offset;
    return at < size_ ? std::string(data_ + at, strnlen(data_ + at, size_ - at)) : std::string();
  }
  std::string symbol(uint32_t index) const {
    for (const Elf64_Shdr& section : sections_) {
      Elf64_Sym symbol;
      if (section.sh_type == SHT_SYMTAB &&
          read(section.sh_offset + uint64_t{index} * sizeof symbol, symbol))
        return string(section.sh_link, symbol.st_name);
    }
    return {};
  }

  const char* data_;
  size_t size_;
  std::vector<Elf64_Shdr> sections_;
  size_t names_ = 0;
};

}  // namespace

std::map<std::string, int> registers_of_cubin(const char* data, size_t size) {
  return Cubin(data, size).registers();
}

}  // namespace emulator
