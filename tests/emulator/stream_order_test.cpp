// The history of memory that tells ordered from unordered work.
#include "stream_order.h"

#include <gtest/gtest.h>

namespace emulator {
namespace {

class OrderTest : public ::testing::Test {
 protected:
  OrderTest() {
    allocation_.base = 1000;
    allocation_.size = 1000;
    allocation_.number = 1;
  }
  PerformerPointer begin(int lane, std::vector<PerformerPointer> after = {}) {
    return order_.begin(lane, after, "work " + std::to_string(++count_));
  }
  std::string read(const PerformerPointer& performer, uint64_t from, uint64_t to) {
    return order_.record(performer, {&allocation_, {{from, to}}, {}});
  }
  std::string write(const PerformerPointer& performer, uint64_t from, uint64_t to) {
    return order_.record(performer, {&allocation_, {}, {{from, to}}});
  }

  StreamOrder order_;
  Allocation allocation_;
  int count_ = 0;
};

TEST_F(OrderTest, WorkOfOneStreamIsOrdered) {
  auto one = begin(1);
  auto two = begin(1, {one});
  EXPECT_EQ(write(one, 1000, 1100), "");
  EXPECT_EQ(read(two, 1000, 1100), "");
  EXPECT_EQ(write(two, 1000, 1100), "");
}

TEST_F(OrderTest, ReadOfAnUnorderedWrite) {
  EXPECT_EQ(write(begin(1), 1000, 1100), "");
  auto reader = begin(2);
  EXPECT_EQ(read(reader, 1100, 1200), "");
  const std::string message = read(reader, 1099, 1101);
  EXPECT_NE(message.find("work 2 reads what work 1 writes"), std::string::npos) << message;
}

TEST_F(OrderTest, WriteOverAnUnorderedRead) {
  auto writer = begin(1);
  auto reader = begin(2, {writer});
  EXPECT_EQ(write(writer, 1000, 1100), "");
  EXPECT_EQ(read(reader, 1020, 1030), "");
  auto next = begin(1, {writer});
  EXPECT_EQ(write(next, 1000, 1020), "");
  EXPECT_EQ(write(next, 1030, 1100), "");
  const std::string message = write(next, 1029, 1031);
  EXPECT_NE(message.find("work 3 overwrites what work 2 reads"), std::string::npos) << message;
}

TEST_F(OrderTest, TwoUnorderedWrites) {
  EXPECT_EQ(write(begin(1), 1000, 1010), "");
  EXPECT_NE(write(begin(2), 1009, 1010), "");
}

TEST_F(OrderTest, ReadersDoNotDisturbEachOther) {
  auto writer = begin(1);
  auto one = begin(2, {writer}), two = begin(3, {writer});
  EXPECT_EQ(write(writer, 1000, 1010), "");
  EXPECT_EQ(read(one, 1000, 1010), "");
  EXPECT_EQ(read(two, 1005, 1015), "");
  // A write must come after both, not only after the last.
  EXPECT_NE(write(begin(4, {two}), 1000, 1010), "");
  EXPECT_EQ(write(begin(4, {one, two}), 1000, 1015), "");
}

TEST_F(OrderTest, OrderIsTransitive) {
  auto one = begin(1);
  auto two = begin(2, {one});
  auto three = begin(3, {two});
  EXPECT_EQ(write(one, 1000, 1010), "");
  EXPECT_EQ(write(three, 1000, 1010), "");
}

TEST_F(OrderTest, TheHostOrdersWhatItWaitedFor) {
  auto one = begin(1);
  EXPECT_EQ(write(one, 1000, 1010), "");
  auto before = begin(2);
  order_.host_waited_for(*one);
  auto after = begin(2, {before});
  EXPECT_EQ(read(after, 1000, 1010), "");
  EXPECT_NE(read(before, 1000, 1010), "");
}

TEST_F(OrderTest, ForgottenAllocationsStartAnew) {
  EXPECT_EQ(write(begin(1), 1000, 1010), "");
  order_.forget(1);
  EXPECT_EQ(write(begin(2), 1000, 1010), "");
}

TEST_F(OrderTest, AReadThatSpansWritesAndGaps) {
  auto one = begin(1);
  EXPECT_EQ(write(one, 1010, 1020), "");
  EXPECT_EQ(write(one, 1030, 1040), "");
  auto two = begin(2, {one});
  EXPECT_EQ(read(two, 1000, 1050), "");
  // Each part remembers the reader: the gaps before, between and behind too.
  for (uint64_t at : {1000, 1010, 1025, 1035, 1045}) {
    EXPECT_NE(write(begin(3, {one}), at, at + 1), "") << at;
    EXPECT_EQ(write(begin(3, {one, two}), at, at + 1), "") << at;
  }
}

}  // namespace
}  // namespace emulator
