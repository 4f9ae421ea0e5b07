// The journal of an unfinished run: any bytes behind its first line are whole records and a rest
// that does not count, and it can be gone on with.
#include <string>

#include "convert/journal.h"
#include "tests/fuzz/require.h"
#include "tests/support/temp_dir.h"

namespace {

using namespace tessera;

bool Same(const TileRecord& a, const TileRecord& b) {
  return a.tile == b.tile && a.digests == b.digests;
}

void CheckGoesOn(const std::filesystem::path& path, const JournalHead& head) {
  const auto before = Journal::Read(path, head);
  auto journal = Journal::Open(path, head);
  Require(before.has_value() == journal.has_value());
  if (!journal) return;
  Require(Journal::Read(path, head)->size() == before->size());
  const TileRecord next{.tile = 7, .stats = {}, .digests = {Digest{}}};
  Require(journal->Append(std::span(&next, 1)).has_value());
  const auto after = Journal::Read(path, head);
  Require(after && after->size() == before->size() + 1 && Same(after->back(), next));
  for (size_t i = 0; i < before->size(); ++i) Require(Same(before->at(i), after->at(i)));
}

}  // namespace

// An even first byte: the rest stands behind the line of this very run. Else it is the whole file.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir dir;
  const std::filesystem::path path = dir / "journal";
  const JournalHead head{.plan = {}, .inputs = {}, .request = "to=bf16"};
  if (size == 0) return 0;
  std::string contents;
  if (data[0] % 2 == 0) {
    std::filesystem::remove(path);
    Require(Journal::Open(path, head).has_value());
    contents = ReadWholeFile(path, 4096).value();
  }
  dir.Write("journal", contents.append(AsText(data + 1, size - 1)));
  CheckGoesOn(path, head);
  return 0;
}
