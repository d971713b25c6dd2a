#include <striate/layers/activation.h>
#include <striate/layers/batch_norm.h>
#include <striate/layers/conv2d.h>
#include <striate/layers/dense.h>
#include <striate/layers/dropout.h>
#include <striate/layers/pool2d.h>
#include <striate/layers/reshape.h>
#include <striate/layers/zoo.h>

namespace striate::zoo {
namespace {

Options with_defaults(Options options, Shape shape, int64_t classes) {
  if (options.input_shape.rank() == 0) options.input_shape = shape;
  if (options.classes == 0) options.classes = classes;
  return options;
}

Conv2D conv(int64_t filters, int64_t window, int64_t stride, Padding padding,
            const char* activation = "relu") {
  return {.filters = filters,
          .kernel_size = window,
          .strides = stride,
          .padding = padding,
          .activation = activation};
}

/// Convolution without bias and batch normalisation, as residual networks have them.
Value conv_norm(const Value& x, int64_t filters, int64_t window, int64_t stride,
                const std::string& name) {
  const Layer conv(Conv2D{.filters = filters,
                          .kernel_size = window,
                          .strides = stride,
                          .padding = window / 2,
                          .use_bias = false,
                          .kernel_initializer = "HeNormal"},
                   name + "_conv");
  return Layer(BatchNormalization{.momentum = 0.9, .epsilon = 1e-5}, name + "_norm")(conv(x));
}

Value relu(const Value& x, const std::string& name) {
  return Layer(ActivationLayer{"relu"}, name)(x);
}

Value join(const Value& a, const Value& b, const std::string& name) {
  return relu(Layer(Add{}, name + "_add")(std::vector<Value>{a, b})[0], name);
}

/// A shortcut that changes the size is a 1x1 convolution.
Value shortcut(const Value& x, int64_t filters, int64_t stride, const std::string& name) {
  if (stride == 1 && x.shape()[3] == filters) return x;
  return conv_norm(x, filters, 1, stride, name + "_shortcut");
}

Value basic_block(const Value& x, int64_t filters, int64_t stride, const std::string& name) {
  Value y = relu(conv_norm(x, filters, 3, stride, name + "_1"), name + "_1_relu");
  y = conv_norm(y, filters, 3, 1, name + "_2");
  return join(y, shortcut(x, filters, stride, name), name);
}

Value bottleneck(const Value& x, int64_t filters, int64_t stride, const std::string& name) {
  Value y = relu(conv_norm(x, filters, 1, 1, name + "_1"), name + "_1_relu");
  y = relu(conv_norm(y, filters, 3, stride, name + "_2"), name + "_2_relu");
  y = conv_norm(y, 4 * filters, 1, 1, name + "_3");
  return join(y, shortcut(x, 4 * filters, stride, name), name);
}

template <class Block>
Model resnet(const Options& options, const std::string& name, bool cifar,
             const std::vector<int>& depths, Block block) {
  const Value input = Input{options.input_shape};
  Value x = relu(conv_norm(input, 64, cifar ? 3 : 7, cifar ? 1 : 2, "stem"), "stem_relu");
  if (!cifar) x = Layer(MaxPool2D{.pool_size = 3, .strides = 2, .padding = 1}, "stem_pool")(x);
  for (size_t stage = 0; stage < depths.size(); ++stage)
    for (int i = 0; i < depths[stage]; ++i)
      x = block(x, int64_t{64} << stage, stage > 0 && i == 0 ? 2 : 1,
                "stage" + std::to_string(stage + 1) + "_block" + std::to_string(i + 1));
  x = Layer(GlobalAveragePool2D{}, "pool")(x);
  x = Layer(Dense{.units = options.classes}, "classifier")(x);
  return Model({input}, {x}, name);
}

}  // namespace

Model lenet(const Options& given) {
  const Options options = with_defaults(given, {28, 28, 1}, 10);
  return Sequential(
      {Input{options.input_shape}, conv(6, 5, 1, 2), MaxPool2D{}, conv(16, 5, 1, "valid"),
       MaxPool2D{}, Flatten{}, Dense{.units = 120, .activation = "relu"},
       Dense{.units = 84, .activation = "relu"}, Dense{.units = options.classes}},
      "lenet");
}

Model small_cnn(const Options& given) {
  const Options options = with_defaults(given, {28, 28, 1}, 10);
  return Sequential(
      {Input{options.input_shape}, conv(32, 3, 1, "same"), conv(64, 3, 1, "same"), MaxPool2D{},
       conv(128, 3, 1, "same"), MaxPool2D{}, Flatten{}, Dense{.units = 128, .activation = "relu"},
       Dropout{0.5}, Dense{.units = options.classes}},
      "small_cnn");
}

Model alexnet(const Options& given) {
  const Options options = with_defaults(given, {227, 227, 3}, 1000);
  const MaxPool2D pool{.pool_size = 3, .strides = 2};
  return Sequential(
      {Input{options.input_shape}, conv(96, 11, 4, "valid"), pool, conv(256, 5, 1, "same"), pool,
       conv(384, 3, 1, "same"), conv(384, 3, 1, "same"), conv(256, 3, 1, "same"), pool, Flatten{},
       Dense{.units = 4096, .activation = "relu"}, Dropout{0.5},
       Dense{.units = 4096, .activation = "relu"}, Dropout{0.5}, Dense{.units = options.classes}},
      "alexnet");
}

Model vgg16(const Options& given) {
  const Options options = with_defaults(given, {224, 224, 3}, 1000);
  std::vector<Layer> layers = {Input{options.input_shape}};
  for (int stage = 0; stage < 5; ++stage) {
    for (int i = 0; i < (stage < 2 ? 2 : 3); ++i) {
      Conv2D layer = conv(std::min<int64_t>(int64_t{64} << stage, 512), 3, 1, "same");
      layer.kernel_initializer = "HeNormal";
      layers.emplace_back(layer);
    }
    layers.emplace_back(MaxPool2D{});
  }
  layers.emplace_back(Flatten{});
  for (int i = 0; i < 2; ++i) {
    layers.emplace_back(Dense{.units = 4096, .activation = "relu"});
    layers.emplace_back(Dropout{0.5});
  }
  layers.emplace_back(Dense{.units = options.classes});
  return Sequential(layers, "vgg16");
}

Model resnet18(const Options& given) {
  return resnet(with_defaults(given, {224, 224, 3}, 1000), "resnet18", false, {2, 2, 2, 2},
                basic_block);
}

Model resnet18_cifar(const Options& given) {
  return resnet(with_defaults(given, {32, 32, 3}, 10), "resnet18_cifar", true, {2, 2, 2, 2},
                basic_block);
}

Model resnet50(const Options& given) {
  return resnet(with_defaults(given, {224, 224, 3}, 1000), "resnet50", false, {3, 4, 6, 3},
                bottleneck);
}

namespace {

const std::map<std::string, Model (*)(const Options&)>& networks() {
  static const std::map<std::string, Model (*)(const Options&)> all = {
      {"lenet", lenet},      {"small_cnn", small_cnn}, {"alexnet", alexnet},
      {"vgg16", vgg16},      {"resnet18", resnet18},   {"resnet18_cifar", resnet18_cifar},
      {"resnet50", resnet50}};
  return all;
}

}  // namespace

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const auto& [name, network] : networks()) all.push_back(name);
  return all;
}

Model make(const std::string& name, const Options& options) {
  const auto found = networks().find(name);
  if (found != networks().end()) return found->second(options);
  std::string known;
  for (const std::string& n : names()) known += (known.empty() ? "" : ", ") + n;
  throw Error("the zoo has the networks " + known, "'" + name + "'");
}

}  // namespace striate::zoo
