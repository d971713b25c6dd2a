// What launches of full size ask of a device's memory, counted and held against limits.
//
// Convolutions of ResNet-50 at a batch of 32, others whose rows of channels end inside sectors, and
// products of matrices, in every direction and element type. The counts are an emulated device's: a
// process of its own runs a few blocks of each grid, its corners and edges among them, on memory
// that nobody has written. Results are the tables' matter, not this test's.
#include <gtest/gtest.h>
#include <striate/core/allocator.h>
#include <striate/core/error.h>
#include <striate/core/json.h>
#include <striate/kernels/matmul.h>
#include <striate/tests/conv2d_cases.h>
#include <striate/tests/kernel_trial.h>
#include <striate/tests/shapes/alexnet.h>
#include <striate/tests/shapes/mobilenet.h>
#include <striate/tests/shapes/resnet50.h>
#include <striate/tests/shapes/vgg16.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <set>
#include <sstream>

namespace striate::testing {
namespace {

constexpr int64_t kBatch = 32, kBlocks = 8, kSector = 32;

// Sectors that requests touch, over the fewest that hold as many bytes.
constexpr double kOfWholeRows = 1.15, kLoadsOfRowParts = 1.6, kStoresOfRowParts = 1.5;
// Bytes that cross, over those of tiles of 128 x 128.
constexpr double kOfLargeTiles = 2;

/// A case for one entry.
struct Counted {
  Case c;
  std::string entry;
  DType dtype;
  int64_t channels;  // of which every row has a multiple
  int64_t row_bytes() const { return channels * static_cast<int64_t>(size_of(dtype)); }
};

/// Run an entry on memory that nobody has written; return what the emulator wrote of its launches.
std::vector<Json> launches_of(const Case& c, const kernels::Entry& entry, Device device) {
  kernels::Problem problem = c.problem();
  problem.device = device;
  const std::string refused = kernels::refusal(entry, problem);
  EXPECT_EQ(refused, "") << c.describe() << " " << entry.name;
  if (!refused.empty()) return {};
  const std::string report = std::getenv("EMULATOR_REPORT");
  const auto before = std::filesystem::exists(report) ? std::filesystem::file_size(report) : 0;

  std::vector<std::shared_ptr<Buffer>> buffers;
  const auto place = [&](const Shape& shape, DType dtype) {
    const size_t bytes = static_cast<size_t>(shape.elements()) * size_of(dtype);
    return buffers.emplace_back(Buffer::allocate(bytes, device))->data();
  };
  std::vector<const void*> from;
  std::vector<void*> to;
  for (const Input& input : c.inputs)
    from.push_back(input.fill == Input::Fill::kLike ? nullptr : place(input.shape, input.dtype));
  for (const Output& output : c.outputs) to.push_back(place(output.shape, output.dtype));
  const kernels::Prepared prepared = entry.prepare(problem);
  const auto workspace = Buffer::allocate(prepared.workspace, device);
  Backend& backend = striate::backend(device.type);
  prepared.kernel->run({from.data(), to.data(), workspace->data(), backend.stream(device.index)});
  backend.wait(device.index);

  std::ifstream file(report);
  file.seekg(static_cast<std::streamoff>(before));
  std::vector<Json> launches;
  for (std::string line; std::getline(file, line);) launches.push_back(Json::parse(line));
  return launches;
}

double sectors_over_ideal(const Json& traffic) {
  return traffic["sectors"].as_number() / std::max(1.0, traffic["ideal_sectors"].as_number());
}

/// Return rows and columns of the kernel's tile; zeros for a kernel that has none.
std::pair<int, int> tile_of(const std::string& kernel) {
  std::pair<int, int> tile = {0, 0};
  const size_t at = kernel.find("Tile<");
  if (at != std::string::npos)
    std::sscanf(kernel.c_str() + at, "Tile<%d, %d", &tile.first, &tile.second);
  return tile;
}

/// Return the bytes that a launch's blocks move over those that tiles of 128 x 128 would move for
/// as many multiply-adds: two rows of 128 factors for 128 x 128 of them.
double bytes_over_ideal(const Json& counters, DType factors) {
  const Json& global = counters["global"];
  const double stored = global["store"]["bytes"].as_number();
  const double loaded =
      counters["multiply_adds"].as_number() * static_cast<double>(size_of(factors)) / 64;
  return (global["load"]["bytes"].as_number() + stored) / (loaded + stored);
}

/// Return the register that a store of one number goes by, and how far behind it; "": another one.
std::pair<std::string, int> target_of(const Json& site) {
  char base[32] = "";
  int behind = 0;
  std::sscanf(site["ptx"].as_string().c_str(), "st.shared.f32 [%31[%a-z0-9]%d]", base, &behind);
  return {base, behind};
}

/// Return whether a store is one of four to neighbouring places in a row. The assembler makes one
/// of them, as kernel-report checks, so that their lanes meet in no bank.
bool is_one_of_four(const Json& site, const Json& sites) {
  const auto [base, behind] = target_of(site);
  if (base.empty()) return false;
  std::set<int> others;
  for (const Json& other : sites.items())
    if (target_of(other).first == base) others.insert(target_of(other).second - behind);
  for (int first : {-12, -8, -4, 0})
    if (others.count(first) && others.count(first + 4) && others.count(first + 8) &&
        others.count(first + 12))
      return true;
  return false;
}

/// Return whether a site of shared memory is of a main loop. Those on tensor cores know matrices,
/// words and asynchronous copies; numbers are sums on their way out, as are fours of them that are
/// stored by kernels for few channels. Depthwise ones turn their filters before the loop.
bool is_in_main_loop(const Json& site, const std::string& entry) {
  static const std::map<std::string, std::string> outside = {
      {"tensor_core", ".f32"}, {"direct", "st.shared.v4"}, {"depthwise", "st.shared"}};
  const auto found = outside.find(entry);
  return site["space"].as_string() == "shared" &&
         (found == outside.end() ||
          site["ptx"].as_string().find(found->second) == std::string::npos);
}

void check(const Counted& counted, const Json& launch) {
  const std::string& kernel = launch["name"].as_string();
  const Json &counters = launch["counters"], &global = counters["global"];
  const double loads = sectors_over_ideal(global["load"]);
  const double stores = sectors_over_ideal(global["store"]);
  const double bytes = bytes_over_ideal(counters, counted.dtype);
  std::ostringstream figures;
  figures << kernel << ", grid " << launch["grid"].dump() << ", on " << counted.c.describe()
          << ": sectors over ideal " << loads << " loaded, " << stores
          << " stored; bytes over ideal " << bytes << "; requests " << counters["widths"].dump();
  SCOPED_TRACE(figures.str());

  EXPECT_EQ(counters["blocks"].as_integer(),
            std::min(kBlocks, counters["grid_blocks"].as_integer()));
  const bool whole_rows = counted.row_bytes() % kSector == 0;
  EXPECT_LE(loads, whole_rows ? kOfWholeRows : kLoadsOfRowParts);
  EXPECT_LE(stores, whole_rows ? kOfWholeRows : kStoresOfRowParts);
  const auto [rows, columns] = tile_of(kernel);
  if (std::min(rows, columns) >= 64) {
    EXPECT_LE(bytes, kOfLargeTiles);
  }
  for (const Json& site : counters["sites"].items()) {
    const bool is_global = site["space"].as_string() == "global";
    // Second passes have no tile: a thread adds the slices of one element.
    if (is_global && site["kind"].as_string() != "atomic" && rows > 0) {
      EXPECT_EQ(site["width"].as_integer(), 16) << site["ptx"].as_string();
    }
    if (is_in_main_loop(site, counted.entry) && !is_one_of_four(site, counters["sites"])) {
      EXPECT_EQ(site["conflicts"].as_integer(), 0)
          << site["ptx"].as_string() << ", line " << site["line"].as_integer();
    }
  }
}

Conv2dSizes sizes_of(const shapes::ConvLayer& l) {
  Conv2dSizes sizes = {kBatch, l.height, l.width, l.channels, l.filters};
  sizes.window = l.window, sizes.strides = l.stride, sizes.padding = l.padding;
  return sizes;
}

Conv2dSizes layer(const std::string& name) {
  for (const shapes::ConvLayer& l : shapes::kResnet50)
    if (l.name == name) return sizes_of(l);
  throw Error("no layer " + name);
}

std::vector<Case> matmuls() {
  std::vector<Case> made;
  const Shape a{1024, 512}, b{512, 768}, y{1024, 768};
  made.push_back(Case::of("matmul", MatmulOptions{}, {a, b}, {y}));
  made.push_back(Case::of("matmul", MatmulOptions{.transpose_b = true}, {a, Shape{768, 512}}, {y}));
  made.push_back(
      Case::of("matmul", MatmulOptions{.transpose_a = true}, {Shape{512, 1024}, b}, {y}));
  return made;
}

/// Add a case in float32, as TF32 and in 16 bits.
void add(std::vector<Counted>& table, const Case& c, DType half, int64_t channels) {
  const bool matmul = c.operation == "matmul";
  table.push_back({c, matmul ? "tiled" : "implicit_gemm", DType::kF32, channels});
  table.push_back({c, "tensor_core", DType::kF32, channels});
  table.back().c.tf32 = true;
  table.push_back({c.with_floats(half), "tensor_core", half, channels});
}

std::vector<Counted> products() {
  std::vector<Conv2dSizes> layers;
  for (const char* name : {"block1/expand", "block1/reduce", "block1/3x3", "block2/3x3_first",
                           "block2/3x3", "block3/3x3", "block4/3x3"})
    layers.push_back(layer(name));
  for (int64_t channels : {24, 40, 72, 136}) layers.push_back({kBatch, 28, 28, channels, channels});
  std::vector<Counted> table;
  for (size_t i = 0; i < layers.size(); ++i)
    for (Conv2dSizes sizes = layers[i]; const Case& c : all_directions(dense_case(sizes)))
      add(table, c, i % 2 == 0 ? DType::kF16 : DType::kBF16, std::gcd(sizes.c, sizes.k));
  for (const Case& c : matmuls())
    for (DType half : {DType::kF16, DType::kBF16}) add(table, c, half, 256);
  return table;
}

/// First layers, and depthwise ones with every stride in every direction.
std::vector<Counted> pictures_and_depthwise() {
  std::vector<Counted> table;
  for (const shapes::ConvLayer& l :
       {shapes::kAlexnet[0], shapes::kVgg16[0], shapes::kResnet50[0], shapes::kMobilenet[0]})
    for (DType dtype : {DType::kF32, DType::kF16})
      table.push_back(
          {conv2d_forward(dense_case(sizes_of(l))).with_floats(dtype), "direct", dtype, 1});
  for (const shapes::ConvLayer& l : shapes::kMobilenet) {
    if (l.groups == 1) continue;
    for (const Case& c : all_directions(depthwise_case(sizes_of(l))))
      for (DType dtype : {DType::kF32, DType::kBF16})
        table.push_back({c.with_floats(dtype), "depthwise", dtype, l.channels});
  }
  return table;
}

TEST(Counters, ProductsOfFullSizeMeetTheLimitsOfMemory) {
  const Device device = device_under_test();
  std::vector<Counted> table = products();
  for (Counted& counted : pictures_and_depthwise()) table.push_back(std::move(counted));
  ASSERT_FALSE(table.empty());
  if (device.type == DeviceType::kCpu) return;
  const std::string described = backend(device.type).describe(device.index);
  if (described.rfind("emulator", 0) != 0) return;         // no other device counts
  if (described.find("7.5") != std::string::npos) return;  // whose tensor cores are not used
  if (!std::getenv("EMULATOR_SAMPLE_BLOCKS")) {
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    const std::string report =
        ::testing::TempDir() + "striate_counters_" + std::to_string(::getpid()) + ".jsonl";
    EXPECT_EQ(std::system(("env -u EMULATOR_COVERAGE -u GTEST_TOTAL_SHARDS -u GTEST_SHARD_INDEX "
                           "EMULATOR_CHECKS=bounds EMULATOR_COUNTERS=1 EMULATOR_REPORT='" +
                           report + "' EMULATOR_SAMPLE_BLOCKS=" + std::to_string(kBlocks) + " '" +
                           self + "' --gtest_brief=1 --gtest_filter=Counters.*")
                              .c_str()),
              0);
    std::filesystem::remove(report);
    return;
  }
  for (const Counted& counted : table) {
    bool is_there = false;
    for (const kernels::Entry* entry : kernels::entries(counted.c.operation, device.type)) {
      if (entry->name != counted.entry) continue;
      is_there = true;
      const std::vector<Json> launches = launches_of(counted.c, *entry, device);
      EXPECT_FALSE(launches.empty()) << counted.c.describe();
      for (const Json& launch : launches) {
        // It turns what it adds, one number for each tap and channel: nothing beside the rest.
        const bool turns = launch["name"].as_string().find("sum_depthwise") != std::string::npos;
        if (!turns) check(counted, launch);
      }
    }
    EXPECT_TRUE(is_there) << counted.c.operation << " " << counted.entry;
  }
}

}  // namespace
}  // namespace striate::testing
