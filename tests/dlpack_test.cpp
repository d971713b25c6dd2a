// Memory shared through DLPack: the same bytes, held as long as either side needs them.
#include <gtest/gtest.h>
#include <striate/core/dlpack.h>

namespace striate {
namespace {

TEST(DLPack, SharesEveryTypeBothWays) {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kU8, DType::kI32, DType::kI64,
                      DType::kBool, DType::kF64}) {
    const Tensor tensor = Tensor::zeros({2, 3}, dtype);
    DLManagedTensor* managed = to_dlpack(tensor);
    EXPECT_EQ(managed->dl_tensor.dtype.bits, 8 * size_of(dtype));
    const Tensor back = from_dlpack(managed);
    EXPECT_EQ(back.dtype(), dtype);
    EXPECT_EQ(back.shape(), Shape({2, 3}));
    EXPECT_EQ(back.data(), tensor.data());
  }
}

TEST(DLPack, DescribesAView) {
  const Tensor tensor = Tensor::from<int32_t>({3, 2}, {0, 1, 2, 3, 4, 5});
  DLManagedTensorVersioned* managed = to_dlpack_versioned(tensor.rows(1, 3));
  EXPECT_EQ(managed->version.major, 1u);
  const DLTensor& view = managed->dl_tensor;
  EXPECT_EQ(view.ndim, 2);
  EXPECT_EQ(view.shape[0], 2);
  EXPECT_EQ(view.strides[0], 2);
  EXPECT_EQ(view.strides[1], 1);
  EXPECT_EQ(view.device.device_type, kDLCPU);
  EXPECT_EQ(static_cast<const int32_t*>(view.data)[0], 2);
  managed->deleter(managed);
}

TEST(DLPack, EitherSideKeepsTheMemory) {
  const int64_t before = memory_stats().bytes;
  DLManagedTensor* managed = to_dlpack(Tensor::from<float>({2}, {1, 2}));
  Tensor back = from_dlpack(managed);
  EXPECT_EQ(back.to_vector<float>(), (std::vector<float>{1, 2}));
  EXPECT_EQ(memory_stats().bytes, before + 8);
  back = {};
  EXPECT_EQ(memory_stats().bytes, before);
}

/// A view of somebody else's memory that counts how often it is let go.
struct Foreign {
  float values[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
  int64_t shape[2] = {3, 4};
  int64_t strides[2] = {4, 1};
  int released = 0;
  DLManagedTensorVersioned managed = {
      {1, 0},
      this,
      [](DLManagedTensorVersioned* m) { ++static_cast<Foreign*>(m->manager_ctx)->released; },
      0,
      {values, {kDLCPU, 0}, 2, {kDLFloat, 32, 1}, shape, strides, 0}};
};

TEST(DLPack, LetsGoOnce) {
  Foreign foreign;
  {
    const Tensor tensor = from_dlpack(&foreign.managed);
    const Tensor part = tensor.rows(1, 2);
    EXPECT_EQ(part.to_vector<float>(), (std::vector<float>{4, 5, 6, 7}));
    EXPECT_EQ(foreign.released, 0);
  }
  EXPECT_EQ(foreign.released, 1);
}

TEST(DLPack, CopiesReadOnlyMemory) {
  Foreign foreign;
  foreign.managed.flags = kDLReadOnly;
  const Tensor tensor = from_dlpack(&foreign.managed);
  EXPECT_EQ(foreign.released, 1);
  EXPECT_NE(tensor.data(), foreign.values);
  EXPECT_EQ(tensor.rows(2, 3).to_vector<float>(), (std::vector<float>{8, 9, 10, 11}));
}

TEST(DLPack, TakesOffsetsNullStridesAndSizesOfOne) {
  Foreign foreign;
  foreign.managed.dl_tensor.byte_offset = 16;
  foreign.managed.dl_tensor.strides = nullptr;
  foreign.shape[0] = 2;
  EXPECT_EQ(from_dlpack(&foreign.managed).to_vector<float>()[0], 4);
  foreign.managed.dl_tensor.strides = foreign.strides;
  foreign.shape[0] = 1;
  foreign.strides[0] = 77;
  EXPECT_EQ(from_dlpack(&foreign.managed).elements(), 4);
  foreign.shape[0] = 0;
  foreign.managed.dl_tensor.data = nullptr;
  foreign.managed.dl_tensor.byte_offset = 0;
  EXPECT_EQ(from_dlpack(&foreign.managed).elements(), 0);
}

TEST(DLPack, RefusesWhatItCannotShareAndLeavesItToTheCaller) {
  Foreign foreign;
  DLTensor& view = foreign.managed.dl_tensor;
  foreign.strides[0] = 8;
  EXPECT_THROW(from_dlpack(&foreign.managed), ShapeError);
  foreign.strides[0] = 4;
  view.dtype = {kDLFloat, 32, 4};
  EXPECT_THROW(from_dlpack(&foreign.managed), DTypeError);
  view.dtype = {kDLInt, 16, 1};
  EXPECT_THROW(from_dlpack(&foreign.managed), DTypeError);
  view.dtype = {kDLFloat, 32, 1};
  view.device = {kDLCUDA, 99};
  EXPECT_THROW(from_dlpack(&foreign.managed), DeviceError);
  view.device = {static_cast<DLDeviceType>(7), 0};
  EXPECT_THROW(from_dlpack(&foreign.managed), DeviceError);
  view.device = {kDLCPU, 0};
  view.byte_offset = 2;
  EXPECT_THROW(from_dlpack(&foreign.managed), ShapeError);
  view.byte_offset = 0;
  view.ndim = 9;
  EXPECT_THROW(from_dlpack(&foreign.managed), ShapeError);
  view.ndim = 2;
  foreign.shape[0] = -1;
  EXPECT_THROW(from_dlpack(&foreign.managed), ShapeError);
  foreign.shape[0] = 3;
  foreign.managed.version.major = 2;
  EXPECT_THROW(from_dlpack(&foreign.managed), DTypeError);
  EXPECT_EQ(foreign.released, 0);
  EXPECT_THROW(to_dlpack(Tensor()), ShapeError);
}

}  // namespace
}  // namespace striate
