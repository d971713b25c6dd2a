#include <striate/core/checksum.h>
#include <striate/core/json.h>
#include <striate/core/safetensors.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <set>

namespace striate {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // as the safetensors library has it
constexpr const char* kMetadata = "__metadata__";
constexpr const char* kChecksum = "striate.checksum";
const std::string kNoSum = "crc32:00000000";  // stands for the checksum while it is computed

struct Name {
  const char* text;
  DType dtype;
};
constexpr std::array<Name, 8> kNames = {{{"F64", DType::kF64},
                                         {"F32", DType::kF32},
                                         {"F16", DType::kF16},
                                         {"BF16", DType::kBF16},
                                         {"I64", DType::kI64},
                                         {"I32", DType::kI32},
                                         {"U8", DType::kU8},
                                         {"BOOL", DType::kBool}}};

std::string sum_text(uint32_t crc) {
  char text[16];
  std::snprintf(text, sizeof text, "crc32:%08x", crc);
  return text;
}

DType dtype_of_entry(const std::string& text) {
  for (const Name& name : kNames)
    if (text == name.text) return name.dtype;
  throw FileError("its dtype must be one of F64, F32, F16, BF16, I64, I32, U8, BOOL",
                  "'" + text + "'");
}

uint64_t natural(const Json& json) {
  const int64_t value = json.as_integer();
  if (value < 0)
    throw FileError("its sizes and offsets must not be negative", std::to_string(value));
  return static_cast<uint64_t>(value);
}

/// Return what one member of the header says, with `first` counted from the begin of the data.
SafetensorsFile::Entry parse_entry(const Json& json, uint64_t data_bytes) {
  if (!json.has("dtype") || !json.has("shape") || !json.has("data_offsets"))
    throw FileError("it must have a dtype, a shape and data_offsets");
  SafetensorsFile::Entry entry;
  entry.dtype = dtype_of_entry(json["dtype"].as_string());
  std::vector<int64_t> sizes;
  for (const Json& size : json["shape"].items())
    sizes.push_back(static_cast<int64_t>(natural(size)));
  entry.shape = Shape(sizes);
  const Json::Array& offsets = json["data_offsets"].items();
  if (offsets.size() != 2) throw FileError("its data_offsets must be [begin, end]");
  entry.first = natural(offsets[0]);
  const uint64_t last = natural(offsets[1]);
  if (entry.first > last || last > data_bytes)
    throw FileError(
        "its data_offsets must lie inside the " + std::to_string(data_bytes) + " bytes of data",
        json["data_offsets"].dump());
  entry.bytes = last - entry.first;
  // A quotient, since a product could overflow.
  const uint64_t elements = entry.bytes / size_of(entry.dtype);
  if (static_cast<uint64_t>(entry.shape.elements()) != elements ||
      elements * size_of(entry.dtype) != entry.bytes)
    throw FileError("its bytes must be those of shape " + entry.shape.to_string() + " of " +
                        name_of(entry.dtype),
                    std::to_string(entry.bytes) + " bytes");
  return entry;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : file_(path) {
  uint8_t prefix[8] = {};
  if (file_.size() < 8)
    throw FileError("'" + path + "' is not a safetensors file: it needs at least 8 bytes",
                    std::to_string(file_.size()));
  file_.read(0, prefix, 8);
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i) length = length << 8 | prefix[i];
  if (length > kMaxHeader || length > file_.size() - 8)
    throw FileError(
        "'" + path + "' is not a safetensors file or is truncated: its header must fit" +
            " into the file and 100 MB",
        std::to_string(length) + " bytes of header in a file of " + std::to_string(file_.size()));
  std::string header(length, '\0');
  file_.read(8, header.data(), length);
  data_ = 8 + length;
  try {
    parse_header(header);
    check_no_holes();
  } catch (const Error& error) {
    throw FileError("'" + path + "' is not a valid safetensors file: " + error.rule(),
                    error.values(), error.fix());
  }
  if (has_checksum_) check_sum(std::move(header));
}

void SafetensorsFile::parse_header(const std::string& header) {
  if (header.empty() || header[0] != '{') throw FileError("its header must begin with '{'");
  const Json json = Json::parse(header);
  for (const auto& [name, member] : json.members()) {
    if (name == kMetadata) {
      for (const auto& [key, text] : member.members()) metadata_[key] = text.as_string();
      continue;
    }
    try {
      entries_[name] = parse_entry(member, file_.size() - data_);
      entries_[name].first += data_;
    } catch (const Error& error) {
      throw FileError("tensor '" + name + "': " + error.rule(), error.values());
    }
  }
  const auto sum = metadata_.find(kChecksum);
  has_checksum_ = sum != metadata_.end();
  if (has_checksum_) {
    checksum_ = sum->second;
    metadata_.erase(sum);
  }
}

void SafetensorsFile::check_no_holes() const {
  std::vector<std::pair<uint64_t, const std::string*>> order;
  for (const auto& [name, entry] : entries_)
    if (entry.bytes > 0) order.emplace_back(entry.first, &name);
  std::sort(order.begin(), order.end());
  uint64_t expected = data_;
  for (const auto& [first, name] : order) {
    if (first != expected)
      throw FileError("tensor '" + *name + "': its data must begin where that of the tensor" +
                          " before it ends, at byte " + std::to_string(expected - data_),
                      std::to_string(first - data_));
    expected += entries_.at(*name).bytes;
  }
  if (expected != file_.size())
    throw FileError(
        "its tensors must fill the data of " + std::to_string(file_.size() - data_) + " bytes",
        std::to_string(expected - data_) + " bytes of tensors");
}

void SafetensorsFile::check_sum(std::string header) const {
  // The sum was made with zeros in its own place.
  const std::string member = '"' + std::string(kChecksum) + "\":\"";
  const size_t place = header.find(member + checksum_ + '"');
  if (place == header.npos || checksum_.size() != kNoSum.size())
    throw FileError("'" + file_.path() + "' has a malformed checksum", "'" + checksum_ + "'");
  header.replace(place + member.size(), kNoSum.size(), kNoSum);
  uint8_t prefix[8];
  file_.read(0, prefix, 8);
  uint32_t crc = crc32(header.data(), header.size(), crc32(prefix, 8));
  std::vector<char> piece(size_t{1} << 20);
  for (uint64_t at = data_; at < file_.size(); at += piece.size()) {
    piece.resize(static_cast<size_t>(std::min<uint64_t>(piece.size(), file_.size() - at)));
    file_.read(at, piece.data(), piece.size());
    crc = crc32(piece.data(), piece.size(), crc);
  }
  if (sum_text(crc) != checksum_)
    throw FileError(
        "'" + file_.path() + "' was damaged or changed after it was saved: its checksum" +
            " must be " + checksum_,
        sum_text(crc),
        "Take another copy, or save it again without the text '" + std::string(kChecksum) + "'");
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

const SafetensorsFile::Entry& SafetensorsFile::entry(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end())
    throw FileError("'" + file_.path() + "' has no tensor '" + name + "'");
  return found->second;
}

Tensor SafetensorsFile::read(const std::string& name) const {
  const Entry& found = entry(name);
  Tensor tensor(found.shape, found.dtype);
  file_.read(found.first, tensor.data(), tensor.bytes());
  const auto* bytes = static_cast<const uint8_t*>(tensor.data());
  if (found.dtype == DType::kBool &&
      std::any_of(bytes, bytes + tensor.bytes(), [](uint8_t byte) { return byte > 1; }))
    throw FileError("'" + file_.path() + "': booleans must be 0 or 1", "'" + name + "'");
  return tensor;
}

void save_safetensors(const std::string& path, const std::map<std::string, std::string>& metadata,
                      const std::vector<std::pair<std::string, Tensor>>& tensors) {
  std::vector<std::pair<std::string, Tensor>> sorted;
  std::set<std::string> names = {kMetadata};
  for (const auto& [name, tensor] : tensors) {
    if (!names.insert(name).second)
      throw ShapeError("each tensor of a file has a name of its own", "'" + name + "' twice");
    if (!tensor.defined()) throw ShapeError("a tensor to save must have values", "'" + name + "'");
    sorted.emplace_back(name, tensor.to(Device{}));
  }
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) {
    const size_t a_size = size_of(a.second.dtype()), b_size = size_of(b.second.dtype());
    return a_size != b_size ? a_size > b_size : a.first < b.first;
  });

  Json::Object texts = {{kChecksum, kNoSum}};
  for (const auto& [key, text] : metadata)
    if (key != kChecksum) texts.emplace_back(key, text);
  Json::Object header = {{kMetadata, Json::object(std::move(texts))}};
  uint64_t end = 0;
  for (const auto& [name, tensor] : sorted) {
    const uint64_t first = end;
    end += tensor.bytes();
    Json shape = Json::array();
    for (int64_t size : tensor.shape()) shape.push(size);
    const auto type = std::find_if(kNames.begin(), kNames.end(), [&, &values = tensor](Name n) {
      return n.dtype == values.dtype();
    });
    header.emplace_back(name, Json::object({{"dtype", type->text},
                                            {"shape", std::move(shape)},
                                            {"data_offsets", Json::Array{first, end}}}));
  }
  std::string text = Json::object(std::move(header)).dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > kMaxHeader)
    throw FileError("names, shapes and metadata of a safetensors file take at most 100 MB",
                    std::to_string(text.size()) + " bytes");

  std::string prefix;
  for (int i = 0; i < 8; ++i) prefix += static_cast<char>(text.size() >> 8 * i & 255);
  std::vector<std::string_view> pieces = {prefix, text};
  for (const auto& [name, tensor] : sorted)
    pieces.emplace_back(static_cast<const char*>(tensor.data()), tensor.bytes());
  uint32_t crc = 0;
  for (std::string_view piece : pieces) crc = crc32(piece.data(), piece.size(), crc);
  text.replace(text.find(kNoSum), kNoSum.size(), sum_text(crc));  // first in the header
  write_atomically(path, pieces);
}

}  // namespace striate
