// A run's share of a Plan, where several runs work on one output.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "convert/plan.h"

namespace tessera {

inline constexpr uint32_t kMaxParts = 4096;

// Part `index` of `count`, from 1; 1 of 1 is a whole run.
struct RunPart {
  uint32_t index = 1, count = 1;

  bool is_whole() const { return count == 1; }
  std::string Name() const;  // "part-1-of-4": how its files in a staging folder begin
};

struct StepRange {
  size_t begin = 0, end = 0;
};

// What a part moves.
struct PartBytes {
  uint64_t read = 0, written = 0;
};

// Where each of `count` parts begins, and where the last one ends. The same for every run of the
// plan: parts are balanced by the bytes they read and write, and a cut moves by up to an eighth of
// a part to where no output file is shared by the two sides.
std::vector<size_t> CutSteps(const Plan& plan, uint32_t count);
StepRange StepsOf(const Plan& plan, const RunPart& part);
std::vector<PartBytes> WeighParts(const Plan& plan, uint32_t count);

// Which of `count` parts have a tile that is not done; `done` is by tile number.
std::vector<uint32_t> UnfinishedParts(const Plan& plan, uint32_t count,
                                      const std::vector<bool>& done);

}  // namespace tessera
