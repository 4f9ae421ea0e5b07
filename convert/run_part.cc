#include "convert/run_part.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tessera {
namespace {

uint64_t CostOf(const Step& step) {
  uint64_t bytes = 0;
  for (uint64_t tile = 0; tile < step.tiles(); ++tile) {
    const RowRange rows = step.TileRows(tile);
    const TileShape shape = ShapeOfTile(step, rows);
    for (const ByteRange& read : shape.reads) bytes += read.size();
    for (const Destination& d : step.destinations) {
      if (const auto place = PlaceInDestination(step, d, rows, shape)) bytes += place->size();
    }
  }
  return bytes;
}

// For each border between steps, how many output files have steps on both sides of it.
std::vector<uint32_t> FilesAcross(const Plan& plan) {
  struct Span {
    size_t first = SIZE_MAX, last = 0;
  };
  std::vector<Span> spans(plan.files.size());
  for (size_t step = 0; step < plan.steps.size(); ++step) {
    for (const Destination& d : plan.steps[step].destinations) {
      Span& span = spans[plan.tensors[d.tensor].file];
      span.first = std::min(span.first, step);
      span.last = std::max(span.last, step);
    }
  }
  std::vector<uint32_t> across(plan.steps.size() + 1, 0);
  for (const Span& span : spans) {
    for (size_t border = span.first + 1; span.first != SIZE_MAX && border <= span.last; ++border) {
      ++across[border];
    }
  }
  return across;
}

}  // namespace

std::string RunPart::Name() const {
  return "part-" + std::to_string(index) + "-of-" + std::to_string(count);
}

StepRange StepsOf(const Plan& plan, const RunPart& part) {
  if (part.is_whole()) return {0, plan.steps.size()};
  // before[i]: the bytes of all steps before step i.
  std::vector<uint64_t> before = {0};
  for (const Step& step : plan.steps) before.push_back(before.back() + CostOf(step));
  const std::vector<uint32_t> across = FilesAcross(plan);

  const double share = static_cast<double>(before.back()) / part.count;
  const auto border = [&](uint32_t index) -> size_t {
    if (index == 0) return 0;
    if (index == part.count) return plan.steps.size();
    const double ideal = share * index, reach = share / 8;
    const auto distance = [&](size_t i) {
      return std::abs(static_cast<double>(before[i]) - ideal);
    };
    const auto at = [&](double bytes) {
      return static_cast<size_t>(
          std::ranges::lower_bound(before, static_cast<uint64_t>(std::max(bytes, 0.0))) -
          before.begin());
    };
    size_t best = std::min(at(ideal), plan.steps.size());
    for (size_t i = at(ideal - reach); i <= plan.steps.size(); ++i) {
      if (static_cast<double>(before[i]) > ideal + reach) break;
      if (std::pair(across[i], distance(i)) < std::pair(across[best], distance(best))) best = i;
    }
    return best;
  };
  return {border(part.index - 1), border(part.index)};
}

std::vector<uint32_t> UnfinishedParts(const Plan& plan, uint32_t count,
                                      const std::vector<bool>& done) {
  std::vector<uint32_t> unfinished;
  for (uint32_t index = 1; index <= count; ++index) {
    const StepRange steps = StepsOf(plan, {.index = index, .count = count});
    const auto tile_of = [&](size_t step) {
      return static_cast<ptrdiff_t>(step < plan.steps.size() ? plan.steps[step].first_tile
                                                             : plan.tiles);
    };
    const auto begin = done.begin() + tile_of(steps.begin), end = done.begin() + tile_of(steps.end);
    if (std::find(begin, end, false) != end) unfinished.push_back(index);
  }
  return unfinished;
}

}  // namespace tessera
