// Latent attention of one head over a whole sequence, in its two forms, which are equal in exact
// arithmetic: keys and values materialised, or the projection that would make them absorbed into
// query and output.
#pragma once

#include "verify/key_selection.h"
#include "verify/matrix.h"

namespace tessera {

template <class T>
struct HeadInput {
  MatrixView<const T> query;   // [tokens, nope + rope], rotated
  MatrixView<const T> latent;  // [tokens, kv_lora_rank], normed; of all heads
  MatrixView<const T> k_rope;  // [tokens, rope], rotated; of all heads
  MatrixView<const T> kv_b;    // [nope + v, kv_lora_rank]: this head's rows
  double scale = 1;            // of the softmax
  bool bf16 = false;           // round what the models hold in BF16; no matter for double
  const KeySelection* selection = nullptr;  // nullptr: all keys up to the query's own
  // If given, receives what the V rows of kv_b meet when they are absorbed: the latent, mixed by
  // the attention of each query, [tokens, kv_lora_rank].
  MatrixView<T> mixed = {};
};

// `out` is [tokens, v]. Instantiated for float and double.
template <class T>
void AttendNaive(const HeadInput<T>& head, MatrixView<T> out);
template <class T>
void AttendAbsorbed(const HeadInput<T>& head, MatrixView<T> out);

// Queries are taken this many at a time, which bounds the scores in memory.
inline constexpr uint64_t kQueryBlock = 128;

}  // namespace tessera
