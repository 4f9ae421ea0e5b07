#include "formats/side_files.h"

#include <algorithm>
#include <system_error>

#include "formats/file.h"
#include "formats/shard_name.h"

namespace tessera {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxSideFiles = 65536;
constexpr int kMaxFolderDepth = 16;

bool IsOurs(const std::string& name) {
  return name == "config.json" || name == "tessera.manifest.json" || IsShardName(name) ||
         name.ends_with(".index.json");
}

class Walk {
 public:
  Walk(const fs::path& root, FaultList& faults) : root_(root), faults_(faults) {}

  void Visit(const std::string& folder, int depth) {
    const auto names = ListFolder(root_ / folder);
    if (!names) return faults_.Add(names.error());
    for (const std::string& name : *names) {
      if (faults_.full()) return;
      if (folder.empty() && IsOurs(name)) continue;
      VisitEntry(folder.empty() ? name : folder + "/" + name, depth);
    }
  }

  std::vector<SideFile> found;

 private:
  void VisitEntry(const std::string& path, int depth) {
    std::error_code error;
    const fs::path full = root_ / path;
    const bool link = fs::is_symlink(fs::symlink_status(full, error));
    const fs::file_status status = fs::status(full, error);
    if (fs::is_directory(status)) {
      if (link) return Refuse(full, "a link to a folder", "replace it by the folder");
      if (depth == kMaxFolderDepth) return Refuse(full, "folders nested too deeply", "remove it");
      return Visit(path, depth + 1);
    }
    if (!fs::exists(status)) return Refuse(full, "a link that leads nowhere", "remove it");
    if (!fs::is_regular_file(status)) return Refuse(full, "not a regular file", "remove it");
    if (found.size() == kMaxSideFiles) return Refuse(root_, "too many files", "is it a model?");
    const uint64_t size = fs::file_size(full, error);
    if (error) {
      return faults_.Add(SystemError(ErrorCode::kReadFailed, "stat", full, error.value()));
    }
    found.push_back({path, size});
  }

  void Refuse(const fs::path& path, const char* what, const char* next) {
    faults_.Add(Error(ErrorCode::kUnsupported, std::string("a model folder holds ") + what)
                    .In(path.string())
                    .Next(next));
  }

  const fs::path& root_;
  FaultList& faults_;
};

}  // namespace

Result<std::vector<std::string>> ListFolder(const fs::path& dir) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (!name.starts_with('.')) names.push_back(std::move(name));
  }
  if (error) return Fail(SystemError(ErrorCode::kReadFailed, "listing", dir, error.value()));
  std::ranges::sort(names);
  return names;
}

std::vector<SideFile> ListSideFiles(const fs::path& dir, FaultList& faults) {
  Walk walk(dir, faults);
  walk.Visit("", 0);
  std::ranges::sort(walk.found, {}, &SideFile::path);
  return std::move(walk.found);
}

}  // namespace tessera
