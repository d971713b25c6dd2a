#include "coverage.h"

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

class Coverage : public Observer {
 public:
  Coverage(Launch& launch, std::ofstream& file)
      : file_(file),
        executed_(launch.program->code.size(), false),
        decided_(launch.program->code.size(), false) {}

  void instruction(Warp& warp, const Instruction& instruction) override {
    executed_[instruction.index] = true;
    if (warp.mask != warp.active) decided_[instruction.index] = true;
  }
  void skipped(Warp&, const Instruction& instruction) override {
    decided_[instruction.index] = true;
  }

  void launch_ends(Launch& launch) override {
    static std::set<std::string> listed;
    const Program& program = *launch.program;
    const std::string name = quote(program.kernel->name);
    const std::vector<MutantPlace> places = mutant_places(program);
    if (listed.insert(program.kernel->name).second) list(program, name, places);
    std::string digits;
    for (const MutantPlace& place : places) {
      const bool executed = executed_[place.code], decided = decided_[place.code];
      if (place.mutant.kind == "drop_guard") {
        digits += decided ? '1' : executed ? '2' : '0';
      } else {
        // A guard that stops all lanes means the opposite where it is negated.
        const bool guards = place.mutant.kind == "negate_guard";
        digits += executed || (guards && decided) ? '1' : '0';
      }
    }
    file_ << "{\"kernel\": " << name << ", \"executed\": \"" << digits << "\"}\n" << std::flush;
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
  std::vector<bool> executed_, decided_;  // a guard decides where it stops a lane
};

}  // namespace

std::unique_ptr<Observer> make_coverage(Launch& launch) {
  std::ofstream* file = coverage_file();
  return file ? std::make_unique<Coverage>(launch, *file) : nullptr;
}

}  // namespace emulator
