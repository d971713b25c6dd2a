#include "stream_order.h"

#include <algorithm>

namespace emulator {
namespace {

bool ordered(const Performer& earlier, const Performer& later) {
  auto known = later.clock.find(earlier.lane);
  return known != later.clock.end() && known->second >= earlier.position;
}

void join(Clock& clock, const Clock& other) {
  for (auto [lane, position] : other) clock[lane] = std::max(clock[lane], position);
}

std::string conflict(const Performer& one, const char* does_one, const Performer& two,
                     const char* does_two, uint64_t address) {
  return two.name + " " + does_two + " what " + one.name + " " + does_one +
         ", and nothing orders the two: " + DeviceMemory::instance().describe(address, 1);
}

}  // namespace

PerformerPointer StreamOrder::begin(int lane, const std::vector<PerformerPointer>& after,
                                    std::string name) {
  auto performer = std::make_shared<Performer>();
  performer->lane = lane;
  performer->position = ++positions_[lane];
  performer->clock = host_;
  for (const PerformerPointer& earlier : after)
    if (earlier) join(performer->clock, earlier->clock);
  performer->clock[lane] = performer->position;
  performer->name = std::move(name);
  return performer;
}

void StreamOrder::host_waited_for(const Performer& performer) { join(host_, performer.clock); }

void StreamOrder::host_waited_for_all() { join(host_, positions_); }

std::string StreamOrder::record(const PerformerPointer& performer, const Footprint& footprint) {
  Spans& spans = history_[footprint.allocation->number];
  // Reads first: bytes that one operation both reads and writes end up as written by it.
  std::string message;
  for (const Range& range : footprint.read)
    if (message.empty()) message = visit(spans, performer, range, false);
  for (const Range& range : footprint.written)
    if (message.empty()) message = visit(spans, performer, range, true);
  return message;
}

void StreamOrder::split(Spans& spans, uint64_t address) {
  auto after = spans.upper_bound(address);
  if (after == spans.begin()) return;
  auto span = std::prev(after);
  if (span->first == address || span->second.end <= address) return;
  Span upper = span->second;
  span->second.end = address;
  spans.emplace(address, std::move(upper));
}

std::string StreamOrder::visit(Spans& spans, const PerformerPointer& performer, const Range& range,
                               bool write) {
  split(spans, range.begin);
  split(spans, range.end);
  auto span = spans.lower_bound(range.begin);
  uint64_t covered = range.begin;
  while (span != spans.end() && span->first < range.end) {
    Span& known = span->second;
    if (known.writer && !ordered(*known.writer, *performer))
      return conflict(*known.writer, "writes", *performer, write ? "overwrites" : "reads",
                      span->first);
    if (write) {
      for (const PerformerPointer& reader : known.readers)
        if (!ordered(*reader, *performer))
          return conflict(*reader, "reads", *performer, "overwrites", span->first);
      span = spans.erase(span);
      continue;
    }
    if (span->first > covered) spans[covered] = {span->first, nullptr, {performer}};
    covered = known.end;
    // A reader that is ordered before this one is implied by it.
    auto& readers = known.readers;
    readers.erase(std::remove_if(readers.begin(), readers.end(),
                                 [&](const auto& reader) { return ordered(*reader, *performer); }),
                  readers.end());
    readers.push_back(performer);
    ++span;
  }
  if (write)
    spans[range.begin] = {range.end, performer, {}};
  else if (covered < range.end)
    spans[covered] = {range.end, nullptr, {performer}};
  return {};
}

}  // namespace emulator
