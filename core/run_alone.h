// Keeps the loops of one thread on that thread.
#pragma once

namespace striate {

/// While it lives, `threads()` is 1 on the thread that made it, so that loops run there alone: for
/// whole steps side by side.
class RunAlone {
 public:
  RunAlone();
  ~RunAlone();
  RunAlone(const RunAlone&) = delete;
  RunAlone& operator=(const RunAlone&) = delete;

 private:
  bool before_;
};

}  // namespace striate
