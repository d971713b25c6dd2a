#include "coverage.h"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <set>

#include "counters.h"

namespace emulator {
namespace {

/// The file, open for as long as the process lives; null if it is not wanted.
std::ofstream* coverage_file() {
  static const char* const path = std::getenv("EMULATOR_COVERAGE");
  if (!path || !*path) return nullptr;
  static std::ofstream file(path, std::ios::app);
  return &file;
}

double seconds() {
  using namespace std::chrono;
  return duration<double>(system_clock::now().time_since_epoch()).count();
}

class Coverage : public Observer {
 public:
  Coverage(Launch& launch, std::ofstream& file)
      : file_(file),
        executed_(launch.program->code.size(), false),
        skipped_(launch.program->code.size(), false) {}

  void instruction(Warp&, const Instruction& instruction) override {
    executed_[instruction.index] = true;
  }
  void skipped(Warp&, const Instruction& instruction) override {
    skipped_[instruction.index] = true;
  }

  void launch_ends(Launch& launch) override {
    static std::set<std::string> listed;
    const Program& program = *launch.program;
    const std::string name = quote(program.kernel->name);
    const std::vector<MutantPlace> places = mutant_places(program);
    if (listed.insert(program.kernel->name).second) list(program, name, places);
    std::string digits;
    for (const MutantPlace& place : places) {
      // A guard matters where it stops all lanes, too.
      const bool skipped = place.mutant.kind.ends_with("_guard") && skipped_[place.code];
      digits += executed_[place.code] || skipped ? '1' : '0';
    }
    file_ << "{\"kernel\": " << name << ", \"time\": " << std::to_string(seconds())
          << ", \"executed\": \"" << digits << "\"}\n"
          << std::flush;
  }

 private:
  void list(const Program& program, const std::string& name,
            const std::vector<MutantPlace>& places) {
    file_ << "{\"kernel\": " << name << ", \"places\": [";
    for (size_t i = 0; i < places.size(); ++i) {
      const Origin& origin = *program.code[places[i].code].origin;
      file_ << (i ? ", " : "") << "{\"kind\": " << quote(places[i].mutant.kind)
            << ", \"index\": " << places[i].mutant.index << ", \"file\": " << quote(origin.file)
            << ", \"line\": " << origin.line << ", \"ptx\": " << quote(origin.text)
            << ", \"equivalent\": " << quote(places[i].equivalent) << "}";
    }
    file_ << "]}\n";
  }

  std::ofstream& file_;
  std::vector<bool> executed_, skipped_;
};

}  // namespace

std::unique_ptr<Observer> make_coverage(Launch& launch) {
  std::ofstream* file = coverage_file();
  return file ? std::make_unique<Coverage>(launch, *file) : nullptr;
}

}  // namespace emulator
