// Finds work that touches the same bytes from two streams with nothing that orders it (full
// checks).
//
// Each operation carries a clock: for every lane (a stream, or a branch of a graph) the last
// position that is known to be done before it starts. Two operations that touch a byte, one of them
// writing, must be ordered by their clocks; vector clocks after Lamport and Mattern, as in
// FastTrack (Flanagan and Freund, PLDI 2009). Memory is kept as ranges that share the same last
// writer and readers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "device_memory.h"

namespace emulator {

using Clock = std::map<int, uint64_t>;  // lane to position

/// Who did something: an operation as the history remembers it.
struct Performer {
  int lane = 0;
  uint64_t position = 0;
  Clock clock;  // what is done before it, itself included
  std::string name;
};
using PerformerPointer = std::shared_ptr<const Performer>;

class StreamOrder {
 public:
  /// Make the performer of a new operation that comes after the given ones.
  PerformerPointer begin(int lane, const std::vector<PerformerPointer>& after, std::string name);
  /// The host has waited for this operation: all later work comes after it.
  void host_waited_for(const Performer& performer);
  /// The host has waited for all that was begun.
  void host_waited_for_all();

  /// Record reads and writes of an allocation; return a message if one conflicts with unordered
  /// work, else an empty string.
  std::string record(const PerformerPointer& performer, const Footprint& footprint);
  /// Forget the history of an allocation that is gone.
  void forget(uint64_t number) { history_.erase(number); }

 private:
  /// The same history for all bytes from its key up to `end`.
  struct Span {
    uint64_t end = 0;
    PerformerPointer writer;
    std::vector<PerformerPointer> readers;  // since the write
  };
  using Spans = std::map<uint64_t, Span>;  // by first address

  std::string visit(Spans& spans, const PerformerPointer& performer, const Range& range,
                    bool write);
  static void split(Spans& spans, uint64_t address);

  Clock host_;
  std::map<int, uint64_t> positions_;  // of the last operation of each lane
  std::map<uint64_t, Spans> history_;  // by number of the allocation
};

}  // namespace emulator
