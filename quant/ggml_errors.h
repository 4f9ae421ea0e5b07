// How far rounding to a block type is expected to have moved the values of a block: root mean
// squares, for values spread evenly about each level. Searches that clip or refit scales do better
// than that, hardly ever worse: 0.3 dB on weights as models have them. MXFP4's scales are powers of
// two, so that its largest level stands for all from 5 to 8 times the scale.
#pragma once

#include "quant/ggml_blocks.h"

namespace tessera {

void ExpectErrors(const BlockQ4_0& block, float* out);
void ExpectErrors(const BlockQ4_1& block, float* out);
void ExpectErrors(const BlockQ5_0& block, float* out);
void ExpectErrors(const BlockQ5_1& block, float* out);
void ExpectErrors(const BlockQ8_0& block, float* out);
void ExpectErrors(const BlockQ2_K& block, float* out);
void ExpectErrors(const BlockQ3_K& block, float* out);
void ExpectErrors(const BlockQ4_K& block, float* out);
void ExpectErrors(const BlockQ5_K& block, float* out);
void ExpectErrors(const BlockQ6_K& block, float* out);
void ExpectErrors(const BlockIq4Nl& block, float* out);
void ExpectErrors(const BlockIq4Xs& block, float* out);
void ExpectErrors(const BlockMxfp4& block, float* out);

}  // namespace tessera
