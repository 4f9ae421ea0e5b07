// The files of a model folder that are not weights, and the folder listing they come from.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "formats/fault_list.h"
#include "formats/result.h"

namespace tessera {

// Names in a folder, sorted; hidden ones (a leading dot) left out.
Result<std::vector<std::string>> ListFolder(const std::filesystem::path& dir);

struct SideFile {
  std::string path;  // relative to the model folder
  uint64_t size;
};

// Everything beside the weights, sub-folders included, sorted by path; see Checkpoint::side_files.
// Links to files are files. Links to folders, links that lead nowhere and special files are faults:
// they could not be copied as what they are.
std::vector<SideFile> ListSideFiles(const std::filesystem::path& dir, FaultList& faults);

}  // namespace tessera
