#include <striate/kernels/entry.cuh>

namespace striate::kernels {

std::string takes_floats(const Problem& problem, size_t first, size_t last) {
  const DType dtype = problem.inputs[first].dtype;
  for (size_t i = first; i < last; ++i) {
    if (!problem.has_input(i)) continue;
    const DType found = problem.inputs[i].dtype;
    if (found != DType::kF32 && found != DType::kF16 && found != DType::kBF16)
      return std::string("takes float32, float16 and bfloat16, got ") + name_of(found);
    if (found != dtype)
      return std::string("takes values of one type, got ") + name_of(dtype) + " and " +
             name_of(found);
  }
  return "";
}

void add_cuda_entry(std::string operation, std::string name,
                    std::function<Prepared(const Problem&)> prepare,
                    std::function<std::string(const Problem&)> declines, double efficiency,
                    bool gates) {
  Entry entry;
  entry.operation = std::move(operation);
  entry.name = std::move(name);
  entry.device = DeviceType::kCuda;
  entry.prepare = std::move(prepare);
  entry.gates = gates;
  entry.declines = declines ? std::move(declines) : [](const Problem& problem) {
    return takes_floats(problem, 0, problem.inputs.size());
  };
  entry.efficiency = [efficiency](const Problem&) { return efficiency; };
  Register(std::move(entry));
}

bool are_aligned(const Arguments& arguments, size_t inputs) {
  const auto aligned = [](const void* data) { return reinterpret_cast<uintptr_t>(data) % 16 == 0; };
  for (size_t i = 0; i < inputs; ++i)
    if (!aligned(arguments.inputs[i])) return false;
  return aligned(arguments.outputs[0]);
}

}  // namespace striate::kernels
