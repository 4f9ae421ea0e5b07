// Links llama.cpp; gguf_llama_cpp.py builds it.
//   llama_logits MODEL.gguf logits OUT ID...   the logits after each id, F32
//   llama_logits MODEL.gguf values OUT         every tensor's values, F32, in the file's order
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "gguf.h"
#include "llama.h"

namespace {

void Check(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "llama_logits: %s\n", what);
  std::exit(1);
}

void Write(std::FILE* out, const float* values, size_t count) {
  Check(std::fwrite(values, sizeof(float), count, out) == count, "cannot write");
}

// deepseek2's keys that llama.cpp reads for other architectures only.
float YarnBeta(const llama_model* model, const char* key) {
  char text[32];
  const int32_t length = llama_model_meta_val_str(model, key, text, sizeof(text));
  return length < 0 ? -1 : std::strtof(text, nullptr);  // -1: llama.cpp's own
}

void WriteLogits(const char* path, std::vector<llama_token> tokens, std::FILE* out) {
  llama_model_params model_params = llama_model_default_params();
  model_params.use_extra_bufts = false;  // weights as they are, not repacked for the CPU
  llama_model* model = llama_model_load_from_file(path, model_params);
  Check(model != nullptr, "cannot load the model");
  llama_context_params params = llama_context_default_params();
  const auto count = static_cast<uint32_t>(tokens.size());
  params.n_ctx = params.n_batch = params.n_ubatch = count;
  params.type_k = params.type_v = GGML_TYPE_F32;
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.yarn_beta_fast = YarnBeta(model, "deepseek2.rope.scaling.yarn_beta_fast");
  params.yarn_beta_slow = YarnBeta(model, "deepseek2.rope.scaling.yarn_beta_slow");
  llama_context* context = llama_init_from_model(model, params);
  Check(context != nullptr, "cannot make a context");
  llama_batch batch = llama_batch_init(static_cast<int32_t>(count), 0, 1);
  for (uint32_t i = 0; i < count; ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = static_cast<llama_pos>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  batch.n_tokens = static_cast<int32_t>(count);
  Check(llama_decode(context, batch) == 0, "llama_decode failed");
  const int32_t vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
  for (int32_t i = 0; i < batch.n_tokens; ++i)
    Write(out, llama_get_logits_ith(context, i), static_cast<size_t>(vocab));
  llama_batch_free(batch);
  llama_free(context);
  llama_model_free(model);
}

void WriteValues(const char* path, std::FILE* out) {
  ggml_context* context = nullptr;
  gguf_context* file = gguf_init_from_file(path, {.no_alloc = false, .ctx = &context});
  Check(file != nullptr, "cannot read the file");
  for (int64_t i = 0; i < gguf_get_n_tensors(file); ++i) {
    const ggml_tensor* tensor = ggml_get_tensor(context, gguf_get_tensor_name(file, i));
    std::vector<float> values(static_cast<size_t>(ggml_nelements(tensor)));
    if (tensor->type == GGML_TYPE_F32) {
      Write(out, static_cast<const float*>(tensor->data), values.size());
      continue;
    }
    ggml_get_type_traits(tensor->type)
        ->to_float(tensor->data, values.data(), ggml_nelements(tensor));
    Write(out, values.data(), values.size());
  }
  gguf_free(file);
  ggml_free(context);
}

}  // namespace

int main(int argc, char** argv) {
  Check(argc >= 4, "usage: llama_logits MODEL.gguf logits|values OUT [ID]...");
  std::FILE* out = std::fopen(argv[3], "wb");
  Check(out != nullptr, "cannot open the output");
  if (std::string(argv[2]) == "values") {
    WriteValues(argv[1], out);
  } else {
    std::vector<llama_token> tokens;
    for (int i = 4; i < argc; ++i) tokens.push_back(std::atoi(argv[i]));
    WriteLogits(argv[1], std::move(tokens), out);
  }
  Check(std::fclose(out) == 0, "cannot write");
  return 0;
}
