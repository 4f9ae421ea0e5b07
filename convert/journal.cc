#include "convert/journal.h"

#include <unistd.h>

#include <cstring>
#include <type_traits>

namespace tessera {
namespace {

constexpr std::string_view kMagic = "tessera-journal 3";
constexpr size_t kDigestBytes = sizeof(Digest);
constexpr size_t kCheckBytes = 8;
constexpr size_t kFixedBytes = sizeof(uint64_t) + sizeof(ValueStats);  // tile and its facts
static_assert(std::is_trivially_copyable_v<ValueStats>);
constexpr uint32_t kMaxPayload = 1 << 20;
constexpr uint64_t kMaxJournalBytes = uint64_t{4} << 30;

std::string HeadLine(const JournalHead& head) {
  return std::string(kMagic) + " plan=" + ToHex(head.plan) + " inputs=" + ToHex(head.inputs) +
         " request " + head.request + "\n";
}

std::optional<JournalHead> ParseHead(std::string_view line) {
  constexpr std::string_view kPlan = " plan=", kInputs = " inputs=", kRequest = " request ";
  constexpr size_t kHex = 2 * kDigestBytes;
  const size_t inputs = kMagic.size() + kPlan.size() + kHex;
  const size_t request = inputs + kInputs.size() + kHex;
  if (line.size() < request + kRequest.size()) return std::nullopt;
  const Result<Digest> p = ParseDigest(line.substr(kMagic.size() + kPlan.size(), kHex));
  const Result<Digest> i = ParseDigest(line.substr(inputs + kInputs.size(), kHex));
  if (!p || !i) return std::nullopt;
  JournalHead head{*p, *i, std::string(line.substr(request + kRequest.size()))};
  if (HeadLine(head) != std::string(line) + "\n") return std::nullopt;
  return head;
}

// The journal never leaves its machine while in use, so its integers are in host order.
template <class T>
void Put(std::string& out, const T& value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T Get(std::string_view bytes, size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

std::string_view Check(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), kCheckBytes};
}

void AppendRecord(std::string& out, const TileRecord& record) {
  std::string payload;
  Put(payload, record.tile);
  Put(payload, record.stats);
  for (const Digest& digest : record.digests) Put(payload, digest);
  Put(out, static_cast<uint32_t>(payload.size()));
  out += payload;
  out += Check(Xxh3(payload));
}

// Reads records from `bytes` on; returns how many bytes hold whole, undamaged ones.
size_t ReadRecords(std::string_view bytes, std::vector<TileRecord>& records) {
  size_t at = 0;
  while (bytes.size() - at >= sizeof(uint32_t)) {
    const auto size = Get<uint32_t>(bytes, at);
    const size_t begin = at + sizeof(uint32_t);
    if (size < kFixedBytes || size > kMaxPayload || (size - kFixedBytes) % kDigestBytes != 0 ||
        bytes.size() - begin < size + kCheckBytes) {
      break;
    }
    const std::string_view payload = bytes.substr(begin, size);
    if (Check(Xxh3(payload)) != bytes.substr(begin + size, kCheckBytes)) break;
    TileRecord record{.tile = Get<uint64_t>(payload, 0),
                      .stats = Get<ValueStats>(payload, sizeof(uint64_t)),
                      .digests = {}};
    for (size_t d = kFixedBytes; d < size; d += kDigestBytes) {
      record.digests.push_back(Get<Digest>(payload, d));
    }
    records.push_back(std::move(record));
    at = begin + size + kCheckBytes;
  }
  return at;
}

// Why an unfinished run cannot be gone on with, as values that a person can compare.
std::unexpected<Error> Mismatch(const JournalHead& ours, const JournalHead& theirs,
                                const std::filesystem::path& path) {
  const bool other_request = ours.request != theirs.request;
  const bool other_plan = ours.plan != theirs.plan;
  const auto value = [&](const JournalHead& head) {
    if (other_request) return head.request + " (plan " + ToHex(head.plan) + ")";
    return other_plan ? "plan " + ToHex(head.plan) : "input state " + ToHex(head.inputs);
  };
  const std::string what =
      other_request ? "the output belongs to an unfinished run with other options"
      : other_plan  ? "the output belongs to an unfinished run of another plan: the input changed"
                    : "the input changed since the unfinished run began: its files were modified";
  return Fail(Error(ErrorCode::kPlanMismatch, what)
                  .In(path.string())
                  .Expected(value(ours) + ": this command")
                  .Found(value(theirs) + ": the unfinished run")
                  .Next("run the original command to finish that run, or add --force to throw its "
                        "work away"));
}

// What a journal's file holds. Without a first line it is new, since nothing durable can depend on
// it.
struct Contents {
  bool begun = false;
  uint64_t bytes = 0;  // of records that are whole
  std::vector<TileRecord> records;
};

Result<Contents> ReadContents(const File& file, const JournalHead& head) {
  TESSERA_ASSIGN(const FileIdentity identity, file.Identity());
  if (identity.size > kMaxJournalBytes) {
    return Fail(Error(ErrorCode::kDamagedJournal, "the journal is too large to be one")
                    .In(file.path().string())
                    .Found(std::to_string(identity.size) + " bytes")
                    .Next("add --force to throw the unfinished run away"));
  }
  std::string text(identity.size, '\0');
  TESSERA_TRY(file.ReadAt(0, std::as_writable_bytes(std::span(text))));

  Contents contents;
  const size_t line_end = text.find('\n');
  if (line_end == std::string::npos) return contents;
  const std::optional<JournalHead> found = ParseHead(std::string_view(text).substr(0, line_end));
  if (!found) {
    return Fail(
        Error(ErrorCode::kDamagedJournal, "the journal of the unfinished run cannot be read")
            .In(file.path().string())
            .Expected(std::string(kMagic) + " ...")
            .Found(text.substr(0, std::min<size_t>(line_end, 40)))
            .Next("finish it with the version that began it, or add --force to throw its work "
                  "away"));
  }
  if (*found != head) return Mismatch(head, *found, file.path());
  contents.begun = true;
  contents.bytes = ReadRecords(std::string_view(text).substr(line_end + 1), contents.records);
  return contents;
}

}  // namespace

Result<Journal> Journal::Open(const std::filesystem::path& path, const JournalHead& head) {
  std::error_code ignored;
  const bool exists = std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
  constexpr auto kAccess = File::Access::kReadAndWrite;
  TESSERA_ASSIGN(File file, exists ? File::OpenWrite(path, kAccess) : File::Create(path, kAccess));
  TESSERA_ASSIGN(const Contents contents, ReadContents(file, head));
  Journal journal(std::move(file));
  const std::string line = HeadLine(head);
  journal.head_end_ = line.size();
  journal.end_ = line.size() + contents.bytes;
  const auto keep = static_cast<off_t>(contents.begun ? journal.end_ : 0);
  if (::ftruncate(journal.file_.descriptor(), keep) != 0) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "truncating", path, errno));
  }
  if (!contents.begun) {
    TESSERA_TRY(journal.file_.WriteAt(0, std::as_bytes(std::span(line))));
    TESSERA_TRY(journal.file_.Sync());
    TESSERA_TRY(SyncDirectory(path.parent_path()));
  }
  return journal;
}

Result<std::vector<TileRecord>> Journal::Read(const std::filesystem::path& path,
                                              const JournalHead& head) {
  TESSERA_ASSIGN(const File file, File::OpenRead(path));
  TESSERA_ASSIGN(Contents contents, ReadContents(file, head));
  return std::move(contents.records);
}

Result<void> Journal::Forget() {
  end_ = head_end_;
  if (::ftruncate(file_.descriptor(), static_cast<off_t>(end_)) != 0) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "truncating", file_.path(), errno));
  }
  return file_.Sync();
}

Result<void> Journal::Append(std::span<const TileRecord> records) {
  std::string bytes;
  for (const TileRecord& record : records) AppendRecord(bytes, record);
  TESSERA_TRY(file_.WriteAt(end_, std::as_bytes(std::span(bytes))));
  TESSERA_TRY(file_.SyncData());
  end_ += bytes.size();
  return {};
}

}  // namespace tessera
