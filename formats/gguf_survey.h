// GGUF files seen as a checkpoint: the set of split files, their headers, and the model that the
// metadata describe.
#pragma once

#include <filesystem>

#include "formats/checkpoint_survey.h"
#include "formats/fault_list.h"

namespace tessera {

// A file that ends in .gguf, or a folder with such files and no safetensors.
bool LeadsToGguf(const std::filesystem::path& path);

// As SurveyCheckpoint. Of split files the path leads to the first, or to the folder that holds them
// alone. Tensors are those of the model under Hugging Face names, and config_text is put together
// from the metadata; of an architecture that is not supported, tensors are as stored and
// `no_config` says so.
CheckpointSurvey SurveyGguf(const std::filesystem::path& path, const CheckpointOptions& options,
                            FaultList& faults);

}  // namespace tessera
