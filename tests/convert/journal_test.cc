#include "convert/journal.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

JournalHead HeadOf(std::string_view plan, std::string_view inputs) {
  return {.plan = Xxh3(plan), .inputs = Xxh3(inputs), .request = "mtp=keep to=bf16"};
}

TileRecord RecordOf(uint64_t tile, size_t digests) {
  TileRecord record{.tile = tile, .stats = {.nan_codes = tile * 3}, .digests = {}};
  for (size_t i = 0; i < digests; ++i) {
    record.digests.push_back(Xxh3(std::to_string(tile) + "/" + std::to_string(i)));
  }
  return record;
}

std::string Contents(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class JournalTest : public testing::Test {
 protected:
  // Opens the journal, checks that it holds tiles 0..n-1 in order, and returns it.
  Journal OpenExpecting(size_t n) {
    Result<Journal> journal = Journal::Open(path_, head_);
    EXPECT_TRUE(journal.has_value()) << journal.error().Text();
    const std::vector<TileRecord> records = *Journal::Read(path_, head_);
    EXPECT_EQ(records.size(), n);
    for (size_t i = 0; i < records.size(); ++i) {
      EXPECT_EQ(records[i].tile, i);
      EXPECT_EQ(records[i].stats.nan_codes, 3 * i);
      EXPECT_EQ(records[i].digests, RecordOf(i, 1 + i % 3).digests);
    }
    return *std::move(journal);
  }

  void Fill(size_t n) {
    Journal journal = OpenExpecting(0);
    for (size_t i = 0; i < n; ++i) {
      const TileRecord record = RecordOf(i, 1 + i % 3);
      ASSERT_TRUE(journal.Append(std::span(&record, 1)).has_value());
    }
  }

  const TempDir dir_;
  const std::filesystem::path path_ = dir_ / "journal";
  const JournalHead head_ = HeadOf("plan", "inputs");
};

TEST_F(JournalTest, GivesBackWhatWasAppended) {
  Fill(7);
  OpenExpecting(7);
}

TEST_F(JournalTest, ATornTailCostsOnlyTheTornRecord) {
  Fill(4);
  const std::string whole = Contents(path_);
  const size_t head = whole.find('\n') + 1;
  std::vector<size_t> ends = {head};  // of the head and of each record
  for (size_t i = 0; i < 4; ++i)
    ends.push_back(ends.back() + 4 + 8 + sizeof(ValueStats) + 16 * (1 + i % 3) + 8);
  ASSERT_EQ(ends.back(), whole.size());
  for (size_t size = 0; size <= whole.size(); ++size) {
    dir_.Write("journal", whole.substr(0, size));
    const size_t whole_records =
        size < head ? 0
                    : static_cast<size_t>(std::ranges::upper_bound(ends, size) - ends.begin()) - 1;
    OpenExpecting(whole_records);
  }
}

TEST_F(JournalTest, ADamagedRecordEndsTheJournalThere) {
  Fill(4);
  const std::string whole = Contents(path_);
  const size_t head = whole.find('\n') + 1;
  for (size_t at = head; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    dir_.Write("journal", damaged);
    Result<Journal> journal = Journal::Open(path_, head_);
    ASSERT_TRUE(journal.has_value());
    const std::vector<TileRecord> records = *Journal::Read(path_, head_);
    ASSERT_LT(records.size(), 4u) << "byte " << at;
    for (size_t i = 0; i < records.size(); ++i) EXPECT_EQ(records[i].tile, i) << "byte " << at;
  }
}

TEST_F(JournalTest, AppendingGoesOnBehindTheLastWholeRecord) {
  Fill(3);
  std::string torn = Contents(path_);
  torn.resize(torn.size() - 5);
  dir_.Write("journal", torn);
  {
    Journal journal = OpenExpecting(2);
    const TileRecord record = RecordOf(2, 3);
    ASSERT_TRUE(journal.Append(std::span(&record, 1)).has_value());
  }
  OpenExpecting(3);
}

TEST_F(JournalTest, AnotherPlanIsRefusedWithBothValues) {
  Fill(1);
  const JournalHead other = HeadOf("another plan", "inputs");
  const Result<Journal> journal = Journal::Open(path_, other);
  ASSERT_FALSE(journal.has_value());
  EXPECT_EQ(journal.error().code(), ErrorCode::kPlanMismatch);
  EXPECT_NE(journal.error().Text().find(ToHex(other.plan)), std::string::npos);
  EXPECT_NE(journal.error().Text().find(ToHex(head_.plan)), std::string::npos);
  OpenExpecting(1);  // and nothing was lost by asking
}

TEST_F(JournalTest, AChangedInputIsRefused) {
  Fill(1);
  const Result<Journal> journal = Journal::Open(path_, HeadOf("plan", "newer inputs"));
  ASSERT_FALSE(journal.has_value());
  EXPECT_EQ(journal.error().error_class(), ErrorClass::kConflict);
}

TEST_F(JournalTest, AnotherRequestIsShownBesideTheOld) {
  Fill(1);
  JournalHead other = HeadOf("another plan", "inputs");
  other.request = "mtp=drop to=f16";
  const Result<Journal> journal = Journal::Open(path_, other);
  ASSERT_FALSE(journal.has_value());
  EXPECT_NE(journal.error().Text().find("mtp=drop to=f16"), std::string::npos);
  EXPECT_NE(journal.error().Text().find("mtp=keep to=bf16"), std::string::npos);
}

TEST_F(JournalTest, AnUnknownHeadIsRefusedAndKept) {
  const std::string newer = "tessera-journal 4 something else\n12345";
  dir_.Write("journal", newer);
  const Result<Journal> journal = Journal::Open(path_, head_);
  ASSERT_FALSE(journal.has_value());
  EXPECT_EQ(journal.error().code(), ErrorCode::kDamagedJournal);
  EXPECT_EQ(Contents(path_), newer);
}

TEST_F(JournalTest, NeverWritesThroughALink) {
  dir_.Write("elsewhere", "precious");
  std::filesystem::create_symlink(dir_ / "elsewhere", path_);
  EXPECT_FALSE(Journal::Open(path_, head_).has_value());
  EXPECT_EQ(Contents(dir_ / "elsewhere"), "precious");
}

}  // namespace
}  // namespace tessera
