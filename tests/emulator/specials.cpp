#include "specials.h"

#include <map>

#include "decode.h"

namespace emulator {

u32 special_of(std::string_view name) {
  // clang-format off
  static const std::map<std::string_view, u32> names = {
      {"%tid", kTidX}, {"%tid.x", kTidX}, {"%tid.y", kTidY}, {"%tid.z", kTidZ},
      {"%ntid", kNtidX}, {"%ntid.x", kNtidX}, {"%ntid.y", kNtidY}, {"%ntid.z", kNtidZ},
      {"%ctaid", kCtaidX}, {"%ctaid.x", kCtaidX}, {"%ctaid.y", kCtaidY}, {"%ctaid.z", kCtaidZ},
      {"%nctaid", kNctaidX}, {"%nctaid.x", kNctaidX}, {"%nctaid.y", kNctaidY},
      {"%nctaid.z", kNctaidZ}, {"%laneid", kLaneId}, {"%warpid", kWarpId},
      {"%nwarpid", kNwarpId}, {"%smid", kSmId}, {"%nsmid", kNsmId}, {"%gridid", kGridId},
      {"%lanemask_eq", kLanemaskEq}, {"%lanemask_le", kLanemaskLe}, {"%lanemask_lt", kLanemaskLt},
      {"%lanemask_ge", kLanemaskGe}, {"%lanemask_gt", kLanemaskGt},
      {"%dynamic_smem_size", kDynamicShared}, {"%total_smem_size", kTotalShared},
      {"%shared_base", kSharedBase}, {"%local_base", kLocalBase}, {"%parameters", kParameters},
      {"%clock", kClock}, {"%clock64", kClock64}, {"%globaltimer", kGlobalTimer},
      {"%globaltimer_lo", kGlobalTimer}, {"%clock_hi", kZero},
      {"%cluster_ctaid.x", kZero}, {"%cluster_ctaid.y", kZero}, {"%cluster_ctaid.z", kZero},
      {"%cluster_nctaid.x", kOne}, {"%cluster_nctaid.y", kOne}, {"%cluster_nctaid.z", kOne},
      {"%cluster_ctarank", kZero}, {"%cluster_nctarank", kOne},
      {"%clusterid.x", kCtaidX}, {"%clusterid.y", kCtaidY}, {"%clusterid.z", kCtaidZ},
      {"%nclusterid.x", kNctaidX}, {"%nclusterid.y", kNctaidY}, {"%nclusterid.z", kNctaidZ},
  };
  // clang-format on
  const auto found = names.find(name);
  if (found != names.end()) return found->second;
  return name.substr(0, 7) == "%envreg" ? u32{kZero} : u32{kSpecials};
}

u64 special_value(u32 special, const Warp& warp, u32 lane) {
  const Block& block = *warp.block;
  const LaunchRequest& request = *block.launch->request;
  const u32 thread = warp.index * kLanes + lane;
  const u32 bit = 1u << lane;
  switch (special) {
    case kTidX:
      return thread % request.block.x;
    case kTidY:
      return thread / request.block.x % request.block.y;
    case kTidZ:
      return thread / request.block.x / request.block.y;
    case kNtidX:
      return request.block.x;
    case kNtidY:
      return request.block.y;
    case kNtidZ:
      return request.block.z;
    case kCtaidX:
      return block.index[0];
    case kCtaidY:
      return block.index[1];
    case kCtaidZ:
      return block.index[2];
    case kNctaidX:
      return request.grid.x;
    case kNctaidY:
      return request.grid.y;
    case kNctaidZ:
      return request.grid.z;
    case kLaneId:
      return lane;
    case kWarpId:
      return warp.index;
    case kNwarpId:
      return 64;
    case kSmId:
      return block.linear % 108;
    case kNsmId:
      return 108;
    case kLanemaskEq:
      return bit;
    case kLanemaskLe:
      return bit | (bit - 1);
    case kLanemaskLt:
      return bit - 1;
    case kLanemaskGe:
      return ~(bit - 1);
    case kLanemaskGt:
      return ~(bit | (bit - 1));
    case kDynamicShared:
      return request.dynamic_shared;
    case kTotalShared:
      return block.shared_bytes;
    case kOne:
      return 1;
    case kSharedBase:
      return reinterpret_cast<u64>(block.shared);
    case kLocalBase:
      return reinterpret_cast<u64>(block.local) + u64{thread} * block.local_bytes;
    case kParameters:
      return reinterpret_cast<u64>(block.launch->parameters);
    default:
      return 0;
  }
}

}  // namespace emulator
