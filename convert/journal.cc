#include "convert/journal.h"

#include <unistd.h>

#include <cstring>

namespace tessera {
namespace {

constexpr std::string_view kMagic = "tessera-journal 1";
constexpr size_t kDigestBytes = sizeof(Digest);
constexpr size_t kCheckBytes = 8;
constexpr size_t kFixedBytes = 4 * sizeof(uint64_t);  // tile and three counts
constexpr uint32_t kMaxPayload = 1 << 20;
constexpr uint64_t kMaxJournalBytes = uint64_t{4} << 30;

std::string HeadLine(const JournalHead& head) {
  return std::string(kMagic) + " plan=" + ToHex(head.plan) + " inputs=" + ToHex(head.inputs) + "\n";
}

std::optional<JournalHead> ParseHead(std::string_view line) {
  const JournalHead zero;
  const std::string shape = HeadLine(zero);
  if (line.size() + 1 != shape.size()) return std::nullopt;
  const size_t plan = shape.find("plan=") + 5, inputs = shape.find("inputs=") + 7;
  const Result<Digest> p = ParseDigest(line.substr(plan, 32)),
                       i = ParseDigest(line.substr(inputs, 32));
  if (!p || !i) return std::nullopt;
  const JournalHead head{*p, *i};
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
  Put(payload, record.stats.nan_codes);
  Put(payload, record.stats.f16_overflows);
  Put(payload, record.stats.not_finite);
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
                      .stats = {.nan_codes = Get<uint64_t>(payload, 8),
                                .f16_overflows = Get<uint64_t>(payload, 16),
                                .not_finite = Get<uint64_t>(payload, 24)},
                      .digests = {}};
    for (size_t d = kFixedBytes; d < size; d += kDigestBytes) {
      record.digests.push_back(Get<Digest>(payload, d));
    }
    records.push_back(std::move(record));
    at = begin + size + kCheckBytes;
  }
  return at;
}

std::unexpected<Error> Mismatch(ErrorCode code, std::string what, const std::filesystem::path& path,
                                const Digest& ours, const Digest& theirs) {
  return Fail(Error(code, std::move(what))
                  .In(path.string())
                  .Expected(ToHex(ours) + " (this command)")
                  .Found(ToHex(theirs) + " (the unfinished run)")
                  .Next("run the original command to finish that run, or add --force to throw its "
                        "work away"));
}

}  // namespace

Result<Journal> Journal::Open(const std::filesystem::path& path, const JournalHead& head) {
  std::error_code ignored;
  const bool exists = std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
  TESSERA_ASSIGN(File file, exists ? File::OpenWrite(path) : File::Create(path));
  TESSERA_ASSIGN(const FileIdentity identity, file.Identity());
  if (identity.size > kMaxJournalBytes) {
    return Fail(Error(ErrorCode::kDamagedJournal, "the journal is too large to be one")
                    .In(path.string())
                    .Found(std::to_string(identity.size) + " bytes")
                    .Next("add --force to throw the unfinished run away"));
  }
  std::string text(identity.size, '\0');
  TESSERA_TRY(file.ReadAt(0, std::as_writable_bytes(std::span(text))));

  const size_t line_end = text.find('\n');
  const std::optional<JournalHead> old =
      line_end == std::string::npos ? std::nullopt
                                    : ParseHead(std::string_view(text).substr(0, line_end));
  if (old && old->plan != head.plan) {
    return Mismatch(ErrorCode::kPlanMismatch,
                    "the output belongs to an unfinished run of another plan", path, head.plan,
                    old->plan);
  }
  if (old && old->inputs != head.inputs) {
    return Mismatch(ErrorCode::kPlanMismatch, "the input changed since the unfinished run began",
                    path, head.inputs, old->inputs);
  }
  if (!old && line_end != std::string::npos) {
    return Fail(
        Error(ErrorCode::kDamagedJournal, "the journal of the unfinished run cannot be read")
            .In(path.string())
            .Expected(std::string(kMagic) + " ...")
            .Found(text.substr(0, std::min<size_t>(line_end, 40)))
            .Next("finish it with the version that began it, or add --force to throw its work "
                  "away"));
  }
  Journal journal(std::move(file), 0);
  const std::string line = HeadLine(head);
  journal.end_ = line.size();
  if (old)
    journal.end_ += ReadRecords(std::string_view(text).substr(line.size()), journal.records_);
  if (::ftruncate(journal.file_.descriptor(), static_cast<off_t>(old ? journal.end_ : 0)) != 0) {
    return Fail(SystemError(ErrorCode::kWriteFailed, "truncating", path, errno));
  }
  if (!old) {
    TESSERA_TRY(journal.file_.WriteAt(0, std::as_bytes(std::span(line))));
    TESSERA_TRY(journal.file_.Sync());
    TESSERA_TRY(SyncDirectory(path.parent_path()));
  }
  return journal;
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
