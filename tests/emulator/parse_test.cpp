// The parser: names by scope, what looks like something else, modules that hold what is unknown.
#include "parse.h"

#include <gtest/gtest.h>

#include "lexer.h"

namespace emulator {
namespace {

const std::string kHead = ".version 9.5\n.target sm_90a, debug\n.address_size 64\n";

TEST(Lexer, WordsNumbersMarks) {
  Lexer lexer("ld.global.L1::no_allocate.u32 %r1, [%rd2+-16]; // end\n$L__1: /* a\nb */ 0f3F800000",
              1);
  const char* const expected[] = {"ld.global.L1::no_allocate.u32",
                                  "%r1",
                                  ",",
                                  "[",
                                  "%rd2",
                                  "+",
                                  "-",
                                  "16",
                                  "]",
                                  ";",
                                  "$L__1",
                                  ":",
                                  "0f3F800000"};
  for (const char* const text : expected) EXPECT_EQ(lexer.next().text, text);
  EXPECT_EQ(lexer.peek().kind, Token::kEnd);
}

TEST(Lexer, Values) {
  EXPECT_EQ(integer_value("0x1F"), 31u);
  EXPECT_EQ(integer_value("017"), 15u);
  EXPECT_EQ(integer_value("0b101U"), 5u);
  EXPECT_EQ(integer_value("18446744073709551615"), ~u64{0});
  EXPECT_THROW(integer_value("12z"), std::invalid_argument);
  EXPECT_TRUE(is_float_text("1e5"));
  EXPECT_FALSE(is_float_text("0xe5"));
  EXPECT_EQ(float_value("0f40490FDB"), double{3.14159274f});
  EXPECT_EQ(float_value("0d3FF8000000000000"), 1.5);
}

TEST(Parse, ModuleLevel) {
  const auto module =
      parse(kHead +
            ".file 1 \"a b.cu\", 12, 34\n"
            ".global .align 8 .u64 table[2][3];\n.const .f32 pi = 3.5, e = 2.5;\n"
            ".extern .shared .align 16 .b8 dynamic[];\n"
            ".visible .global .attribute(.managed) .align 4 .u32 shared_word;\n"
            ".weak .shared .align 4 .b8 tile[40];\n.section .debug_str { .b8 1,2 }\n");
  EXPECT_EQ(module->version, "9.5");
  EXPECT_EQ(module->target, 90u);
  EXPECT_EQ(module->files.at(1), "a b.cu");
  EXPECT_EQ(module->variable("table")->bytes, 48u);
  EXPECT_EQ(module->variable("e")->initial, (std::vector<u8>{0, 0, 0x20, 0x40}));
  EXPECT_TRUE(module->variable("dynamic")->dynamic);
  EXPECT_TRUE(module->variable("shared_word")->managed);
  EXPECT_EQ(module->variable("tile")->space, Space::kShared);
  EXPECT_EQ(module->variable("absent"), nullptr);
}

TEST(Parse, ParametersArePackedByAlignment) {
  const auto module =
      parse(kHead +
            ".visible .entry k(.param .u8 a, .param .u64 .ptr .global .align 16 b,\n"
            ".param .align 16 .b8 c[20], .param .f32 d)\n"
            ".maxntid 64, 2, 1\n.minnctapersm 3\n.reqntid 32, 4\n{ ret; }\n");
  const Function* kernel = module->kernel("k");
  ASSERT_NE(kernel, nullptr);
  std::vector<u32> offsets;
  for (const Parameter& parameter : kernel->parameters) offsets.push_back(parameter.offset);
  EXPECT_EQ(offsets, (std::vector<u32>{0, 8, 16, 36}));
  EXPECT_EQ(kernel->parameter_bytes, 40u);
  EXPECT_EQ(kernel->max_threads, 128u);
  EXPECT_EQ(kernel->min_blocks, 3u);
  EXPECT_EQ(kernel->required_threads, (std::array<u32, 3>{32, 4, 1}));
  EXPECT_EQ(module->kernel("other"), nullptr);
}

TEST(Parse, StatementsOfABody) {
  const auto module = parse(kHead +
                            ".visible .entry k()\n{\n.reg .pred %p<3>;\n.reg .b32 %r<9>, x;\n"
                            ".local .align 4 .b8 depot[8];\n.loc 1 17 3\n"
                            "@!%p1 ld.local.u32 %r8, [depot+4];\n.loc 1 18 1\n$L__BB0:\n"
                            "mov.b32 {%r1, _}, -5;\nshfl.sync.up.b32 %r2|%p2, x, 1, 0, -1;\n"
                            "bra $L__BB0;\n}\n");
  const std::vector<Statement>& all = module->function("k")->statements;
  ASSERT_EQ(all.size(), 4u);
  EXPECT_TRUE(all[0].has_guard && all[0].guard_negated);
  EXPECT_EQ(all[0].line, 17u);
  EXPECT_EQ(all[0].operands[1].kind, Operand::kMemory);
  EXPECT_EQ(all[0].operands[1].addend, 4);
  EXPECT_EQ(all[0].operands[1].local, 1u);
  EXPECT_EQ(all[0].text, "@!%p1 ld.local.u32 %r8, [depot+4]");
  EXPECT_EQ(all[1].operands[0].elements[1].kind, Operand::kSink);
  EXPECT_EQ(all[1].operands[1].bits, static_cast<u64>(-5));
  EXPECT_EQ(all[2].operands[0].elements.size(), 2u);
  EXPECT_EQ(all[3].operands[0].kind, Operand::kLabel);
  EXPECT_EQ(all[3].operands[0].reg, 1u);
}

TEST(Parse, InnerScopesHideNames) {
  const auto module = parse(kHead +
                            ".visible .entry k()\n{\n.reg .b32 %r<4>;\nmov.u32 %r1, 1;\n"
                            "{\n.reg .b64 %r<4>;\nL:\nmov.u64 %r1, 1;\nbra L;\n}\n"
                            "L:\nmov.u32 %r1, 1;\nbra L;\n}\n");
  const Function& kernel = *module->function("k");
  const auto bytes = [&](size_t statement) {
    return kernel.registers[kernel.statements[statement].operands[0].reg];
  };
  EXPECT_EQ(bytes(0), 4);
  EXPECT_EQ(bytes(1), 8);
  EXPECT_EQ(bytes(3), 4);
  EXPECT_EQ(kernel.statements[2].operands[0].reg, 1u);
  EXPECT_EQ(kernel.statements[4].operands[0].reg, 3u);
}

TEST(Parse, WhatIsNotUnderstoodIsKept) {
  const auto module =
      parse(kHead +
            ".visible .entry k()\n{\n.reg .b32 %r<4>;\nstrange.op %r1, [%r2, {%r3}], "
            "<what>;\nret;\n}\n");
  const std::vector<Statement>& all = module->function("k")->statements;
  ASSERT_EQ(all.size(), 2u);
  EXPECT_FALSE(all[0].trouble.empty());
  EXPECT_EQ(all[1].opcode, "ret");
  const auto other = parse(kHead + ".visible .entry k()\n{\n.reg .v4 .b32 v;\nret;\n}\n");
  EXPECT_FALSE(other->function("k")->statements.back().trouble.empty());
}

TEST(Parse, RefusesWhatIsNotPtx) {
  EXPECT_THROW(parse("hello"), std::invalid_argument);
  EXPECT_THROW(parse(""), std::invalid_argument);
  EXPECT_THROW(parse(kHead + ".visible .entry k()\n{ ret;"), std::invalid_argument);
}

TEST(Parse, SharedMemoryOfAKernelAndItsFunctions) {
  const auto module = parse(kHead +
                            ".shared .align 8 .b8 common[24];\n.shared .align 4 .b8 unused[1000];\n"
                            ".func f()\n{\n.shared .align 16 .b8 own[32];\n.reg .b32 %r<2>;\n"
                            "mov.u32 %r1, common;\nret;\n}\n"
                            ".visible .entry k()\n{\n.shared .align 4 .b8 mine[4];\n"
                            "call.uni f, ();\nret;\n}\n");
  // mine at 0, own at 16, common at 48.
  EXPECT_EQ(module->kernel("k")->static_shared, 72u);
}

}  // namespace
}  // namespace emulator
