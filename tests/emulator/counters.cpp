// Counts requests to memory by instruction, and thread-instructions by class.
//
// Global memory moves sectors of 32 bytes. Shared memory has 32 banks of four bytes; a request of 8
// bytes a lane goes in halves of the warp, one of 16 in quarters (as ldmatrix does), and each part
// takes as many turns as one bank has different words in it.
#include "counters.h"

#include <algorithm>
#include <array>
#include <bit>

#include "decode.h"
#include "lanes.h"

namespace emulator {
namespace {

constexpr u64 kSector = 32;
constexpr u32 kBanks = 32;

bool starts_with_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return text.starts_with(word); });
}

bool has_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.find(word) != std::string_view::npos;
  });
}

/// The instruction's name with its modifiers, without guard and operands.
std::string_view name_of(std::string_view ptx) {
  if (ptx.starts_with('@')) ptx.remove_prefix(std::min(ptx.find_first_of(" \t"), ptx.size()));
  ptx.remove_prefix(std::min(ptx.find_first_not_of(" \t"), ptx.size()));
  return ptx.substr(0, ptx.find_first_of(" \t;"));
}

bool is_float_name(std::string_view name) {
  return has_any(name, {".f16", ".bf16", ".f32", ".f64"});
}

bool is_fma(std::string_view name) {
  return name.starts_with("fma.") || (name.starts_with("mad.") && is_float_name(name));
}

u32 number_at(std::string_view text, size_t at) {
  u32 value = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at)
    value = value * 10 + static_cast<u32>(text[at] - '0');
  return value;
}

/// Multiplications with addition of one thread, or of the warp for mma.
u32 multiply_adds_of(std::string_view name) {
  if (is_fma(name)) return has_any(name, {"x2"}) ? 2 : 1;
  if (!name.starts_with("mma.")) return 0;
  const size_t m = name.find(".m") + 2;
  const size_t n = name.find('n', m) + 1, k = name.find('k', n) + 1;
  return number_at(name, m) * number_at(name, n) * number_at(name, k);
}

class Counting : public Observer {
 public:
  Counting(Launch& launch, Counters& counters)
      : launch_(launch), counters_(counters), executed_(launch.program->code.size()) {
    const Dim3 grid = launch.request->grid;
    counters.grid_blocks = u64{grid.x} * grid.y * grid.z;
  }

  void block_begins(Block& block) override {
    ++counters_.blocks;
    counters_.warps += block.warps.size();
  }

  void instruction(Warp& warp, const Instruction& instruction) override {
    Executed& executed = executed_[instruction.index];
    ++executed.warps;
    executed.threads += static_cast<u64>(std::popcount(warp.mask));
  }

  void access(Warp&, const Instruction& instruction, const Access& access) override {
    Traffic traffic;
    traffic.requests = 1;
    traffic.accesses = static_cast<u64>(std::popcount(access.mask));
    if (access.space == Space::kShared) {
      const Wavefronts wavefronts = count_wavefronts(access.address, access.mask, access.bytes);
      traffic.bytes = traffic.accesses * access.bytes;
      traffic.wavefronts = wavefronts.needed;
      traffic.ideal_wavefronts = wavefronts.ideal;
    } else {
      const Sectors sectors = count_sectors(access.address, access.mask, access.bytes);
      traffic.bytes = sectors.bytes;
      traffic.sectors = sectors.touched;
      traffic.ideal_sectors = sectors.ideal;
    }
    site_of(instruction, access).traffic += traffic;
  }

  void launch_ends(Launch&) override {
    for (size_t i = 0; i < executed_.size(); ++i) {
      const Executed& executed = executed_[i];
      const Origin* origin = launch_.program->code[i].origin;
      if (!executed.warps || !origin) continue;
      const std::string_view name = name_of(origin->text);
      const bool mma = name.starts_with("mma.");
      counters_.instructions[class_of(origin->text)] += executed.threads;
      counters_.multiply_adds += multiply_adds_of(name) * (mma ? executed.warps : executed.threads);
      if (mma) counters_.mma += executed.warps;
    }
    for (auto& [key, site] : sites_) counters_.sites.push_back(std::move(site));
  }

 private:
  struct Executed {
    u64 warps = 0, threads = 0;
  };

  // An instruction may have two accesses (cp.async) or go to several spaces (generic addresses).
  Site& site_of(const Instruction& instruction, const Access& access) {
    const u32 key = instruction.index * 16 + static_cast<u32>(access.space);
    const auto [found, is_new] = sites_.try_emplace(key);
    Site& site = found->second;
    if (is_new) {
      const Origin& origin = *instruction.origin;
      site.file = origin.file;
      site.line = origin.line;
      site.ptx_line = origin.ptx_line;
      site.text = origin.text;
      site.space = access.space;
      site.kind = access.kind;
      site.width = access.bytes;
      site.asynchronous = access.asynchronous;
    }
    return site;
  }

  Launch& launch_;
  Counters& counters_;
  std::vector<Executed> executed_;  // by instruction
  std::map<u32, Site> sites_;
};

}  // namespace

Traffic& Traffic::operator+=(const Traffic& other) {
  requests += other.requests;
  accesses += other.accesses;
  bytes += other.bytes;
  sectors += other.sectors;
  ideal_sectors += other.ideal_sectors;
  wavefronts += other.wavefronts;
  ideal_wavefronts += other.ideal_wavefronts;
  return *this;
}

Traffic Counters::total(Space space, AccessKind kind) const {
  Traffic sum;
  for (const Site& site : sites)
    if (site.space == space && site.kind == kind) sum += site.traffic;
  return sum;
}

std::string class_of(std::string_view ptx) {
  const std::string_view name = name_of(ptx);
  if (is_fma(name)) return "fma";
  if (name.starts_with("mma.")) return "mma";
  if (starts_with_any(name, {"ld", "st.", "stmatrix", "atom", "red.", "cp.", "prefetch"}))
    return "memory";
  if (starts_with_any(name, {"bra", "brx", "ret", "exit", "call", "bar", "membar", "fence", "trap",
                             "nanosleep"}))
    return "control";
  if (starts_with_any(name, {"shfl", "vote", "match", "redux", "elect", "activemask", "movmatrix"}))
    return "exchange";
  if (starts_with_any(name, {"ex2", "lg2", "rcp", "rsqrt", "sqrt", "sin", "cos", "tanh"}))
    return "special";
  if (starts_with_any(name, {"mov", "cvt"})) return "move";
  if (is_float_name(name)) return name.starts_with("div") ? "special" : "float";
  return "integer";
}

Sectors count_sectors(const u64* address, u32 mask, u32 bytes) {
  // Accesses are aligned to their size, so that two of them are the same or apart.
  std::array<u64, kLanes> starts;
  size_t count = 0;
  each_lane(mask, [&](u32 lane) { starts[count++] = address[lane]; });
  std::sort(starts.begin(), starts.begin() + count);
  count = static_cast<size_t>(std::unique(starts.begin(), starts.begin() + count) - starts.begin());
  Sectors sectors;
  u64 last = ~u64{0};
  for (size_t i = 0; i < count; ++i) {
    if (starts[i] / kSector != last) ++sectors.touched;
    last = starts[i] / kSector;
  }
  sectors.bytes = static_cast<u32>(count) * bytes;
  sectors.ideal = static_cast<u32>((sectors.bytes + kSector - 1) / kSector);
  return sectors;
}

Wavefronts count_wavefronts(const u64* address, u32 mask, u32 bytes) {
  const u32 parts = bytes <= 4 ? 1 : bytes / 4, lanes = kLanes / parts;
  Wavefronts sum;
  for (u32 part = 0; part < parts; ++part) {
    const u32 here = mask & (kAllLanes >> (kLanes - lanes) << (part * lanes));
    if (!here) continue;
    std::array<u64, kLanes> words;
    size_t count = 0;
    each_lane(here, [&](u32 lane) {
      for (u32 word = 0; word < (bytes + 3) / 4; ++word) words[count++] = address[lane] / 4 + word;
    });
    std::sort(words.begin(), words.begin() + count);
    const auto end = std::unique(words.begin(), words.begin() + count);
    std::array<u32, kBanks> turns{};
    for (auto word = words.begin(); word != end; ++word) ++turns[*word % kBanks];
    sum.needed += *std::max_element(turns.begin(), turns.end());
    ++sum.ideal;
  }
  return sum;
}

std::vector<u64> sample_blocks(Dim3 grid, u64 count) {
  const u64 total = u64{grid.x} * grid.y * grid.z;
  std::vector<u64> chosen;
  const auto add = [&](u64 block) {
    if (chosen.size() < count && std::find(chosen.begin(), chosen.end(), block) == chosen.end())
      chosen.push_back(block);
  };
  if (count == 0 || count >= total) {
    for (u64 block = 0; block < total; ++block) chosen.push_back(block);
    return chosen;
  }
  const auto at = [&](u64 x, u64 y, u64 z) { return (z * grid.y + y) * grid.x + x; };
  const u64 xs[] = {0, grid.x - 1, grid.x / 2}, ys[] = {0, grid.y - 1, grid.y / 2},
            zs[] = {0, grid.z - 1, grid.z / 2};
  add(0);
  add(total - 1);
  add(at(xs[2], ys[2], zs[2]));
  // Corners first, then the middles of edges and faces.
  for (u32 middles = 0; middles <= 2; ++middles)
    for (u32 i = 0; i < 27; ++i) {
      const u32 x = i % 3, y = i / 3 % 3, z = i / 9;
      if ((x == 2) + (y == 2) + (z == 2) == static_cast<int>(middles)) add(at(xs[x], ys[y], zs[z]));
    }
  for (u64 i = 0; i < count; ++i) add((2 * i + 1) * total / (2 * count));
  for (u64 block = 0; chosen.size() < count; ++block) add(block);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

std::unique_ptr<Observer> make_counters(Launch& launch, Counters& counters) {
  return std::make_unique<Counting>(launch, counters);
}

std::shared_ptr<Counters> new_counters() { return std::make_shared<Counters>(); }

}  // namespace emulator
