// Counters as JSON.
#include <cstdio>

#include "counters.h"

namespace emulator {
std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) >= ' ')
      out += c;
    else
      out += ' ';
  }
  return out + '"';
}

namespace {

const char* name_of(Space space) {
  switch (space) {
    case Space::kShared:
      return "shared";
    case Space::kLocal:
      return "local";
    case Space::kConst:
      return "const";
    case Space::kParam:
      return "param";
    default:
      return "global";
  }
}

const char* name_of(AccessKind kind) {
  if (kind == AccessKind::kLoad) return "load";
  return kind == AccessKind::kStore ? "store" : "atomic";
}

std::string field(const char* name, u64 value) {
  return quote(name) + ": " + std::to_string(value);
}

std::string traffic_fields(const Traffic& traffic, Space space) {
  std::string text = field("requests", traffic.requests) + ", " +
                     field("accesses", traffic.accesses) + ", " + field("bytes", traffic.bytes);
  if (space == Space::kShared)
    return text + ", " + field("wavefronts", traffic.wavefronts) + ", " +
           field("conflicts", traffic.conflicts());
  return text + ", " + field("sectors", traffic.sectors) + ", " +
         field("ideal_sectors", traffic.ideal_sectors);
}

std::string totals(const Counters& counters, Space space) {
  std::string text;
  for (const AccessKind kind : {AccessKind::kLoad, AccessKind::kStore, AccessKind::kAtomic})
    text += (text.empty() ? "" : ", ") + quote(name_of(kind)) + ": {" +
            traffic_fields(counters.total(space, kind), space) + "}";
  return quote(name_of(space)) + ": {" + text + "}";
}

/// Requests by bytes a thread: {"global load 16": 128, ...}.
std::string widths(const Counters& counters) {
  std::map<std::string, u64> requests;
  for (const Site& site : counters.sites)
    requests[std::string(name_of(site.space)) + " " + name_of(site.kind) + " " +
             std::to_string(site.width)] += site.traffic.requests;
  std::string text;
  for (const auto& [name, count] : requests)
    text += (text.empty() ? "" : ", ") + field(name.c_str(), count);
  return "{" + text + "}";
}

}  // namespace

std::string to_json(const Counters& counters) {
  std::string classes, sites;
  for (const auto& [name, count] : counters.instructions)
    classes += (classes.empty() ? "" : ", ") + field(name.c_str(), count);
  for (const Site& site : counters.sites)
    sites += (sites.empty() ? "" : ", ") + ("{" + quote("file")) + ": " + quote(site.file) + ", " +
             field("line", site.line) + ", " + field("ptx_line", site.ptx_line) + ", " +
             quote("ptx") + ": " + quote(site.text) + ", " + quote("space") + ": " +
             quote(name_of(site.space)) + ", " + quote("kind") + ": " + quote(name_of(site.kind)) +
             ", " + field("width", site.width) + ", " + quote("asynchronous") + ": " +
             (site.asynchronous ? "true" : "false") + ", " +
             traffic_fields(site.traffic, site.space) + "}";
  return "{" + field("blocks", counters.blocks) + ", " +
         field("grid_blocks", counters.grid_blocks) + ", " + field("warps", counters.warps) + ", " +
         quote("instructions") + ": {" + classes + "}, " +
         field("multiply_adds", counters.multiply_adds) + ", " + field("mma", counters.mma) + ", " +
         totals(counters, Space::kGlobal) + ", " + totals(counters, Space::kShared) + ", " +
         totals(counters, Space::kLocal) + ", " + quote("widths") + ": " + widths(counters) + ", " +
         quote("sites") + ": [" + sites + "]}";
}

}  // namespace emulator
