#include "quant/calibration_file.h"

#include <algorithm>

#include "formats/container.h"
#include "formats/gguf.h"

namespace tessera {
namespace {

constexpr const char* kMark = "tessera.calibration";  // the version of what is beside llama.cpp's

bool IsCalibration(const std::filesystem::path& path) {
  if (!std::filesystem::is_regular_file(std::filesystem::symlink_status(path))) return false;
  const Result<File> file = File::OpenRead(path);
  if (!file) return false;
  const Result<GgufHeader> header = ReadGgufHeader(*file);
  return header && Find(header->metadata, kMark) != nullptr;
}

Result<void> CheckReplaceable(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path, error);
  if (status.type() == std::filesystem::file_type::not_found || IsCalibration(path)) return {};
  return Fail(Error(ErrorCode::kForeignFile, "there is a file that no calibration wrote")
                  .In(path.string())
                  .Next("Name another file, or remove this one."));
}

GgufMetadata Metadata(const CalibrationSource& source) {
  return {{"general.type", std::string("imatrix")},
          {"imatrix.datasets", std::vector<std::string>{source.dataset}},
          {"imatrix.chunk_count", source.chunk_count},
          {"imatrix.chunk_size", source.chunk_size},
          {kMark, uint32_t{1}}};
}

}  // namespace

std::string ImportanceSumsName(std::string_view gguf_name) {
  return std::string(gguf_name).append(".in_sum2");
}
std::string ImportanceCountsName(std::string_view gguf_name) {
  return std::string(gguf_name).append(".counts");
}

Result<CalibrationFile> CalibrationFile::Create(const std::filesystem::path& path,
                                                const CalibrationSource& source,
                                                std::vector<TensorInfo> tensors) {
  TESSERA_TRY(CheckReplaceable(path));
  std::ranges::sort(tensors, {}, &TensorInfo::name);
  std::vector<const TensorInfo*> pointers;
  for (const TensorInfo& info : tensors) pointers.push_back(&info);
  TESSERA_ASSIGN(const FileLayout layout, MakeGgufContainer(Metadata(source))->Layout(pointers));
  std::map<std::string, Place, std::less<>> places;
  for (size_t i = 0; i < tensors.size(); ++i) {
    places.emplace(tensors[i].name(), Place{layout.offsets[i], tensors[i].elements()});
  }
  TESSERA_ASSIGN(StagedFile staged, StagedFile::Create(path));
  // Padding stays as it comes: zero.
  TESSERA_TRY(staged.file().Allocate(layout.bytes));
  TESSERA_TRY(staged.file().WriteAt(0, std::as_bytes(std::span(layout.header))));
  return CalibrationFile(std::move(staged), std::move(places));
}

Result<void> CalibrationFile::Write(std::string_view name, std::span<const float> values) {
  const auto place = missing_.find(name);
  TESSERA_CHECK(place != missing_.end() && place->second.values == values.size());
  TESSERA_TRY(staged_.file().WriteAt(place->second.offset, std::as_bytes(values)));
  missing_.erase(place);
  return {};
}

Result<void> CalibrationFile::Publish() {
  TESSERA_CHECK(missing_.empty());
  return staged_.Publish();
}

}  // namespace tessera
