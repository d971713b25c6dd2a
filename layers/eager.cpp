#include <striate/kernels/impl.h>
#include <striate/layers/eager.h>
#include <striate/layers/graph/program.h>

#include <list>
#include <map>
#include <mutex>

namespace striate {
namespace {

constexpr size_t kMaxKinds = 256;

struct Kind {
  std::string key;
  std::unique_ptr<Program> program;
};

/// Least recently used last. A mutex lets one call run at a time.
struct Cache {
  std::mutex mutex;
  std::list<Kind> kinds;
  std::map<std::string, std::list<Kind>::iterator> by_key;
  std::map<std::string, std::shared_ptr<Arena>> arenas;  // one serves all kinds of a device
};

Cache& cache() {
  static Cache all;
  return all;
}

void append(std::string& key, int64_t number) {
  key.append(reinterpret_cast<const char*>(&number), sizeof number);
}

std::unique_ptr<Program> make_program(const std::string& name, const Json& options,
                                      const std::vector<Tensor>& inputs, Device device) {
  const Operation& op = operation(name);
  std::vector<Value> values, fed;
  std::vector<Type> types;
  for (const Tensor& input : inputs) {
    values.push_back(input.defined() ? input_value({input.shape(), input.dtype()}) : Value{});
    if (!input.defined()) continue;
    fed.push_back(values.back());
    types.push_back({input.shape(), input.dtype()});
  }
  const auto outputs = emit(op, op.options.read(options), values);
  ProgramOptions how;
  how.device = device;
  auto& arena = cache().arenas[device.to_string()];
  if (!arena) arena = std::make_shared<Arena>(device);
  return std::make_unique<Program>(fed, types, outputs, std::vector<Update>{}, how, arena);
}

}  // namespace

std::vector<Tensor> run_operation(const std::string& name, const Json& options,
                                  const std::vector<Tensor>& inputs) {
  std::string key =
      name + '\n' + (options.is_null() ? "" : options.dump()) + '\n' + kernels::forced() + '\n';
  std::vector<Tensor> fed;
  for (const Tensor& input : inputs) {
    append(key, input.defined() ? static_cast<int64_t>(input.dtype()) : -1);
    if (!input.defined()) continue;
    for (int64_t d : input.shape()) append(key, d);
    append(key, -2);
    if (!fed.empty() && input.device() != fed[0].device())
      throw DeviceError("an operation's tensors must be on one device",
                        fed[0].device().to_string() + " and " + input.device().to_string());
    fed.push_back(input);
  }
  const Device device = fed.empty() ? Device{} : fed[0].device();
  key += device.to_string();
  const std::lock_guard<std::mutex> lock(cache().mutex);
  auto& kinds = cache().kinds;
  const auto found = cache().by_key.find(key);
  if (found != cache().by_key.end()) {
    kinds.splice(kinds.begin(), kinds, found->second);
  } else {
    kinds.push_front({key, make_program(name, options, inputs, device)});
    cache().by_key[key] = kinds.begin();
    if (kinds.size() > kMaxKinds) {
      cache().by_key.erase(kinds.back().key);
      kinds.pop_back();
    }
  }
  return kinds.front().program->run(fed);
}

}  // namespace striate
