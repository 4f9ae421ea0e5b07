// Small checkpoints on disk, tensor by tensor.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "formats/checkpoint.h"
#include "formats/json.h"
#include "formats/safetensors.h"
#include "tests/support/temp_dir.h"

namespace tessera {

struct Tensor {
  std::string name;
  Dtype dtype;
  Shape shape;
  std::string bytes = {};  // zeros if left out
};

// A checkpoint of two shards on disk.
class Files {
 public:
  Files(const std::vector<Tensor>& first, const std::vector<Tensor>& second) {
    WriteShard("model-00001-of-00002.safetensors", first);
    WriteShard("model-00002-of-00002.safetensors", second);
    Json index;
    index["metadata"]["total_size"] = total_;
    index["weight_map"] = map_;
    dir_.Write("model.safetensors.index.json", index.dump());
  }

  void Write(const std::string& name, const std::string& text) const { dir_.Write(name, text); }

  Checkpoint Open() const {
    auto checkpoint = Checkpoint::Open(dir_.path());
    EXPECT_TRUE(checkpoint) << checkpoint.error().Text();
    return *std::move(checkpoint);
  }

 private:
  void WriteShard(const std::string& name, const std::vector<Tensor>& tensors) {
    std::vector<TensorInfo> infos;
    std::string data;
    for (const Tensor& t : tensors) {
      infos.push_back(*TensorInfo::Make(t.name, t.dtype, t.shape));
      std::string bytes = t.bytes;
      bytes.resize(infos.back().bytes());
      data += bytes;
      map_[t.name] = name;
    }
    std::vector<const TensorInfo*> order;
    for (const TensorInfo& info : infos) order.push_back(&info);
    dir_.Write(name, *RenderSafetensorsHeader(order, {{"format", "pt"}}) + data);
    total_ += data.size();
  }

  TempDir dir_;
  Json map_ = Json::object();
  uint64_t total_ = 0;
};

}  // namespace tessera
