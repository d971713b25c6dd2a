// Named networks with their published parameter counts, at any input size.
#pragma once

#include <striate/layers/model.h>

#include <string>
#include <vector>

namespace striate::zoo {

/// What all networks take. `input_shape` of rank 0 means the published one.
struct Options {
  Shape input_shape;
  int64_t classes = 0;  // 0: the published number
};

/// LeNet-5 with relu and max pooling (after LeCun et al. 1998): 28x28x1, 10 classes.
Model lenet(const Options& options = {});
/// The small network of the benchmarks: three 3x3 convolutions, two poolings, 128 units: 28x28x1.
Model small_cnn(const Options& options = {});
/// AlexNet (Krizhevsky et al. 2012, one tower): 227x227x3, 1000 classes.
Model alexnet(const Options& options = {});
/// VGG-16 (Simonyan and Zisserman 2015): 224x224x3, 1000 classes, 138,357,544 parameters.
Model vgg16(const Options& options = {});
/// ResNet-18 (He et al. 2016): 224x224x3, 1000 classes.
Model resnet18(const Options& options = {});
/// ResNet-18 in its CIFAR form: a 3x3 stem without pooling, 32x32x3, 10 classes.
Model resnet18_cifar(const Options& options = {});
/// ResNet-50 (He et al. 2016): 224x224x3, 1000 classes, 25,557,032 trained parameters.
Model resnet50(const Options& options = {});

std::vector<std::string> names();
/// Make a network by name. Throws Error with the names that exist.
Model make(const std::string& name, const Options& options = {});

}  // namespace striate::zoo
