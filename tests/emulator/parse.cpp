#include "parse.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <stdexcept>

#include "device_memory.h"
#include "lexer.h"
#include "parse_variable.h"

namespace emulator {
namespace {

/// Reads what stands outside function bodies.
class ModuleParser {
 public:
  explicit ModuleParser(Module& module) : module_(module), lexer_(module.text, 1) {}

  void run() {
    while (lexer_.peek().kind != Token::kEnd) top_level();
    if (module_.version.empty()) throw std::invalid_argument("no .version: this is not PTX");
  }

 private:
  void top_level() {
    const Token token = lexer_.peek();
    if (token.is(".version")) {
      lexer_.next();
      module_.version = lexer_.next().text;
    } else if (token.is(".target")) {
      target();
    } else if (token.is(".address_size")) {
      lexer_.next();
      lexer_.next();
    } else if (token.is(".file")) {
      file();
    } else if (token.is(".section")) {
      while (!lexer_.peek().is('{') && lexer_.peek().kind != Token::kEnd) lexer_.next();
      lexer_.skip_braces();
    } else if (token.is(".loc")) {
      lexer_.next();
      lexer_.rest_of_line();
    } else if (token.is(".pragma") || token.is(".alias")) {
      lexer_.skip_past(';');
    } else if (token.is(';') || token.is('}')) {
      lexer_.next();
    } else {
      declaration();
    }
  }

  void target() {
    lexer_.next();
    const std::string_view name = lexer_.next().text;
    if (name.substr(0, 3) == "sm_") {
      module_.target =
          static_cast<u32>(std::strtoul(std::string(name.substr(3)).c_str(), nullptr, 10));
    }
    while (lexer_.accept(',')) lexer_.next();
  }

  void file() {
    lexer_.next();
    const u32 number = static_cast<u32>(integer_value(lexer_.next().text));
    module_.files[number] = std::string(lexer_.next().text);
    while (lexer_.accept(',')) lexer_.next();
  }

  void declaration() {
    bool external = false;
    for (;;) {
      const Token token = lexer_.peek();
      if (token.is(".extern")) {
        external = true;
      } else if (!token.is(".visible") && !token.is(".weak") && !token.is(".common")) {
        break;
      }
      lexer_.next();
    }
    const Token token = lexer_.peek();
    if (token.is(".entry")) {
      kernel();
    } else if (token.is(".func")) {
      device_function();
    } else if (is_variable_space(token.text)) {
      parse_variables(lexer_, external, module_.variables);
    } else {
      throw std::invalid_argument("PTX line " + std::to_string(token.line) + ": '" +
                                  std::string(token.text) + "' is not understood");
    }
  }

  void kernel() {
    lexer_.next();
    Function function;
    function.kernel = true;
    function.name = lexer_.next().text;
    u32 offset = 0;
    for (const Variable& variable : parameter_list()) {
      offset = (offset + variable.align - 1) / variable.align * variable.align;
      function.parameters.push_back({variable.name, offset, variable.bytes, variable.align});
      offset += variable.bytes;
    }
    function.parameter_bytes = offset;
    finish(std::move(function));
  }

  void device_function() {
    lexer_.next();
    Function function;
    const std::vector<Variable> returns = parameter_list();
    while (lexer_.peek().text[0] == '.') lexer_.next();  // .noreturn and attributes
    function.name = lexer_.next().text;
    const std::vector<Variable> arguments = parameter_list();
    for (const Variable& variable : returns) {
      function.returns.push_back(static_cast<u32>(function.variables.size()));
      function.variables.push_back(variable);
    }
    for (const Variable& variable : arguments) {
      function.arguments.push_back(static_cast<u32>(function.variables.size()));
      function.variables.push_back(variable);
    }
    finish(std::move(function));
  }

  std::vector<Variable> parameter_list() {
    std::vector<Variable> list;
    if (!lexer_.accept('(')) return list;
    while (!lexer_.accept(')')) {
      parse_variable(lexer_, false, list);
      lexer_.accept(',');
    }
    return list;
  }

  void finish(Function function) {
    while (!lexer_.peek().is('{') && !lexer_.peek().is(';')) {
      const Token token = lexer_.next();
      if (token.kind == Token::kEnd) throw std::invalid_argument("a function has no end");
      if (token.is(".maxntid")) function.max_threads = product(nullptr);
      if (token.is(".reqntid")) product(&function.required_threads);
      if (token.is(".minnctapersm")) function.min_blocks = product(nullptr);
    }
    if (lexer_.peek().is('{')) {
      function.defined = true;
      function.body_line = lexer_.peek().line;
      function.body = lexer_.skip_braces();
    } else {
      lexer_.next();
    }
    const auto found = module_.functions.find(function.name);
    if (found != module_.functions.end() && found->second.defined) return;
    module_.functions[function.name] = std::move(function);
  }

  u32 product(std::array<u32, 3>* parts) {
    u32 result = 1;
    size_t axis = 0;
    if (parts) parts->fill(1);
    do {
      const u32 value = static_cast<u32>(integer_value(lexer_.next().text));
      if (parts && axis < 3) (*parts)[axis++] = value;
      result *= value;
    } while (lexer_.accept(','));
    return result;
  }

  Module& module_;
  Lexer lexer_;
};

}  // namespace

std::unique_ptr<Module> parse(std::string ptx) {
  auto module = std::make_unique<Module>();
  module->text = std::move(ptx);
  ModuleParser(*module).run();
  return module;
}

Function* Module::function(std::string_view name) {
  const auto found = functions.find(name);
  if (found == functions.end()) return nullptr;
  Function& function = found->second;
  if (function.defined && !function.parsed) parse_body(*this, function);
  return &function;
}

Variable* Module::variable(std::string_view name) {
  for (Variable& variable : variables) {
    if (variable.name == name) return &variable;
  }
  return nullptr;
}

void place_variables(Module& module) {
  if (module.placed) return;
  module.placed = true;
  const auto placed = [](const Variable& v) {
    return v.space == Space::kGlobal || v.space == Space::kConst;
  };
  for (Variable& variable : module.variables) {
    if (!placed(variable)) continue;
    const MemoryKind kind = variable.managed ? MemoryKind::kManaged : MemoryKind::kDevice;
    Allocation* allocation = DeviceMemory::instance().allocate(std::max(variable.bytes, 1u), kind,
                                                               "variable `" + variable.name + "`",
                                                               std::max(variable.align, 256u));
    if (!allocation) throw std::bad_alloc();
    variable.address = allocation->base;
    const DeviceMemory::Access access;
    std::memset(reinterpret_cast<void*>(variable.address), 0, variable.bytes);
    std::copy(variable.initial.begin(), variable.initial.end(),
              reinterpret_cast<u8*>(variable.address));
    allocation->note_write(variable.address, variable.bytes);
  }
  for (Variable& variable : module.variables) {
    const DeviceMemory::Access access;
    for (const auto& [offset, symbol] : variable.pointers) {
      const u64 value = symbol_address(module, symbol);
      u64 addend = 0;
      std::byte* place = reinterpret_cast<std::byte*>(variable.address + offset);
      std::memcpy(&addend, place, sizeof addend);
      const u64 sum = value + addend;
      std::memcpy(place, &sum, sizeof sum);
    }
  }
}

u64 symbol_address(Module& module, std::string_view symbol) {
  if (const Variable* variable = module.variable(symbol)) return variable->address;
  const auto found = module.functions.find(symbol);
  if (found == module.functions.end()) return 0;
  return kFunctionHandle + static_cast<u64>(std::distance(module.functions.begin(), found));
}

}  // namespace emulator
