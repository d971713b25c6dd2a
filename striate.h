// What most C++ programs need: `#include <striate/striate.h>`. Other layers have their own headers.
#pragma once

#include <striate/core/error.h>
#include <striate/core/parallel.h>
#include <striate/core/tensor.h>
#include <striate/kernels/impl.h>
#include <striate/layers/activation.h>
#include <striate/layers/batch_norm.h>
#include <striate/layers/conv2d.h>
#include <striate/layers/dense.h>
#include <striate/layers/dropout.h>
#include <striate/layers/eager.h>
#include <striate/layers/model.h>
#include <striate/layers/pad2d.h>
#include <striate/layers/pool2d.h>
#include <striate/layers/reshape.h>
#include <striate/layers/zoo.h>
#include <striate/version.h>
