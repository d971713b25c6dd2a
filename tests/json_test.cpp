// JSON: what RFC 8259 allows is read, all else refused; what is written reads back the same.
#include <gtest/gtest.h>
#include <striate/core/error.h>
#include <striate/core/json.h>

#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace striate {
namespace {

TEST(Json, ReadsEachKind) {
  const Json json = Json::parse(
      " {\"n\": null, \"t\":true,\"f\":false, \"i\":-12,\"d\":2.5e3 ,\"s\":\"a\",\"a\":[1, [ ] ],"
      "\t\"o\":{\"x\":0}}\r\n");
  EXPECT_TRUE(json["n"].is_null());
  EXPECT_TRUE(json["t"].as_bool());
  EXPECT_FALSE(json["f"].as_bool());
  EXPECT_EQ(json["i"].as_integer(), -12);
  EXPECT_FALSE(json["d"].is_integer());
  EXPECT_EQ(json["d"].as_number(), 2500);
  EXPECT_EQ(json["i"].as_number(), -12);
  EXPECT_EQ(json["s"].as_string(), "a");
  EXPECT_EQ(json["a"].items().size(), 2u);
  EXPECT_EQ(json["o"].members()[0].first, "x");
  EXPECT_TRUE(json["absent"].is_null());
  EXPECT_TRUE(json.has("n"));
  EXPECT_FALSE(json.has("absent"));
}

TEST(Json, ReadsEscapesAndSurrogates) {
  EXPECT_EQ(Json::parse(R"("\"\\\/\b\f\n\r\t")").as_string(), "\"\\/\b\f\n\r\t");
  EXPECT_EQ(Json::parse(R"("\u0041\u00e9\u20AC\ud83d\ude00")").as_string(),
            "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(Json::parse(R"("\u0000")").as_string(), std::string(1, '\0'));
  EXPECT_EQ(Json::parse("\"\xf0\x9f\x98\x80\x7f\"").as_string(), "\xf0\x9f\x98\x80\x7f");
}

TEST(Json, RefusesWhatIsNotJson) {
  const std::string cases[] = {"",
                               " ",
                               "{",
                               "}",
                               "[",
                               "[1",
                               "[1,",
                               "[1,]",
                               "[,1]",
                               "[1 2]",
                               "{\"a\"}",
                               "{\"a\":}",
                               "{\"a\":1,}",
                               "{a:1}",
                               "{'a':1}",
                               "{\"a\":1 \"b\":2}",
                               "{1:2}",
                               "nul",
                               "nulll",
                               "True",
                               "NaN",
                               "Infinity",
                               "-Infinity",
                               "-",
                               "+1",
                               "01",
                               "-01",
                               "1.",
                               ".5",
                               "1e",
                               "1e+",
                               "0x10",
                               "1_0",
                               "1e999",
                               "-1e999",
                               "\"",
                               "\"a",
                               "\"\\\"",
                               "\"\\x\"",
                               "\"\\u12\"",
                               "\"\\u12g4\"",
                               "\"\\ud800\"",
                               "\"\\ud800\\u0041\"",
                               "\"\\ude00\"",
                               "\"\n\"",
                               "\"\t\"",
                               "\"\x01\"",
                               "\"\xff\"",
                               "\"\x80\"",
                               "\"\xc3\"",
                               "\"\xc0\xaf\"",
                               "\"\xe0\x80\x80\"",
                               "\"\xed\xa0\x80\"",
                               "\"\xf4\x90\x80\x80\"",
                               "\"\xf5\x80\x80\x80\"",
                               "\"\xe2\x82\"",
                               "1 2",
                               "[] []",
                               "// c\n1",
                               "\xef\xbb\xbf{}",
                               "{\"a\":1,\"b\":2,\"a\":3}",
                               "[1}",
                               "{\"a\":1]"};
  for (const std::string& text : cases) EXPECT_THROW(Json::parse(text), FileError) << text;
  EXPECT_THROW(Json::parse(std::string("1\0", 2)), FileError);
}

TEST(Json, SaysWhereItFails) {
  try {
    Json::parse("[1, 2, x]");
    FAIL();
  } catch (const FileError& error) {
    EXPECT_STREQ(error.what(), "malformed JSON: a value is missing, got 'x' at byte 7.");
  }
}

TEST(Json, LimitsTheDepth) {
  auto nested = [](int n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_NO_THROW(Json::parse(nested(100)));
  EXPECT_THROW(Json::parse(nested(102)), FileError);
  EXPECT_THROW(Json::parse(std::string(1000000, '[')), FileError);
  EXPECT_NO_THROW(Json::parse(Json::parse(nested(100)).dump()));
  Json deep;
  for (int i = 0; i < 200; ++i) deep = Json::Array{deep};
  EXPECT_THROW(deep.dump(), Error);
}

TEST(Json, KeepsIntegersUpTo64Bits) {
  EXPECT_EQ(Json::parse("9223372036854775807").as_integer(), INT64_MAX);
  EXPECT_EQ(Json::parse("-9223372036854775808").as_integer(), INT64_MIN);
  const Json large = Json::parse("9223372036854775808");
  EXPECT_FALSE(large.is_integer());
  EXPECT_EQ(large.as_number(), 0x1p63);
  EXPECT_FALSE(Json::parse("1.0").is_integer());
  EXPECT_FALSE(Json::parse("1e2").is_integer());
}

TEST(Json, DoublesReadBackTheSame) {
  std::mt19937_64 random(7);
  std::vector<double> values = {
      0.0, -0.0, 1.0, 0.1, 1.0 / 3, 1e21, 1e-7, 5e-324, DBL_MAX, DBL_MIN, 123456789012345680.0};
  while (values.size() < 20000) {
    const uint64_t bits = random();
    double value;
    std::memcpy(&value, &bits, 8);
    if (std::isfinite(value)) values.push_back(value);
  }
  for (double value : values) {
    const Json back = Json::parse(Json(value).dump());
    EXPECT_FALSE(back.is_integer()) << value;
    EXPECT_EQ(back.as_number(), value);
    EXPECT_EQ(std::signbit(back.as_number()), std::signbit(value));
  }
  EXPECT_EQ(Json(0.1).dump(), "0.1");
  EXPECT_EQ(Json(1.0).dump(), "1.0");
  EXPECT_EQ(Json::parse("1e-999").as_number(), 0.0);
}

TEST(Json, RefusesToWriteWhatCannotBeRead) {
  EXPECT_THROW(Json(std::nan("")).dump(), NumericsError);
  EXPECT_THROW(Json(std::numeric_limits<double>::infinity()).dump(), NumericsError);
  EXPECT_THROW(Json("\xff").dump(), Error);
}

TEST(Json, WritesForMachinesAndForPeople) {
  Json json;
  json.set("b", 1).set("a", Json::Array{true, nullptr, "x\n\"\\\x1f"}).set("e", Json::array());
  json.set("b", 2);
  EXPECT_EQ(json.dump(), R"({"b":2,"a":[true,null,"x\n\"\\\u001f"],"e":[]})");
  EXPECT_EQ(Json::object({{"a", Json::Array{1, 2}}, {"o", Json::object()}}).dump(2),
            "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"o\": {}\n}");
  EXPECT_EQ(Json::parse(json.dump(4)), json);
  EXPECT_EQ(Json::object({}).dump(), "{}");
  EXPECT_EQ(Json::object({{"a", "b"}, {"c", "d"}}).dump(), R"({"a":"b","c":"d"})");
}

TEST(Json, NamesWantedAndPresentKind) {
  try {
    Json("text").as_integer();
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "it must be an integer, got a string.");
  }
  EXPECT_THROW(Json(1.5).as_integer(), Error);
  EXPECT_THROW(Json(1).as_bool(), Error);
  EXPECT_THROW(Json(1).as_string(), Error);
  EXPECT_THROW(Json().items(), Error);
  EXPECT_THROW(Json().members(), Error);
  EXPECT_THROW(Json("1").as_number(), Error);
  EXPECT_THROW(Json(1).set("a", 1), Error);
  EXPECT_THROW(Json(1).push(1), Error);
}

TEST(Json, PartsOfATemporaryOutliveIt) {
  std::string seen;
  for (const Json& item : Json::parse(R"(["a long text that no small buffer holds", "b"])").items())
    seen += item.as_string();
  for (const auto& [name, value] :
       Json::parse(R"({"c": {"d": "another rather long text"}})").members())
    seen += name + value["d"].as_string();
  EXPECT_EQ(seen, "a long text that no small buffer holdsbcanother rather long text");
  const Json& inner = Json::parse(R"({"e": {"f": 7}})")["e"];
  EXPECT_EQ(inner["f"].as_integer(), 7);
  static_assert(!std::is_reference_v<decltype(Json().as_string())>);
}

TEST(Json, MutatedTextIsReadOrRefused) {
  const std::string valid = R"({"name":"conv \u00e9 \ud83d\ude00","sizes":[3,-1,2.5e-3,1E5],)"
                            R"("flags":{"a":true,"b":null}})";
  std::mt19937 random(1);
  int read = 0, refused = 0;
  for (int i = 0; i < 60000; ++i) {
    std::string text = valid;
    for (unsigned n = random() % 3 + 1; n > 0; --n) {
      const size_t at = random() % text.size();
      const unsigned kind = random() % 3;
      if (kind == 0) text[at] = static_cast<char>(random());
      if (kind == 1 && text.size() > 1) text.erase(at, random() % 4 + 1);
      if (kind == 2) text.insert(at, text.substr(random() % text.size(), random() % 8));
      if (text.empty()) text = " ";
    }
    try {
      const Json json = Json::parse(text);
      ASSERT_EQ(Json::parse(json.dump()), json) << text;
      ++read;
    } catch (const FileError&) {
      ++refused;
    }
  }
  EXPECT_GT(read, 1000);
  EXPECT_GT(refused, 20000);
}

}  // namespace
}  // namespace striate
