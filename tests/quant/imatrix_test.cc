#include "quant/imatrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "formats/gguf.h"
#include "formats/safetensors.h"
#include "quant/calibration.h"
#include "quant/calibration_file.h"
#include "tests/support/temp_dir.h"

namespace tessera {
namespace {

using Floats = std::vector<float>;

struct TestTensor {
  std::string name;
  Shape shape;
  Floats values;
  Dtype dtype = Dtype::kF32;
};

GgufMetadata Metadata() {
  return {{"general.type", std::string("imatrix")},
          {"imatrix.datasets", std::vector<std::string>{"wiki.txt"}},
          {"imatrix.chunk_count", uint32_t{3}},
          {"imatrix.chunk_size", uint32_t{512}}};
}

std::string Gguf(const std::vector<TestTensor>& tensors,
                 const GgufMetadata& metadata = Metadata()) {
  std::vector<TensorInfo> infos;
  for (const TestTensor& t : tensors) {
    infos.push_back(TensorInfo::Make(t.name, t.dtype, t.shape).value());
  }
  std::vector<const TensorInfo*> pointers;
  for (const TensorInfo& info : infos) pointers.push_back(&info);
  std::string file = RenderGgufHeader(metadata, pointers).value();
  for (size_t i = 0; i < tensors.size(); ++i) {
    const auto* bytes = reinterpret_cast<const char*>(tensors[i].values.data());
    file.append(bytes, tensors[i].values.size() * sizeof(float));
    file.resize((file.size() + 31) / 32 * 32);
  }
  return file;
}

std::string Int(int32_t value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string DatEntry(const std::string& name, int32_t calls, const Floats& values) {
  return Int(static_cast<int32_t>(name.size())) + name + Int(calls) +
         Int(static_cast<int32_t>(values.size())) +
         std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
}

class ImatrixTest : public testing::Test {
 protected:
  Result<ImportanceMatrix> Open(const std::string& contents) {
    dir_.Write("imatrix", contents);
    return ImportanceMatrix::Open(dir_ / "imatrix");
  }

  // The error, or "" if it opened.
  std::string WhyNot(const std::string& contents) {
    const auto matrix = Open(contents);
    return matrix ? "" : matrix.error().Text();
  }

  static Floats Columns(const ImportanceMatrix& matrix, const char* name, uint64_t index,
                        uint64_t matrices, uint64_t columns) {
    Floats out(columns);
    const Importance* entry = matrix.Find(name);
    EXPECT_NE(entry, nullptr) << name;
    if (entry == nullptr) return {};
    const Result<void> read = matrix.Read(*entry, index, matrices, out);
    EXPECT_TRUE(read) << read.error().Text();
    return out;
  }

  TempDir dir_;
};

const std::vector<TestTensor> kTensors = {
    {"blk.0.attn_k_b.weight.in_sum2", {1, 6}, {1, 2, 3, 4, 5, 6}},
    {"blk.0.attn_k_b.weight.counts", {1, 1}, {4}},
    {"blk.3.ffn_down_exps.weight.in_sum2", {3, 2}, {8, 4, 0, 0, 1, 2}},
    {"blk.3.ffn_down_exps.weight.counts", {3, 1}, {4, 0, 1}},
    {"model.layers.0.self_attn.kv_b_proj.input_amax", {1}, {7}},
};

TEST_F(ImatrixTest, GgufFormGivesMeansAndOnesForExpertsThatNoTokenReached) {
  const auto matrix = Open(Gguf(kTensors));
  ASSERT_TRUE(matrix) << matrix.error().Text();
  EXPECT_EQ(matrix->entries().size(), 2u);
  EXPECT_EQ(matrix->datasets(), std::vector<std::string>{"wiki.txt"});
  EXPECT_EQ(matrix->chunk_count(), 3u);
  EXPECT_EQ(matrix->Find("blk.0.attn_k_b"), nullptr);
  // One count for all heads.
  EXPECT_EQ(Columns(*matrix, "blk.0.attn_k_b.weight", 0, 2, 3), (Floats{0.25f, 0.5f, 0.75f}));
  EXPECT_EQ(Columns(*matrix, "blk.0.attn_k_b.weight", 1, 2, 3), (Floats{1, 1.25f, 1.5f}));
  EXPECT_EQ(Columns(*matrix, "blk.3.ffn_down_exps.weight", 0, 3, 2), (Floats{2, 1}));
  EXPECT_EQ(Columns(*matrix, "blk.3.ffn_down_exps.weight", 1, 3, 2), (Floats{1, 1}));
  EXPECT_EQ(Columns(*matrix, "blk.3.ffn_down_exps.weight", 2, 3, 2), (Floats{1, 2}));
}

TEST_F(ImatrixTest, DatFormDividesByTheCallsWithOrWithoutItsTail) {
  const std::string entries = Int(2) + DatEntry("blk.1.ffn_up.weight", 2, {2, 4, 6}) +
                              DatEntry("blk.0.attn_q.weight", 0, {5, 7});
  for (const std::string& tail : {std::string(), Int(9), Int(9) + Int(3) + "abc"}) {
    const auto matrix = Open(entries + tail);
    ASSERT_TRUE(matrix) << matrix.error().Text();
    EXPECT_EQ(Columns(*matrix, "blk.1.ffn_up.weight", 0, 1, 3), (Floats{1, 2, 3}));
    EXPECT_EQ(Columns(*matrix, "blk.0.attn_q.weight", 0, 1, 2), (Floats{5, 7})) << "no calls";
    EXPECT_EQ(matrix->chunk_count(), tail.empty() ? 0u : 9u);
    EXPECT_EQ(matrix->datasets().size(), tail.size() > 4 ? 1u : 0u);
  }
}

// Every prefix but those that end where a tail may be missing.
TEST_F(ImatrixTest, NoShortenedFileOpens) {
  const std::string dat = Int(1) + DatEntry("blk.1.ffn_up.weight", 2, {2, 4, 6});
  const std::string tail = Int(9) + Int(3) + "abc";
  for (size_t size = 0; size < dat.size() + tail.size(); ++size) {
    if (size == dat.size() || size == dat.size() + 4) continue;
    EXPECT_NE(WhyNot((dat + tail).substr(0, size)), "") << size;
  }
  const std::string gguf = Gguf(kTensors);
  const size_t whole = gguf.size() - 28;  // the last number, without the padding behind it
  for (size_t size = 0; size < whole; ++size) {
    EXPECT_NE(WhyNot(gguf.substr(0, size)), "") << size;
  }
}

TEST_F(ImatrixTest, HostileNumbersOfADatFileAreRefusedBeforeAnythingIsAllocated) {
  const std::string name = "blk.1.ffn_up.weight";
  const int32_t huge = std::numeric_limits<int32_t>::max();
  for (const int32_t bad : {huge, -1, 0}) {
    EXPECT_NE(WhyNot(Int(bad) + DatEntry(name, 1, {1})), "") << bad << " entries";
    EXPECT_NE(WhyNot(Int(1) + Int(bad) + name + Int(1) + Int(1) + "abcd"), "") << bad;
    EXPECT_NE(WhyNot(Int(1) + Int(19) + name + Int(1) + Int(bad) + "abcd"), "") << bad;
  }
  EXPECT_NE(WhyNot(Int(1) + DatEntry(name, -1, {1})), "") << "calls";
  EXPECT_NE(WhyNot(Int(1) + DatEntry(name, 1, {1}) + Int(-1)), "") << "chunks";
  EXPECT_NE(WhyNot(Int(1) + DatEntry(name, 1, {1}) + Int(1) + Int(-3)), "") << "dataset";
  EXPECT_NE(WhyNot(Int(1) + DatEntry(name, 1, {1}) + Int(1) + Int(1) + "ab"), "") << "beyond";
  EXPECT_NE(WhyNot(Int(2) + DatEntry(name, 1, {1}) + DatEntry(name, 1, {1})), "") << "twice";
}

TEST_F(ImatrixTest, ValuesThatAreNoSumsAreRefusedByName) {
  for (const float bad : {-1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (const size_t tensor : {0u, 1u, 2u, 3u}) {
      std::vector<TestTensor> tensors = kTensors;
      tensors[tensor].values.back() = bad;
      const std::string name = tensors[tensor].name;
      EXPECT_NE(WhyNot(Gguf(tensors)).find(name.substr(0, name.rfind('.'))), std::string::npos)
          << name << " " << bad << ": " << WhyNot(Gguf(tensors));
    }
    EXPECT_NE(WhyNot(Int(1) + DatEntry("blk.0.a", 1, {1, bad})), "") << bad;
  }
  std::vector<TestTensor> tensors = kTensors;
  tensors[3].values[0] = 1.5f;
  EXPECT_NE(WhyNot(Gguf(tensors)).find("whole"), std::string::npos);
}

TEST_F(ImatrixTest, SumsAndCountsMustPairUpAndBeF32) {
  for (const size_t missing : {0u, 1u, 2u, 3u}) {
    std::vector<TestTensor> tensors = kTensors;
    tensors.erase(tensors.begin() + static_cast<ptrdiff_t>(missing));
    EXPECT_NE(WhyNot(Gguf(tensors)).find("pair"), std::string::npos) << missing;
    tensors = kTensors;
    tensors[missing].dtype = Dtype::kI32;
    EXPECT_NE(WhyNot(Gguf(tensors)).find("F32"), std::string::npos) << missing;
  }
  std::vector<TestTensor> tensors = kTensors;
  tensors[3] = {tensors[3].name, {4, 1}, {1, 1, 1, 1}};  // of 6 values
  EXPECT_NE(WhyNot(Gguf(tensors)), "");
}

TEST_F(ImatrixTest, OtherGgufFilesAreRefused) {
  GgufMetadata model = Metadata();
  model[0].second = std::string("model");
  EXPECT_NE(WhyNot(Gguf(kTensors, model)).find("no importance matrix"), std::string::npos);
  for (size_t key = 0; key < 4; ++key) {
    GgufMetadata metadata = Metadata();
    metadata.erase(metadata.begin() + static_cast<ptrdiff_t>(key));
    EXPECT_NE(WhyNot(Gguf(kTensors, metadata)), "") << key;
  }
  EXPECT_NE(WhyNot(Gguf({kTensors[4]})), "") << "maxima only";
}

TEST_F(ImatrixTest, ATensorOfAnotherSizeIsAnError) {
  const auto matrix = Open(Gguf(kTensors));
  ASSERT_TRUE(matrix);
  Floats out(4);
  const Importance* entry = matrix->Find("blk.3.ffn_down_exps.weight");
  const auto read = matrix->Read(*entry, 0, 3, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().tensor(), "blk.3.ffn_down_exps.weight");
}

TEST_F(ImatrixTest, TheDigestIsOfNamesCountsAndValues) {
  const Digest digest = Open(Gguf(kTensors))->digest();
  std::vector<TestTensor> tensors = kTensors;
  std::swap(tensors[0], tensors[4]);
  EXPECT_EQ(Open(Gguf(tensors))->digest(), digest) << "order does not matter";
  for (const size_t tensor : {0u, 1u, 2u, 3u}) {
    tensors = kTensors;
    tensors[tensor].values.back() += 1;
    EXPECT_NE(Open(Gguf(tensors))->digest(), digest) << tensor;
  }
}

CalibrationFile CreateFile(const std::filesystem::path& path) {
  std::vector<TensorInfo> infos;
  for (const TestTensor& t : kTensors) {
    infos.push_back(TensorInfo::Make(t.name, t.dtype, t.shape).value());
  }
  infos.push_back(
      TensorInfo::Make("model.layers.3.mlp.experts.up_proj.input_amax", Dtype::kF32, {3}).value());
  return CalibrationFile::Create(path, {.dataset = "d", .chunk_count = 2, .chunk_size = 512},
                                 std::move(infos))
      .value();
}

void WriteAll(CalibrationFile& file, const Floats& experts) {
  for (const TestTensor& t : kTensors) EXPECT_TRUE(file.Write(t.name, t.values));
  EXPECT_TRUE(file.Write("model.layers.3.mlp.experts.up_proj.input_amax", experts));
}

TEST(CalibrationFile, IsReadBackAsImportanceAndAsMaxima) {
  const TempDir dir;
  {
    CalibrationFile file = CreateFile(dir / "c.gguf");
    WriteAll(file, {5, 0, 3});
    EXPECT_FALSE(std::filesystem::exists(dir / "c.gguf")) << "not before it is whole";
    ASSERT_TRUE(file.Publish());
  }
  const auto matrix = ImportanceMatrix::Open(dir / "c.gguf");
  ASSERT_TRUE(matrix) << matrix.error().Text();
  EXPECT_EQ(matrix->entries().size(), 2u);
  EXPECT_EQ(matrix->chunk_count(), 2u);
  const auto maxima = Calibration::Read(dir / "c.gguf");
  ASSERT_TRUE(maxima) << maxima.error().Text();
  EXPECT_EQ(maxima->InputAmax("model.layers.0.self_attn.kv_b_proj"), 7.0f);
  EXPECT_EQ(maxima->InputAmax("model.layers.3.mlp.experts.0.up_proj"), 5.0f);
  EXPECT_EQ(maxima->InputAmax("model.layers.3.mlp.experts.1.up_proj"), 5.0f)
      << "no token reached it: the layer's largest";
  EXPECT_EQ(maxima->InputAmax("model.layers.3.mlp.experts.2.up_proj"), 3.0f);
  EXPECT_EQ(maxima->InputAmax("model.layers.3.mlp.experts.3.up_proj"), std::nullopt);
}

TEST(CalibrationFile, ReplacesOnlyWhatACalibrationWrote) {
  const TempDir dir;
  for (const float value : {1.0f, 2.0f}) {
    CalibrationFile file = CreateFile(dir / "c.gguf");
    WriteAll(file, {value, value, value});
    ASSERT_TRUE(file.Publish()) << value;
  }
  EXPECT_EQ(Calibration::Read(dir / "c.gguf")->InputAmax("model.layers.3.mlp.experts.0.up_proj"),
            2);
  dir.Write("theirs.gguf", Gguf(kTensors));
  dir.Write("notes.txt", "mine");
  std::filesystem::create_symlink(dir / "c.gguf", dir / "link.gguf");
  std::filesystem::create_directory(dir / "folder");
  for (const char* name : {"theirs.gguf", "notes.txt", "link.gguf", "folder"}) {
    const auto file = CalibrationFile::Create(dir / name, {}, {});
    ASSERT_FALSE(file) << name;
    EXPECT_EQ(file.error().code(), ErrorCode::kForeignFile) << name;
  }
}

TEST(CalibrationFile, LeavesNothingBehindWhenItIsNotPublished) {
  const TempDir dir;
  {
    const CalibrationFile file = CreateFile(dir / "c.gguf");
  }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

TEST(Calibration, MaximaOfAGgufFileThatAreNoNumbersAreRefused) {
  const TempDir dir;
  const std::string stack = "model.layers.3.mlp.experts.up_proj.input_amax";
  for (const float bad : {-1.0f, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    dir.Write("c.gguf", Gguf({{stack, {2}, {1, bad}}}));
    const auto maxima = Calibration::Read(dir / "c.gguf");
    ASSERT_FALSE(maxima) << bad;
    EXPECT_EQ(maxima.error().tensor(), stack);
  }
  dir.Write("c.gguf", Gguf({{"model.layers.3.mlp.gate.input_amax", {2}, {1, 1}}}));
  EXPECT_FALSE(Calibration::Read(dir / "c.gguf")) << "two of one linear";
  dir.Write("c.gguf", Gguf({{stack, {2}, {0, 0}}}));
  EXPECT_FALSE(Calibration::Read(dir / "c.gguf")) << "nothing was measured at all";
}

// Of safetensors' names and of TensorRT-LLM's.
TEST(Calibration, AScaleBeyondF32OrTwoMaximaOfOneLinearAreRefused) {
  const auto read = [](const std::string& other, float amax, float scale) {
    const TempDir dir;
    const TensorInfo infos[] = {TensorInfo::Make("a.w1.input_scale", Dtype::kF32, {1}).value(),
                                TensorInfo::Make(other, Dtype::kF32, {1}).value()};
    std::string file = RenderSafetensorsHeader(std::vector{&infos[0], &infos[1]}, {}).value();
    for (const float value : {scale, amax}) {
      file.append(reinterpret_cast<const char*>(&value), sizeof value);
    }
    dir.Write("c.safetensors", file);
    return Calibration::Read(dir / "c.safetensors");
  };
  EXPECT_EQ(read("a.down_proj.input_amax", 3, 1)->InputAmax("a.gate_proj"), 448.0f);
  EXPECT_EQ(read("a.down_proj.input_amax", 3, 1e38f).error().tensor(), "a.w1.input_scale");
  EXPECT_EQ(read("a.gate_proj.input_amax", 448, 1)->InputAmax("a.gate_proj"), 448.0f);
  EXPECT_EQ(read("a.gate_proj.input_amax", 3, 1).error().tensor(), "a.gate_proj");
}

TEST(Calibration, AmaxNamesOfExpertsAreThoseOfTheirStack) {
  EXPECT_EQ(InputAmaxName("model.layers.3.mlp.experts.0.gate_proj"),
            "model.layers.3.mlp.experts.gate_proj.input_amax");
  EXPECT_EQ(InputAmaxName("model.layers.3.mlp.shared_experts.gate_proj"),
            "model.layers.3.mlp.shared_experts.gate_proj.input_amax");
}

}  // namespace
}  // namespace tessera
