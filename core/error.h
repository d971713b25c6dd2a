// The typed exceptions that everything in striate throws.
#pragma once

#include <exception>
#include <string>

namespace striate {

/// Base of all errors: the layer's path, the rule that was broken, the values, and the fix if
/// there is one.
///
/// `what()` reads
/// `[Conv2D "block2/conv1"] 'valid' padding needs height >= 5, got input [N, 3, 3, 64].`
class Error : public std::exception {
 public:
  explicit Error(std::string rule, std::string values = "", std::string fix = "");

  const char* what() const noexcept override { return message_.c_str(); }
  const std::string& layer() const { return layer_; }
  const std::string& rule() const { return rule_; }
  const std::string& values() const { return values_; }
  const std::string& fix() const { return fix_; }

  /// Name the layer (`Conv2D "block2/conv1"`) unless an inner one is named already.
  void set_layer(const std::string& layer);

 private:
  void compose();

  std::string layer_, rule_, values_, fix_, message_;
};

/// A shape, a size or an option that does not fit the others.
struct ShapeError : Error {
  using Error::Error;
};
/// An element type that an operation does not take.
struct DTypeError : Error {
  using Error::Error;
};
/// A label outside the classes.
struct LabelError : Error {
  using Error::Error;
};
/// NaN or infinity where a finite number is needed.
struct NumericsError : Error {
  using Error::Error;
};
/// A file that cannot be read or written, or that lies about its content.
struct FileError : Error {
  using Error::Error;
};
/// A device that is absent or does not fit.
struct DeviceError : Error {
  using Error::Error;
};
/// A kernel that declines, is unknown or fails.
struct KernelError : Error {
  using Error::Error;
};
/// Memory that cannot be had.
struct OutOfMemoryError : Error {
  using Error::Error;
};

}  // namespace striate
